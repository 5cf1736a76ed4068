"""A small sample of spots, the same for all layers: where slightly excited examples come from.

How far "slightly" is, is known only when everything has been seen; so a scan keeps what every unit answers at SIZE
spots drawn without looking at any answer. Each item offers SPOTS places, each with a number that is a hash of its
name; the SIZE spots with the least numbers stay. The outcome is a random sample of all spots that depends on neither
order nor grouping, merges exactly, and costs a scan next to nothing.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from retinoscope.base.boxes import Item

SIZE = 512
"""Spots kept: values of a bell then lie about 1/200 of a standard deviation apart where the slight ones are."""

SPOTS = 4
"""Places that each item offers, so that a hundred photos suffice."""


@dataclass(frozen=True)
class Sample:
    """The spots by ascending key: item places (m,), where in the item (y, x) as shares of its sides, and the answers.

    `values` are each layer's activations (m, c) at the map position that holds the spot.
    """

    keys: Int[Tensor, " m"]
    places: Int[Tensor, " m"]
    spots: Float[Tensor, "m 2"]
    values: Mapping[str, Float[Tensor, "m c"]]

    @classmethod
    def empty(cls, channels: Mapping[str, int]) -> "Sample":
        """No spots yet, of layers with so many channels."""
        numbers = torch.empty(0, dtype=torch.int64)
        spots = torch.empty(0, 2, dtype=torch.float64)
        return cls(numbers, numbers, spots, {name: torch.empty(0, count) for name, count in channels.items()})


def draw(item: Item) -> list[tuple[int, float, float]]:
    """The spots that an item offers: key, y and x in [0, 1); the same on every machine."""
    digests = (hashlib.sha256(f"{item.id} {spot}".encode()).digest() for spot in range(SPOTS))
    return [(_number(bytes[:8]) >> 1, _number(bytes[8:12]) / 2**32, _number(bytes[12:16]) / 2**32) for bytes in digests]


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def enter(sample: Sample, items: Mapping[int, Item], maps: Mapping[str, Tensor]) -> Sample:
    """Let a batch of items in, by place; `maps` are their activations (b, c, y, x) in the same order."""
    most = int(sample.keys[-1]) if len(sample.keys) == SIZE else 2**63
    rows = [
        (key, place, row, y, x)
        for row, (place, item) in enumerate(items.items())
        for key, y, x in draw(item)
        if key < most
    ]
    if not rows:
        return sample
    keys, places, batch = torch.tensor([row[:3] for row in rows]).T
    spots = torch.tensor([row[3:] for row in rows], dtype=torch.float64)
    values = {name: _at(found, batch, spots) for name, found in maps.items()}
    return merge(sample, Sample(keys, places, spots, values))


def _at(maps: Tensor, rows: Tensor, spots: Tensor) -> Tensor:
    y, x = positions(spots, (maps.shape[2], maps.shape[3])).T
    return maps[rows, :, y, x].float()


def positions(spots: Float[Tensor, "m 2"], size: tuple[int, int]) -> Int[Tensor, "m 2"]:
    """The positions (y, x) of a map of that size that hold the spots."""
    return (spots * torch.tensor(size)).long()


def merge(a: Sample, b: Sample) -> Sample:
    """The spots with the least keys of both; the same whatever the order and grouping of merges."""
    keys, order = torch.cat([a.keys, b.keys]).sort()
    kept = order[:SIZE]
    places, spots = torch.cat([a.places, b.places])[kept], torch.cat([a.spots, b.spots])[kept]
    values = {name: torch.cat([found, b.values[name]])[kept] for name, found in a.values.items()}
    return Sample(keys[:SIZE], places, spots, values)


def nearest(values: Float[Tensor, " m"], target: float) -> list[int]:
    """Places in the sample whose value has the target's sign, nearest first; of equal ones the least key."""
    sided = (values * target > 0).nonzero().flatten()
    far = (values[sided].double() - target).abs()
    return [int(place) for place in sided[far.sort(stable=True).indices]]


def first_of_each(photos: Sequence[str]) -> list[int]:
    """Where each different photo comes first."""
    return sorted({photo: place for place, photo in reversed(list(enumerate(photos)))}.values())
