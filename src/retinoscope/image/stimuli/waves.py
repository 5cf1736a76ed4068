"""Stimuli made of waves: two textures side by side, one texture, gratings, noise. Wavelengths are in pixels."""

import math

import torch
from torch import Tensor

from retinoscope.base.axis import ratios_apart, spaced, turns
from retinoscope.base.errors import BadInputError
from retinoscope.image.stimuli.grid import Grid, Numbers, crossed, plane, share
from retinoscope.image.stimuli.sweep import SHARPEST, Sweep, phases
from retinoscope.tensor.random import generator

TILE, RATIO = 15.0, 16.5
"""Of the article's published tiles, measured: the geometric mean wavelength, a quarter of the 60 pixel tile, and the
largest ratio of the two wavelengths (the caption says 10) [schubert2021]."""

WAVES = 64
"""Waves that a noise texture is the sum of: enough for values that are normal to the eye."""


def frequency_pair(
    orientations: int = 24,
    ratios: int = 8,
    phase: int = 4,
    wavelength: float = TILE,
    largest: float = RATIO,
    contrast: float = 1.0,
) -> Sweep:
    """A high frequency on one side of a straight border, a low one on the other [schubert2021].

    `orientation`, in degrees of 360, points to the side of the high frequency; `ratio` is the low frequency's
    wavelength over the high one's, from 1 (no border) to `largest`, in equal ratios, with `wavelength` as their
    geometric mean. Each texture is the product of two cosines at right angles, one of them along the orientation: it
    turns with the border. Phases shift it that way.
    """
    _visible("frequency_pair", wavelength / math.sqrt(largest), math.sqrt(2))

    def draw(grid: Grid, orientation: Numbers, ratio: Numbers, phase: Numbers) -> Tensor:
        step = ratio.sqrt()
        high, low = (crossed(grid, orientation, size, phase) for size in (wavelength / step, wavelength * step))
        return 0.5 + 0.5 * contrast * torch.lerp(low, high, share(grid.along(orientation), orientation))

    axes = {"orientation": turns(orientations), "ratio": ratios_apart(1.0, largest, ratios, ":1")}
    return Sweep("frequency_pair", draw, axes, {"phase": phases(phase)})


def frequency(
    wavelengths: int = 12,
    rotations: int = 8,
    phase: int = 4,
    longest: float = 40.0,
    shortest: float = 4.0,
    contrast: float = 1.0,
) -> Sweep:
    """One texture everywhere: the sum of two cosines at right angles [schubert2021].

    `wavelength` falls from `longest` to `shortest` in equal ratios; `rotation`, in degrees of 90, after which the
    texture is the same. The article turns it by 45, beyond which it is mirrored.
    """
    _visible("frequency", shortest, 1.0)

    def draw(grid: Grid, wavelength: Numbers, rotation: Numbers, phase: Numbers) -> Tensor:
        both = (plane(grid, turn, wavelength, phase) for turn in (rotation, rotation + 90))
        return 0.5 + 0.25 * contrast * sum(both, torch.zeros(()).to(grid.x))

    axes = {"wavelength": ratios_apart(longest, shortest, wavelengths, "px"), "rotation": turns(rotations, 90.0)}
    return Sweep("frequency", draw, axes, {"phase": phases(phase)})


def grating(
    orientations: int = 12,
    wavelengths: int = 8,
    phase: int = 4,
    longest: float = 40.0,
    shortest: float = 4.0,
    contrast: float = 1.0,
) -> Sweep:
    """Stripes: a wave that runs along `orientation`, in degrees of 180 (0 has upright stripes)."""
    _visible("grating", shortest, 1.0)

    def draw(grid: Grid, orientation: Numbers, wavelength: Numbers, phase: Numbers) -> Tensor:
        return 0.5 + 0.5 * contrast * plane(grid, orientation, wavelength, phase)

    axes = {"orientation": turns(orientations, 180.0), "wavelength": ratios_apart(longest, shortest, wavelengths, "px")}
    return Sweep("grating", draw, axes, {"phase": phases(phase)})


def texture(
    orientations: int = 12,
    wavelengths: int = 6,
    samples: int = 4,
    spread: float = 30.0,
    longest: float = 32.0,
    shortest: float = 4.0,
    contrast: float = 0.2,
    seed: int = 0,
) -> Sweep:
    """Noise of about one wavelength, its waves running within +-`spread` degrees of `orientation`, in degrees of 180.

    A sum of 64 waves with directions, phases and wavelengths (within a quarter octave) at random, the same ones in
    every picture of a `sample`; its standard deviation is `contrast`, its values are cut off at 0 and 1. A spread of 90
    has no orientation.
    """
    _visible("texture", shortest / 2**0.25, 1.0)
    numbers = torch.stack([torch.rand(3, WAVES, generator=generator(seed, "texture", str(n))) for n in range(samples)])

    def draw(grid: Grid, orientation: Numbers, wavelength: Numbers, sample: Numbers) -> Tensor:
        turn, size, phase = numbers.to(grid.x)[sample.flatten().round().long()].unbind(1)  # b wave
        angles = orientation[:, 0] + spread * (2 * turn - 1)
        total = grid.waves(angles, wavelength[:, 0] * 2 ** (0.5 * size - 0.25), 360 * phase)
        return (0.5 + contrast * total * math.sqrt(2 / WAVES)).clamp(0, 1)

    axes = {"orientation": turns(orientations, 180.0), "wavelength": ratios_apart(longest, shortest, wavelengths, "px")}
    return Sweep("texture", draw, axes, {"sample": spaced(0, max(samples - 1, 0), samples)})


def _visible(name: str, shortest: float, steepness: float) -> None:
    """Refuse waves that pixels cannot show; turned by 45 degrees, a product of two is `steepness` times as fine."""
    if shortest <= SHARPEST * steepness:
        least = SHARPEST * steepness
        raise BadInputError(
            f"{name}: pixels cannot show a wavelength of {shortest:.3g}; it must exceed {least:.3g}. "
            "Ask for longer waves, or a smaller range"
        )
