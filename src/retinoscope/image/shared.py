"""Pictures that share their large shapes: what differs between them then lies where it can be compared [olah2017]."""

import torch
from einops import rearrange, repeat
from torch import Tensor, nn
from torch.nn import functional as F

from retinoscope.base.errors import BadInputError
from retinoscope.image.canvas import Canvas, Fourier
from retinoscope.tensor.axes import Images
from retinoscope.tensor.random import Draws

WHOLE = (2, 4, 8, 16)
"""Factors by which the planes that all pictures share are smaller than the picture, Lucid's."""

ENDS = (8, 16)
"""Factors of the planes that the first and the last picture have, blended linearly between them, Lucid's."""


class Shared(Canvas):
    """Fourier planes of each picture, plus low-resolution planes that each `together` pictures share.

    Lucid's neuron interaction notebook [lucid2018]: planes at 1/2 to 1/16 of the size for all, planes at 1/8 and 1/16
    that go from one end of the group to the other, all bilinear, summed with each picture's own. `together` is by
    default the whole batch. The shared planes start at zero, so that a picture's start does not depend on its
    neighbours; Lucid's start from noise.
    """

    def __init__(
        self,
        batch: int,
        size: int | tuple[int, int],
        together: int | None = None,
        whole: tuple[int, ...] = WHOLE,
        ends: tuple[int, ...] = ENDS,
    ) -> None:
        super().__init__(batch, size)
        self.together = together or batch
        if batch % self.together:
            raise BadInputError(f"a batch of {batch} cannot be shared by {self.together} pictures each")
        self.own = Fourier(batch, size)
        groups = batch // self.together
        self.whole = nn.ParameterList(self._zeros(groups, 1, factor) for factor in whole)
        self.ends = nn.ParameterList(self._zeros(groups, 2, factor) for factor in ends)

    def _zeros(self, groups: int, places: int, factor: int) -> nn.Parameter:
        height, width = (max(1, n // factor) for n in self.size)
        return nn.Parameter(torch.zeros(groups, places, 3, height, width))

    def start(self, draws: Draws) -> None:
        """Noise in each picture's own planes, from its own draws; nothing in the shared ones."""
        self.own.start(draws)
        self._clear()

    def paint(self, images: Images) -> None:
        """Show `images` (b, 3, h, w) by each picture's own planes."""
        self.own.paint(images)
        self._clear()

    def _clear(self) -> None:
        for planes in (*self.whole, *self.ends):
            planes.data.zero_()
        self.blank = False

    def planes(self) -> Tensor:
        """Own planes and shared ones, summed."""
        total = self.own.planes()
        for planes in (*self.whole, *self.ends):
            total = total + self._spread(planes)
        return total

    def _spread(self, planes: Tensor) -> Tensor:
        """Shared planes (g, places, 3, y, x) for each picture, (b, 3, h, w)."""
        large = F.interpolate(planes.flatten(0, 1), self.size, mode="bilinear", align_corners=False)
        places = rearrange(large, "(g p) c h w -> p g c h w", g=len(planes))
        first, last = (repeat(place, "g c h w -> (g n) c h w", n=self.together) for place in (places[0], places[-1]))
        share = torch.linspace(0, 1, self.together, device=planes.device).repeat(len(planes))
        return torch.lerp(first, last, share[:, None, None, None])
