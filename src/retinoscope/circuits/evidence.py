"""How many factors weights have, and whether factors are the same: evidence, not taste."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.circuits.expand import Weights
from retinoscope.circuits.factors import Factors, factorize, flattened
from retinoscope.circuits.nmf import Array, from_svd, nonnegative, svd_bounds
from retinoscope.tensor.random import generator


def matched(a: Float[Tensor, "r i"], b: Float[Tensor, "r i"]) -> Float[Tensor, " r"]:
    """Cosines of each of a's rows with its partner among b's, partners chosen so that the sum is largest."""
    from scipy.optimize import linear_sum_assignment  # slow to import

    cosines = torch.nn.functional.normalize(a.double(), dim=1) @ torch.nn.functional.normalize(b.double(), dim=1).T
    rows, columns = linear_sum_assignment(-cosines.numpy())
    return cosines[torch.from_numpy(rows), torch.from_numpy(columns)]


@dataclass(frozen=True)
class Rank:
    """What speaks for a number of factors k.

    `error` and its lower `bound` (SVD) are relative errors of the weights. `explained` is the part of the energy that
    the k-th factor explains beyond k - 1; `chance` the most that it explains in weights shuffled within channels.
    `stability` is the mean cosine of channel factors from random starts with those of the best start.
    """

    k: int
    error: float
    bound: float
    explained: float
    chance: float
    stability: float


@dataclass(frozen=True)
class Choice:
    """The evidence for 1 to n factors, and the number it speaks for."""

    ranks: tuple[Rank, ...]
    k: int


STABLE = 0.9
"""Cosine from which on factors count as found again."""


def choose_k(weights: Weights, most: int = 6, starts: int = 6, shuffles: int = 4, seed: int = 0) -> Choice:
    """How many factors weights have: error against k, against the SVD bound, against chance, and over random starts.

    The choice is the largest k up to which each factor explains more than the same one in any of the shuffled weights,
    and whose factors random starts find again; at least 1.
    """
    flat = flattened(weights)
    most = min(most, *flat.shape)
    energy = float((flat**2).sum())
    found = [_starts(weights, k, starts, seed) for k in range(1, most + 1)]
    explained = _gains([best.losses[-1] for best, _ in found])
    chance = np.max([_gains(_shuffled(flat, most, seed, turn)) for turn in range(shuffles)], axis=0)
    bounds = np.sqrt(svd_bounds(flat, most) / energy)
    ranks = tuple(
        Rank(place + 1, best.error, float(bounds[place]), explained[place], float(chance[place]), stability)
        for place, (best, stability) in enumerate(found)
    )
    real = [rank.explained > rank.chance for rank in ranks]
    count = real.index(False) if False in real else most
    stable = [rank.k for rank in ranks[:count] if rank.stability >= STABLE]
    return Choice(ranks, max(stable, default=1))


def _starts(weights: Tensor, k: int, starts: int, seed: int) -> tuple[Factors, float]:
    """The best of all starts, and how alike the others' factors are to it."""
    runs = [factorize(weights, k), *(factorize(weights, k, seed + turn) for turn in range(starts))]
    best = min(runs, key=lambda run: run.losses[-1])
    cosines = [float(matched(best.channels, run.channels).mean()) for run in runs if run is not best]
    return best, sum(cosines) / len(cosines) if cosines else 1.0


def _shuffled(flat: Array, most: int, seed: int, turn: int) -> list[float]:
    """Relative losses for 1 to `most` factors of weights whose positions are shuffled, for each channel apart."""
    random = generator(seed, "shuffle", str(turn))
    order = torch.rand(flat.shape, generator=random, dtype=torch.float64).argsort(0).numpy()
    mixed = np.take_along_axis(flat, order, 0)
    stacked = np.concatenate([np.maximum(mixed, 0), np.maximum(-mixed, 0)])
    size = float((flat**2).sum())
    return [nonnegative(stacked, from_svd(stacked, k)).losses[-1] / size for k in range(1, most + 1)]


def _gains(losses: Sequence[float]) -> list[float]:
    """What each further factor explains."""
    return [before - after for before, after in zip([1.0, *losses], losses, strict=False)]
