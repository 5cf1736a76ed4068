"""Where things lie on a page, in per cent: boxes on photos, patches cut by them, and the bars of a histogram."""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

from retinoscope.base.boxes import Box
from retinoscope.web import spectrum

Patch = dict[str, Any]


def box_style(patch: Patch) -> str:
    """CSS that lays a rectangle over a photo of any displayed size where the patch is."""
    box, height, width = _inside(patch)
    return (
        f"top:{100 * box.top / height:.3f}%;left:{100 * box.left / width:.3f}%;"
        f"height:{100 * box.height / height:.3f}%;width:{100 * box.width / width:.3f}%"
    )


def patch_style(patch: Patch) -> str:
    """CSS of a frame that has the patch's shape and fits into a square."""
    box, _, _ = _inside(patch)
    side = max(box.height, box.width)
    return f"height:{100 * box.height / side:.3f}%;width:{100 * box.width / side:.3f}%"


def photo_style(patch: Patch) -> str:
    """CSS of the photo behind that frame, scaled and moved so that the frame shows the patch."""
    box, height, width = _inside(patch)
    return (
        f"height:{100 * height / box.height:.3f}%;width:{100 * width / box.width:.3f}%;"
        f"top:{-100 * box.top / box.height:.3f}%;left:{-100 * box.left / box.width:.3f}%"
    )


def is_whole(patch: Patch) -> bool:
    """Whether the patch is (nearly) the whole photo."""
    box, height, width = _inside(patch)
    return box.height * box.width >= 0.98 * height * width


def is_tiny(patch: Patch) -> bool:
    """Whether the patch is so small that its pixels are worth seeing."""
    box, _, _ = _inside(patch)
    return max(box.height, box.width) < 48


def _inside(patch: Patch) -> tuple[Box, float, float]:
    """The part of the box inside the photo; the whole photo where there is none."""
    height, width = max(patch["height"], 1), max(patch["width"], 1)
    box = Box(*patch["box"]).clip(height, width)
    if box.height <= 0 or box.width <= 0:
        box = Box(0, 0, height, width)
    return box, height, width


def plot(
    histogram: dict[str, Any], top: list[float], bottom: list[float], panels: Sequence[float | None] = ()
) -> dict[str, Any]:
    """A histogram as bars, ticks and marks in per cent of the plot, for counts and for their logarithms.

    The axis spans the bins that hold anything, the examples' scores, and the values of the spectrum's panels unless
    they lie further away than the rest is wide: those stand at the edge.
    """
    edges, counts = list(map(float, histogram["edges"])), list(map(int, histogram["counts"]))
    bins = [(low, high, count) for (low, high), count in zip(pairwise(edges), counts, strict=True) if count > 0]
    ends = [edge for low, high, _ in bins for edge in (low, high)] + top + bottom
    ends = [end for end in ends if math.isfinite(end)] or [0.0, 1.0]
    first, last = min(ends), max(ends)
    last = last if last > first else first + 1
    first, last = spectrum.reach(first, last, [value for value in panels if value is not None])

    def across(value: float) -> float:
        return round(100 * (min(max(value, first), last) - first) / (last - first), 3)

    tallest = max((count for _, _, count in bins), default=1)
    power = max(math.ceil(math.log10(tallest)), 1)
    return {
        "linear": [_bar(bar, across, bar[2] / tallest) for bar in bins],
        "log": [_bar(bar, across, _log_height(bar[2], power)) for bar in bins],
        "x_ticks": [(across(tick), f"{tick:g}") for tick in ticks(first, last)],
        "linear_ticks": [(100 * tick / tallest, short(tick)) for tick in ticks(0, tallest, 4)],
        "log_ticks": [(100 * _log_height(10**i, power), short(10**i)) for i in range(0, power + 1, -(-power // 5))],
        "quantiles": _quantile_marks(histogram["quantiles"], across),
        "top": [(across(score), score) for score in top],
        "bottom": [(across(score), score) for score in bottom],
        "pins": spectrum.pins(panels, across, first, last),
        "zero": across(0.0) if first < 0 < last else None,
    }


def _bar(bar: tuple[float, float, int], across: Callable[[float], float], height: float) -> tuple[float, ...]:
    left, right = across(bar[0]), across(bar[1])
    return (left, round(100 - 100 * height, 3), round(right - left, 3), round(100 * height, 3))


def _log_height(count: float, power: float) -> float:
    """A count's height on an axis from 0.5 (so that single counts show) to 10**power."""
    return math.log10(count / 0.5) / (power - math.log10(0.5))


def _quantile_marks(quantiles: dict[str, float], across: Callable[[float], float]) -> list[tuple[float, str, int]]:
    """Position, name, and row of each mark: marks too close together take different rows, or lose their name."""
    marks: list[tuple[float, str, int]] = []
    ends = [-100.0, -100.0]
    for key, value in sorted(quantiles.items(), key=lambda pair: float(pair[0])):
        place = across(value)
        free = [row for row, end in enumerate(ends) if place - end >= 11]
        if free:
            ends[free[0]] = place
        marks.append((place, f"{100 * float(key):g}%" if free else "", free[0] if free else 0))
    return marks


def ticks(low: float, high: float, count: int = 6) -> list[float]:
    """About `count` round numbers from low to high."""
    rough = (high - low) / count
    power = math.pow(10, math.floor(math.log10(rough)))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) + 0.0 for i in range(first, math.floor(high / step + 1e-9) + 1)]


def short(number: float) -> str:
    """A count in few characters: 950, 1.2k, 30M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


def flatten(settings: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Nested settings as rows of (dotted name, value)."""
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            yield from flatten(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", value if isinstance(value, str) else _text(value)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(_text, value)) if isinstance(value, list) else str(value)
