"""Stimuli: pictures made by formula, in sweeps over named axes. To add one, see `sweep.py`."""

from retinoscope.base.axis import Axis, listed, ratios_apart, spaced, turns
from retinoscope.image.stimuli.colors import brightness, color, color_contrast
from retinoscope.image.stimuli.grid import Grid, share, wave
from retinoscope.image.stimuli.patches import turned
from retinoscope.image.stimuli.shapes import corner, curve, edge, line
from retinoscope.image.stimuli.sweep import Sweep, phases
from retinoscope.image.stimuli.waves import frequency, frequency_pair, grating, texture

__all__ = [
    "Axis", "Grid", "Sweep", "brightness", "color", "color_contrast", "corner", "curve", "edge", "frequency",
    "frequency_pair", "grating", "line", "listed", "phases", "ratios_apart", "share", "spaced", "texture", "turned",
    "turns", "wave",
]  # fmt: skip
