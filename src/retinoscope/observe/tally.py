"""What a scan keeps of one layer: best and worst items, histogram, extremes and mean of every channel."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from retinoscope.base.errors import BadInputError
from retinoscope.observe import histogram, topk
from retinoscope.observe.histogram import Histogram
from retinoscope.observe.topk import Ranking
from retinoscope.tensor.axes import Maps

_WIDE = 40
"""Channels from which a reduction over positions fills the processor's vectors."""

Flat = Float[Tensor, "b p c"]
"""Maps with flat positions, channels last."""


@dataclass(frozen=True)
class Tally:
    """Of one layer: `bottom` ranks negated values; `low`, `high` and `total` (c,) are over all positions of all items.

    `width` is the map's, which turns flat positions into (y, x); 0 before the first item.
    """

    top: Ranking
    bottom: Ranking
    counts: Histogram
    low: Float[Tensor, " c"]
    high: Float[Tensor, " c"]
    total: Float[Tensor, " c"]
    width: int = 0

    @classmethod
    def empty(cls, channels: int, k: int) -> "Tally":
        """No items yet."""
        return cls(
            Ranking.empty(channels, k),
            Ranking.empty(channels, k),
            Histogram.empty(channels),
            torch.full((channels,), torch.inf),
            torch.full((channels,), -torch.inf),
            torch.zeros(channels, dtype=torch.float64),
        )


def update(tally: Tally, flat: Flat, width: int) -> tuple[Tally, Float[Tensor, "b c"], Float[Tensor, "b c"]]:
    """Count a batch of items in; gives also each one's largest and smallest value. Rankings stay as they are.

    `width` is the map's. Raises BadInputError on NaN or infinity.
    """
    high, low = _extreme(flat, torch.maximum), _extreme(flat, torch.minimum)
    if not bool(torch.isfinite(high).all() and torch.isfinite(low).all()):
        raise BadInputError("activations are NaN or infinite; check the weights, the value range and the precision")
    lowest, highest = low.amin(0), high.amax(0)
    rows = flat.reshape(-1, flat.shape[2])
    counted = histogram.count(rows, torch.maximum(highest, -lowest), tally.counts.exponents)
    grown = replace(
        tally,
        counts=histogram.merge(tally.counts, counted),
        low=torch.minimum(tally.low, lowest),
        high=torch.maximum(tally.high, highest),
        total=tally.total + rows.sum(0).double(),
        width=width,
    )
    return grown, high, low


def rank(
    ranking: Ranking, flats: Sequence[Tensor], extremes: Sequence[tuple[Tensor, Tensor]], items: Tensor
) -> Ranking:
    """Let a batch into one ranking of all layers: the tops of all their channels, then the bottoms.

    One ranking for all of them, since many small sorts cost several times one large sort. `flats` are the layers' maps
    (b, p, c), `items` (2, b) places and photos' keys, later in the image set than all before.
    """
    best = torch.cat([*(high for high, _ in extremes), *(-low for _, low in extremes)], 1)
    ends = torch.tensor([flat.shape[2] for flat in flats] * 2).cumsum(0)

    def spot(rows: Tensor, columns: Tensor) -> Tensor:
        spots, groups = torch.empty_like(rows), torch.bucketize(columns, ends, right=True)
        for group in sorted(set(groups.tolist())):
            here, flat = groups == group, flats[group % len(flats)]
            channels = columns[here] - (int(ends[group]) - flat.shape[2])
            spots[here] = topk.strongest(flat, rows[here], channels, 1 if group < len(flats) else -1)
        return spots

    return topk.enter(ranking, best, items, spot)


def ranked(tallies: Sequence[Tally], ranking: Ranking) -> list[Tally]:
    """Tallies with their shares of the one ranking of all layers."""
    sizes = [len(tally.low) for tally in tallies] * 2
    shares = topk.split(ranking, sizes)
    pairs = zip(tallies, shares[: len(tallies)], shares[len(tallies) :], strict=True)
    return [replace(tally, top=top, bottom=bottom) for tally, top, bottom in pairs]


def flatten(maps: Maps) -> Flat:
    """Maps (b, c, y, x) with positions in one axis and channels last: no copy when memory is channels-last."""
    return rearrange(maps.float(), "b c y x -> b (y x) c")


def _extreme(flat: Flat, pick: Callable[[Tensor, Tensor], Tensor]) -> Float[Tensor, "b c"]:
    """Largest or smallest over positions.

    With few channels last, comparing halves whole is many times faster than reducing; with many it is slower.
    """
    if flat.shape[2] >= _WIDE:
        return flat.amax(1) if pick is torch.maximum else flat.amin(1)
    while (count := flat.shape[1]) > 1:
        half = count // 2
        rest = flat[:, 2 * half :]
        flat = pick(flat[:, :half], flat[:, half : 2 * half])
        if rest.shape[1]:
            flat[:, :1] = pick(flat[:, :1], rest)
    return flat[:, 0]


def merge(a: Tally, b: Tally, k: int) -> Tally:
    """Both together, the best `k` of each side; exact in any order, but for the last digits of `total`."""
    return Tally(
        topk.merge(a.top, b.top, k),
        topk.merge(a.bottom, b.bottom, k),
        histogram.merge(a.counts, b.counts),
        torch.minimum(a.low, b.low),
        torch.maximum(a.high, b.high),
        a.total + b.total,
        a.width or b.width,
    )
