"""Nonnegative factors by hierarchical alternating least squares: one factor at a time, each at its best.

Every update is the exact minimum over one factor, so that the loss never rises [cichocki2009]. Gram matrices keep a
step as cheap as one product with the data, whatever the number of inner sweeps [gillis2012].
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]

SWEEPS = 2
"""Inner sweeps over one side's factors for each product with the data [gillis2012]."""

STEPS, TOLERANCE = 500, 1e-6
"""Most steps, and the relative decrease of the loss at which to stop."""


@dataclass(frozen=True)
class Solution:
    """data (n, i) ~ amounts (n, r) times factors (r, i); `losses` are squared errors, after each step."""

    amounts: Array
    factors: Array
    losses: tuple[float, ...]


def nonnegative(data: Array, start: Array, steps: int = STEPS) -> Solution:
    """Both sides at least 0, from factors `start` (r, i) on."""

    def improve(amounts: Array, factors: Array) -> Array:
        _sweep(amounts, data @ factors.T, factors @ factors.T)
        return amounts

    return _alternately(data, start, steps, improve)


def one_sided(data: Array, start: Array, steps: int = STEPS) -> Solution:
    """Factors at least 0, amounts of either sign: semi-NMF [ding2010]."""
    return _alternately(data, start, steps, lambda amounts, factors: data @ np.linalg.pinv(factors))


def _alternately(data: Array, start: Array, steps: int, improve: Callable[[Array, Array], Array]) -> Solution:
    """Amounts by `improve(amounts, factors)`, then factors at least 0, in turn until the loss has settled."""
    factors, energy, losses = start.copy(), float((data**2).sum()), list[float]()
    amounts = np.zeros((len(data), len(factors)))
    for _ in range(steps):
        amounts = improve(amounts, factors)
        products, gram = data.T @ amounts, amounts.T @ amounts
        turned = np.ascontiguousarray(factors.T)
        _sweep(turned, products, gram)
        factors = np.ascontiguousarray(turned.T)
        losses.append(_loss(energy, products, gram, factors))
        if _settled(losses, energy):
            break
    return Solution(amounts, factors, tuple(losses))


def _sweep(side: Array, products: Array, gram: Array) -> None:
    """Each column of `side` (n, r) in turn to its best value at least 0, in place."""
    for _ in range(SWEEPS):
        for factor in range(side.shape[1]):
            weight = gram[factor, factor]
            if weight > 0:
                rest = products[:, factor] - side @ gram[:, factor] + side[:, factor] * weight
                side[:, factor] = np.maximum(rest / weight, 0)


def _loss(energy: float, products: Array, gram: Array, factors: Array) -> float:
    """The squared error, from the products at hand."""
    cross = float((products.T * factors).sum())
    return max(energy - 2 * cross + float((gram * (factors @ factors.T)).sum()), 0.0)


def _settled(losses: list[float], energy: float) -> bool:
    if losses[-1] <= 1e-15 * energy:
        return True
    return len(losses) > 1 and losses[-2] - losses[-1] <= TOLERANCE * losses[-2]


def from_svd(data: Array, k: int) -> Array:
    """Factors (k, i) to start from: the stronger half, by sign, of each leading singular vector [boutsidis2008]."""
    left, _, right = np.linalg.svd(data, full_matrices=False)
    starts = []
    for place in range(k):
        row, column = right[place], left[:, place]
        halves = [(np.maximum(sign * row, 0), np.maximum(sign * column, 0)) for sign in (1, -1)]
        best = max(halves, key=lambda half: float(np.linalg.norm(half[0]) * np.linalg.norm(half[1])))[0]
        starts.append(best + best.mean() * 1e-3)  # a factor that starts at 0 everywhere would stay there
    return np.stack(starts)


def at_random(channels: int, k: int, random: torch.Generator) -> Array:
    """Factors (k, i) to start from, drawn for channels, so that the order of the data's rows does not matter."""
    return torch.rand(k, channels, generator=random, dtype=torch.float64).numpy()


def svd_bounds(data: Array, most: int) -> Array:
    """The least squared error that any factors of rank 1 to `most` can have."""
    strengths = np.linalg.svd(data, compute_uv=False) ** 2
    left = np.maximum(strengths.sum() - np.cumsum(strengths), 0)
    return np.pad(left, (0, max(0, most - len(left))))[:most]
