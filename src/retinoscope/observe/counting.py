"""One batch of a scan let in: tallies, the ranking of all channels and the sample of spots, after its answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.base.boxes import Item
from retinoscope.base.errors import BadInputError
from retinoscope.network.model import Layer
from retinoscope.observe import sample, tally, topk
from retinoscope.observe.answers import Best
from retinoscope.observe.sample import Sample
from retinoscope.observe.tally import Tally

Hear = Callable[[dict[int, Item], Best], None]
"""Is told each batch's items by place, and their largest activations."""


@dataclass(frozen=True)
class Found:
    """What a scan has found so far: a tally per layer, one ranking of all layers' channels, and the sample of spots."""

    tallies: Mapping[str, Tally]
    ranking: topk.Ranking
    sample: Sample

    @classmethod
    def empty(cls, layers: Mapping[str, Layer], k: int) -> "Found":
        tallies = {name: Tally.empty(layer.channels, k) for name, layer in layers.items()}
        channels = {name: layer.channels for name, layer in layers.items()}
        return cls(tallies, topk.Ranking.empty(2 * sum(channels.values()), k), Sample.empty(channels))


@torch.inference_mode()
def enter(found: Found, maps: dict[str, Tensor], keys: Tensor, items: dict[int, Item], hear: Hear) -> Found:
    """Let a batch in, and tell `hear` its largest answers."""
    flats = {name: tally.flatten(batch) for name, batch in maps.items()}
    updates = {name: _update(name, found.tallies[name], flats[name], maps[name].shape[3]) for name in maps}
    extremes = [(high, low) for _, high, low in updates.values()]
    ranking = tally.rank(found.ranking, list(flats.values()), extremes, keys)
    spots = sample.enter(found.sample, items, maps)
    hear(items, {name: update[1] for name, update in updates.items()})
    return Found({name: update[0] for name, update in updates.items()}, ranking, spots)


def _update(
    name: str, found: Tally, flat: tally.Flat, width: int
) -> tuple[Tally, Float[Tensor, "b c"], Float[Tensor, "b c"]]:
    try:
        return tally.update(found, flat, width)
    except BadInputError as error:
        raise BadInputError(f"{name}: {error}") from error
