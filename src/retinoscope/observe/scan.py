"""Scan: which items of an image set excite each unit most, least and slightly, and how its activations are distributed.

One forward pass over the photos serves all layers asked for. Scans of parts of an image set merge into the scan of
the whole, in any order.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from retinoscope.base.boxes import Box, Item
from retinoscope.base.classes import Census, Classes, classes
from retinoscope.base.errors import BadInputError, BadUnitError, unknown
from retinoscope.base.units import Unit, check_channel, parse_unit
from retinoscope.network.model import Layer, Model
from retinoscope.network.prepare import prepare
from retinoscope.network.record import record
from retinoscope.observe import histogram, sample, seen, tally, topk
from retinoscope.observe.answers import Answers, Best
from retinoscope.observe.counting import Found, Hear, enter
from retinoscope.observe.sample import Sample
from retinoscope.observe.seen import Seen
from retinoscope.observe.tally import Tally
from retinoscope.tensor.axes import Images

SLIGHT = 0.25
"""How far from zero a slight answer lies, in standard deviations: our choice, since the article names no number."""


@runtime_checkable
class Photos(Protocol):
    """What a scan needs of an image set; `start` is the place of its first item in the whole set (0 if it is whole)."""

    @property
    def items(self) -> Sequence[Item]: ...
    @property
    def start(self) -> int: ...
    def batches(self, size: tuple[int, int], batch: int) -> Iterator[tuple[list[Item], Images]]: ...


@dataclass(frozen=True)
class Example:
    """An item that excites a unit: its strongest activation, where on the map, and what part of the photo it sees.

    `box` is the unit's receptive field inside the item, in the photo's own pixels.
    """

    item: Item
    score: float
    y: int
    x: int
    box: Box


@dataclass(frozen=True)
class Scan:
    """What was found: per layer a Tally, a sample of spots, and the items these name, by their place in the image set.

    `k` items are kept per unit and side; `size` (h, w) is what the network was shown; `count` items were seen, of the
    photos `seen` (None in scans saved before these were kept).
    """

    k: int
    size: tuple[int, int]
    layers: Mapping[str, Layer]
    tallies: Mapping[str, Tally]
    items: Mapping[int, Item]
    count: int
    sample: Sample
    seen: Seen | None = None

    def top(self, unit: Unit | str, n: int | None = None) -> list[Example]:
        """The photos with the largest activation, best first; at most `n` of the k kept, each with its best item."""
        return self._examples(unit, "top", n)

    def bottom(self, unit: Unit | str, n: int | None = None) -> list[Example]:
        """The items whose largest negative activation lies deepest, lowest first."""
        return self._examples(unit, "bottom", n)

    def slightly_positive(self, unit: Unit | str, n: int = 3) -> list[Example]:
        """Photos with a spot where the unit answers about a quarter of its standard deviation, nearest first.

        Of the spots of the sample with a positive answer those nearest to SLIGHT deviations, at most `n` photos, each
        with its nearest spot; none where no spot's answer is positive [olah2017].
        """
        return self._slight(unit, SLIGHT, n)

    def slightly_negative(self, unit: Unit | str, n: int = 3) -> list[Example]:
        """Photos with a spot where the unit answers about minus a quarter of its deviation, nearest first.

        There are none after a ReLU: look at the layer before it, which `pre_activation` names.
        """
        return self._slight(unit, -SLIGHT, n)

    def _slight(self, unit: Unit | str, share: float, n: int) -> list[Example]:
        layer, channel = self._find(unit)
        values = self.sample.values[layer.name][:, channel]
        near = sample.nearest(values, share * self.deviation(unit))
        places, spots = self.sample.places.tolist(), sample.positions(self.sample.spots, layer.size).tolist()
        chosen = sample.first_of_each([self.items[places[spot]].photo for spot in near])[:n]
        return [self._example(layer, float(values[near[i]]), places[near[i]], *spots[near[i]]) for i in chosen]

    def _examples(self, unit: Unit | str, side: Literal["top", "bottom"], n: int | None) -> list[Example]:
        layer, channel = self._find(unit)
        found, sign = self.tallies[layer.name], 1 if side == "top" else -1
        rows = topk.entries(found.top if side == "top" else found.bottom, channel)
        return [self._example(layer, sign * score, place, *divmod(spot, found.width)) for score, place, spot in rows][
            :n
        ]

    def _example(self, layer: Layer, score: float, place: int, y: int, x: int) -> Example:
        item = self.items[place]
        box = layer.field.box(y, x) if not layer.field.whole else Box(0, 0, *self.size)
        return Example(item, score, y, x, box.clip(*self.size).within(item.box, *self.size))

    def classes(self, unit: Unit | str) -> Classes:
        """Of which classes the unit's top examples are, and how much more often than chance would have it.

        A photo's class is its label. Raises BadInputError for a scan that was saved before classes were counted.
        """
        return classes([(example.item.label, example.score) for example in self.top(unit)], self.census)

    @property
    def census(self) -> Census:
        """How many photos the scan has seen, and how many of each label; raises BadInputError like `classes`."""
        if self.seen is None:
            raise BadInputError("this scan was saved before photos were counted by class; scan again")
        return self.seen.census()

    def histogram(self, unit: Unit | str, bins: int = 64) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Edges (m + 1,) and counts (m,) of all activations, m at most `bins`; all positions of all items."""
        counts, exponent, _, _ = self._counts(unit)
        return histogram.plotted(counts, exponent, bins)

    def quantile(self, unit: Unit | str, q: float) -> float:
        """The activation that a fraction `q` of all activations does not exceed.

        Right to within 1/256 of the unit's largest magnitude (twice that next to zero); 0 and 1 give the extremes.
        """
        if not 0 <= q <= 1:
            raise BadInputError(f"a quantile lies in [0, 1]; came {q}")
        counts, exponent, low, high = self._counts(unit)
        return low if q == 0 else histogram.quantile(counts, exponent, q, low, high)

    def extremes(self, unit: Unit | str) -> tuple[float, float]:
        """Smallest and largest activation."""
        return self._counts(unit)[2:]

    def mean(self, unit: Unit | str) -> float:
        """Mean activation over all positions of all items."""
        layer, channel = self._find(unit)
        counts = self._counts(unit)[0]
        return float(self.tallies[layer.name].total[channel] / counts.sum())

    def deviation(self, unit: Unit | str) -> float:
        """Standard deviation of all activations, to within the width of the histogram's bins."""
        counts, exponent, _, _ = self._counts(unit)
        return histogram.deviation(counts, exponent)

    def _counts(self, unit: Unit | str) -> tuple[NDArray[np.int64], int, float, float]:
        layer, channel = self._find(unit)
        if not self.count:
            raise BadInputError("the scan has seen no items")
        found = self.tallies[layer.name]
        counts, exponent = found.counts.counts[channel], found.counts.exponents[channel]
        return counts.numpy(), int(exponent), float(found.low[channel]), float(found.high[channel])

    def _find(self, unit: Unit | str) -> tuple[Layer, int]:
        unit = parse_unit(unit) if isinstance(unit, str) else unit
        if unit.layer not in self.tallies:
            raise unknown("scanned layer", unit.layer, self.tallies)
        layer = self.layers[unit.layer]
        check_channel(unit, layer.channels)
        if unit.position is not None:
            raise BadUnitError(f"a scan keeps whole channels; ask for '{unit.layer}:{unit.channel}' without a position")
        return layer, unit.channel

    def merge(self, other: "Scan") -> "Scan":
        """The scan of both parts of an image set; associative, and the same in any order."""
        if (self.k, self.size, set(self.tallies)) != (other.k, other.size, set(other.tallies)):
            raise BadInputError("scans merge only with equal k, input size and layers")
        if both := sorted(self.items.keys() & other.items.keys()):
            raise BadInputError(f"both scans have seen '{self.items[both[0]].id}'; merge scans of separate items")
        tallies = {name: tally.merge(found, other.tallies[name], self.k) for name, found in self.tallies.items()}
        items, spots = {**self.items, **other.items}, sample.merge(self.sample, other.sample)
        photos = seen.merge(self.seen, other.seen) if self.seen and other.seen else None
        count = self.count + other.count
        return _kept(replace(self, tallies=tallies, items=items, count=count, sample=spots, seen=photos))

    def save(self, file: str | Path) -> None:
        """Write the scan as one .npz file, whole or not at all."""
        from retinoscope.observe.scanfile import save

        save(self, Path(file))

    @classmethod
    def load(cls, file: str | Path) -> "Scan":
        """Read a saved scan; raises StoreError when the file is none."""
        from retinoscope.observe.scanfile import load

        return load(Path(file))


def scan(model: Model, photos: Photos, layers: Sequence[str], k: int = 9, batch: int = 32) -> Scan:
    """Show a network every item of an image set once, and keep what each unit of `layers` answered.

    The k examples of a unit come from k different photos: of a photo's tiles the strongest counts.

    Raises UnknownNameError for a layer that does not exist, BadInputError for activations that are NaN or infinite.
    """
    return _scan(model, photos, layers, k, batch, lambda items, best: None)


def scan_with_answers(
    model: Model, photos: Photos, layers: Sequence[str], k: int = 9, batch: int = 32
) -> tuple[Scan, Answers]:
    """A scan, and from the same pass each item's largest activation in every channel, which comparing units needs."""
    photos_of: list[str] = []
    heard = {name: [torch.zeros(0, model.layers[name].channels)] for name in layers}

    def hear(items: dict[int, Item], best: Best) -> None:
        photos_of.extend(item.photo for item in items.values())
        for name in layers:
            heard[name].append(best[name].clone())  # which may be a part of a whole map

    found = _scan(model, photos, layers, k, batch, hear)
    return found, Answers(tuple(photos_of), {name: torch.cat(parts) for name, parts in heard.items()})


def _scan(model: Model, photos: Photos, layers: Sequence[str], k: int, batch: int, hear: Hear) -> Scan:
    if k < 1 or batch < 1 or not layers:
        raise BadInputError(f"a scan needs layers, and k and batch of at least 1; came {list(layers)}, {k}, {batch}")
    chosen = {name: model.layers[name] for name in layers}
    fast = prepare(model, list(chosen))
    places = {item.id: place for place, item in enumerate(photos.items, photos.start)}
    found = Found.empty(chosen, min(k, len({item.photo for item in photos.items})))
    shown: dict[int, Item] = {}
    # Counting is serial work: a thread of its own does it beside the next pass.
    with torch.inference_mode(), record(fast, list(chosen)) as trace, ThreadPoolExecutor(1) as counting:
        waiting = counting.submit(lambda: found)
        for items, images in photos.batches(model.input_size, batch):
            fast(images)
            here = {places[item.id]: item for item in items}
            shown.update(here)
            keys = torch.tensor([list(here), [_key(item.photo) for item in items]])
            maps = {name: trace[name].cpu() for name in chosen}
            trace.clear()
            waiting = counting.submit(enter, waiting.result(), maps, keys, here, hear)
        found = waiting.result()
    done = tally.ranked(list(found.tallies.values()), found.ranking)
    tallies = dict(zip(chosen, done, strict=True))
    labels = {item.photo: item.label for item in shown.values()}
    photographs = Seen.of({_key(photo): label for photo, label in labels.items()})
    return _kept(Scan(k, model.input_size, chosen, tallies, shown, len(shown), found.sample, photographs))


def _key(photo: str) -> int:
    """A photo's number, the same in every part of an image set and on every machine."""
    return int.from_bytes(hashlib.sha256(photo.encode()).digest()[:8], "big") >> 1


def _kept(found: Scan) -> Scan:
    """Without the items that neither a ranking nor the sample names."""
    ranked = [ranking.places.flatten() for t in found.tallies.values() for ranking in (t.top, t.bottom)]
    named = set(torch.cat([*ranked, found.sample.places]).tolist()) - {-1}
    return replace(found, items={place: found.items[place] for place in sorted(named)})
