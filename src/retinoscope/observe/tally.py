"""What a scan keeps of one layer: best and worst items, histogram, extremes and mean of every channel."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from retinoscope.base.errors import BadInputError
from retinoscope.observe import histogram, topk
from retinoscope.observe.histogram import Histogram
from retinoscope.observe.topk import Ranking
from retinoscope.tensor.axes import Maps


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


def update(tally: Tally, maps: Maps, items: Int[Tensor, "2 b"]) -> Tally:
    """Add a batch of items, later in the image set than all before: their places and photos' keys, and their maps.

    Raises BadInputError on NaN or infinity.
    """
    width = maps.shape[3]
    flat = rearrange(maps.float(), "b c y x -> b (y x) c")  # no copy when memory is channels-last
    high, low = _extreme(flat, torch.maximum), _extreme(flat, torch.minimum)
    if not bool(torch.isfinite(high).all() and torch.isfinite(low).all()):
        raise BadInputError("activations are NaN or infinite; check the weights, the value range and the precision")
    largest = torch.maximum(high.amax(0), -low.amin(0))
    rows = flat.reshape(-1, flat.shape[2])
    counted = histogram.count(rows, largest, tally.counts.exponents)
    return Tally(
        topk.enter(tally.top, high, items, flat, 1),
        topk.enter(tally.bottom, -low, items, flat, -1),
        histogram.merge(tally.counts, counted),
        torch.minimum(tally.low, low.amin(0)),
        torch.maximum(tally.high, high.amax(0)),
        tally.total + rows.sum(0).double(),
        width,
    )


def _extreme(flat: Float[Tensor, "b p c"], pick: Callable[[Tensor, Tensor], Tensor]) -> Float[Tensor, "b c"]:
    """Largest or smallest over positions: halves are compared whole, many times faster than amax with channels last."""
    while (count := flat.shape[1]) > 1:
        half = count // 2
        rest = flat[:, 2 * half :]
        flat = pick(flat[:, :half], flat[:, half : 2 * half])
        if rest.shape[1]:
            flat[:, :1] = pick(flat[:, :1], rest)
    return flat[:, 0]


def merge(a: Tally, b: Tally) -> Tally:
    """Both together; exact in any order, but for the last digits of `total`."""
    return Tally(
        topk.merge(a.top, b.top),
        topk.merge(a.bottom, b.bottom),
        histogram.merge(a.counts, b.counts),
        torch.minimum(a.low, b.low),
        torch.maximum(a.high, b.high),
        a.total + b.total,
        a.width or b.width,
    )
