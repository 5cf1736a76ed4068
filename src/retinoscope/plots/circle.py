"""Units around a circle at the angles they prefer, as figures. Made here, never shown or saved.

Angles are drawn as they lie in pictures: 0 to the right, 90 down.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retinoscope.plots.tuning import DPI, FAINT, INK, SOFT, WARM, Numbers, Portrait, closed


def radial_figure(many: Sequence[Portrait]) -> Figure:
    """Units on a circle, each at its preferred angle, as outlines whose areas are as their answers.

    Each outline is on a scale of its own; units that would lie on top of each other stand further out.
    """
    shown = [one for one in many if not math.isnan(one.preferred)]
    name, axis = many[0].first
    period = axis.period or 360.0
    angles = np.array([one.preferred for one in shown]) * 360 / period
    spot = 0.17
    places = radial_places(angles, 3.2 * spot)
    corners = np.concatenate((places, [(-0.8, -0.8), (0.8, 0.8)]))
    (left, up), (right, down) = corners.min(0) - 1.6 * spot, corners.max(0) + np.array((1.6, 2.4)) * spot
    figure = Figure(figsize=(1.6 * (right - left), 1.6 * (down - up)), dpi=DPI, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(left, right), ylim=(down, up), aspect="equal")
    axes.axis("off")
    axes.add_patch(_circle(1 - 1.5 * spot))
    for tick in range(0, 360, 45):
        _tick(axes, tick, 1 - 1.5 * spot, axis.label(tick * period / 360))
    for one, (x, y) in zip(shown, places, strict=True):
        outline = (
            polar_outline(one.curve, np.array(axis.values) * 360 / period)
            * spot
            / max(math.sqrt(one.curve.max()), 1e-12)
        )
        axes.add_patch(_circle(spot, (x, y)))
        axes.fill(x + outline[:, 0], y + outline[:, 1], color=WARM, alpha=0.22, linewidth=0)
        axes.plot(*_loop(outline, x, y), color=WARM, linewidth=1.2)
        layer, _, channel = one.name.rpartition(":")
        axes.text(
            x, y + 1.1 * spot, f"{channel}\n{layer}", fontsize=6, color=INK, ha="center", va="top", linespacing=1.05
        )
    axes.text(
        0,
        0,
        f"{many[0].stimuli}\npreferred {name}\n{len(shown)} units",
        fontsize=10,
        color=SOFT,
        ha="center",
        va="center",
    )
    return figure


def _circle(radius: float, middle: tuple[float, float] = (0.0, 0.0)) -> Any:
    from matplotlib.patches import Circle

    return Circle(middle, radius, fill=False, edgecolor=FAINT, linewidth=0.6)


def _tick(axes: Axes, degrees: float, radius: float, text: str) -> None:
    x, y = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    axes.plot([radius * x, 0.95 * radius * x], [radius * y, 0.95 * radius * y], color=FAINT, linewidth=0.8)
    axes.text(0.86 * radius * x, 0.86 * radius * y, text, fontsize=8, color=SOFT, ha="center", va="center")


def _loop(outline: Numbers, x: float, y: float) -> tuple[Numbers, Numbers]:
    return closed(outline[:, 0] + x), closed(outline[:, 1] + y)


def polar_outline(curve: Numbers, degrees: Numbers) -> Numbers:
    """The corners (m, 2) as (x, y) of an outline around 0 whose area grows as the answers do: radius = sqrt(answer)."""
    radius, turn = np.sqrt(np.clip(curve, 0, None)), np.radians(degrees)
    return np.stack((radius * np.cos(turn), radius * np.sin(turn)), 1)


def radial_places(degrees: Numbers, apart: float) -> Numbers:
    """Where to draw units (n, 2) as (x, y): at their angles on the unit circle, or further out where it is taken.

    No two lie nearer than `apart`. Units are placed by angle, so that their order does not matter.
    """
    places = np.zeros((len(degrees), 2))
    taken: list[Numbers] = []
    for unit in np.argsort(degrees, kind="stable"):
        turn, radius = math.radians(degrees[unit]), 1.0
        spot = np.array((math.cos(turn), math.sin(turn)))
        while any(np.hypot(*(radius * spot - other)) < apart for other in taken):
            radius += apart / 4
        places[unit] = radius * spot
        taken.append(places[unit])
    return places
