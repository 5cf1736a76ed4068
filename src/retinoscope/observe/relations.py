"""Relations of a network's units for a map of them all: the same channel in the layers of its stage, and the units of
neighbouring layers that share most examples [chu2017].

`refinement` and `correspondence` judge layers as a whole; here every unit gets its own few numbers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from retinoscope.network.streams import Stream
from retinoscope.observe.correspondence import Answers, alive, exciting, ranks
from retinoscope.tensor.random import generator

CHUNK = 256
"""Channels ranked at a time: ranking takes several doubles a number."""


@dataclass(frozen=True)
class Relation:
    """Two units of two layers: how many examples they share, and their rank correlation over all photos.

    `p_on` says how rarely chance gives the earlier unit as much in the later layer, `p_from` the later one in the
    earlier layer; what chance is depends on how they were found.
    """

    channel: int
    other: int
    shared: int
    rank: float
    p_on: float
    p_from: float


@dataclass(frozen=True)
class Pairs:
    """Which of some layers of a network are to be compared: those of one stage by number, others by their examples."""

    same: tuple[tuple[str, str], ...]
    matched: tuple[tuple[str, str], ...]


def neighbours(layers: Sequence[str], found: Sequence[Stream]) -> Pairs:
    """What is next to what among layers in call order.

    Members of a stage are compared with the next member that is there. All other neighbours are matched; where layers
    inside branches are there, so are the neighbours that the trunk has without them.
    """
    same = [pair for stream in found for pair in pairwise(name for name in stream.layers if name in layers)]
    members = {name for stream in found for name in stream.layers}
    inside = {name for stream in found for name in inner_layers(stream)} - members
    trunk = [name for name in layers if name not in inside]
    matched = dict.fromkeys(pair for row in (layers, trunk) for pair in pairwise(row) if pair not in same)
    return Pairs(tuple(same), tuple(matched))


def inner_layers(stream: Stream) -> Iterator[str]:
    """The layers inside the branches of a stream's blocks, and on their shortcuts."""
    for member in stream.members:
        yield from (inner.layer for inner in member.inner)
        yield from (name for name in (member.branch, member.shortcut) if name is not None)


def same_channels(a: Answers, b: Float[Tensor, "n c"], k: int = 9) -> list[Relation]:
    """Each channel and the channel of the same number in a layer that an identity shortcut hands it on to.

    Chance is another channel: p is the share of the other layer's live channels that share as many examples with it,
    itself included. Channels that are dead in either layer are left out.
    """
    shared, (here, there) = _shared(exciting(a, k), exciting(b, k)), (alive(a), alive(b))
    own = shared.diagonal()
    p_on = (shared >= own[:, None])[:, there].double().mean(1)
    p_from = (shared >= own)[here].double().mean(0)
    correlations = (_ranks(a) * _ranks(b)).sum(0)
    live = (here & there).nonzero().flatten()
    return _relations(live, live, *(numbers[live] for numbers in (own, correlations, p_on, p_from)))


def closest(
    a: Answers, b: Float[Tensor, "n d"], k: int = 9, best: int = 3, draws: int = 199, seed: int = 0
) -> list[Relation]:
    """Each unit of either layer with the `best` of the other that share most examples with it; of equal ones those that
    correlate best. Units that share nothing are left out.

    Chance is what `draws` shuffles of the second layer's photos give: p is how often the unit's best match anywhere
    shares as many, so that looking for it among all is paid for.
    """
    top, other = exciting(a, k), exciting(b, k)
    shared, rank = _shared(top, other), _ranks(a).T @ _ranks(b)
    order = torch.where(shared > 0, shared + (rank + 1) / 4, 0)  # the correlation decides between equals only
    channels, others = (_first(order, best) | _first(order.T, best).T).nonzero().T
    numbers = shared[channels, others]
    on, back = chance_of_best(top, other, draws, seed)
    p_on, p_from = (_p(on[:, channels], numbers), _p(back[:, others], numbers))
    return _relations(channels, others, numbers, rank[channels, others], p_on, p_from)


def _first(order: Float[Tensor, "c d"], best: int) -> Bool[Tensor, "c d"]:
    """The largest of each row, none that is 0; of equal ones the first."""
    places = order.sort(dim=1, descending=True, stable=True).indices[:, :best]
    return torch.zeros(order.shape, dtype=torch.bool).scatter_(1, places, True) & (order > 0)


def chance_of_best(
    a: Bool[Tensor, "n c"], b: Bool[Tensor, "n d"], draws: int = 199, seed: int = 0
) -> tuple[Int[Tensor, "draws c"], Int[Tensor, "draws d"]]:
    """Each unit's most shared examples with any of the other layer when the second layer's photos are shuffled.

    The shuffles are those of `corresponding`, and so are the numbers. Here they are counted from lists: few photos are
    anyone's examples, and most products of whole matrices would be of zeros.
    """
    here, photos = (part.numpy() for part in a.T.nonzero(as_tuple=True))
    listed, there = (part.numpy() for part in b.nonzero(as_tuple=True))
    counts = np.bincount(listed, minlength=len(b))
    starts = counts.cumsum() - counts
    random = generator(seed, "shuffled photos")
    on, back = np.zeros((draws, a.shape[1]), np.int64), np.zeros((draws, b.shape[1]), np.int64)
    for draw in range(draws):
        taken = torch.randperm(len(b), generator=random).numpy()[photos]
        many = counts[taken]
        within = np.arange(many.sum()) - np.repeat(many.cumsum() - many, many)
        pairs = np.repeat(here * b.shape[1], many) + there[np.repeat(starts[taken], many) + within]
        shared = np.bincount(pairs, minlength=a.shape[1] * b.shape[1]).reshape(a.shape[1], -1)
        on[draw], back[draw] = shared.max(1), shared.max(0)
    return torch.from_numpy(on), torch.from_numpy(back)


def _p(chance: Int[Tensor, "draws m"], numbers: Int[Tensor, " m"]) -> Float[Tensor, " m"]:
    return (1 + (chance >= numbers).sum(0)).double() / (len(chance) + 1)


def _shared(a: Bool[Tensor, "n c"], b: Bool[Tensor, "n d"]) -> Int[Tensor, "c d"]:
    return (a.float().T @ b.float()).round().long()


def _ranks(answers: Answers) -> Answers:
    return torch.cat([ranks(part) for part in torch.split(answers, CHUNK, 1)], 1)


def _relations(*columns: Tensor) -> list[Relation]:
    return [Relation(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
