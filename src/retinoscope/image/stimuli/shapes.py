"""Stimuli with borders: edges, lines, curves, corners; every pixel holds the share of it that a shape covers."""

import torch
from torch import Tensor

from retinoscope.base.axis import Axis, listed, ratios_apart, spaced, turns
from retinoscope.image.stimuli.grid import Fields, Grid, Numbers, share, stroke
from retinoscope.image.stimuli.sweep import Sweep

POLARITIES: Axis = listed((1.0, -1.0))
"""Bright on grey, dark on grey."""


def edge(orientations: int = 24, contrasts: int = 4, least: float = 0.125) -> Sweep:
    """A straight border between dark and bright; `orientation`, in degrees of 360, points to the bright side.

    `contrast` rises from `least` to 1 in equal ratios: brightness is 0.5 +- contrast / 2.
    """

    def draw(grid: Grid, orientation: Numbers, contrast: Numbers) -> Tensor:
        return 0.5 + contrast * (share(grid.along(orientation), orientation) - 0.5)

    return Sweep("edge", draw, {"orientation": turns(orientations), "contrast": ratios_apart(least, 1.0, contrasts)})


def line(
    orientations: int = 12, widths: int = 6, thinnest: float = 1.0, thickest: float = 16.0, contrast: float = 1.0
) -> Sweep:
    """A straight line through the centre; `orientation`, in degrees of 180, is at right angles to it (0 is upright).

    `width` rises from `thinnest` to `thickest` pixels in equal ratios. Bright and dark lines are its variants.
    """

    def draw(grid: Grid, orientation: Numbers, width: Numbers, polarity: Numbers) -> Tensor:
        turn = torch.deg2rad(orientation)
        covered = stroke(grid.along(orientation), width, turn.cos(), turn.sin())
        return 0.5 + 0.5 * contrast * polarity * covered

    axes = {"orientation": turns(orientations, 180.0), "width": ratios_apart(thinnest, thickest, widths, "px")}
    return Sweep("line", draw, axes, {"polarity": POLARITIES})


def curve(
    orientations: int = 24,
    curvatures: int = 8,
    tightest: float = 12.0,
    width: float = 4.0,
    length: float = 96.0,
    contrast: float = 1.0,
) -> Sweep:
    """An arc through the centre [cammarata2020]; `orientation`, in degrees of 360, points to its hollow side.

    `curvature` rises in equal steps from 0, a straight line, to 1 / `tightest`, in 1 per pixel. The stroke is `width`
    pixels wide and `length` long, at most half a circle. Bright and dark ones are its variants.
    """

    def draw(grid: Grid, orientation: Numbers, curvature: Numbers, polarity: Numbers) -> Tensor:
        distance, x, y, along = arc(grid, orientation, curvature)
        reach = torch.minimum(torch.full_like(curvature, length / 2), torch.pi / 2 / curvature.clamp(min=1e-6))
        ends = (reach - along.abs() + 0.5).clamp(0, 1)
        covered = stroke(distance, torch.full_like(curvature, width), x, y) * ends
        return 0.5 + 0.5 * contrast * polarity * covered

    axes = {"orientation": turns(orientations), "curvature": spaced(0.0, 1 / tightest, curvatures, "/px")}
    return Sweep("curve", draw, axes, {"polarity": POLARITIES})


def arc(grid: Grid, orientation: Numbers, curvature: Numbers) -> tuple[Fields, Fields, Fields, Fields]:
    """A circle through the centre with its own centre towards `orientation`, seen from each pixel.

    How far the pixel lies inside, the components (x, y) of the inward direction there, and the way to the pixel's
    nearest point along the circle; right down to curvature 0, a straight line.
    """
    u, v = grid.along(orientation), grid.across(orientation)
    inward, aside = 1 - curvature * u, -curvature * v  # times the distance to the circle's own centre
    far = torch.hypot(inward, aside)
    distance = (2 * u - curvature * (u.square() + v.square())) / (1 + far)
    inward, aside = inward / far.clamp(min=1e-6), aside / far.clamp(min=1e-6)
    turn = torch.deg2rad(orientation)
    x, y = inward * turn.cos() - aside * turn.sin(), inward * turn.sin() + aside * turn.cos()
    bend = curvature.clamp(min=1e-6)
    along = torch.where(curvature < 1e-6, v, torch.atan2(-aside, inward) / bend)
    return distance, x, y, along


def corner(
    orientations: int = 24, openings: int = 6, sharpest: float = 30.0, bluntest: float = 180.0, contrast: float = 1.0
) -> Sweep:
    """A wedge with its tip at the centre; `orientation`, in degrees of 360, points along its middle.

    `opening` rises in equal steps from `sharpest` to `bluntest` degrees; 180 is an edge. Exact but for the pixels at
    the very tip. Bright and dark wedges are its variants.
    """

    def draw(grid: Grid, orientation: Numbers, opening: Numbers, polarity: Numbers) -> Tensor:
        away = 90 - opening / 2
        sides = [orientation + away, orientation - away]
        inside = torch.minimum(*(share(grid.along(side), side) for side in sides))
        return 0.5 + contrast * polarity * (inside - 0.5)

    axes = {"orientation": turns(orientations), "opening": spaced(sharpest, bluntest, openings, "°")}
    return Sweep("corner", draw, axes, {"polarity": POLARITIES})
