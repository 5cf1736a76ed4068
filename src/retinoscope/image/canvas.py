"""Canvases: images as the output of a module without inputs, whose parameters the optimiser moves."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from retinoscope.image import color, spectrum
from retinoscope.tensor.axes import Images
from retinoscope.tensor.random import Draws

START = 0.01
"""Standard deviation of the starting noise in parameter space [lucid2018]."""


class Canvas(nn.Module, ABC):
    """A batch of images to be optimised: calling it gives `b 3 h w` sRGB in (0, 1).

    A new canvas is blank until `start` fills it with noise, each item from its own draws; `paint` makes it show given
    images instead. `optimize` starts a canvas that is still blank. `to_images` is how planes become sRGB.
    """

    to_images: Callable[[Tensor], Tensor] = staticmethod(color.to_rgb)

    def __init__(self, batch: int, size: int | tuple[int, int]) -> None:
        super().__init__()
        self.batch = batch
        self.size = (size, size) if isinstance(size, int) else (size[0], size[1])
        self.blank = True

    @abstractmethod
    def start(self, draws: Draws) -> None:
        """Fill the parameters with small noise."""

    @abstractmethod
    def paint(self, images: Images) -> None:
        """Set the parameters so that the canvas shows `images` (b, 3, h, w), clipped to [0.001, 0.999]."""

    def forward(self) -> Images:
        """The images (b, 3, h, w) in (0, 1)."""
        return self.to_images(self.planes())

    @abstractmethod
    def planes(self) -> Tensor:
        """Planes (b, 3, h, w) before `to_images`: decorrelated, before colour and sigmoid, in most canvases."""

    def alpha(self) -> Tensor | None:
        """Opacity (b, 1, h, w) in (0, 1) of a transparent canvas; None where it is opaque."""
        return None


class Pixels(Canvas):
    """One parameter per pixel and decorrelated colour: the plain canvas, prone to high frequencies [olah2017]."""

    def __init__(self, batch: int, size: int | tuple[int, int]) -> None:
        super().__init__(batch, size)
        self.values = nn.Parameter(torch.zeros(batch, 3, *self.size))

    def start(self, draws: Draws) -> None:
        """Normal noise of standard deviation 0.01 in every pixel."""
        self.values.data.copy_(START * draws.normal(3, *self.size))
        self.blank = False

    def paint(self, images: Images) -> None:
        """Show `images` (b, 3, h, w)."""
        self.values.data.copy_(color.from_rgb(images))
        self.blank = False

    def planes(self) -> Tensor:
        """The parameters themselves."""
        return self.values


class Fourier(Canvas):
    """Fourier coefficients weighted by 1 / f ** decay: steepest descent in decorrelated space [olah2017].

    `mean` is the weight of the mean colour as a multiple of the published one, which is that of the slowest wave.
    """

    weights: Tensor

    def __init__(self, batch: int, size: int | tuple[int, int], decay: float = 1.0, mean: float = 1.0) -> None:
        super().__init__(batch, size)
        height, width = self.size
        self.coefficients = nn.Parameter(torch.zeros(batch, 3, height, width // 2 + 1, 2))
        self.register_buffer("weights", spectrum.scale(height, width, decay, mean).float())

    def start(self, draws: Draws) -> None:
        """Normal noise of standard deviation 0.01 in every real and imaginary part."""
        self.coefficients.data.copy_(START * draws.normal(*self.coefficients.shape[1:]))
        self.blank = False

    def paint(self, images: Images) -> None:
        """Show `images` (b, 3, h, w)."""
        planes = color.from_rgb(images.to(self.weights))
        self.coefficients.data.copy_(spectrum.from_planes(planes, self.weights))
        self.blank = False

    def planes(self) -> Tensor:
        """The inverse transform of the weighted coefficients."""
        return spectrum.to_planes(self.coefficients, self.weights, *self.size)
