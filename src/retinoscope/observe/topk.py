"""The k strongest photos of every channel, exact and mergeable; each counts once, with its strongest item and position.

Of the tiles of one photo only the strongest is kept, so that overlapping tiles do not fill a ranking with one spot.
Order is by score, then by the item's place in the image set: of equal scores the earlier item is kept, and of equal
positions the first in row-major order (as the max tracker of the deep visualization toolbox, Yosinski 2015).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

_GATHERED = 4_000_000
"""Activations looked through at a time when positions are found: 16 MB."""


Spot = Callable[[Tensor, Tensor], Tensor]
"""(rows of the batch, channels) to flat map positions."""


@dataclass(frozen=True)
class Ranking:
    """Per channel the best k items, best first: scores, item places, flat map positions and photos' keys, all (c, k).

    Free slots have score -inf, and -1 for the rest.
    """

    scores: Float[Tensor, "c k"]
    places: Int[Tensor, "c k"]
    spots: Int[Tensor, "c k"]
    photos: Int[Tensor, "c k"]

    @classmethod
    def empty(cls, channels: int, k: int) -> "Ranking":
        """No items yet."""
        free = torch.full((channels, k), -1, dtype=torch.int64)
        return cls(torch.full((channels, k), -torch.inf), free, free.clone(), free.clone())


def enter(ranking: Ranking, best: Float[Tensor, "b c"], items: Int[Tensor, "2 b"], spot: Spot) -> Ranking:
    """Let a batch of items in, whose places are all later than those in the ranking.

    `items` are their places and their photos' keys; `best` is each one's score in each channel; `spot` tells where on
    the map a score lies, and is asked only for items that get in.
    """
    changed = (best.amax(0) > ranking.scores[:, -1]).nonzero().flatten()
    if not len(changed):
        return ranking
    k, batch = ranking.scores.shape[1], items.shape[1]
    places, photos = (
        torch.cat([old[changed], new.expand(len(changed), -1)], 1)
        for old, new in zip((ranking.places, ranking.photos), items, strict=True)
    )
    alike = len(set(items[1].tolist())) < batch or bool(torch.isin(items[1], ranking.photos).any())
    scores, order = _best(torch.cat([ranking.scores[changed], best[:, changed].T], 1), photos, k, alike)
    new = (order >= k) & (scores > -torch.inf)
    spots = ranking.spots[changed].gather(1, order.clamp(max=k - 1))
    rows = (order - k).clamp(0, batch - 1)
    spots[new] = spot(rows[new], changed[:, None].expand_as(new)[new])
    found = _filled(scores, places.gather(1, order), spots, photos.gather(1, order))
    return Ranking(
        *(old.index_copy(0, changed, part) for old, part in zip(_parts(ranking), _parts(found), strict=True))
    )


def _best(
    scores: Float[Tensor, "c n"], photos: Int[Tensor, "c n"], k: int, alike: bool = True
) -> tuple[Tensor, Tensor]:
    """The best k of each row with different photos: their scores, -inf where there are fewer, and their columns.

    Of equal scores the earlier column comes first. `alike` False promises that no row has a photo twice.
    """
    scores, order = scores.sort(dim=1, descending=True, stable=True)
    if alike:
        photos = photos.gather(1, order)
        again = (photos[:, :, None] == photos[:, None, :]).tril(-1).any(2)
        scores, keep = scores.masked_fill(again, -torch.inf).sort(dim=1, descending=True, stable=True)
        order = order.gather(1, keep)
    return scores[:, :k], order[:, :k]


def _parts(ranking: Ranking) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return ranking.scores, ranking.places, ranking.spots, ranking.photos


def _filled(scores: Tensor, *parts: Tensor) -> Ranking:
    """A ranking whose slots without a score are free."""
    return Ranking(scores, *(part.masked_fill(scores == -torch.inf, -1) for part in parts))


def strongest(maps: Float[Tensor, "b p c"], items: Tensor, channels: Tensor, sign: int) -> Tensor:
    """First position of the largest sign * value for pairs (item, channel)."""
    spots = torch.empty_like(items)
    step = max(1, _GATHERED // maps.shape[1])
    for start in range(0, len(items), step):
        part = slice(start, start + step)
        spots[part] = (maps[items[part], :, channels[part]] * sign).argmax(1)
    return spots


def split(ranking: Ranking, sizes: Sequence[int]) -> list[Ranking]:
    """A ranking of many channels as rankings of groups of them."""
    groups = (torch.split(part, list(sizes)) for part in _parts(ranking))
    return [Ranking(*parts) for parts in zip(*groups, strict=True)]


def merge(a: Ranking, b: Ranking, k: int) -> Ranking:
    """The best k of both, which may be shorter; the same whatever the order and grouping of merges."""
    scores, places, spots, photos = (torch.cat(pair, 1) for pair in zip(_parts(a), _parts(b), strict=True))
    by_place = places.argsort(dim=1, stable=True)
    scores, places, spots, photos = (part.gather(1, by_place) for part in (scores, places, spots, photos))
    scores, order = _best(scores, photos, k)
    return _filled(scores, *(part.gather(1, order) for part in (places, spots, photos)))


def entries(ranking: Ranking, channel: int) -> Iterator[tuple[float, int, int]]:
    """(score, place, flat position) of a channel's items, best first."""
    row = (ranking.scores[channel], ranking.places[channel], ranking.spots[channel])
    for score, place, spot in zip(*(values.tolist() for values in row), strict=True):
        if place >= 0:
            yield score, place, spot
