"""The k strongest items of every channel, exact and mergeable; each item counts once, with its strongest position.

Order is by score, then by the item's place in the image set: of equal scores the earlier item is kept, and of equal
positions the first in row-major order (as the max tracker of the deep visualization toolbox, Yosinski 2015).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

_GATHERED = 4_000_000
"""Activations looked through at a time when positions are found: 16 MB."""


@dataclass(frozen=True)
class Ranking:
    """Per channel the best k items, best first: scores (c, k), item places (c, k), flat map positions (c, k).

    Free slots have score -inf and place -1.
    """

    scores: Float[Tensor, "c k"]
    places: Int[Tensor, "c k"]
    spots: Int[Tensor, "c k"]

    @classmethod
    def empty(cls, channels: int, k: int) -> "Ranking":
        """No items yet."""
        free = torch.full((channels, k), -1, dtype=torch.int64)
        return cls(torch.full((channels, k), -torch.inf), free, free.clone())


def enter(ranking: Ranking, best: Float[Tensor, "b c"], places: Int[Tensor, " b"], maps: Tensor, sign: int) -> Ranking:
    """Let a batch of items in, whose places are all later than those in the ranking.

    `best` is each item's largest value of sign * maps over positions; `maps` (b, positions, c) tells where it lies.
    """
    changed = (best.amax(0) > ranking.scores[:, -1]).nonzero().flatten()
    if not len(changed):
        return ranking
    k, batch = ranking.scores.shape[1], len(places)
    scores = torch.cat([ranking.scores[changed], best[:, changed].T], 1)
    scores, order = scores.sort(dim=1, descending=True, stable=True)  # stable: the earlier item first
    scores, order = scores[:, :k], order[:, :k]
    new = order >= k
    items = (order - k).clamp(0, batch - 1)
    kept = order.clamp(0, k - 1)
    spots = ranking.spots[changed].gather(1, kept)
    spots[new] = _strongest(maps, items[new], changed[:, None].expand_as(new)[new], sign)
    old_places = ranking.places[changed].gather(1, kept)
    return Ranking(
        ranking.scores.index_copy(0, changed, scores),
        ranking.places.index_copy(0, changed, torch.where(new, places[items], old_places)),
        ranking.spots.index_copy(0, changed, spots),
    )


def _strongest(maps: Float[Tensor, "b p c"], items: Tensor, channels: Tensor, sign: int) -> Tensor:
    """First position of the largest sign * value for pairs (item, channel)."""
    spots = torch.empty_like(items)
    step = max(1, _GATHERED // maps.shape[1])
    for start in range(0, len(items), step):
        part = slice(start, start + step)
        spots[part] = (maps[items[part], :, channels[part]] * sign).argmax(1)
    return spots


def merge(a: Ranking, b: Ranking) -> Ranking:
    """The best k of both; the same whatever the order and grouping of merges."""
    scores, places, spots = (
        torch.cat(pair, 1) for pair in ((a.scores, b.scores), (a.places, b.places), (a.spots, b.spots))
    )
    order = places.argsort(dim=1, stable=True)
    by_score = scores.gather(1, order).argsort(dim=1, descending=True, stable=True)
    order = order.gather(1, by_score)[:, : a.scores.shape[1]]
    return Ranking(scores.gather(1, order), places.gather(1, order), spots.gather(1, order))


def entries(ranking: Ranking, channel: int) -> Iterator[tuple[float, int, int]]:
    """(score, place, flat position) of a channel's items, best first."""
    row = (ranking.scores[channel], ranking.places[channel], ranking.spots[channel])
    for score, place, spot in zip(*(values.tolist() for values in row), strict=True):
        if place >= 0:
            yield score, place, spot
