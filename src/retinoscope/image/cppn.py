"""CPPN: an image as a small network from place to colour, of smooth and endlessly scalable shapes.

Compositional pattern producing networks [stanley2007], as a parameterization in [mordvintsev2018, lucid2018].
"""

import math

import torch
from torch import Tensor, nn

from retinoscope.base.errors import BadInputError
from retinoscope.image.canvas import Canvas
from retinoscope.tensor.axes import Images
from retinoscope.tensor.random import Draws

BIAS = 0.1
"""Standard deviation of the biases at the start, as Lucid's."""

RMS = (0.67, 0.6)
"""Root mean square of atan(x) and of its square for standard normal x, by which Lucid divides them."""


class CPPN(Canvas):
    """A network (y, x) -> rgb of its own for each item: `layers` layers of `hidden` channels, atan and atan ** 2.

    Its rate must be small: Lucid's notebook takes 0.005 for Adam, and no transforms. It cannot be painted.
    """

    grid: Tensor
    to_images = staticmethod(torch.sigmoid)

    def __init__(self, batch: int, size: int | tuple[int, int], hidden: int = 24, layers: int = 8) -> None:
        super().__init__(batch, size)
        widths = [2, *[2 * hidden] * layers]
        heights = [hidden] * layers + [3]
        self.weights = nn.ParameterList(torch.zeros(batch, i, o) for i, o in zip(widths, heights, strict=True))
        self.biases = nn.ParameterList(torch.zeros(batch, 1, o) for o in heights)
        self.register_buffer("grid", coordinates(*self.size))

    def start(self, draws: Draws) -> None:
        """Weights of variance 1 / inputs and biases of deviation 0.1; the last layer is zero, the picture mid-grey."""
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            weight.data.copy_(draws.normal(*weight.shape[1:]) / math.sqrt(weight.shape[1]))
            bias.data.copy_(BIAS * draws.normal(*bias.shape[1:]))
        self.weights[-1].data.zero_()
        self.biases[-1].data.zero_()
        self.blank = False

    def paint(self, images: Images) -> None:
        """Raises BadInputError: no weights are known that show a given picture."""
        raise BadInputError("a CPPN cannot show a given picture, so it takes no start and no corrections; use Fourier")

    def planes(self) -> Tensor:
        """RGB (b, 3, h, w) before the sigmoid."""
        return self.at(self.grid).view(self.batch, 3, *self.size)

    def at(self, places: Tensor) -> Tensor:
        """RGB before the sigmoid, (b, 3, n), at `places` (n, 2): also between and beyond the pixels."""
        x = places.expand(self.batch, -1, -1)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = composite(torch.baddbmm(bias, x, weight))
        return torch.baddbmm(self.biases[-1], x, self.weights[-1]).transpose(1, 2)


def composite(x: Tensor) -> Tensor:
    """atan(x) and its square side by side (..., 2 c): an odd and an even function, each of mean square one."""
    bent = torch.atan(x)
    return torch.cat((bent / RMS[0], bent.square() / RMS[1]), -1)


def coordinates(height: int, width: int) -> Tensor:
    """The place (y, x) of each pixel (h w, 2), from -sqrt(3) to sqrt(3), so that their deviation is one."""
    y, x = (torch.linspace(-math.sqrt(3), math.sqrt(3), n) for n in (height, width))
    return torch.cartesian_prod(y, x)
