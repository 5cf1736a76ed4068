"""How alike two pictures are: rank correlation, and structural similarity."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

SIGMA, REACH = 1.5, 5
"""Of the Gaussian window of structural similarity, 11 pixels wide: the paper's [wang2004]."""

K1, K2 = 0.01, 0.03
"""Its constants, in units of the range of values."""


def ranks(values: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Ranks from 0 on; equal values share the mean of theirs."""
    _, place, counts = torch.unique(values, return_inverse=True, return_counts=True)
    middles: Tensor = (counts.cumsum(0) - (counts + 1) / 2).double()
    return middles[place]


def rank_correlation(a: Float[Tensor, " n"], b: Float[Tensor, " n"]) -> float:
    """Spearman's rank correlation; NaN when either is constant."""
    left, right = (found - found.mean() for found in (ranks(a), ranks(b)))
    scale = left.norm() * right.norm()
    return float(left @ right / scale) if scale > 0 else float("nan")


def ssim(a: Float[Tensor, "3 h w"], b: Float[Tensor, "3 h w"]) -> float:
    """Mean structural similarity of two pictures in [0, 1] over all positions where the window fits [wang2004].

    Pictures smaller than the window are compared under one as large as they are.
    """
    reach = min(REACH, (min(a.shape[1:]) - 1) // 2)
    line = torch.exp(-torch.arange(-reach, reach + 1, dtype=torch.float64).square() / (2 * SIGMA**2))
    window = (line[:, None] * line / line.sum() ** 2).expand(3, 1, -1, -1)

    def mean(values: Tensor) -> Tensor:
        return F.conv2d(values[None].double(), window.to(values.device), groups=3)[0]

    u, v = mean(a), mean(b)
    spread, both = mean(a.double() ** 2) + mean(b.double() ** 2) - u**2 - v**2, mean(a.double() * b.double()) - u * v
    alike = (2 * u * v + K1**2) * (2 * both + K2**2) / ((u**2 + v**2 + K1**2) * (spread + K2**2))
    return float(alike.mean())
