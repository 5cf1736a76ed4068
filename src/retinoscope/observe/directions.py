"""Is a single channel a clearer place to look than any other direction? Measured by what each direction finds.

The article finds random directions readable often, but less often than channels, and gives no number [olah2017];
Network Dissection counts concepts and finds fewer after a rotation [bau2017]. The number here is purity: of the k
photos that a direction answers to most, the share of the commonest kind.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from retinoscope.base.boxes import Item
from retinoscope.base.errors import BadInputError
from retinoscope.network.bases import random_directions, rotation
from retinoscope.network.model import Layer, Model
from retinoscope.network.prepare import prepare
from retinoscope.network.record import record
from retinoscope.observe.looks import kinds, patches, sums
from retinoscope.observe.purity import bootstrap, bootstrap_difference, purity
from retinoscope.observe.scan import Photos
from retinoscope.tensor.axes import Maps
from retinoscope.tensor.random import Draws

BASES = ("basis", "random", "rotated", "chance")
"""Single channels; unit vectors at random; channels of the layer rotated at random; photos and places at random."""

GROUPS = 32
"""Kinds of texture: our choice; Network Dissection has 47."""


@dataclass(frozen=True)
class Purity:
    """Of each direction of one kind at one layer, the purity of its top photos by texture and by label (or None)."""

    layer: str
    basis: str
    texture: Float[Tensor, " u"]
    label: Float[Tensor, " u"] | None


@dataclass(frozen=True, repr=False)
class Directions:
    """What was measured: a Purity per layer and basis. Prints as a table, with 95% bootstrap intervals over directions.

    "Basis less this" is the difference of the means and its interval: the basis is purer where it lies above 0.
    `count` photos were seen, of which each direction's top `k` count.
    """

    network: str
    count: int
    k: int
    seed: int
    rows: tuple[Purity, ...]

    def of(self, layer: str, basis: str) -> Purity:
        """The row of one layer and basis; raises BadInputError when there is none."""
        for row in self.rows:
            if (row.layer, row.basis) == (layer, basis):
                return row
        raise BadInputError(f"nothing was measured of '{basis}' at '{layer}'")

    def __repr__(self) -> str:
        rows = self.table()
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([f"Purity of the top {self.k} of {self.count} photos, {self.network}", *lines])

    def table(self) -> list[tuple[str, ...]]:
        """The cells of the printed table, its head first."""
        told = [what for what in ("texture", "label") if all(getattr(row, what) is not None for row in self.rows)]
        head = [cell for what in told for cell in (what, "basis less this")]
        rows = [(row.layer, row.basis, str(len(row.texture)), *self._cells(row, told)) for row in self.rows]
        return [("layer", "directions", "count", *head), *rows]

    def _cells(self, row: Purity, told: Sequence[str]) -> list[str]:
        cells, basis = [], self.of(row.layer, "basis")
        for what in told:
            values, best = getattr(row, what), getattr(basis, what)
            less = "" if row is basis else _told("{:+.3f}", bootstrap_difference(best, values))
            cells += [_told("{:.3f}", bootstrap(values)), less]
        return cells


def _told(form: str, interval: tuple[float, float, float]) -> str:
    mean, low, high = (form.format(value) for value in interval)
    return f"{mean} ({low} to {high})"


def folder(item: Item) -> Hashable | None:
    """A photo's own label, its class folder."""
    return item.label


def compare_directions(
    model: Model,
    photos: Photos,
    layers: Sequence[str],
    *,
    label: Callable[[Item], Hashable | None] = folder,
    count: int = 200,
    k: int = 9,
    groups: int = GROUPS,
    batch: int = 16,
    seed: int = 0,
) -> Directions:
    """Purity of the top photos of channels, random directions and randomly rotated channels [olah2017, bau2017].

    A direction answers to a photo with its largest inner product on the map; equal answers are ranked at random.
    `texture` is the kind of the patch there, of `groups` k-means kinds of mean colour and oriented contrast (no
    network); `label` is what `label` says of the item, by default its class folder, and is left out where an item has
    none. Against all channels stand `count` directions at random, as many channels of the layer after rotations at
    random, and as many draws of k photos and places by chance, which say what purity is worth. One forward pass serves
    all layers; 48 bytes are kept per photo and direction.

    Raises UnknownNameError for a wrong layer, BadInputError when there are fewer photos than `k` or `groups`.
    """
    if not layers or min(count, k, groups, batch) < 1:
        raise BadInputError(f"this takes layers and positive numbers; came {list(layers)}, {count}, {k}, {groups}")
    vectors = {name: _vectors(model, name, count, seed) for name in layers}
    items, found = _answers(model, photos, vectors, count, batch, seed)
    if len(items) < max(k, 2) or len(items) * count < groups:
        raise BadInputError(f"{len(items)} photos are too few for the top {k} and {groups} kinds of texture")
    labels = _numbers([label(item) for item in items])
    rows = [row for name in layers for row in _rows(name, vectors[name], found[name], labels, k, groups, seed)]
    return Directions(model.name, len(items), k, seed, tuple(rows))


def _vectors(model: Model, layer: str, count: int, seed: int) -> dict[str, Float[Tensor, "u c"]]:
    channels = model.layers[layer].channels
    turned = torch.cat([rotation(channels, seed + turn) for turn in range(-(-count // channels))])
    at_random = random_directions(model, layer, count, seed)
    return {"basis": torch.eye(channels), "random": at_random, "rotated": turned[:count]}


@dataclass(frozen=True)
class _Found:
    """Of each direction and photo the largest answer and the look of its place; the last columns are by chance."""

    answers: Float[Tensor, "n u"]
    looks: Float[Tensor, "n u d"]


@torch.inference_mode()
def _answers(
    model: Model, photos: Photos, vectors: Mapping[str, dict[str, Tensor]], count: int, batch: int, seed: int
) -> tuple[list[Item], dict[str, _Found]]:
    fast = prepare(model, list(vectors))
    seen: list[Item] = []
    parts: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in vectors}
    with record(fast, list(vectors)) as trace:
        for items, images in photos.batches(model.input_size, batch):
            fast(images)
            seen += items
            totals = sums(images)
            for name, sets in vectors.items():
                draws = Draws(seed, [f"{name} {item.id}" for item in items])
                maps, every = trace[name].float().cpu(), torch.cat(list(sets.values()))
                parts[name].append(_best(model.layers[name], maps, every, totals, draws, count))
            trace.clear()
    return seen, {name: _Found(*map(torch.cat, zip(*found, strict=True))) for name, found in parts.items() if found}


def _best(
    layer: Layer, maps: Maps, vectors: Tensor, totals: Tensor, draws: Draws, count: int
) -> tuple[Float[Tensor, "b u"], Float[Tensor, "b u d"]]:
    """Each direction's largest answer on the map and the look of what lies there, of equal ones any; chance's last."""
    height, width = maps.shape[2:]
    values = torch.einsum("bcyx,uc->buyx", maps, vectors).flatten(2)
    best = values.amax(2)
    places = torch.where(values == best[..., None], draws.uniform(1, height * width), -1).argmax(2)
    answers, down, across = draws.uniform(3, count).unbind(1)
    y = torch.cat([places // width, (down * height).long()], 1)
    x = torch.cat([places % width, (across * width).long()], 1)
    return torch.cat([best, answers], 1), patches(totals, layer, y, x)


def _rows(
    name: str,
    vectors: dict[str, Tensor],
    found: _Found,
    labels: Int[Tensor, " n"] | None,
    k: int,
    groups: int,
    seed: int,
) -> list[Purity]:
    sizes = [len(some) for some in vectors.values()]
    by_chance = found.looks[:, sum(sizes) :].flatten(0, 1)
    textures = kinds(found.looks.flatten(0, 1), by_chance, groups, seed).view(found.answers.shape)
    texture = purity(found.answers, textures, k, seed)
    label = None if labels is None else purity(found.answers, labels, k, seed)
    parts = [*sizes, len(texture) - sum(sizes)]
    labelled = [None] * len(parts) if label is None else torch.split(label, parts)
    return [Purity(name, *row) for row in zip(BASES, torch.split(texture, parts), labelled, strict=True)]


def _numbers(labels: Sequence[Hashable | None]) -> Int[Tensor, " n"] | None:
    """Labels as numbers, or None where some photo has none."""
    if None in labels:
        return None
    order = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    return torch.tensor([order[label] for label in labels])
