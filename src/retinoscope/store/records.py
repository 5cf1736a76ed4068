"""Rows of the store as frozen dataclasses; field order is column order of schema.sql."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True)
class Provenance:
    """How a record was made; equal work has an equal id, so it holds no time and no machine name."""

    code: str
    recipe: dict[str, object]
    seed: int | None
    weights: str
    images: str | None
    device: str
    precision: str

    @property
    def body(self) -> str:
        """The provenance as JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def id(self) -> str:
        """Short hash of the body."""
        return hashlib.sha256(self.body.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class NetworkRecord:
    name: str
    weights_hash: str
    input_height: int
    input_width: int
    labels: tuple[str, ...]


@dataclass(frozen=True)
class LayerRecord:
    network: str
    name: str
    place: int
    kind: str
    channels: int
    height: int
    width: int
    stride_y: float | None
    stride_x: float | None
    field_y: int
    field_x: int
    depth: float


@dataclass(frozen=True)
class PhotoRecord:
    id: str
    file: str
    height: int
    width: int
    label: str | None
    credit: str | None


@dataclass(frozen=True)
class MetaRecord:
    """A fact about the store as a whole, or about an image set, under a name."""

    key: str
    value: str


@dataclass(frozen=True)
class PictureRecord:
    network: str
    layer: str
    channel: int
    kind: str
    file: str
    height: int
    width: int
    score: float
    provenance: Provenance
    peak: float | None = None


Side = Literal["top", "slightly positive", "slightly negative", "bottom"]
"""Where on the scale of a unit's answers an example lies."""


@dataclass(frozen=True)
class ExampleRecord:
    network: str
    layer: str
    channel: int
    side: Side
    place: int
    photo: str
    item: str
    score: float
    y: int
    x: int
    box_top: float
    box_left: float
    box_bottom: float
    box_right: float
    provenance: Provenance


@dataclass(frozen=True)
class BackwardRecord:
    """What came back from a unit's top example of that place: a cell of a file."""

    network: str
    layer: str
    channel: int
    rule: str
    place: int
    file: str
    height: int
    width: int
    cell_top: float
    cell_left: float
    cell_bottom: float
    cell_right: float
    peak: float
    provenance: Provenance


@dataclass(frozen=True)
class HistogramRecord:
    network: str
    layer: str
    channel: int
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    quantiles: dict[str, float]
    minimum: float
    maximum: float
    mean: float
    provenance: Provenance


@dataclass(frozen=True)
class NoteRecord:
    """Why a unit has no picture of a kind."""

    network: str
    layer: str
    channel: int
    kind: str
    text: str
    provenance: Provenance


@dataclass(frozen=True)
class StageRecord:
    """A layer's place in a stage: of its trunk, or inside a block."""

    network: str
    name: str
    place: int
    layer: str
    letter: str
    role: str


@dataclass(frozen=True)
class StepRecord:
    """Two units of two layers that an identity shortcut joins ('same'), or their examples ('match')."""

    network: str
    before: str
    channel: int
    after: str
    other: int
    kind: Literal["same", "match"]
    shared: int
    rank: float
    p_on: float
    p_from: float
    provenance: Provenance


Record = (
    NetworkRecord
    | LayerRecord
    | PhotoRecord
    | MetaRecord
    | PictureRecord
    | ExampleRecord
    | BackwardRecord
    | HistogramRecord
    | NoteRecord
    | StageRecord
    | StepRecord
)
