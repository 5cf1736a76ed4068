"""Transparent pictures: what is shown where a picture is see-through [mordvintsev2018]."""

from torch import Tensor

from retinoscope.image import color, spectrum
from retinoscope.tensor.axes import Images
from retinoscope.tensor.random import Draws

BACKDROP = 0.5
"""Standard deviation of the noise behind a transparent picture, in parameter space, as Lucid's."""


def collapse(images: Images, alpha: Tensor, draws: Draws) -> Images:
    """Images (b, 3, h, w) of opacity `alpha` (b, 1, h, w) on a new noise of natural spectrum for each item."""
    return alpha * images + (1 - alpha) * backdrop(draws, *images.shape[2:]).to(images)


def backdrop(draws: Draws, height: int, width: int) -> Images:
    """Noise (b, 3, h, w) in (0, 1) with the spectrum and colours of natural images."""
    weights = spectrum.scale(height, width).float().to(draws.device)
    noise = BACKDROP * draws.normal(3, *weights.shape, 2)
    return color.to_rgb(spectrum.to_planes(noise, weights, height, width))
