"""The store: records come back as they went in; tasks are whole or absent; every damage has its message."""

import errno
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from retinoscope.base.errors import StoreError, UnknownNameError
from retinoscope.store import connection
from retinoscope.store.database import Store, Task
from retinoscope.store.records import (
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

ORIGIN = Provenance("0.1", {"recipe": "robust", "steps": 4}, 0, "abc", None, "cpu", "float32")
NETWORK = NetworkRecord("net", "abc", 32, 48, ("cat", "dög"))
LAYERS = [
    LayerRecord("net", "b", 0, "Conv2d", 8, 16, 24, 2.0, 2.0, 3, 3, 0.5),
    LayerRecord("net", "a", 1, "Linear", 2, 1, 1, None, None, 32, 48, 1.0),
]
PHOTO = PhotoRecord("dogs/1.jpg", "photos/dogs/1.jpg.jpg", 480, 640, "dogs", None)
PICTURE = PictureRecord("net", "b", 3, "optimised", "pictures/net/b/3.png", 64, 64, 1.25, ORIGIN, 9.5)
EXAMPLE = ExampleRecord("net", "b", 3, "top", 1, PHOTO.id, PHOTO.id, 7.5, 1, 2, 0.0, 1.5, 9.25, 10.0, ORIGIN)
EXAMPLES = [EXAMPLE, replace(EXAMPLE, place=2, score=5.0), replace(EXAMPLE, side="slightly positive", score=0.4)]
EXAMPLES += [replace(EXAMPLE, side="slightly negative", score=-0.2), replace(EXAMPLE, side="bottom", score=-1.0)]
HISTOGRAM = HistogramRecord("net", "b", 3, (0.0, 1.0, 2.5), (4, 5), {"0.5": 0.75}, 0.0, 2.5, 0.8, ORIGIN)
NOTE = NoteRecord("net", "b", 4, "optimised", "dead", ORIGIN)
STAGE = StageRecord("net", "early", 0, "b", "a", "trunk")
STEP = StepRecord("net", "b", 3, "a", 1, "match", 5, 0.75, 0.005, 0.25, ORIGIN)
EVERYTHING: list[Record] = [NETWORK, *LAYERS, PHOTO, PICTURE, *EXAMPLES, HISTOGRAM, NOTE, STAGE, STEP]


def filled(folder: Path) -> Path:
    with Store.create(folder) as store:
        store.write(reversed(EVERYTHING), Task("k1", "net", "all", ("scan b", "pictures b")))
    return folder


def test_records_come_back_as_they_went_in(tmp_path: Path) -> None:
    with Store.open(filled(tmp_path / "s")) as store:
        assert store.networks() == [NETWORK] == [store.network("net")]
        assert store.layers("net") == LAYERS
        assert store.layer("net", "a") == LAYERS[1]
        assert store.photos() == [PHOTO] == [store.photo(PHOTO.id)]
        assert store.pictures("net", "b") == [PICTURE] == [store.picture("net", "b", 3)]
        assert store.examples("net", "b", 3) == EXAMPLES
        assert store.histogram("net", "b", 3) == HISTOGRAM
        assert store.notes("net", "b") == [NOTE]
        assert store.contents("net") == {"b": (1, 1)}
        assert store.stages("net") == [STAGE]
        assert store.steps("net", "b", 3) == [STEP] == store.steps("net", "a", 1)
        assert store.steps("net", "b", 1) == []
        assert store.done("k1")
        assert not store.done("k2")


def test_absent_units_give_nothing_and_wrong_names_the_nearest(tmp_path: Path) -> None:
    with Store.open(filled(tmp_path / "s")) as store:
        assert store.picture("net", "b", 5) is None
        assert store.histogram("net", "b", 5) is None
        assert store.examples("net", "b", 5) == []
        for ask, near in (
            (lambda: store.network("nett"), "net"),
            (lambda: store.layer("net", "bb"), "b"),
            (lambda: store.photo("dogs/2.jpg"), PHOTO.id),
        ):
            with pytest.raises(UnknownNameError, match=f"nearest: {near}"):
                ask()


def test_a_later_task_replaces_an_older_one_of_the_same_place(tmp_path: Path) -> None:
    with Store.open_for_writing(filled(tmp_path / "s")) as store:
        other = replace(ORIGIN, seed=1)
        shown = PhotoRecord("cats/9.jpg", "photos/cats/9.jpg.jpg", 10, 20, None, "me")
        newer = [shown, replace(EXAMPLE, photo=shown.id, score=9.0, provenance=other)]
        store.write(newer, Task("k2", "net", "new", ("scan b",)))
        assert (store.done("k1"), store.done("k2")) == (False, True)
        assert store.examples("net", "b", 3) == newer[1:]
        assert store.steps("net", "b", 3) == []
        assert store.photos() == [shown]
        assert store.pictures("net", "b") == [PICTURE]
        store.write(EVERYTHING, Task("k1", "net", "all", ("scan b", "pictures b")))
        assert (store.done("k1"), store.done("k2")) == (True, False)
        assert store.examples("net", "b", 3) == EXAMPLES


def test_a_picture_replaces_the_note_that_there_is_none_and_back(tmp_path: Path) -> None:
    with Store.open_for_writing(filled(tmp_path / "s")) as store:
        store.write([replace(PICTURE, channel=4), replace(NOTE, channel=3)], Task("k2"))
        assert [record.channel for record in store.pictures("net", "b")] == [4]
        assert [record.channel for record in store.notes("net", "b")] == [3]


def test_other_weights_forget_the_results_of_the_old_ones(tmp_path: Path) -> None:
    with Store.open_for_writing(filled(tmp_path / "s")) as store:
        store.write([replace(NETWORK, weights_hash="xyz"), LAYERS[0]], Task("k2", "net", "", ("network",)))
        assert store.layers("net") == LAYERS[:1]
        assert store.contents("net") == {}
        assert store.stages("net") == store.steps("net", "b", 3) == []
        assert not store.done("k1")


def test_a_task_is_whole_or_absent(tmp_path: Path) -> None:
    with Store.open_for_writing(filled(tmp_path / "s")) as store:
        broken = replace(EXAMPLE, layer="a", photo="nobody.jpg")
        with pytest.raises(sqlite3.IntegrityError):
            store.write([replace(PICTURE, channel=6), broken], Task("k2"))
        assert not store.done("k2")
        assert store.picture("net", "b", 6) is None
        store.write([replace(PICTURE, channel=6)], Task("k2"))
        assert store.done("k2")


def test_readers_see_what_a_writer_has_committed(tmp_path: Path) -> None:
    with Store.create(tmp_path / "s") as writer, Store.open(tmp_path / "s") as reader:
        assert reader.networks() == []
        writer.write([NETWORK], Task("k1"))
        assert reader.networks() == [NETWORK]


def test_a_second_writer_is_told_who_writes(tmp_path: Path) -> None:
    with Store.create(tmp_path / "s"):
        for attempt in (Store.create, Store.open_for_writing):
            with pytest.raises(StoreError, match=f"in use by process {os.getpid()}"):
                attempt(tmp_path / "s")
    Store.open_for_writing(tmp_path / "s").close()


def test_the_lock_vanishes_with_a_killed_writer(tmp_path: Path) -> None:
    program = (
        "import os, sys; from retinoscope.store.database import Store; "
        "store = Store.create(sys.argv[1]); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path / "s")], check=False).returncode == -9
    Store.open_for_writing(tmp_path / "s").close()


def test_a_writer_killed_before_its_first_commit_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "writer.lock").touch()
    Store.create(folder).close()
    for file in folder.glob("store.db*"):
        file.write_bytes(b"")
    with Store.create(folder) as store:
        store.write(EVERYTHING, Task("k"))


def test_a_newer_store_says_both_versions(tmp_path: Path) -> None:
    folder = filled(tmp_path / "s")
    with sqlite3.connect(folder / connection.FILE) as db:
        db.execute("UPDATE meta SET value = '7' WHERE key = 'schema'")
    db.close()
    for attempt in (Store.open, Store.create, Store.open_for_writing):
        with pytest.raises(StoreError, match=rf"schema version 7, .* up to {connection.VERSION}; update retinoscope"):
            attempt(folder)


def test_an_older_store_is_read_and_not_written_to(tmp_path: Path) -> None:
    folder = filled(tmp_path / "s")
    with sqlite3.connect(folder / connection.FILE) as db:
        db.execute("UPDATE meta SET value = '1' WHERE key = 'schema'")
        db.execute("ALTER TABLE picture DROP COLUMN peak")  # as it was in version 1
        for table in ("backward", "stage", "step"):
            db.execute(f"DROP TABLE {table}")
    db.close()
    with Store.open(folder) as store:
        assert store.backward("net", "b", 3) == store.stages("net") == store.steps("net", "b", 3) == []
        assert store.pictures("net", "b") == [replace(PICTURE, peak=None)]
    for attempt in (Store.create, Store.open_for_writing):
        with pytest.raises(StoreError, match=r"schema version 1, .* writes version 4: name a new folder"):
            attempt(folder)


def test_a_closed_store_is_one_file_although_readers_stay(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    with Store.create(folder) as writer:
        reader = Store.open(folder)
        writer.write(EVERYTHING, Task("k"))
        assert reader.networks() == [NETWORK]
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / connection.FILE).write_bytes((folder / connection.FILE).read_bytes())
    reader.close()
    with Store.open(tmp_path / "copy") as store:
        assert store.examples("net", "b", 3) == EXAMPLES


def test_folders_that_are_no_store(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").touch()
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="has no store in it; make one with"):
        Store.open(tmp_path / "other")
    with pytest.raises(StoreError, match="does not exist"):
        Store.open(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="holds other files and no store"):
        Store.create(tmp_path / "other")
    with pytest.raises(StoreError, match="is a file"):
        Store.create(tmp_path / "file")


@pytest.mark.parametrize("content", [b"no database at all, just words " * 99, b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    folder = filled(tmp_path / "s")
    (folder / connection.FILE).write_bytes(content)
    for attempt in (Store.open, Store.open_for_writing):
        with pytest.raises(StoreError, match=r"store\.db is damaged or no store"):
            attempt(folder)


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    with Store.open_for_writing(filled(tmp_path / "s")) as store:
        pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
        store.connection.execute(f"PRAGMA max_page_count = {pages + 1}")
        many = [replace(PICTURE, channel=channel, file="x" * 100) for channel in range(10, 1000)]
        with pytest.raises(StoreError, match=r"disk full .* nothing already made is lost: free space and run again"):
            store.write(many, Task("k2"))
        assert store.pictures("net", "b") == [PICTURE]
        store.connection.execute("PRAGMA max_page_count = 100000")
        store.write(many, Task("k2"))
        assert len(store.pictures("net", "b")) == 991


def test_a_disk_full_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", fail)
    with pytest.raises(StoreError, match="disk full"):
        Store.create(tmp_path / "s")
