"""Stimuli of colour at one luma: borders between opposite hues, and plain fields."""

import torch
from torch import Tensor

from retinoscope.base.axis import spaced, turns
from retinoscope.image.stimuli.grid import Grid, Numbers, share
from retinoscope.image.stimuli.sweep import Sweep

LUMA = (0.299, 0.587, 0.114)
"""How much red, green and blue count for brightness: ITU-R BT.601, as grey networks see it."""

SATURATION = 0.35
"""Length of the longest step from grey along a hue that stays inside the colour cube at every hue, rounded down."""


def color_contrast(orientations: int = 24, hues: int = 12, saturation: float = SATURATION) -> Sweep:
    """A border between a hue and its opposite, of the same luma: a network that sees grey sees nothing.

    `orientation`, in degrees of 360, points to the side of `hue`, an angle in the plane of equal luma: 0 is red, 90
    violet. `saturation` is the distance from mid grey.
    """

    def draw(grid: Grid, orientation: Numbers, hue: Numbers) -> Tensor:
        side = share(grid.along(orientation), orientation)
        return 0.5 + (2 * side - 1)[:, None] * saturation * directions(hue)

    return Sweep("color_contrast", draw, {"orientation": turns(orientations), "hue": turns(hues)})


def color(hues: int = 12, saturations: int = 4, most: float = SATURATION) -> Sweep:
    """Plain fields of one luma, by `hue` and `saturation`, which rises from 0 to `most`."""

    def draw(grid: Grid, hue: Numbers, saturation: Numbers) -> Tensor:
        return 0.5 + saturation[:, None] * directions(hue)

    return Sweep("color", draw, {"hue": turns(hues), "saturation": spaced(0.0, most, saturations)})


def brightness(levels: int = 9) -> Sweep:
    """Plain grey fields from black to white."""

    def draw(grid: Grid, brightness: Numbers) -> Tensor:
        return brightness

    return Sweep("brightness", draw, {"brightness": spaced(0.0, 1.0, levels)})


def directions(hue: Numbers) -> Tensor:
    """Unit steps (b, 3, 1, 1) in RGB that leave the luma as it is."""
    weights = torch.tensor(LUMA, dtype=torch.float64)
    normal = weights / weights.norm()
    red = torch.tensor((1.0, 0.0, 0.0), dtype=torch.float64) - normal[0] * normal
    red = red / red.norm()
    blue = torch.linalg.cross(red, normal)
    plane = torch.stack((red, blue)).to(hue)
    turn = torch.deg2rad(hue)
    return turn.cos()[:, None] * plane[0, :, None, None] + turn.sin()[:, None] * plane[1, :, None, None]
