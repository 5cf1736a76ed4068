"""Receptive-field arithmetic along one image axis (Araujo, Norris, Sim, Distill 2019), exact in fractions.

Position i of a map sees the pixels `i * step + low` to `i * step + high`. Where the true interval is not linear in i
(interpolation, adaptive pooling), `low` and `high` are the tightest bounds that hold at every position.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import torch


@dataclass(frozen=True)
class Axis:
    """The pixels that the positions of a map see along y or x: `i * step + low` to `i * step + high`, both included."""

    step: Fraction = Fraction(1)
    low: Fraction = Fraction(0)
    high: Fraction = Fraction(0)

    @property
    def doubled_center(self) -> Fraction:
        """Twice the centre of what position 0 sees."""
        return self.low + self.high


def window(axis: Axis, kernel: int, stride: int, padding: int, dilation: int = 1) -> Axis:
    """After a convolution or pooling: position i reads positions `i * stride - padding + k * dilation`, k < kernel."""
    reach = (kernel - 1) * dilation
    return Axis(axis.step * stride, axis.low - padding * axis.step, axis.high + (reach - padding) * axis.step)


def shift(axis: Axis, first: int, stride: int = 1) -> Axis:
    """After padding or slicing: position i reads position `first + i * stride` (`first` is negative for padding)."""
    return window(axis, 1, stride, -first)


def resample(axis: Axis, size: int, reads: Sequence[tuple[int, int]]) -> Axis:
    """After any change of size: position i reads positions first to last (both included) of `size`, `reads[i]`."""
    step = axis.step * Fraction(size, len(reads))
    lows = [axis.step * first - step * i for i, (first, _) in enumerate(reads)]
    highs = [axis.step * last - step * i for i, (_, last) in enumerate(reads)]
    return Axis(step, axis.low + min(lows), axis.high + max(highs))


def transposed_window(axis: Axis, kernel: int, stride: int, padding: int, dilation: int = 1) -> Axis:
    """After a transposed convolution: position i reads j wherever `i = j * stride - padding + k * dilation`."""
    step = axis.step / stride
    reach = (kernel - 1) * dilation
    return Axis(step, axis.low + step * (padding - reach), axis.high + step * padding)


def unite(axes: Sequence[Axis], size: int) -> tuple[Axis, bool]:
    """The smallest axis that covers every path over `size` positions, and whether all paths share step and centre.

    Paths of different steps never align; their union is exact at the ends of the map and wider between.
    """
    widest = max(axes, key=lambda axis: axis.high - axis.low)
    last = size - 1
    lows = [axis.low + i * (axis.step - widest.step) for axis in axes for i in (0, last)]
    highs = [axis.high + i * (axis.step - widest.step) for axis in axes for i in (0, last)]
    aligned = all(axis.step == widest.step and axis.doubled_center == widest.doubled_center for axis in axes)
    return Axis(widest.step, min(lows), max(highs)), aligned


def adaptive_reads(size: int, target: int) -> list[tuple[int, int]]:
    """What each of `target` = m positions of an adaptive pooling reads out of `size` = n: i n / m to (i + 1) n / m."""
    return [(i * size // target, -(-(i + 1) * size // target) - 1) for i in range(target)]


def interpolation_reads(size: int, target: int, rate: float, corners: bool, support: float) -> list[tuple[int, int]]:
    """What each of `target` interpolated positions reads out of `size`.

    `rate` is source positions per target position, `corners` torch's align_corners, `support` the filter's half width
    in source positions (0 for nearest, 1 for bilinear, 2 for bicubic).
    """
    if support == 0:
        first = (torch.arange(target, dtype=torch.float32) * rate).floor().int().tolist()  # in float32, as torch does
        return [(min(i, size - 1),) * 2 for i in first]
    centers = [i * rate if corners else (i + 0.5) * rate - 0.5 for i in range(target)]
    reach = support - 1e-5  # what has less weight than rounding is not read
    ends = [(floor(center - reach) + 1, ceil(center + reach) - 1) for center in centers]
    return [(min(max(first, 0), size - 1), min(max(last, 0), size - 1)) for first, last in ends]
