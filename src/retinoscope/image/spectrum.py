"""Images as scaled Fourier coefficients, so that a step moves all scales alike [olah2017, lucid2018].

t = irfft2(s * c) / 4 with s = sqrt(h w) / max(f, 1 / max(h, w)) ** decay. With orthonormal transforms the sqrt(h w)
drops out. The 4 is Lucid's empirical constant: larger means less saturated colours at the start.
"""

import math

import torch
from torch import Tensor

SATURATION = 4.0


def frequencies(height: int, width: int) -> Tensor:
    """Spatial frequency in cycles per pixel of each coefficient of `rfft2`, (h, w // 2 + 1), float64."""
    fy = torch.fft.fftfreq(height, dtype=torch.float64)[:, None]
    fx = torch.fft.rfftfreq(width, dtype=torch.float64)
    return torch.hypot(fy, fx.expand(height, -1))


def scale(height: int, width: int, decay: float = 1.0) -> Tensor:
    """Weight of each coefficient, (h, w // 2 + 1), float64: falls as 1 / f ** decay, for natural images' spectrum."""
    floor = 1.0 / max(height, width)
    return frequencies(height, width).clamp(min=floor).pow(-decay) * math.sqrt(height * width)


def to_planes(coefficients: Tensor, weights: Tensor, height: int, width: int) -> Tensor:
    """Complex coefficients (b, c, h, w // 2 + 1) to real planes (b, c, h, w)."""
    planes: Tensor = torch.fft.irfft2(coefficients * (weights / SATURATION), s=(height, width))
    return planes


def from_planes(planes: Tensor, weights: Tensor) -> Tensor:
    """The coefficients whose planes are `planes`: the inverse of `to_planes`."""
    coefficients: Tensor = torch.fft.rfft2(planes) / (weights / SATURATION)
    return coefficients
