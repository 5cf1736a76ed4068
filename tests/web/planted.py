"""Small stores made by hand, for the tests and the benchmark of the explorer."""

import math
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import Image, ImageDraw

from retinoscope.base.classes import Census
from retinoscope.store import rows
from retinoscope.store.census import census_record
from retinoscope.store.connection import FILE, connect_writer
from retinoscope.store.files import backward_file, photo_file, picture_file
from retinoscope.store.records import (
    BackwardRecord,
    ExampleRecord,
    HistogramRecord,
    LayerRecord,
    NetworkRecord,
    NoteRecord,
    PhotoRecord,
    PictureRecord,
    Provenance,
    Record,
    StageRecord,
    StepRecord,
)

NETWORK = "tiny-net"
ODD_NETWORK = "zoo/odd net"
LAYERS = ("blocks.0.0", "blocks.1.0", "head/odd layer#2")
DEAD = 4
EVIL = '<script>alert("zebra")</script>'
RENDERED = Provenance(
    "0.1.0", {"name": "robust", "steps": 256, "canvas": {"kind": "Fourier"}}, 0, "abc", None, "cpu", "f32"
)
TRACED = Provenance("0.1.0", {"rule": "guided"}, None, "abc", "photos-hash", "cpu", "f32")
RELATED = Provenance("0.1.0", {"steps": "shared examples", "k": 9}, 0, "abc", "photos-hash", "cpu", "f32")
SCANNED = Provenance("0.1.0", {"k": 9}, None, "abc", "photos-hash", "cpu", "f32")
PHOTOS = (("zebra/one.jpg", "zebra", 120, 160), ("cat/two.jpg", "tabby cat", 160, 100), ("evil.jpg", EVIL, 90, 90))
CENSUS = Census(300, {"zebra": 1, "tabby cat": 120, EVIL: 2})
"""Of all photos that were scanned, the three above are examples."""


def plant(folder: Path, units: int = 6) -> Path:
    """A store with two networks; the first has three layers with results and one without."""
    folder.mkdir(parents=True, exist_ok=True)
    connection = connect_writer(folder)
    told = census_record("photos-hash", CENSUS)
    write(connection, [*_networks(units), *_photos(folder), told, *_stage(), *_steps(units - 1)])
    for name in LAYERS:
        write(connection, _results(folder, name, units))
    if units > DEAD:
        write(
            connection,
            [NoteRecord(NETWORK, LAYERS[0], DEAD, "optimised", "no gradient reaches it: dead ReLU", RENDERED)],
        )
        connection.execute("DELETE FROM picture WHERE layer = ? AND channel = ?", (LAYERS[0], DEAD))
    connection.close()
    return folder


def write(connection: sqlite3.Connection, records: Iterable[Record]) -> None:
    """Insert records with their provenances."""
    for provenance in (RENDERED, SCANNED, TRACED, RELATED):
        connection.execute("INSERT OR IGNORE INTO provenance VALUES (?, ?)", (provenance.id, provenance.body))
    connection.execute("BEGIN")
    for record in records:
        connection.execute(rows.insert(type(record)), rows.row(record))
    connection.execute("COMMIT")


def _networks(units: int) -> Iterator[Record]:
    yield NetworkRecord(NETWORK, "abc", 64, 64, tuple(f"class {i}" for i in range(units)))
    yield NetworkRecord(ODD_NETWORK, "def", 224, 224, ())
    yield LayerRecord(NETWORK, "stem", 0, "conv", 4, 32, 32, 2, 2, 3, 3, 0.1)
    for place, name in enumerate(LAYERS, 1):
        stride = None if place == 3 else 4.0 * place
        yield LayerRecord(NETWORK, name, place, "block", units, 16, 8, stride, stride, 32 * place, 40, place / 3)
    yield LayerRecord(ODD_NETWORK, "conv1", 0, "conv", 8, 112, 112, 2, 2, 7, 7, 1.0)


def _photos(folder: Path) -> Iterator[Record]:
    for i, (id, label, height, width) in enumerate(PHOTOS):
        save(folder / photo_file(id), (width // 2, height // 2), i)
        yield PhotoRecord(id, photo_file(id), height, width, label, f"Author {i}, CC0")


def save(path: Path, size: tuple[int, int], hue: int) -> None:
    """A small picture of its own colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", size, (40 + 53 * hue % 200, 90, 200 - 31 * hue % 180))
    draw = ImageDraw.Draw(image)
    for i in range(0, size[0], 8):
        draw.ellipse((i, i // 2, i + 6 + hue % 9, i // 2 + 9), fill=(250 - hue % 200, (29 * hue) % 255, 10 * i % 255))
    image.save(path)


def _results(folder: Path, layer: str, units: int) -> Iterator[Record]:
    for channel in range(units - 1):
        yield from picture(folder, layer, channel, "optimised")
        yield from _examples(layer, channel)
        yield histogram(layer, channel)
    if layer == LAYERS[0]:
        for kind in ("dataset & <b>", "negative", "facet 1", "facet 2"):
            yield from picture(folder, layer, 1, kind)
        for rule in ("gradient", "guided"):
            yield from _backward(folder, layer, rule)


def picture(folder: Path, layer: str, channel: int, kind: str) -> Iterator[Record]:
    """A drawn picture of a unit, 64 x 64."""
    file = picture_file(NETWORK, layer, channel, kind)
    save(folder / file, (64, 64), channel + len(kind))
    sign = -1 if kind == "negative" else 1
    yield PictureRecord(NETWORK, layer, channel, kind, file, 64, 64, sign * (10.0 - channel), RENDERED, sign * 12.0)


def _examples(layer: str, channel: int) -> Iterator[Record]:
    boxes = ((10.0, 20.0, 50.0, 60.0), (-8.0, -8.0, 24.0, 32.0), (0.0, 0.0, 90.0, 90.0))
    for side, size in (("top", 1.0), ("slightly positive", 0.1), ("slightly negative", -0.1), ("bottom", -1.0)):
        for place, ((id, *_), box) in enumerate(zip(PHOTOS, boxes, strict=True), 1):
            if not (id == "zebra/one.jpg" and channel % 2) and not (layer == LAYERS[1] and side.startswith("slight")):
                score = size * (5.0 + channel) / place
                yield ExampleRecord(NETWORK, layer, channel, side, place, id, id, score, 3, 4, *box, SCANNED)  # type: ignore[arg-type]


def _backward(folder: Path, layer: str, rule: str) -> Iterator[Record]:
    """Backward pictures of unit 1's top examples but the first, whose photo was gone."""
    file = backward_file(NETWORK, layer, 1, rule, ".png")
    save(folder / file, (96, 48), len(rule))
    for place, right in ((2, 80.0), (3, 96.0)):
        cell = (0.0, 48.0 * (place - 2), 24.0 if place == 2 else 48.0, right)
        yield BackwardRecord(NETWORK, layer, 1, rule, place, file, 48, 96, *cell, 0.25, TRACED)


def _stage() -> Iterator[Record]:
    """A stage whose first block is in no atlas; the head stands for what the last block adds."""
    rows = (("stem", "a", "trunk"), (LAYERS[0], "b", "trunk"), (LAYERS[2], "c", "branch"), (LAYERS[1], "c", "trunk"))
    for place, (layer, letter, role) in enumerate(rows):
        yield StageRecord(NETWORK, "blocks", place, layer, letter, role)


def _steps(channels: int) -> Iterator[Record]:
    """Through the stage by number; into the head to the next channel, and by chance to the one after it."""
    first, last, head = LAYERS
    for channel in range(channels):
        yield StepRecord(NETWORK, first, channel, last, channel, "same", 7 - channel, 0.9, 0.01, 0.02, RELATED)
        for away, shared, p in ((2, 1, 0.4), (1, 5, 0.005)):
            other = (channel + away) % channels
            yield StepRecord(NETWORK, last, channel, head, other, "match", shared, 0.25, p, 2 * p, RELATED)


def histogram(layer: str, channel: int) -> Record:
    """A bell with a long tail."""
    edges = tuple(-10.0 + i for i in range(31))
    counts = tuple(int(1e5 * math.exp(-((i - 10) ** 2) / 12)) + (i > 20) for i in range(30))
    quantiles = {"0.01": -3.0, "0.5": 0.5, "0.99": 4.0, "0.999": 7.5}
    return HistogramRecord(NETWORK, layer, channel, edges, counts, quantiles, -7.0, 5.0 + channel, 0.4, SCANNED)


def plant_wide(folder: Path, units: int = 2000, size: int = 160) -> Path:
    """A store with one layer of many units, whose pictures are as large as rendered ones."""
    folder.mkdir(parents=True, exist_ok=True)
    connection = connect_writer(folder)
    write(connection, [NetworkRecord(NETWORK, "abc", 224, 224, ())])
    write(connection, [LayerRecord(NETWORK, "wide", 0, "conv", units, 7, 7, 32, 32, 200, 200, 1.0)])
    write(connection, [record for channel in range(units) for record in _wide(folder, channel, size)])
    connection.close()
    return folder


def _wide(folder: Path, channel: int, size: int) -> Iterator[Record]:
    file = picture_file(NETWORK, "wide", channel)
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = Image.effect_noise((size, size), 20 + channel % 60)
    Image.merge("RGB", (noise, noise.rotate(90), noise.rotate(180))).save(path, compress_level=1)
    yield PictureRecord(NETWORK, "wide", channel, "optimised", file, size, size, float(channel % 97), RENDERED)
    yield histogram("wide", channel)


def database(folder: Path) -> Path:
    """The store's SQLite file."""
    return folder / FILE
