"""Which units of two layers find the same in the same photos? Shared examples and rank correlation, against chance.

Units of layers that no shortcut joins have no common number; what they share are the photos that excite them
[chu2017]. Everything here works on the largest activations of each unit in each photo, (n, c).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata
from torch import Tensor

from retinoscope.base.errors import BadInputError
from retinoscope.network.model import Model
from retinoscope.observe.peaks import peaks
from retinoscope.observe.scan import Photos
from retinoscope.tensor.random import generator

Answers = Float[Tensor, "n c"]
"""The largest activation of each channel in each photo."""


def exciting(answers: Answers, k: int) -> Bool[Tensor, "n c"]:
    """Which photos are among the k that excite each channel most; of equal ones the earlier.

    A photo in which the channel answers no more than its least anywhere (a ReLU's 0) excites nothing, so that dead
    units have no examples to share. Raises BadInputError for k of all photos or more: all units would share them.
    """
    if not 0 < k < len(answers):
        raise BadInputError(f"k must be from 1 to {len(answers) - 1}, less than the {len(answers)} photos; came {k}")
    order = answers.sort(dim=0, descending=True, stable=True).indices[:k]
    top = torch.zeros(answers.shape, dtype=torch.bool).scatter_(0, order, True)
    return top & (answers > answers.amin(0))


def overlaps(a: Answers, b: Float[Tensor, "n d"], k: int = 9) -> Int[Tensor, "c d"]:
    """How many of their k most exciting photos each channel of one layer and each of another have in common."""
    return (exciting(a, k).float().T @ exciting(b, k).float()).round().long()


def ranks(answers: Answers) -> Answers:
    """Each channel's ranks of the photos (equal answers share the mean of theirs), to mean 0 and length 1.

    All 0 for a channel that answers every photo alike.
    """
    raw = torch.from_numpy(rankdata(answers.numpy(), axis=0)).double()
    centred = raw - raw.mean(0)
    length = centred.norm(dim=0)
    return torch.where(length > 0, centred / length.clamp(min=1e-12), torch.zeros(())).float()


def rank_correlations(a: Answers, b: Float[Tensor, "n d"]) -> Float[Tensor, "c d"]:
    """Spearman's rank correlation over photos of each channel of one layer with each of another, in [-1, 1]."""
    return ranks(a).T @ ranks(b)


@dataclass(frozen=True)
class Chance:
    """A mean over channel pairs beside that of random pairs; `p` is the share of draws that reach it.

    `pairs` is how many pairs count (both units alive). NaN where there are none.
    """

    observed: float
    random: float
    p: float
    pairs: int


def against_random(
    scores: Float[Tensor, "c d"], pairs: Int[Tensor, "2 m"], pool: Int[Tensor, " q"], draws: int = 999, seed: int = 0
) -> Chance:
    """The mean score of pairs (channel here, channel there) against the same channels with partners from the pool.

    Each draw permutes the pool: no channel is taken twice. Counting the observed pairing among the draws, p is at
    least 1 / (draws + 1).
    """
    here, there = pairs
    if not len(here):
        return Chance(float("nan"), float("nan"), float("nan"), 0)
    observed = scores[here, there].double().mean()
    order = torch.rand(draws, len(pool), generator=generator(seed, "partners")).argsort(1)[:, : len(here)]
    means = scores[here, pool[order]].double().mean(1)
    p = (1 + int((means >= observed - 1e-9).sum())) / (draws + 1)
    return Chance(float(observed), float(means.mean()), p, len(here))


def alive(answers: Answers) -> Bool[Tensor, " c"]:
    """Which channels answer some photo more than others."""
    return answers.amax(0) > answers.amin(0)


@dataclass(frozen=True)
class Match:
    """Two units that correspond: channels, shared examples, rank correlation, and how often chance does as well.

    The p-values are those of a unit's best match anywhere in the other layer, so that searching it is paid for.
    """

    a: int
    b: int
    overlap: int
    rank: float
    p_overlap: float
    p_rank: float


@dataclass(frozen=True)
class Correspondence:
    """All pairs of units of two layers: shared examples of `k`, rank correlations, and what chance gives.

    `chance_overlap` and `chance_rank` (draws, c) are each unit's best scores when the other layer's photos are
    shuffled; `chance_pairs` (draws,) counts pairs that then share two examples or more.
    """

    layers: tuple[str, str]
    k: int
    photos: int
    overlap: Int[Tensor, "c d"]
    rank: Float[Tensor, "c d"]
    chance_overlap: Int[Tensor, "draws c"]
    chance_rank: Float[Tensor, "draws c"]
    chance_pairs: Int[Tensor, " draws"]

    def match(self, a: int, b: int) -> Match:
        """What is known of one pair."""
        overlap, rank = int(self.overlap[a, b]), float(self.rank[a, b])
        return Match(a, b, overlap, rank, _p(self.chance_overlap[:, a], overlap), _p(self.chance_rank[:, a], rank))

    def one_to_one(self) -> list[Match]:
        """Each unit with one of its own, so that the rank correlations add up to the most (the Hungarian method)."""
        rows, columns = linear_sum_assignment(-self.rank.numpy())
        return [self.match(int(a), int(b)) for a, b in zip(rows, columns, strict=True)]

    def one_to_many(self, unit: int, level: float = 0.05, least: float = 0.5) -> list[Match]:
        """The units of the other layer that `unit` corresponds to, best first: none, one, or several.

        A match must be rarer than `level` under chance, and its rank correlation at least `least`: with many photos
        weak relations are significant too.
        """
        matches = [self.match(unit, b) for b in range(self.rank.shape[1]) if self.rank[unit, b] >= least]
        return sorted((m for m in matches if m.p_rank <= level), key=lambda m: (-round(m.rank, 5), -m.overlap, m.b))

    def best(self, unit: int) -> Match:
        """The unit of the other layer that shares most examples; of equal ones the best correlated."""
        shared = self.overlap[unit] + (self.rank[unit] + 1) / 4  # the correlation decides between equals only
        return self.match(unit, int(shared.argmax()))

    def pairs(self, least: int = 2) -> int:
        """How many pairs share at least so many examples; the paper counts those with more than one."""
        return int((self.overlap >= least).sum())


def _p(chance: Tensor, score: float) -> float:
    return (1 + int((chance >= score - 1e-9).sum())) / (len(chance) + 1)


def corresponding(
    a: Answers,
    b: Float[Tensor, "m d"],
    layers: tuple[str, str] = ("a", "b"),
    k: int = 9,
    draws: int = 199,
    seed: int = 0,
) -> Correspondence:
    """Compare all units of two layers by their answers to the same photos.

    Chance is what `draws` shuffles of the second layer's photos give: what its units are and how they go together
    stays, what they have to do with the first layer's is lost.
    """
    if len(a) != len(b):
        raise BadInputError(f"both layers must have seen the same photos; came {len(a)} and {len(b)}")
    top, other = exciting(a, k).float(), exciting(b, k).float()
    ranks_a, ranks_b = ranks(a), ranks(b)
    random = generator(seed, "shuffled photos")
    best, rank, pairs = [], [], []
    for _ in range(draws):
        order = torch.randperm(len(b), generator=random)
        shared = (top.T @ other[order]).round().long()
        best.append(shared.amax(1))
        pairs.append((shared >= 2).sum())
        rank.append((ranks_a.T @ ranks_b[order]).amax(1))
    overlap, correlation = (top.T @ other).round().long(), ranks_a.T @ ranks_b
    chance = (torch.stack(best), torch.stack(rank), torch.stack(pairs))
    return Correspondence(layers, k, len(a), overlap, correlation, *chance)


def correspond(
    model: Model, photos: Photos, a: str, b: str, k: int = 9, draws: int = 199, seed: int = 0, batch: int = 32
) -> Correspondence:
    """Which units of layer `b` find what the units of layer `a` find? One pass over the photos [chu2017].

    Raises UnknownNameError for a layer that does not exist, BadInputError for k of all photos or more.
    """
    found = peaks(model, photos, [a, b], batch)
    return corresponding(found[a], found[b], (a, b), k, draws, seed)


def same_index(channels: int) -> Int[Tensor, "2 c"]:
    """The pairs (k, k)."""
    return torch.arange(channels).expand(2, channels)


def pairing(pairs: Sequence[tuple[int, int]]) -> Int[Tensor, "2 m"]:
    """Pairs of channels as a tensor."""
    return torch.from_numpy(np.array(pairs, dtype=np.int64).reshape(-1, 2).T.copy())
