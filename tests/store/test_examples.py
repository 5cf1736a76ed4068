"""Search among examples against a look at every row."""

import sqlite3
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from retinoscope.base.boxes import Box
from retinoscope.base.classes import Census, classes
from retinoscope.base.errors import BadInputError, BadUnitError, StoreError, UnknownNameError
from retinoscope.base.units import Unit
from retinoscope.store import census, examples
from retinoscope.store.connection import FILE
from retinoscope.store.database import Store, Task
from retinoscope.store.records import (
    ExampleRecord,
    LayerRecord,
    MetaRecord,
    NetworkRecord,
    PhotoRecord,
    Provenance,
    Record,
)

SCANNED = Provenance("0", {"k": 4}, None, "w", "images", "cpu", "float32")
LAYERS = ("zeta", "alpha", "mid.1")
"""In call order, which is not that of the alphabet."""

LABELS: dict[str, str | None] = {f"{kind}/{n}.jpg": kind for kind in ("ant", "Bee", "cat") for n in range(4)}
LABELS |= {"plain one.jpg": None, "plain two.jpg": None}


def unit_rows(network: str, layer: str, channel: int) -> list[ExampleRecord]:
    """Four top examples of a unit and two bottom ones, at random; a unit is dead, another always negative."""
    draw = np.random.default_rng([len(network), LAYERS.index(layer), channel])
    photos = draw.permutation(sorted(LABELS))[:4].tolist()
    scores = -np.sort(-draw.normal(5, 1, 4))
    scores = scores * 0 if channel == 3 else scores - 20 if channel == 2 else scores
    rows = [("top", place, photo, score) for place, (photo, score) in enumerate(zip(photos, scores, strict=True), 1)]
    rows += [("bottom", place, sorted(LABELS)[place], -1.0) for place in (1, 2)]
    return [
        ExampleRecord(
            network, layer, channel, side, place, photo, photo, float(score), 1, 2, 3, 4, 5 + place, 6, SCANNED,  # type: ignore[arg-type]
        )
        for side, place, photo, score in rows
    ]  # fmt: skip


ROWS = [
    row
    for network, layers in (("net", LAYERS), ("other", ("alpha",)))
    for layer in layers
    for channel in range(5)
    for row in unit_rows(network, layer, channel)
]


def records() -> list[Record]:
    found: list[Record] = []
    for network, layers in (("net", LAYERS), ("other", ("alpha",))):
        found.append(NetworkRecord(network, "w", 8, 8, ()))
        for place, layer in enumerate((*layers, "unseen")):
            found.append(LayerRecord(network, layer, place, "conv", 5, 4, 4, 2, 2, 3, 3, 0.5))
    found += [PhotoRecord(id, f"photos/{id}", 30, 40, label, None) for id, label in LABELS.items()]
    return [*found, *ROWS]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("examples") / "store"
    with Store.create(folder) as opened:
        opened.write(records(), Task("one"))
    return Store.open(folder)


def tops(network: str | None = None, layers: tuple[str, ...] = LAYERS) -> list[ExampleRecord]:
    chosen = [row for row in ROWS if row.side == "top" and row.layer in layers]
    return [row for row in chosen if network in (None, row.network)]


@pytest.mark.parametrize("photo", sorted(LABELS))
@pytest.mark.parametrize(("network", "patterns", "layers"), [
    (None, (), LAYERS), ("net", ("alpha", "m*"), ("alpha", "mid.1")), ("other", (), LAYERS),
])  # fmt: skip
def test_units_of_a_photo(
    store: Store, photo: str, network: str | None, patterns: tuple[str, ...], layers: tuple[str, ...]
) -> None:
    expected = []
    for row in tops(network, layers):
        best = max(r.score for r in tops(row.network) if (r.layer, r.channel) == (row.layer, row.channel))
        share = row.score / best if best > 0 else None
        order = (row.place, -(share or 0), row.network, LAYERS.index(row.layer), row.channel)
        if row.photo == photo:
            expected.append((order, row, share))
    hits = examples.of_photo(store, photo, network, patterns)
    assert [(h.network, h.layer, h.channel, h.rank, h.score, h.share) for h in hits] == [
        (row.network, row.layer, row.channel, row.place, row.score, share)
        for _, row, share in sorted(expected, key=lambda one: one[0])
    ]
    assert all((h.photo, h.label, h.box) == (photo, LABELS[photo], Box(3, 4, 5 + h.rank, 6)) for h in hits)
    assert [h for h in hits if h.rank <= 2] == examples.of_photo(store, photo, network, patterns, rank=2)


@pytest.mark.parametrize("label", ["ant", "Bee", "cat"])
def test_units_of_a_class(store: Store, label: str) -> None:
    shown = {row.photo for row in ROWS if row.network == "net"}
    counts = Counter(LABELS[photo] for photo in shown)
    whole = Census(len(shown), {key: n for key, n in counts.items() if key}, complete=False)
    expected = []
    for layer in LAYERS:
        for channel in range(5):
            own = [row for row in tops("net") if (row.layer, row.channel) == (layer, channel)]
            found = classes([(LABELS[row.photo], row.score) for row in own], whole)
            assert examples.classes_of_unit(store, "net", Unit(layer, channel)) == found
            expected += [
                (-row.count, row.place, LAYERS.index(layer), channel, found.examples, row)
                for row in found.rows
                if row.label == label
            ]
    hits = examples.of_class(store, label, "net")
    assert [(hit.unit, hit.examples, hit.found) for hit in hits] == [
        (f"{LAYERS[place]}:{channel}", count, row)
        for _, _, place, channel, count, row in sorted(expected, key=lambda r: r[:4])
    ]
    assert not any(hit.channel == 3 for hit in hits)  # a dead unit's order says nothing
    assert examples.of_class(store, label, "net", least=2) == [hit for hit in hits if hit.found.count >= 2]
    assert {hit.layer for hit in examples.of_class(store, label, layers=["a*"])} <= {"alpha"}


def test_photos_of_a_unit(store: Store) -> None:
    hits = examples.of_unit(store, "net", Unit("mid.1", 1))
    assert [(h.rank, h.photo, h.score) for h in hits] == [
        (row.place, row.photo, row.score) for row in tops("net") if (row.layer, row.channel) == ("mid.1", 1)
    ]
    assert hits[0].share == 1
    assert all(hit.share is None for hit in examples.of_unit(store, "net", Unit("mid.1", 2)))  # the best is negative
    assert examples.of_unit(store, "net", Unit("unseen", 1)) == []
    assert examples.classes_of_unit(store, "net", Unit("unseen", 1)).rows == ()


def test_names_of_photos_and_classes(store: Store) -> None:
    assert examples.find_photo(store, "ant/2.jpg") == "ant/2.jpg"
    assert examples.find_photo(store, "PLAIN TWO") == "plain two.jpg"
    assert examples.find_label(store, "bee") == "Bee"
    with pytest.raises(BadInputError, match=r"'2.jpg' is in the names of 3 photos: Bee/2.jpg, ant/2.jpg, cat/2.jpg"):
        examples.find_photo(store, "2.jpg")
    with pytest.raises(UnknownNameError, match=r"nearest: plain two\.jpg"):
        examples.find_photo(store, "plian two.png")
    with pytest.raises(UnknownNameError, match=r"nearest: plain one\.jpg, plain two\.jpg"):
        examples.find_photo(store, "plane")
    with pytest.raises(UnknownNameError, match="14 known"):
        examples.find_photo(store, "")
    with pytest.raises(UnknownNameError, match="nearest: cat"):
        examples.find_label(store, "cta")


def test_the_whole_end_of_a_name_beats_a_part(tmp_path: Path) -> None:
    with Store.create(tmp_path / "s") as store:
        names = ("a/1.jpg", "b/11.jpg")
        rows = [PhotoRecord(id, id, 1, 1, None, None) for id in names]
        shown = [
            ExampleRecord("net", "zeta", 0, "top", place, id, id, 1.0, 0, 0, 0, 0, 1, 1, SCANNED)
            for place, id in enumerate(names, 1)
        ]
        network = [NetworkRecord("net", "w", 8, 8, ()), LayerRecord("net", "zeta", 0, "c", 1, 1, 1, 1, 1, 1, 1, 0)]
        store.write([*network, *rows, *shown], Task("one"))
        assert examples.find_photo(store, "1.jpg") == "a/1.jpg"
        with pytest.raises(UnknownNameError, match="No photo of this store has a label"):
            examples.find_label(store, "cat")


def test_names_of_networks_layers_and_units(store: Store) -> None:
    with pytest.raises(UnknownNameError, match="nearest: other"):
        examples.of_photo(store, "ant/2.jpg", "othre")
    for wrong in ("alhpa", "unseen", "b*"):
        with pytest.raises(UnknownNameError, match="layer with examples"):
            examples.of_class(store, "ant", layers=[wrong])
    assert examples.find_unit(store, "net", Unit("mid.1", 4)) == Unit("mid.1", 4)
    with pytest.raises(UnknownNameError, match=r"nearest: mid\.1"):
        examples.find_unit(store, "net", Unit("mid.2", 4))
    with pytest.raises(BadUnitError, match="channels 0 to 4"):
        examples.find_unit(store, "net", Unit("mid.1", 5))
    with pytest.raises(BadUnitError, match="whole channels"):
        examples.find_unit(store, "net", Unit("mid.1", 1, (0, 0)))


def test_the_census_of_the_image_set_comes_first(tmp_path: Path) -> None:
    """The store keeps the photos that examples show; the scan has seen more."""
    whole = Census(1000, {"ant": 10, "Bee": 500, "never shown": 3})
    with Store.create(tmp_path / "s") as store:
        store.write([*records(), census.census_record("images", whole)], Task("one"))
        assert census.read(store.connection, "net", "images") == whole
        found = examples.classes_of_unit(store, "net", Unit("zeta", 0))
        assert (found.photos, found.complete) == (1000, True)
        hit = next(hit for hit in examples.of_class(store, "ant") if hit.found.count == 1)
        assert hit.found.base == 0.01
        assert hit.found.p == pytest.approx(1 - (990 / 1000 * 989 / 999 * 988 / 998 * 987 / 997))
        other = census.read(store.connection, "net", "another image set")
        assert (other.photos, other.complete) == (len({row.photo for row in ROWS}), False)
        store.write([MetaRecord("photos images", '{"photos": 1, "labels": {}}')], Task("two"))
        assert census.read(store.connection, "net", "images").photos == 1


def test_a_damaged_store_is_an_error_not_a_trace(tmp_path: Path) -> None:
    with Store.create(tmp_path / "s") as store:
        store.write(records(), Task("one"))
    with sqlite3.connect(tmp_path / "s" / FILE) as connection:
        connection.execute("DROP TABLE photo")
    connection.close()
    with Store.open(tmp_path / "s") as store, pytest.raises(StoreError, match="cannot be read"):
        examples.find_photo(store, "x")
