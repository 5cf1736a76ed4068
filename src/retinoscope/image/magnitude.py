"""Fixed magnitude: pictures with the spectrum of natural images, of which only the phase is free (MACO) [fel2023]."""

import math
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retinoscope.base.errors import BadInputError
from retinoscope.image import color, spectrum
from retinoscope.image.canvas import Canvas
from retinoscope.tensor.axes import Images
from retinoscope.tensor.random import Draws

MARGIN = 0.02
"""Pixels of photos are clipped to [0.02, 0.98] before the inverse sigmoid: white skies must not rule the spectrum."""


class FixedMagnitude(Canvas):
    """Fourier coefficients of given magnitude; the phases are the only parameters (MACO) [fel2023].

    A picture cannot gain by adding power at high frequencies, because no power can be added. `magnitudes` (3, y, x)
    comes from `mean_spectrum`, of any size, by default from the sample photos. Differs from the paper: phases start
    uniform in all directions (there, normal with deviation 1, which piles the start up in a corner), and the contrast
    is that of the photos (there, planes have deviation 1). `paint` takes an image's phases.
    """

    magnitudes: Tensor

    def __init__(self, batch: int, size: int | tuple[int, int], magnitudes: Tensor | None = None) -> None:
        super().__init__(batch, size)
        given = default_spectrum() if magnitudes is None else magnitudes
        self.register_buffer("magnitudes", at_size(given, *self.size))
        self.phases = nn.Parameter(torch.zeros(batch, *self.magnitudes.shape))

    def start(self, draws: Draws) -> None:
        """Uniform phases in [-pi, pi)."""
        self.phases.data.copy_(math.pi * (2 * draws.uniform(*self.phases.shape[1:]) - 1))
        self.blank = False

    def paint(self, images: Images) -> None:
        """Take the phases of `images` (b, 3, h, w); the magnitudes stay, so that only their outlines come through."""
        planes = color.from_rgb(images.to(self.magnitudes))
        self.phases.data.copy_(torch.fft.rfft2(planes).angle())
        self.blank = False

    def planes(self) -> Tensor:
        """The inverse transform of magnitudes and phases."""
        waves = torch.polar(self.magnitudes.expand_as(self.phases), self.phases)
        planes: Tensor = torch.fft.irfft2(waves, s=self.size, norm="ortho")
        return planes


@torch.no_grad()
def mean_spectrum(images: Tensor | Iterable[Tensor]) -> Tensor:
    """Mean Fourier magnitude (3, h, w // 2 + 1) of photos' decorrelated planes, for `FixedMagnitude`.

    `images` (b, 3, h, w) in [0, 1], h and w even, or batches of them, of one size, such as
    `(images for _, images in photos.batches((128, 128)))` of an ImageSet. The transform is orthonormal. Differs from
    the paper: it is that of each photo's periodic part. Raises BadInputError for odd sizes, or for no images at all.
    """
    total, count = torch.zeros(()), 0
    for batch in (images,) if isinstance(images, Tensor) else images:
        if batch.shape[2] % 2 or batch.shape[3] % 2:
            raise BadInputError(f"photos for a spectrum need even sides; came {tuple(batch.shape[2:])} (h, w)")
        planes = spectrum.periodic(color.from_rgb(batch, MARGIN))
        total = total + torch.fft.rfft2(planes, norm="ortho").abs().sum(0)
        count += len(batch)
    if not count:
        raise BadInputError("a mean spectrum needs at least one photo; came none")
    return total / count


@cache
def default_spectrum() -> Tensor:
    """The mean spectrum (3, 128, 65) of the sample photos, shipped with the package."""
    with (files("retinoscope.image") / "photo_spectrum.npy").open("rb") as stream:
        return torch.from_numpy(np.load(stream).astype(np.float32))


def at_size(magnitudes: Tensor, height: int, width: int) -> Tensor:
    """The same spectrum (3, y, x) for images of another size (3, height, width // 2 + 1), by cycles per pixel.

    Magnitude times frequency, nearly flat for photos, is interpolated bilinearly.
    """
    if magnitudes.ndim != 3 or magnitudes.shape[0] != 3 or magnitudes.shape[1] % 2 or magnitudes.shape[2] < 2:
        raise BadInputError(f"a spectrum must be (3, h, w // 2 + 1) with even h and w; came {tuple(magnitudes.shape)}")
    rows, columns = magnitudes.shape[1], 2 * (magnitudes.shape[2] - 1)
    flat = torch.fft.fftshift(magnitudes * _lifted(rows, columns), 1)
    around = torch.cat((flat, flat[:, :1]), 1)  # rows from -1/2 to 1/2 cycles per pixel, both ends included
    fy, fx = torch.meshgrid(torch.fft.fftfreq(height), torch.fft.rfftfreq(width), indexing="ij")
    grid = torch.stack((4 * fx - 1, 2 * fy), -1)[None]  # grid_sample reads (x, y) from -1 to 1
    read = F.grid_sample(around[None], grid, mode="bilinear", padding_mode="border", align_corners=True)[0]
    return read / _lifted(height, width)


def _lifted(height: int, width: int) -> Tensor:
    """Frequencies (h, w // 2 + 1), the zero lifted to the lowest one of the longer side."""
    return spectrum.frequencies(height, width).clamp(min=1 / max(height, width)).float()
