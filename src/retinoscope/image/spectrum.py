"""Images as scaled Fourier coefficients, so that a step moves all scales alike [olah2017, lucid2018].

t = irfft2(s * c) / 4 with s = sqrt(h w) / max(f, 1 / max(h, w)) ** decay. With orthonormal transforms the sqrt(h w)
drops out. The 4 is Lucid's empirical constant: larger means less saturated colours at the start.
"""

import math
from typing import Any

import torch
from torch import Tensor

SATURATION = 4.0


def frequencies(height: int, width: int) -> Tensor:
    """Spatial frequency in cycles per pixel of each coefficient of `rfft2`, (h, w // 2 + 1), float64."""
    fy = torch.fft.fftfreq(height, dtype=torch.float64)[:, None]
    fx = torch.fft.rfftfreq(width, dtype=torch.float64)
    return torch.hypot(fy, fx.expand(height, -1))


def scale(height: int, width: int, decay: float = 1.0, mean: float = 1.0) -> Tensor:
    """Weight of each coefficient, (h, w // 2 + 1), float64: falls as 1 / f ** decay, for natural images' spectrum.

    The weight of the mean colour, which has no frequency, is `mean` times that of the slowest wave.
    """
    floor = 1.0 / max(height, width)
    weights = frequencies(height, width).clamp(min=floor).pow(-decay) * math.sqrt(height * width)
    weights[0, 0] *= mean
    return weights


def to_planes(coefficients: Tensor, weights: Tensor, height: int, width: int) -> Tensor:
    """Real planes (b, c, h, w) from coefficients (b, c, h, w // 2 + 1, 2), real and imaginary parts last."""
    planes: Tensor = _Synthesis.apply(coefficients, weights / SATURATION, height, width)
    return planes


class _Synthesis(torch.autograd.Function):
    """The weighted inverse transform; its own backward pass spares five passes over the coefficients."""

    @staticmethod
    def forward(ctx: Any, coefficients: Tensor, weights: Tensor, height: int, width: int) -> Tensor:
        ctx.save_for_backward(weights)
        ctx.size = height, width
        weighted = torch.view_as_complex(coefficients * _both(weights))
        planes: Tensor = torch.fft.irfft2(weighted, s=(height, width))
        return planes

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (weights,) = ctx.saved_tensors
        height, width = ctx.size
        scaled = weights * mirrored(width).to(weights) / (height * width)
        return torch.view_as_real(torch.fft.rfft2(grad)) * _both(scaled), None, None, None


def _both(weights: Tensor) -> Tensor:
    """Weights for real and imaginary parts, written out: broadcasting over an axis of two is slow."""
    return torch.stack((weights, weights), -1)


def from_planes(planes: Tensor, weights: Tensor) -> Tensor:
    """The coefficients (b, c, h, w // 2 + 1, 2) whose planes are `planes`: the inverse of `to_planes`."""
    return torch.view_as_real(torch.fft.rfft2(planes) / (weights / SATURATION))


def periodic(planes: Tensor) -> Tensor:
    """The part of planes (b, c, h, w) whose opposite borders meet: what is left without a smooth part [moisan2011].

    The step from one border to the other, which no picture has, else puts a bright cross into the spectrum.
    """
    height, width = planes.shape[2:]
    jumps = torch.zeros_like(planes)
    down, across = planes[:, :, -1] - planes[:, :, 0], planes[..., -1] - planes[..., 0]
    jumps[:, :, 0] += down
    jumps[:, :, -1] -= down
    jumps[..., 0] += across
    jumps[..., -1] -= across
    y, x = (torch.arange(n, dtype=torch.float64, device=planes.device) * (2 * math.pi / n) for n in (height, width))
    laplacian = 2 * torch.cos(y)[:, None] + 2 * torch.cos(x[: width // 2 + 1]) - 4
    laplacian[0, 0] = -1.0  # any number: the jumps have no mean
    smooth: Tensor = torch.fft.irfft2(torch.fft.rfft2(jumps) / laplacian.to(planes), s=(height, width))
    return planes - smooth


QUARTER_NYQUIST = 0.125
"""A quarter of the highest frequency a pixel grid holds, in cycles per pixel: what is above it looks like noise."""


def high_frequency_share(images: Tensor) -> Tensor:
    """Share (b,) in [0, 1] of the spectral power of images (b, c, h, w) that lies above a quarter of Nyquist.

    Power is |rfft2|^2 of each channel less its mean, summed over channels and over the full plane of frequencies;
    frequency is the length of (fy, fx), and a quarter of Nyquist is 0.125 cycles per pixel. A flat image has none: 0.
    White noise has 1 - pi / 64, about 0.95; photos of 128 pixels 0.03 to 0.25.
    """
    height, width = images.shape[2:]
    centred = images.double() - images.double().mean((2, 3), keepdim=True)
    power = torch.fft.rfft2(centred).abs().square().sum(1) * mirrored(width).to(images.device)
    high = frequencies(height, width).to(images.device) > QUARTER_NYQUIST
    total = power.sum((1, 2))
    share = (power * high).sum((1, 2)) / total.clamp(min=1e-30)
    return torch.where(total > 1e-20 * images[0].numel() ** 2, share, torch.zeros_like(share)).to(images.dtype)


def mirrored(width: int) -> Tensor:
    """How many columns of the full spectrum each column of `rfft2` stands for, (w // 2 + 1,): 2, at the ends 1."""
    twice = torch.full((width // 2 + 1,), 2.0, dtype=torch.float64)
    twice[0] = 1.0
    if width % 2 == 0:
        twice[-1] = 1.0
    return twice


def autocorrelation(maps: Tensor, lag: int) -> Tensor:
    """Correlation (b,) of maps (b, h, w) with themselves `lag` pixels on, the mean of down and across, in [-1, 1].

    Each map is first made zero-mean; a flat one gives 0.
    """
    centred = maps.double() - maps.double().mean((1, 2), keepdim=True)
    power = centred.square().mean((1, 2)).clamp(min=1e-300)
    down = (centred[:, lag:] * centred[:, :-lag]).mean((1, 2))
    across = (centred[:, :, lag:] * centred[:, :, :-lag]).mean((1, 2))
    return ((down + across) / 2 / power).to(maps.dtype)


def periodicity(maps: Tensor, period: int) -> Tensor:
    """How much more maps (b, h, w) repeat after `period` pixels than after one pixel less or more, (b,).

    The autocorrelation at the period less the mean of its two neighbours: a peak is positive, a smooth fall is not.
    """
    beside = autocorrelation(maps, period - 1) + autocorrelation(maps, period + 1)
    return autocorrelation(maps, period) - beside / 2
