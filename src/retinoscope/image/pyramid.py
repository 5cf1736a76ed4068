"""Laplacian pyramids: images as a sum of planes at half, quarter, eighth of the size [burt1983]."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retinoscope.image import color
from retinoscope.image.canvas import START, Canvas
from retinoscope.tensor.axes import Images
from retinoscope.tensor.random import Draws


class Pyramid(Canvas):
    """The sum of `levels` planes of size / 2 ** n, each stretched bilinearly to the whole, with decorrelated colour.

    A coarse plane's pixel moves many pixels of the image together, so large shapes form as readily as fine ones: a
    decorrelated space in steps of an octave, without waves that run across the whole image [lucid2018].
    """

    def __init__(self, batch: int, size: int | tuple[int, int], levels: int = 4) -> None:
        super().__init__(batch, size)
        self.levels = nn.ParameterList(torch.zeros(batch, 3, *side) for side in sides(self.size, levels))

    def start(self, draws: Draws) -> None:
        """Normal noise of standard deviation 0.01 in every pixel of every level."""
        for level in self.levels:
            level.data.copy_(START * draws.normal(*level.shape[1:]))
        self.blank = False

    def paint(self, images: Images) -> None:
        """Show `images` (b, 3, h, w): what a coarse level can show goes there, the rest to the finer ones."""
        planes = color.from_rgb(images.to(self.levels[0]))
        parts = decompose(planes, sides(self.size, len(self.levels)))
        for level, part in zip(self.levels, parts, strict=True):
            level.data.copy_(part)
        self.blank = False

    def planes(self) -> Tensor:
        """The levels, stretched and summed."""
        return compose(list(self.levels), self.size)


def sides(size: tuple[int, int], levels: int) -> list[tuple[int, int]]:
    """Height and width of each level, from fine to coarse: halved and rounded down, never below one pixel."""
    return [(max(1, size[0] // 2**n), max(1, size[1] // 2**n)) for n in range(levels)]


def compose(levels: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """Planes (b, c, h, w) of the levels, each stretched bilinearly to `size`."""
    return sum((stretch(level, size) for level in levels[1:]), stretch(levels[0], size))


def decompose(planes: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Levels of `sizes`, the first of the full size, that `compose` to `planes`: the coarsest explains what it can."""
    whole = (planes.shape[2], planes.shape[3])
    parts: list[Tensor] = []
    for size in reversed(sizes[1:]):
        parts.append(F.interpolate(planes, size, mode="bilinear", antialias=True, align_corners=False))
        planes = planes - stretch(parts[-1], whole)
    return [planes, *reversed(parts)]


def stretch(planes: Tensor, size: tuple[int, int]) -> Tensor:
    """Planes (b, c, h, w) resized bilinearly to `size`."""
    if planes.shape[2:] == size:
        return planes
    return F.interpolate(planes, size, mode="bilinear", align_corners=False)
