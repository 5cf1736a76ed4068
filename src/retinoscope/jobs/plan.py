"""What an atlas needs, as frozen Jobs in an order in which each finds what it needs.

A job's key is the hash of all that its results depend on, so that equal work is never done twice and changed settings
are. How work is cut into jobs depends on the plan alone, never on the machine: pictures optimised together are
optimised together again after a kill, and come out the same to the byte.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from functools import partial

from retinoscope.base.errors import BadInputError, unknown
from retinoscope.data.imageset import ImageSet
from retinoscope.jobs.layers import atlas_layers
from retinoscope.network.backward import find_rule
from retinoscope.network.model import Layer, Layers, Model
from retinoscope.store.database import Task, backward_place
from retinoscope.synthesize.objectives import channel
from retinoscope.synthesize.recipes import Recipe, find, suited
from retinoscope.synthesize.render import chunk_size, default_size

SHARD = 256
"""Items scanned between two saves."""


@dataclass(frozen=True)
class Network:
    """What a job looks into: the network's name in the store, its weights' hash, and what it does to photos first."""

    name: str
    weights: str
    inputs: str

    @classmethod
    def of(cls, model: Model) -> "Network":
        """The network of a model."""
        inputs = (model.input_size, model.mean, model.std, model.bgr, model.grey, model.fixed_size)
        return cls(model.name, model.weights_hash, repr(inputs))


@dataclass(frozen=True)
class Scanning:
    """The settings of one scan: image set (hash and number of items), layers, examples per side and per slight side."""

    images: str
    items: int
    layers: tuple[str, ...]
    k: int
    few: int = 3


@dataclass(frozen=True)
class _Job:
    network: Network

    @property
    def description(self) -> str:
        """All that the job's results depend on, as JSON."""
        return json.dumps({"job": type(self).__name__, **asdict(self)}, sort_keys=True)

    @property
    def key(self) -> str:
        """The hash of the description."""
        return hashlib.sha256(self.description.encode()).hexdigest()


@dataclass(frozen=True)
class Describe(_Job):
    """Write down a network and its layers."""

    title = "network"
    guess = 0.1
    places = ("network",)


@dataclass(frozen=True)
class ScanShard(_Job):
    """Scan items start to stop - 1 into a file; nothing in the database."""

    scanning: Scanning
    start: int
    stop: int
    title = "scan"

    @property
    def file(self) -> str:
        """Where its scan lies, relative to the store's folder."""
        return f"work/{self.key}.npz"

    @property
    def guess(self) -> float:
        """Seconds it may take: 40 items a second, about what a small network does on two cores."""
        return (self.stop - self.start) / 40


@dataclass(frozen=True)
class MergeScan(_Job):
    """Merge the shards of a scan into examples, histograms and stored photos."""

    scanning: Scanning
    title = "examples"

    @property
    def places(self) -> tuple[str, ...]:
        """The scans of its layers."""
        return tuple(f"scan {layer}" for layer in self.scanning.layers)

    @property
    def guess(self) -> float:
        """Seconds it may take."""
        return 1 + self.scanning.items / 400

    @property
    def shards(self) -> list[ScanShard]:
        """What it merges, in order."""
        starts = range(0, self.scanning.items, SHARD)
        ends = [min(start + SHARD, self.scanning.items) for start in starts]
        return [ScanShard(self.network, self.scanning, *ends) for ends in zip(starts, ends, strict=True)]


@dataclass(frozen=True)
class Pictures(_Job):
    """Optimise pictures of channels first to last of a layer, side `size` pixels; `each` of every channel."""

    layer: str
    first: int
    last: int
    recipe: str
    settings: str
    size: int
    steps: int
    seed: int

    kind = "optimised"

    @property
    def each(self) -> int:
        """Pictures of every channel."""
        return 1

    @property
    def title(self) -> str:
        """What the progress bar says."""
        return f"{self.kind} {self.layer}:{self.first}-{self.last}"

    @property
    def places(self) -> tuple[str, ...]:
        """The pictures of its channels."""
        return tuple(f"{self.kind} {self.layer}:{channel}" for channel in range(self.first, self.last + 1))

    @property
    def guess(self) -> float:
        """Seconds it may take: a few milliseconds per picture and step at 160 pixels."""
        return (self.last - self.first + 1) * self.each * self.steps * (self.size / 160) ** 2 * 0.006


@dataclass(frozen=True)
class RenderChunk(Pictures):
    """The simple pictures: what each channel answers most."""


@dataclass(frozen=True)
class NegativeChunk(Pictures):
    """The other end of the spectrum: what each channel answers most negatively."""

    kind = "negative"


@dataclass(frozen=True)
class FacetChunk(Pictures):
    """`count` diverse pictures of each channel, kept apart from each other."""

    count: int
    kind = "facet"

    @property
    def each(self) -> int:
        """Pictures of every channel."""
        return self.count


@dataclass(frozen=True)
class BackwardChunk(_Job):
    """Run the top examples of channels first to last of a layer backwards, by each of the rules."""

    scanning: Scanning
    layer: str
    first: int
    last: int
    rules: tuple[str, ...]

    @property
    def title(self) -> str:
        """What the progress bar says."""
        return f"backward {self.layer}:{self.first}-{self.last}"

    @property
    def places(self) -> tuple[str, ...]:
        """The backward pictures of its channels."""
        return tuple(backward_place(self.layer, channel) for channel in range(self.first, self.last + 1))

    @property
    def guess(self) -> float:
        """Seconds it may take: a pass there and back for each picture."""
        return (self.last - self.first + 1) * self.scanning.k * len(self.rules) * 0.05


BACKWARD_PICTURES = 128
"""Backward pictures between two saves, by each rule."""

Job = Describe | ScanShard | MergeScan | RenderChunk | NegativeChunk | FacetChunk | BackwardChunk

KINDS = ("optimised", "negative", "facets")
"""Kinds of pictures that an atlas can have: simple ones, those of the least answer, and several diverse ones."""


def task_of(job: Job) -> Task:
    """What the store notes of a job that is done."""
    places = () if isinstance(job, ScanShard) else job.places
    return Task(job.key, job.network.name, job.description, places)


def plan_atlas(
    model: Model,
    photos: ImageSet,
    *,
    layers: Sequence[str] = (),
    k: int = 9,
    recipe: str | None = None,
    size: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    pictures: int | None = None,
    kinds: Sequence[str] = ("optimised",),
    facets: int = 4,
    backward: Sequence[str] = (),
) -> list[Job]:
    """The jobs of an atlas: the network, the scan of the photos, then the pictures kind by kind and layer by layer.

    `layers` are names or patterns (`blocks.*`), by default `atlas_layers`; `pictures` at most so many first channels
    of each layer get pictures, by default all. `kinds` are KINDS: negative pictures cost as much as the simple ones,
    facets `facets` times as much. `backward` are rules by which the top examples of the same units are run backwards,
    right after the scan. Without a `recipe` each layer gets the one suited to it (`suited`).
    Raises UnknownNameError for a layer, recipe, kind or rule that does not exist.
    """
    network = Network.of(model)
    chosen = find_layers(model.layers, layers) or atlas_layers(model.layers)
    scanning = Scanning(photos.content_hash, len(photos), tuple(layer.name for layer in chosen), k)
    merge = MergeScan(network, scanning)
    rows = {layer.name: find(recipe or suited(model, [channel(layer.name, 0)])) for layer in chosen}
    rows = {name: replace(row, steps=steps or row.steps) for name, row in rows.items()}
    makers = _makers(kinds, facets)
    renders = [
        _renders(model, layer, rows[layer.name], size, seed, pictures, make) for make in makers for layer in chosen
    ]
    rules = tuple(find_rule(rule).name for rule in dict.fromkeys(backward))
    back = [job for layer in chosen for job in _backward(network, scanning, layer, rules, pictures)]
    return [Describe(network), *merge.shards, merge, *back, *(job for jobs in renders for job in jobs)]


def _backward(
    network: Network, scanning: Scanning, layer: Layer, rules: tuple[str, ...], pictures: int | None
) -> list[Job]:
    count = layer.channels if pictures is None else min(pictures, layer.channels)
    chunk = max(1, BACKWARD_PICTURES // scanning.k)
    firsts = range(0, count if rules else 0, chunk)
    return [
        BackwardChunk(network, scanning, layer.name, first, min(first + chunk, count) - 1, rules) for first in firsts
    ]


@dataclass(frozen=True)
class _Maker:
    """Makes the jobs of one kind of pictures, `each` of every channel."""

    make: Callable[..., Job]
    each: int = 1


def _makers(kinds: Sequence[str], facets: int) -> list[_Maker]:
    makers = {
        "optimised": _Maker(RenderChunk),
        "negative": _Maker(NegativeChunk),
        "facets": _Maker(partial(FacetChunk, count=facets), facets),
    }
    if wrong := [kind for kind in kinds if kind not in makers]:
        raise unknown("kind of pictures", wrong[0], KINDS)
    if "facets" in kinds and facets < 2:
        raise BadInputError(f"facets differ from each other: there must be 2 or more of a unit, came {facets}")
    return [makers[kind] for kind in KINDS if kind in kinds]


def find_layers(layers: Layers, patterns: Iterable[str]) -> list[Layer]:
    """The layers that any of the names or shell patterns means, in call order; raises when one means none."""
    chosen: set[str] = set()
    for pattern in patterns:
        found = {name for name in layers if name == pattern or fnmatchcase(name, pattern)}
        chosen |= found or {layers[pattern].name}  # which raises, with the nearest names
    return [layer for name, layer in layers.items() if name in chosen]


def _renders(
    model: Model, layer: Layer, recipe: Recipe, size: int | None, seed: int, pictures: int | None, maker: _Maker
) -> list[Job]:
    sample = [channel(layer.name, 0)]
    side = size or recipe.size or default_size(model, sample)
    chunk = max(1, chunk_size(model, sample, side) // maker.each)
    settings = json.dumps(recipe.describe(), sort_keys=True)
    count = layer.channels if pictures is None else min(pictures, layer.channels)
    return [
        maker.make(
            Network.of(model), layer.name, first, min(first + chunk, count) - 1,
            recipe.name, settings, side, recipe.steps, seed,
        )
        for first in range(0, count, chunk)
    ]  # fmt: skip
