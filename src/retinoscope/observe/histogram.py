"""Histograms of every channel that need no range in advance and merge exactly.

Bins are multiples of a power of two, the same on both sides of zero; when a larger value comes, neighbouring bins join
in pairs until it fits. Coarse bins are unions of fine ones, so that the outcome depends on the values alone, not on
their order or grouping. A bin is at most 1/256 of the channel's largest magnitude wide, the
one around zero twice that.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

HALF = 512
"""Bins on each side of zero; the two that touch zero are one bin."""

BINS = 2 * HALF - 1
_AT_A_TIME = 1_000_000
"""Values counted together: what fits in a processor's cache is counted faster."""

_FINEST = -100
"""Smallest exponent of a bin's width: keeps scale factors inside float32; such values count as zero."""


@dataclass(frozen=True)
class Histogram:
    """Counts (c, BINS) of values by bin, and the exponent (c,) of each channel's bin width 2**exponent."""

    counts: Int[Tensor, "c bins"]
    exponents: Int[Tensor, " c"]

    @classmethod
    def empty(cls, channels: int) -> "Histogram":
        """No values yet."""
        return cls(torch.zeros(channels, BINS, dtype=torch.int64), torch.full((channels,), _FINEST, dtype=torch.int32))


def count(values: Float[Tensor, "n c"], largest: Float[Tensor, " c"], exponents: Int[Tensor, " c"]) -> Histogram:
    """The histogram of some finite values; `largest` are their magnitudes' maxima, `exponents` the finest wanted."""
    channels = values.shape[1]
    needed = torch.frexp(largest).exponent - int(math.log2(HALF))
    exponents = torch.where(largest > 0, torch.maximum(exponents, needed), exponents)
    scale = torch.ldexp(torch.ones(channels), -exponents)
    shift = torch.arange(channels, dtype=torch.int32) * BINS + (HALF - 1)
    counts = torch.zeros(channels * BINS, dtype=torch.int64)
    for part in torch.split(values, max(1, _AT_A_TIME // channels)):
        keys = (part * scale).to(torch.int32).add_(shift)
        counts += torch.bincount(keys.view(-1), minlength=channels * BINS)
    return Histogram(counts.view(channels, BINS), exponents)


def merge(a: Histogram, b: Histogram) -> Histogram:
    """All values of both."""
    exponents = torch.maximum(a.exponents, b.exponents)
    return Histogram(_coarser(a, exponents) + _coarser(b, exponents), exponents)


def _coarser(histogram: Histogram, exponents: Int[Tensor, " c"]) -> Int[Tensor, "c bins"]:
    """Counts in bins of width 2**exponents, by joining neighbours."""
    steps = exponents - histogram.exponents
    if not bool(steps.any()):
        return histogram.counts
    bins = torch.arange(BINS) - (HALF - 1)
    joined = bins.sign() * (bins.abs() >> steps.clamp(max=31)[:, None].to(torch.int64)) + (HALF - 1)
    return torch.zeros_like(histogram.counts).scatter_add_(1, joined, histogram.counts)


def edges(exponent: int) -> NDArray[np.float64]:
    """The BINS + 1 edges of a channel's bins, ascending."""
    steps = np.concatenate([np.arange(-HALF, 0), np.arange(1, HALF + 1)])
    return steps * math.ldexp(1.0, exponent)


def plotted(counts: NDArray[np.int64], exponent: int, most: int = 64) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Edges (m + 1,) and counts (m,) of at most about `most` joined bins over the range that occurs."""
    used = counts.nonzero()[0]
    first, last = (int(used[0]), int(used[-1])) if len(used) else (HALF - 1, HALF - 1)
    group = math.ceil((last - first + 1) / most)
    starts = np.arange(first, last + 1, group)
    ends = edges(exponent)[np.append(starts, min(starts[-1] + group, BINS))]
    return ends, np.add.reduceat(counts[: starts[-1] + group], starts)


def deviation(counts: NDArray[np.int64], exponent: int) -> float:
    """Standard deviation, every value taken for the middle of its bin: counts merge exactly, and so does this."""
    ends = edges(exponent)
    middles = (ends[:-1] + ends[1:]) / 2
    mean = np.average(middles, weights=counts)
    return float(np.sqrt(np.average((middles - mean) ** 2, weights=counts)))


def quantile(counts: NDArray[np.int64], exponent: int, q: float, low: float, high: float) -> float:
    """The value that a fraction q of all does not exceed, to within one bin; `low` and `high` are the extremes."""
    rank = max(1, math.ceil(q * counts.sum()))
    below = np.cumsum(counts)
    place = int(np.searchsorted(below, rank))
    ends = edges(exponent)
    left, right = max(ends[place], low), min(ends[place + 1], high)
    into = (rank - (below[place] - counts[place])) / counts[place]
    return float(left + (right - left) * into)
