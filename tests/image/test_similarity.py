"""Rank correlation and structural similarity, against slow definitions."""

import math

import pytest
import torch
from torch import Tensor

from retinoscope.image.similarity import rank_correlation, ranks, ssim
from tests.samples import photos


def slow_rank(values: list[float], value: float) -> float:
    """How many are smaller, and half of the others that are equal."""
    return sum(other < value for other in values) + (sum(other == value for other in values) - 1) / 2


def test_equal_values_share_their_rank() -> None:
    values = [0.0, -1.0, 0.0, 2.0, 0.0, -1.0]
    assert ranks(torch.tensor(values)).tolist() == [slow_rank(values, value) for value in values]


def test_rank_correlation_is_that_of_the_ranks() -> None:
    numbers = torch.Generator().manual_seed(0)
    a, b = (torch.randn(40, generator=numbers).mul(3).round() for _ in range(2))
    slow = [torch.tensor([slow_rank(values.tolist(), value) for value in values.tolist()]) for values in (a, b)]
    assert rank_correlation(a, b) == pytest.approx(float(torch.corrcoef(torch.stack(slow))[0, 1]), abs=1e-6)
    assert rank_correlation(a, a.exp()) == pytest.approx(1)
    assert rank_correlation(a, -a) == pytest.approx(-1)
    assert math.isnan(rank_correlation(a, torch.zeros(40)))


def slow_ssim(a: Tensor, b: Tensor, side: int = 11) -> float:
    """The paper's formula, window by window, colour by colour."""
    far = torch.arange(side, dtype=torch.float64) - side // 2
    window = torch.exp(-(far[:, None] ** 2 + far**2) / (2 * 1.5**2))
    window = window / window.sum()
    found = []
    for y in range(a.shape[1] - side + 1):
        for x in range(a.shape[2] - side + 1):
            for p, q in zip(a[:, y : y + side, x : x + side], b[:, y : y + side, x : x + side], strict=True):
                u, v = (window * p).sum(), (window * q).sum()
                pp, qq, pq = ((window * m).sum() for m in ((p - u) ** 2, (q - v) ** 2, (p - u) * (q - v)))
                found.append((2 * u * v + 1e-4) * (2 * pq + 9e-4) / ((u * u + v * v + 1e-4) * (pp + qq + 9e-4)))
    return float(torch.stack(found).mean())


def test_ssim_is_the_papers() -> None:
    a, b = photos(2, 13).double()
    assert ssim(a, b) == pytest.approx(slow_ssim(a, b), abs=1e-9)
    assert ssim(a, a) == pytest.approx(1)
    assert ssim(a[:, :8, :8], b[:, :8, :8]) == pytest.approx(slow_ssim(a[:, :8, :8], b[:, :8, :8], 7), abs=1e-9)
