"""An axis of a sweep: the values that one property of a picture takes, as plain numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from retinoscope.base.errors import BadInputError

Scale = Literal["linear", "log"]


@dataclass(frozen=True)
class Axis:
    """Values in order, what they are measured in, and how they lie.

    A `period` says that values this far apart are the same (360 for a direction, 180 for the tilt of a line); None for
    values that do not come around. On a `log` scale equal ratios are equally far apart.
    """

    values: tuple[float, ...]
    unit: str = ""
    period: float | None = None
    scale: Scale = "linear"

    def __post_init__(self) -> None:
        if not self.values or not all(math.isfinite(value) for value in self.values):
            raise BadInputError(f"an axis needs finite values, at least one; came {list(self.values)}")
        if self.scale == "log" and min(self.values) <= 0:
            raise BadInputError(f"values on a log scale must be positive; came {list(self.values)}")

    def __len__(self) -> int:
        return len(self.values)

    @property
    def places(self) -> tuple[float, ...]:
        """Where the values lie on a ruler: themselves, or their logarithms to base 2."""
        return tuple(math.log2(value) for value in self.values) if self.scale == "log" else self.values

    def value(self, place: float) -> float:
        """The value at a place on that ruler."""
        return 2.0**place if self.scale == "log" else place

    def label(self, value: float) -> str:
        """A value in words: `45°`, `3.7 px`, `4:1`."""
        text = f"{value:.3g}"
        return f"{text}{self.unit}" if self.unit in ("", "°", ":1") else f"{text} {self.unit}"


def turns(count: int, period: float = 360.0) -> Axis:
    """`count` angles in degrees, evenly around `period`, from 0."""
    return Axis(tuple(period * place / count for place in range(count)), "°", period)


def spaced(first: float, last: float, count: int, unit: str = "") -> Axis:
    """`count` values in equal steps, both ends included (one value: the first)."""
    step = (last - first) / max(count - 1, 1)
    return Axis(tuple(first + step * place for place in range(count)), unit)


def ratios_apart(first: float, last: float, count: int, unit: str = "") -> Axis:
    """`count` values in equal ratios, both ends included (one value: the first)."""
    if min(first, last) <= 0:
        raise BadInputError(f"values in equal ratios must be positive; came {first} and {last}")
    step = math.log(last / first) / max(count - 1, 1)
    return Axis(tuple(first * math.exp(step * place) for place in range(count)), unit, scale="log")


def listed(values: Sequence[float], unit: str = "") -> Axis:
    """These values."""
    return Axis(tuple(map(float, values)), unit)
