"""Jobs: what an atlas is made of, as frozen descriptions of work.

A job's key is the hash of all that its results depend on, so that equal work is never done twice and changed settings
are.
"""

import hashlib
import json
from dataclasses import asdict, dataclass

from retinoscope.network.model import Model
from retinoscope.store.writing import Task, backward_place, steps_place

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
    """Scan items start to stop - 1 into files; nothing in the database."""

    scanning: Scanning
    start: int
    stop: int
    title = "scan"

    @property
    def file(self) -> str:
        """Where its scan lies, relative to the store's folder."""
        return f"work/{self.key}.npz"

    @property
    def answers(self) -> str:
        """Where its items' answers lie, relative to the store's folder."""
        return f"work/{self.key}.answers.npz"

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
        return _shards(self.network, self.scanning)


@dataclass(frozen=True)
class Relate(_Job):
    """Find the network's stages, and what units of neighbouring layers share, from a scan's answers."""

    scanning: Scanning
    best: int = 3
    draws: int = 199
    seed: int = 0
    title = "stages and steps"

    @property
    def places(self) -> tuple[str, ...]:
        """The steps to and from its layers."""
        return tuple(steps_place(layer) for layer in self.scanning.layers)

    @property
    def guess(self) -> float:
        """Seconds it may take: shuffles for each pair of layers."""
        return 1 + 0.2 * len(self.scanning.layers)

    @property
    def shards(self) -> list[ScanShard]:
        """Whose answers it reads, in order."""
        return _shards(self.network, self.scanning)


def _shards(network: Network, scanning: Scanning) -> list[ScanShard]:
    starts = range(0, scanning.items, SHARD)
    return [ScanShard(network, scanning, start, min(start + SHARD, scanning.items)) for start in starts]


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


Job = Describe | ScanShard | MergeScan | Relate | RenderChunk | NegativeChunk | FacetChunk | BackwardChunk


def task_of(job: Job) -> Task:
    """What the store notes of a job that is done."""
    places = () if isinstance(job, ScanShard) else job.places
    return Task(job.key, job.network.name, job.description, places)
