"""The store's database: one writer, many readers, and every task's records in one transaction."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from retinoscope.base.errors import StoreError, unknown
from retinoscope.store import lock, rows
from retinoscope.store.connection import FILE, connect_reader, connect_writer, damaged, empty, existing
from retinoscope.store.files import clean, disk_errors
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
from retinoscope.store.rows import R
from retinoscope.store.writing import UNIT, enter
from retinoscope.store.writing import Task as Task


@dataclass
class Store:
    """A folder with a SQLite file and image files; `with` closes it. Readers see what a writer has committed so far."""

    folder: Path
    connection: sqlite3.Connection
    held: lock.Lock | None = None
    _provenances: dict[str, Provenance] = field(default_factory=dict)

    @classmethod
    def create(cls, folder: str | Path) -> "Store":
        """Open a folder for writing, made a store first if it is new or empty; raises StoreError for any other."""
        path = Path(folder)
        with disk_errors(path):
            if path.is_dir() and not (path / FILE).exists() and not empty(path):
                raise StoreError(f"{path} holds other files and no store; name a new or empty folder")
            if path.exists() and not path.is_dir():
                raise StoreError(f"{path} is a file; name a folder for the store")
            path.mkdir(parents=True, exist_ok=True)
        return cls._write_to(path)

    @classmethod
    def open_for_writing(cls, folder: str | Path) -> "Store":
        """Open an existing store as its one writer; raises StoreError when another process writes to it."""
        return cls._write_to(existing(Path(folder)))

    @classmethod
    def _write_to(cls, path: Path) -> "Store":
        with disk_errors(path):
            held = lock.acquire(path)
            try:
                clean(path)
                return cls(path, connect_writer(path), held)
            except BaseException:
                held.release()
                raise

    @classmethod
    def open(cls, folder: str | Path) -> "Store":
        """Open an existing store for reading; any thread may read."""
        path = existing(Path(folder))
        return cls(path, connect_reader(path))

    def close(self) -> None:
        """Close the database, and let the next writer in."""
        if self.held is not None:  # readers may stay: without this, the file alone would not hold the last results
            with suppress(sqlite3.DatabaseError):
                self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self.connection.close()
        if self.held is not None:
            self.held.release()
            self.held = None

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, records: Iterable[Record], task: Task) -> None:
        """Write a task's records and mark it done, in one transaction: all or nothing.

        A record replaces the older one of its key, a unit's examples and facets all its older ones, photos that no
        example shows any more go, and so do all results of a network whose weights changed. Older tasks that own one
        of the task's places count as not done from here on. Raises StoreError on a full disk.
        """
        with disk_errors(self.folder), self._transaction() as run:
            enter(run, records, task)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    def done(self, task: str) -> bool:
        """Whether a task's records are here and no later task has replaced them."""
        return bool(self._rows("SELECT 1 FROM task WHERE key = ?", task))

    def networks(self) -> list[NetworkRecord]:
        """All networks, by name."""
        return self._records(NetworkRecord, "1 ORDER BY name")

    def network(self, name: str) -> NetworkRecord:
        """One network; raises UnknownNameError with the nearest names."""
        found = self._records(NetworkRecord, "name = ?", name)
        if not found:
            raise unknown("network in this store", name, [record.name for record in self.networks()])
        return found[0]

    def layers(self, network: str) -> list[LayerRecord]:
        """A network's layers in call order."""
        return self._records(LayerRecord, "network = ? ORDER BY place", network)

    def layer(self, network: str, name: str) -> LayerRecord:
        """One layer; raises UnknownNameError with the nearest names."""
        found = self._records(LayerRecord, "network = ? AND name = ?", network, name)
        if not found:
            raise unknown("layer", name, [record.name for record in self.layers(network)])
        return found[0]

    def pictures(self, network: str, layer: str, kind: str = "optimised") -> list[PictureRecord]:
        """A layer's pictures of a kind, by channel."""
        where = "network = ? AND layer = ? AND kind = ? ORDER BY channel"
        return self._records(PictureRecord, where, network, layer, kind)

    def picture(self, network: str, layer: str, channel: int, kind: str = "optimised") -> PictureRecord | None:
        """A unit's picture of a kind, if it has one."""
        return next(iter(self._records(PictureRecord, f"{UNIT} AND kind = ?", network, layer, channel, kind)), None)

    def notes(self, network: str, layer: str) -> list[NoteRecord]:
        """Why units of a layer have no picture, by channel."""
        return self._records(NoteRecord, "network = ? AND layer = ? ORDER BY channel, kind", network, layer)

    def examples(self, network: str, layer: str, channel: int) -> list[ExampleRecord]:
        """A unit's examples from the top to the bottom side, each side from its first on."""
        where = f"{UNIT} ORDER BY side DESC, place"  # from top to bottom is the alphabet backwards
        return self._records(ExampleRecord, where, network, layer, channel)

    def backward(self, network: str, layer: str, channel: int) -> list[BackwardRecord]:
        """A unit's backward pictures, by rule and place of the top example."""
        if not self._has("backward"):
            return []  # stores of schema 2 have none
        return self._records(BackwardRecord, f"{UNIT} ORDER BY rule, place", network, layer, channel)

    def stages(self, network: str) -> list[StageRecord]:
        """Which layers share their channels along identity shortcuts, stage by stage in call order."""
        if not self._has("stage"):
            return []  # stores of schema 3 have none
        return self._records(StageRecord, "network = ? ORDER BY name, place", network)

    def steps(self, network: str, layer: str, channel: int) -> list[StepRecord]:
        """How a unit goes together with units of other layers, by layers; of two the best match first."""
        if not self._has("step"):
            return []  # stores of schema 3 have none
        where = "network = ?1 AND (before = ?2 AND channel = ?3 OR after = ?2 AND other = ?3)"
        order = "before, after, shared DESC, rank DESC, channel, other"
        return self._records(StepRecord, f"{where} ORDER BY {order}", network, layer, channel)

    def histogram(self, network: str, layer: str, channel: int) -> HistogramRecord | None:
        """A unit's histogram of activations, if it was scanned."""
        return next(iter(self._records(HistogramRecord, UNIT, network, layer, channel)), None)

    def photos(self) -> list[PhotoRecord]:
        """All photos, by id."""
        return self._records(PhotoRecord, "1 ORDER BY id")

    def photo(self, photo: str) -> PhotoRecord:
        """One photo by its id; raises UnknownNameError."""
        found = self._records(PhotoRecord, "id = ?", photo)
        if not found:
            raise unknown("photo", photo, [record.id for record in self.photos()])
        return found[0]

    def contents(self, network: str) -> dict[str, tuple[int, int]]:
        """Per layer that has any: how many pictures there are of its units, and how many units have a histogram."""
        counts: dict[str, list[int]] = {}
        for place, table in enumerate(("picture", "histogram")):
            query = f"SELECT layer, COUNT(*) FROM {table} WHERE network = ? GROUP BY layer"
            for layer, count in self._rows(query, network):
                counts.setdefault(layer, [0, 0])[place] = count
        return {layer: (pictures, histograms) for layer, (pictures, histograms) in counts.items()}

    def _has(self, table: str) -> bool:
        return bool(self._rows("SELECT 1 FROM sqlite_master WHERE name = ?", table))

    def _records(self, kind: type[R], where: str, *values: object) -> list[R]:
        found = self._rows(f"SELECT * FROM {rows.TABLES[kind]} WHERE {where}", *values)
        if found and "provenance" in found[0].keys():  # noqa: SIM118
            self._learn({row["provenance"] for row in found})
        return [rows.build(kind, row, self._provenances) for row in found]

    def _learn(self, ids: set[str]) -> None:
        for id in ids - self._provenances.keys():
            (body,) = self._rows("SELECT body FROM provenance WHERE id = ?", id)[0]
            self._provenances[id] = Provenance(**json.loads(body))

    def _rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        try:
            return self.connection.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise damaged(self.folder, error) from error
