"""Transparent canvases: any canvas with an opacity beside its colours [mordvintsev2018]."""

import torch
from torch import Tensor, nn

from retinoscope.image import spectrum
from retinoscope.image.canvas import START, Canvas
from retinoscope.tensor.axes import Images
from retinoscope.tensor.random import Draws


class Transparent(Canvas):
    """`canvas` with a fourth plane, the opacity: Fourier coefficients of its own, through a sigmoid.

    It starts half transparent. The loop shows it on a new noise at each step, so what the unit does not need is best
    left out; an objective such as `unit * (1 - mean_alpha())` asks for it.
    """

    weights: Tensor

    def __init__(self, canvas: Canvas, decay: float = 1.0) -> None:
        super().__init__(canvas.batch, canvas.size)
        height, width = self.size
        self.canvas = canvas
        self.to_images = canvas.to_images
        self.opacity = nn.Parameter(torch.zeros(canvas.batch, 1, height, width // 2 + 1, 2))
        self.register_buffer("weights", spectrum.scale(height, width, decay).float())
        self.blank = canvas.blank

    def start(self, draws: Draws) -> None:
        """Start the colours, then normal noise of standard deviation 0.01 in every coefficient of the opacity."""
        self.canvas.start(draws)
        self.opacity.data.copy_(START * draws.normal(*self.opacity.shape[1:]))
        self.blank = False

    def paint(self, images: Images) -> None:
        """Show `images` (b, 3, h, w); the opacity stays as it is, one half on a new canvas."""
        self.canvas.paint(images)
        self.blank = False

    def planes(self) -> Tensor:
        """The planes of the canvas."""
        return self.canvas.planes()

    def alpha(self) -> Tensor:
        """Opacity (b, 1, h, w) in (0, 1)."""
        return torch.sigmoid(spectrum.to_planes(self.opacity, self.weights, *self.size))
