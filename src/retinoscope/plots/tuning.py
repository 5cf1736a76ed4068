"""Tuning as figures: one unit's map and curve, and many units' maps. Made here, never shown or saved.

Angles are drawn as they lie in pictures: 0 to the right, 90 down.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes
from numpy.typing import NDArray

from retinoscope.base.axis import Axis

Numbers = NDArray[np.float64]

INK, SOFT, FAINT, WARM = "#1c2024", "#5a626b", "#c9ced4", "#c2500f"
SIGNED = LinearSegmentedColormap.from_list("signed", ["#174a85", "#7fa6cf", "#f6f6f3", "#eda06a", "#a83404"])
"""Blue below the answer to an empty picture, white at it, orange above."""

CELL, WIDEST = 0.3, 7.4
"""Inches of a map's cells, and of the widest map."""

DPI = 130


@dataclass(frozen=True)
class Portrait:
    """What a figure shows of one unit.

    `map` has the answers over `axes`, `blank` is that to an empty picture, `pictures` a stimulus for each value of an
    axis (m, h, w, 3), bytes. `variants` (m, p) are the curves along the first axis, above `blank`; `preferred`,
    `selectivity` and `error` are theirs.
    """

    name: str
    stimuli: str
    axes: Mapping[str, Axis]
    map: Numbers
    blank: float
    pictures: Mapping[str, NDArray[np.uint8]]
    variants: Numbers
    preferred: float
    selectivity: float
    error: float

    @property
    def first(self) -> tuple[str, Axis]:
        """The axis that runs across."""
        return next(iter(self.axes.items()))

    @property
    def curve(self) -> Numbers:
        """The mean curve along the first axis."""
        mean: Numbers = self.variants.mean(1)
        return mean

    @property
    def flat(self) -> Numbers:
        """The map as rows of the second axis and columns of the first; further axes averaged."""
        table: Numbers = self.map.reshape(*self.map.shape[:2], -1).mean(-1) if self.map.ndim > 1 else self.map[:, None]
        return table.T

    @property
    def words(self) -> str:
        """Preferred value and selectivity in a line."""
        if math.isnan(self.preferred):
            return "no answer above that to an empty picture"
        axis = self.first[1]
        sure = (
            ""
            if math.isnan(self.error)
            else f" ± {self.error:.2g}{'°' if axis.period else ' octaves' if axis.scale == 'log' else ''}"
        )
        return f"prefers {axis.label(self.preferred)}{sure}, selectivity {self.selectivity:.2f}"


def unit_figure(one: Portrait) -> Figure:
    """A unit's map with the stimuli along its sides, and its curve: polar where the first axis comes around."""
    rows, columns = one.flat.shape
    cell = min(CELL, WIDEST / columns)
    left, low, gap = 1.35, 1.15, 1.15
    wide, tall, round_side = cell * columns, cell * rows, max(2.6, cell * rows + 0.3)
    size = (left + wide + gap + round_side + 0.55, low + max(tall, round_side) + 0.95)
    figure = Figure(figsize=size, dpi=DPI, facecolor="white")
    figure.text(0.35 / size[0], 1 - 0.3 / size[1], one.name, fontsize=14, weight="bold", color=INK, va="top")
    figure.text(0.35 / size[0], 1 - 0.6 / size[1], f"{one.stimuli}: {one.words}", fontsize=9.5, color=SOFT, va="top")
    box = _boxes(figure, size)
    bottom = low + (max(tall, round_side) - tall) / 2
    image = _map(box(left, bottom, wide, tall), one)
    _along(box(left, bottom - cell - 0.06, wide, cell), one, cell)
    if len(one.axes) > 1:
        _beside(box(left - cell - 0.06, bottom, cell, tall), one)
    bar = figure.colorbar(image, cax=box(left + wide + 0.12, bottom, 0.1, tall))
    _bar(bar, one)
    place = (left + wide + gap, low + (max(tall, round_side) - round_side) / 2, round_side, round_side)
    _curve(figure, [place[0] / size[0], place[1] / size[1], place[2] / size[0], place[3] / size[1]], one)
    return figure


def _boxes(figure: Figure, size: tuple[float, float]) -> Any:
    def box(left: float, low: float, wide: float, tall: float) -> Axes:
        return figure.add_axes((left / size[0], low / size[1], wide / size[0], tall / size[1]))

    return box


def _map(axes: Axes, one: Portrait) -> Any:
    table = one.flat
    span = max(float(np.abs(table - one.blank).max()), 1e-12)
    image = axes.imshow(
        table, cmap=SIGNED, norm=CenteredNorm(one.blank, span), aspect="auto", origin="lower", interpolation="nearest"
    )
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_color(FAINT)
    return image


def _along(axes: Axes, one: Portrait, cell: float) -> None:
    """Stimuli below the map, with their values."""
    name, axis = one.first
    _strip(axes, one.pictures.get(name), len(axis), False)
    every = -(-len(axis) // max(1, int(cell * len(axis) / 0.62)))
    chosen = range(0, len(axis), every)
    axes.set_xticks(list(chosen), [axis.label(axis.values[place]) for place in chosen])
    axes.tick_params(length=0, labelsize=8.5, labelcolor=SOFT, pad=3)
    axes.set_xlabel(name, fontsize=9.5, color=INK, labelpad=4)


def _beside(axes: Axes, one: Portrait) -> None:
    """Stimuli to the left of the map."""
    name, axis = list(one.axes.items())[1]
    _strip(axes, one.pictures.get(name), len(axis), True)
    every = -(-len(axis) // 16)
    chosen = range(0, len(axis), every)
    axes.set_yticks(list(chosen), [axis.label(axis.values[place]) for place in chosen])
    axes.tick_params(length=0, labelsize=8.5, labelcolor=SOFT, pad=3)
    axes.set_ylabel(name, fontsize=9.5, color=INK, labelpad=4)


def _strip(axes: Axes, pictures: NDArray[np.uint8] | None, count: int, upright: bool) -> None:
    """Pictures in a row, or in a column from the bottom up, each in a cell of side 1 with a little white around it."""
    axes.set(
        xticks=[], yticks=[], xlim=(-0.5, 0.5 if upright else count - 0.5), ylim=(-0.5, count - 0.5 if upright else 0.5)
    )
    for spine in axes.spines.values():
        spine.set_visible(False)
    for place, picture in enumerate(pictures if pictures is not None else ()):
        x, y = (0, place) if upright else (place, 0)
        axes.imshow(
            picture, extent=(x - 0.44, x + 0.44, y - 0.44, y + 0.44), aspect="auto", interpolation="antialiased"
        )
    axes.set(xlim=(-0.5, 0.5 if upright else count - 0.5), ylim=(-0.5, count - 0.5 if upright else 0.5))


def _bar(bar: Any, one: Portrait) -> None:
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, labelcolor=SOFT, color=FAINT, length=2)
    bar.ax.axhline(one.blank, color=INK, linewidth=0.8)
    bar.ax.set_title("answer", fontsize=8.5, color=SOFT, pad=6, loc="left")


def _curve(figure: Figure, place: list[float], one: Portrait) -> None:
    axis = one.first[1]
    if axis.period is None:
        _line(figure.add_axes((place[0], place[1], place[2], place[3])), one)
        return
    axes = figure.add_axes((place[0], place[1], place[2], place[3]), projection="polar")
    assert isinstance(axes, PolarAxes)
    axes.set_theta_direction(-1)  # down is 90 degrees, as in pictures
    labels = [axis.period * part / 4 for part in range(4)]  # the circle is one period
    axes.set_xticks([label * 2 * math.pi / axis.period for label in labels], [axis.label(label) for label in labels])
    angles = closed(np.array(axis.values) * 2 * math.pi / axis.period, 2 * math.pi)
    for variant in one.variants.T if one.variants.shape[1] > 1 else ():
        axes.plot(angles, closed(variant), color=FAINT, linewidth=0.8)
    curve = closed(one.curve)
    axes.plot(angles, curve, color=WARM, linewidth=1.8)
    axes.fill(angles, curve, color=WARM, alpha=0.14, linewidth=0)
    top = max(float(one.variants.max()), 1e-12)
    if not math.isnan(one.preferred):
        axes.plot(
            [one.preferred * 2 * math.pi / axis.period] * 2, [0, top], color=INK, linewidth=1.1, linestyle=(0, (4, 3))
        )
    axes.set_ylim(0, 1.02 * top)
    axes.yaxis.set_major_locator(_few())
    axes.tick_params(labelsize=8, labelcolor=SOFT, pad=1)
    axes.grid(color=FAINT, linewidth=0.5)
    axes.spines["polar"].set_color(FAINT)
    axes.set_title("answer above that to an empty picture", fontsize=8.5, color=SOFT, pad=10)


def _few() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(3, prune="lower")


def _line(axes: Axes, one: Portrait) -> None:
    name, axis = one.first
    for variant in one.variants.T if one.variants.shape[1] > 1 else ():
        axes.plot(axis.values, variant, color=FAINT, linewidth=0.8)
    axes.plot(axis.values, one.curve, color=WARM, linewidth=1.8)
    if not math.isnan(one.preferred):
        axes.axvline(one.preferred, color=INK, linewidth=1.1, linestyle=(0, (4, 3)))
    if axis.scale == "log":
        axes.set_xscale("log", base=2)
    chosen = axis.values[:: max(1, -(-len(axis) // 5))]
    axes.set_xticks(chosen, [axis.label(value) for value in chosen])
    axes.minorticks_off()
    if axis.values[0] > axis.values[-1]:
        axes.invert_xaxis()
    axes.set_ylim(bottom=0)
    axes.set_xlabel(name, fontsize=9.5, color=INK)
    axes.set_title("answer above that to an empty picture", fontsize=8.5, color=SOFT, pad=8)
    axes.tick_params(labelsize=8, labelcolor=SOFT, color=FAINT)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)


def closed(values: Numbers, beyond: float = 0.0) -> Numbers:
    """A curve around a circle, its first value again at the end."""
    return np.append(values, values[0] + beyond)


def sheet_figure(many: Sequence[Portrait], columns: int = 6) -> Figure:
    """Units' maps side by side, each on a scale of its own around its answer to an empty picture."""
    columns = min(columns, len(many))
    rows, (tall, wide) = -(-len(many) // columns), many[0].flat.shape
    cell = min(0.11, 2.2 / wide)
    width, height, gap, head = cell * wide, max(cell * tall, 0.25), 0.28, 0.52
    size = (columns * (width + gap) + gap, rows * (height + head) + 1.0)
    figure = Figure(figsize=size, dpi=DPI, facecolor="white")
    box = _boxes(figure, size)
    for place, one in enumerate(many):
        row, column = divmod(place, columns)
        left, low = gap + column * (width + gap), size[1] - 0.45 - (row + 1) * (height + head) + 0.08
        axes = box(left, low, width, height)
        _map(axes, one)
        axes.set_title(one.name, fontsize=8.5, color=INK, loc="left", pad=14)
        words = "" if math.isnan(one.preferred) else f"{one.first[1].label(one.preferred)}   {one.selectivity:.2f}"
        axes.text(0, 1.0, words, transform=axes.transAxes, fontsize=7.5, color=SOFT, va="bottom")
    names = list(many[0].axes)
    words = f"{many[0].stimuli}: {names[0]} across" + (f", {names[1]} up" if len(names) > 1 else "")
    figure.text(gap / size[0], 1 - 0.2 / size[1], words, fontsize=10, color=INK, va="top")
    note = "below each name, the preferred value and the selectivity; white is the answer to an empty picture"
    figure.text(gap / size[0], 0.16 / size[1], note, fontsize=7.5, color=SOFT)
    return figure
