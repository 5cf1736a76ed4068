"""Factors of weights: a few groups of channels, and how each unit arranges them in space.

One-sided nonnegative factorization [schubert2021]: weights W (o, i, kh, kw) are about a sum over factors r of spatial
weights S[o, r] (kh, kw), of either sign, times channel weights A[r] (i) at least 0. Positive and negative parts of W
are stacked along units and factorized with both sides at least 0; spatial factors are the difference of the halves.
"""

from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from retinoscope.base.errors import BadInputError
from retinoscope.circuits.expand import Weights
from retinoscope.circuits.nmf import Array, Solution, at_random, from_svd, nonnegative, one_sided, svd_bounds
from retinoscope.tensor.axes import Maps
from retinoscope.tensor.random import generator

STEPS = 1000
"""Most steps of scikit-learn's solver; it warns where they do not suffice."""

NEGATIVE = 1e-6
"""Share of the largest activation down to which a value below zero is rounding."""


@dataclass(frozen=True)
class Factors:
    """Weights (o, i, kh, kw) as `spatial` (o, r, kh, kw) times `channels` (r, i), strongest factor first.

    Channel factors are at least 0 and of length 1; spatial ones hold the size, signed. `error` is the relative error of
    the weights, ||W - S A|| / ||W||, at least `bound`, the least that any factors of that number can have (SVD).
    `losses` are the relative squared errors of what was minimised, step by step.
    """

    channels: Float[Tensor, "r i"]
    spatial: Float[Tensor, "o r kh kw"]
    error: float
    bound: float
    losses: tuple[float, ...]

    def reconstruct(self) -> Weights:
        """The weights that the factors make."""
        return torch.einsum("orhw,ri->oihw", self.spatial, self.channels)

    def top(self, factor: int, k: int = 5) -> list[tuple[int, float]]:
        """The k channels that weigh most in a factor, with their weights."""
        order = torch.argsort(-self.channels[factor], stable=True).tolist()[:k]
        return [(place, float(self.channels[factor, place])) for place in order]


def factorize(weights: Weights, k: int = 2, seed: int | None = None) -> Factors:
    """One-sided NMF of weights over all their units: k channel factors at least 0, signed spatial factors.

    Starts from the singular vectors, or at random where a seed is given. Where two groups of channels are opposite in
    space, weights have rank 1, and factors that may only not be negative are not unique (`semi_factorize`): stacking
    the parts of either sign, as [schubert2021] does, gives the ones that overlap least. Raises BadInputError for k
    out of range, or weights that are 0 or not finite.
    """
    flat = flattened(weights)
    stacked = np.concatenate([np.maximum(flat, 0), np.maximum(-flat, 0)])
    found = nonnegative(stacked, _start(stacked, k, seed))
    amounts = found.amounts[: len(flat)] - found.amounts[len(flat) :]
    return _factors(weights, flat, amounts, found)


def semi_factorize(weights: Weights, k: int = 2, seed: int | None = None) -> Factors:
    """The least error with channel factors at least 0: semi-NMF [ding2010]; arguments as of `factorize`.

    No factors of that kind come nearer to the weights, but others may come as near: add the same channels to both of
    two opposite factors, and nothing changes.
    """
    flat = flattened(weights)
    found = one_sided(flat, _start(np.abs(flat), k, seed))
    return _factors(weights, flat, found.amounts, found)


def flattened(weights: Tensor) -> Array:
    """Positions of all units as rows, channels as columns."""
    flat: Array = rearrange(weights.detach().double().cpu(), "o i kh kw -> (o kh kw) i").numpy()
    if not flat.size or not np.isfinite(flat).all() or not flat.any():
        raise BadInputError(f"weights to factorize must be finite and not all 0; came {tuple(weights.shape)}")
    return flat


def _start(data: Array, k: int, seed: int | None) -> Array:
    if not 1 <= k <= min(data.shape):
        raise BadInputError(f"k must be from 1 to {min(data.shape)} for weights of {data.shape[1]} channels; came {k}")
    return from_svd(data, k) if seed is None else at_random(data.shape[1], k, generator(seed, "factors"))


def _factors(weights: Tensor, flat: Array, amounts: Array, found: Solution) -> Factors:
    lengths = np.linalg.norm(found.factors, axis=1)
    rows = found.factors / np.maximum(lengths, 1e-300)[:, None]
    sized = amounts * lengths
    order = np.argsort(-np.linalg.norm(sized, axis=0), kind="stable")
    rows, sized = rows[order], sized[:, order]
    size, k = float(np.linalg.norm(flat)), len(rows)
    spatial = rearrange(torch.from_numpy(sized), "(o kh kw) r -> o r kh kw", o=len(weights), kh=weights.shape[2])
    error = float(np.linalg.norm(flat - sized @ rows)) / size
    bound = float(np.sqrt(svd_bounds(flat, k)[-1])) / size
    return Factors(torch.from_numpy(rows), spatial, error, bound, tuple(loss / size**2 for loss in found.losses))


@dataclass(frozen=True)
class Groups:
    """Activations (b, c, y, x) as `maps` (b, r, y, x) times `channels` (r, c), both at least 0.

    `channels` are of length 1, strongest first; `error` is relative, `bound` the least that any factors can have.
    """

    channels: Float[Tensor, "r c"]
    maps: Float[Tensor, "b r y x"]
    error: float
    bound: float


def neuron_groups(activations: Maps, k: int, seed: int = 0) -> Groups:
    """Groups of channels that answer together: scikit-learn's NMF of activations [olah2018].

    Raises BadInputError for activations below 0, as layers without a ReLU at their end give, or k out of range.
    """
    from sklearn.decomposition import NMF  # slow to import

    flat: Array = rearrange(activations.detach().double().cpu(), "b c y x -> (b y x) c").numpy()
    if not 1 <= k <= min(flat.shape):
        raise BadInputError(f"k must be from 1 to {min(flat.shape)}; came {k}")
    if flat.min() < -NEGATIVE * np.abs(flat).max() or not flat.any():
        raise BadInputError("groups need activations at least 0 and not all 0: record a layer after its ReLU")
    flat = np.maximum(flat, 0)
    solver = NMF(k, init="nndsvda", random_state=seed, max_iter=STEPS, tol=1e-5)
    amounts = solver.fit_transform(flat)
    lengths = np.linalg.norm(solver.components_, axis=1)
    rows, sized = solver.components_ / np.maximum(lengths, 1e-300)[:, None], amounts * lengths
    order = np.argsort(-np.linalg.norm(sized, axis=0), kind="stable")
    rows, sized, size = rows[order], sized[:, order], float(np.linalg.norm(flat))
    batch, _, height, _ = activations.shape
    maps = rearrange(torch.from_numpy(sized), "(b y x) r -> b r y x", b=batch, y=height)
    error = float(np.linalg.norm(flat - sized @ rows)) / size
    return Groups(torch.from_numpy(rows), maps, error, float(np.sqrt(svd_bounds(flat, k)[-1])) / size)
