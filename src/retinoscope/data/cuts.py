"""Cuts: which square parts of a photo a network is shown. A cut is a value whose text says all about it."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from retinoscope.base.boxes import Box
from retinoscope.base.errors import BadInputError

Cut = Callable[[int, int], list[Box]]
"""(height, width) of a photo to boxes in its pixels; its repr is part of an image set's content hash."""


@dataclass(frozen=True, repr=False)
class Center:
    """One square in the middle, `crop` times the short side wide."""

    crop: float = 1.0

    def __call__(self, height: int, width: int) -> list[Box]:
        side = _side(self.crop, height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return [Box(top, left, top + side, left + side)]

    def __repr__(self) -> str:
        return f"center(crop={self.crop!r})"


@dataclass(frozen=True, repr=False)
class Tiles:
    """Overlapping squares that cover the whole photo once per scale and touch its borders."""

    scales: tuple[float, ...] = (1.0, 0.6, 0.4)
    overlap: float = 0.5

    def __call__(self, height: int, width: int) -> list[Box]:
        boxes = [box for scale in self.scales for box in self._at(scale, height, width)]
        return list(dict.fromkeys(boxes))

    def _at(self, scale: float, height: int, width: int) -> list[Box]:
        side = _side(scale, height, width)
        tops, lefts = (_starts(length, side, self.overlap) for length in (height, width))
        return [Box(top, left, top + side, left + side) for top in tops for left in lefts]

    def __repr__(self) -> str:
        return f"tiles(scales={self.scales!r}, overlap={self.overlap!r})"


def center(crop: float = 1.0) -> Center:
    """The central square; `crop`, in (0, 1], is its side as a fraction of the photo's short side."""
    _check_fraction("crop", crop)
    return Center(float(crop))


def tiles(scales: tuple[float, ...] = (1.0, 0.6, 0.4), overlap: float = 0.5) -> Tiles:
    """Squares of `scale` times the short side, neighbours sharing at least about `overlap` of their side.

    `scales` in (0, 1], `overlap` in [0, 0.9]. Squares of one scale are evenly spread from border to border.
    """
    for scale in scales:
        _check_fraction("scale", scale)
    if not scales or not 0 <= overlap <= 0.9:
        raise BadInputError(f"tiles need at least one scale and an overlap in [0, 0.9]; came {scales}, {overlap}")
    return Tiles(tuple(float(scale) for scale in scales), float(overlap))


def _check_fraction(name: str, value: float) -> None:
    if not 0 < value <= 1:
        raise BadInputError(f"{name} must lie in (0, 1], a fraction of the short side; came {value}")


def _side(scale: float, height: int, width: int) -> int:
    return max(1, round(scale * min(height, width)))


def _starts(length: int, side: int, overlap: float) -> list[int]:
    """Evenly spread first pixels, from 0 to length - side."""
    room = length - side
    if room == 0:
        return [0]
    # The small allowance keeps a photo a few pixels too long from costing a whole row of tiles.
    steps = max(math.ceil(room / side), math.ceil(room / (side * (1 - overlap)) - 0.1))
    return [round(room * i / steps) for i in range(steps + 1)]
