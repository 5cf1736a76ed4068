"""What the explorer asks of a store: plain reads that work while an atlas is being written."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from retinoscope.base.errors import StoreError
from retinoscope.store.connection import FILE, connect_reader, existing

Row = dict[str, Any]
T = TypeVar("T")

RESULTS = ("picture", "example", "histogram", "note")
_UNIT = "network = ? AND layer = ? AND channel = ?"
_FIRST = "e.network, e.layer, e.channel, e.score, e.box_top, e.box_left, e.box_bottom, e.box_right"
_PHOTO = "p.id AS photo, p.file, p.height AS photo_height, p.width AS photo_width, p.label, p.credit"


@dataclass(frozen=True)
class View:
    """A store at one moment: answers never change, so those that every page needs are kept."""

    connection: sqlite3.Connection
    kept: dict[tuple[str, ...], Any] = field(default_factory=dict)

    def execute(self, query: str, values: Any = ()) -> sqlite3.Cursor:
        """Run one query."""
        return self.connection.execute(query, values)

    def keep(self, key: tuple[str, ...], make: Callable[[], T]) -> T:
        """The answer under a key, made once."""
        if key not in self.kept:
            self.kept[key] = make()
        answer: T = self.kept[key]
        return answer


@contextmanager
def reading(folder: Path) -> Iterator[View]:
    """One unchanging view of a store; raises StoreError for a missing, newer or damaged one."""
    connection = connect_reader(existing(folder))
    try:
        connection.execute("BEGIN")
        yield View(connection)
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{folder / FILE} cannot be read ({error}); restore it from a copy") from error
    finally:
        connection.close()


def _rows(db: View, query: str, *values: object) -> list[Row]:
    return [dict(row) for row in db.execute(query, values)]


def networks(db: View) -> list[Row]:
    """All networks by name, their labels decoded."""
    query = "SELECT * FROM network ORDER BY name"
    return db.keep(("networks",), lambda: [{**row, "labels": json.loads(row["labels"])} for row in _rows(db, query)])


def layers(db: View, network: str) -> list[Row]:
    """A network's layers in call order, each with the number of its units that have a picture, and any result."""
    return db.keep(("layers", network), lambda: _layers(db, network))


def _layers(db: View, network: str) -> list[Row]:
    found = _rows(db, "SELECT * FROM layer WHERE network = ? ORDER BY place", network)
    pictures, results = _counts(db, ["picture"], network), _counts(db, RESULTS, network)
    return [{**row, "pictures": pictures.get(row["name"], 0), "results": results.get(row["name"], 0)} for row in found]


def _counts(db: View, tables: Iterable[str], network: str) -> dict[str, int]:
    union = " UNION ".join(f"SELECT DISTINCT layer, channel FROM {table} WHERE network = :network" for table in tables)
    query = f"SELECT layer, COUNT(*) FROM ({union}) GROUP BY layer"
    return dict(db.execute(query, {"network": network}))


def channels(db: View, network: str, layer: str) -> list[int]:
    """The channels of a layer that have any result, ascending."""
    return db.keep(("channels", network, layer), lambda: _channels(db, network, layer))


def _channels(db: View, network: str, layer: str) -> list[int]:
    where = "WHERE network = :network AND layer = :layer"
    union = " UNION ".join(f"SELECT channel FROM {table} {where}" for table in RESULTS)
    return [row[0] for row in db.execute(f"{union} ORDER BY channel", {"network": network, "layer": layer})]


def pictures(db: View, network: str, layer: str) -> dict[int, Row]:
    """One picture for each channel that has any: the optimised one where it exists."""
    last = "kind <> 'optimised' DESC, kind DESC"
    query = f"SELECT * FROM picture WHERE network = ? AND layer = ? ORDER BY channel, {last}"
    return {row["channel"]: row for row in _rows(db, query, network, layer)}


def strongest(db: View, network: str, layer: str) -> dict[int, Row]:
    """The strongest example of each channel, with its photo."""
    query = (
        f"SELECT {_FIRST}, {_PHOTO} FROM example e JOIN photo p ON p.id = e.photo "
        "WHERE e.network = ? AND e.layer = ? AND e.side = 'top' AND e.place = 1"
    )
    return {row["channel"]: row for row in _rows(db, query, network, layer)}


def maxima(db: View, network: str, layer: str) -> dict[int, float]:
    """The largest activation of each channel that has a histogram."""
    return dict(db.execute("SELECT channel, maximum FROM histogram WHERE network = ? AND layer = ?", (network, layer)))


def labels(db: View, network: str, layer: str) -> dict[int, list[str]]:
    """The distinct labels of each channel's top photos, strongest first."""
    query = (
        "SELECT e.channel, p.label FROM example e JOIN photo p ON p.id = e.photo WHERE e.network = ? AND e.layer = ? "
        "AND e.side = 'top' AND p.label IS NOT NULL ORDER BY e.channel, e.place"
    )
    found: dict[int, dict[str, None]] = {}
    for channel, label in db.execute(query, (network, layer)):
        found.setdefault(channel, {})[label] = None
    return {channel: list(names) for channel, names in found.items()}


def strip(db: View, network: str, layer: str, count: int) -> list[Row]:
    """Pictures of a layer's first units, or their strongest examples while there are no pictures."""
    query = (
        "SELECT * FROM picture p WHERE network = ? AND layer = ? AND kind = (SELECT kind FROM picture WHERE "
        "network = p.network AND layer = p.layer AND channel = p.channel ORDER BY kind <> 'optimised', kind LIMIT 1) "
        "ORDER BY channel LIMIT ?"
    )
    return _rows(db, query, network, layer, count) or _rows(
        db,
        f"SELECT {_FIRST}, {_PHOTO} FROM example e JOIN photo p ON p.id = e.photo WHERE e.network = ? AND e.layer = ? "
        "AND e.side = 'top' AND e.place = 1 ORDER BY e.channel LIMIT ?",
        network,
        layer,
        count,
    )


def unit_pictures(db: View, network: str, layer: str, channel: int) -> list[Row]:
    """All pictures of a unit, the optimised one first."""
    query = f"SELECT * FROM picture WHERE {_UNIT} ORDER BY kind <> 'optimised', kind"
    return _rows(db, query, network, layer, channel)


def unit_notes(db: View, network: str, layer: str, channel: int) -> list[Row]:
    """Why a unit has no picture, in words."""
    return _rows(db, f"SELECT kind, text FROM note WHERE {_UNIT} ORDER BY kind", network, layer, channel)


def unit_examples(db: View, network: str, layer: str, channel: int) -> list[Row]:
    """All examples of a unit with their photos, strongest of each side first."""
    query = (
        f"SELECT e.side, e.place, e.item, e.y, e.x, e.provenance, {_FIRST}, {_PHOTO} "
        "FROM example e JOIN photo p ON p.id = e.photo "
        "WHERE e.network = ? AND e.layer = ? AND e.channel = ? ORDER BY e.side DESC, e.place"
    )
    return _rows(db, query, network, layer, channel)


def unit_backward(db: View, network: str, layer: str, channel: int) -> list[Row]:
    """What comes back from a unit's top examples, by rule and place; stores of schema 2 have none."""
    if not _has(db, "backward"):
        return []
    return _rows(db, f"SELECT * FROM backward WHERE {_UNIT} ORDER BY rule, place", network, layer, channel)


def _has(db: View, table: str) -> bool:
    """Whether the store has a table: older ones lack the later ones."""
    query = "SELECT 1 FROM sqlite_master WHERE name = ?"
    return db.keep(("table", table), lambda: bool(db.execute(query, (table,)).fetchall()))


def stage(db: View, network: str, layer: str) -> list[Row]:
    """The layers of the stage that a layer belongs to, in call order; stores of schema 3 know none."""
    if not _has(db, "stage"):
        return []
    name = "SELECT name FROM stage WHERE network = ?1 AND layer = ?2 ORDER BY role <> 'trunk', name LIMIT 1"
    query = f"SELECT * FROM stage WHERE network = ?1 AND name = ({name}) ORDER BY place"
    return db.keep(("stage", network, layer), lambda: _rows(db, query, network, layer))


def unit_steps(db: View, network: str, layer: str, channel: int) -> list[Row]:
    """How a unit goes together with units of other layers: `k` examples each, `shared` of them; the best first."""
    if not _has(db, "step"):
        return []
    where = "network = ?1 AND (before = ?2 AND channel = ?3 OR after = ?2 AND other = ?3)"
    found = _rows(db, f"SELECT * FROM step WHERE {where} ORDER BY shared DESC, rank DESC", network, layer, channel)
    return [row | {"k": provenance(db, row["provenance"])["recipe"]["k"]} for row in found]


def face(db: View, network: str, layer: str, channel: int) -> Row:
    """What a unit is known by: its picture, else its strongest example, else its bare name."""
    bare: Row = {"network": network, "layer": layer, "channel": channel}
    tops = [row for row in unit_examples(db, network, layer, channel) if row["side"] == "top"]
    return next(iter([*unit_pictures(db, network, layer, channel), *tops]), bare)


def unit_histogram(db: View, network: str, layer: str, channel: int) -> Row | None:
    """The histogram of a unit's activations, its lists decoded."""
    for row in _rows(db, f"SELECT * FROM histogram WHERE {_UNIT}", network, layer, channel):
        return row | {key: json.loads(row[key]) for key in ("edges", "counts", "quantiles")}
    return None


def provenance(db: View, id: str) -> Row:
    """The body of a provenance."""
    query = "SELECT body FROM provenance WHERE id = ?"
    body: Row = db.keep(("provenance", id), lambda: json.loads(db.execute(query, (id,)).fetchone()[0]))
    return body


def has_file(db: View, file: str) -> bool:
    """Whether the store's tables name this image file."""
    queries = " UNION ALL ".join(f"SELECT 1 FROM {table} WHERE file = :file" for table in _with_files(db))
    return bool(db.execute(f"{queries} LIMIT 1", {"file": file}).fetchall())


def _with_files(db: View) -> list[str]:
    """The tables that name image files."""
    return ["picture", "photo", *(["backward"] if _has(db, "backward") else [])]


def files(db: View) -> list[str]:
    """All image files that the store's tables name."""
    queries = " UNION ".join(f"SELECT file FROM {table}" for table in _with_files(db))
    return [row[0] for row in db.execute(f"{queries} ORDER BY 1")]


def tops(db: View) -> Iterator[tuple[str, str, int, str, str | None]]:
    """Network, layer, channel, photo and label of every top example: what search looks through."""
    query = (
        "SELECT e.network, e.layer, e.channel, p.id, p.label FROM example e JOIN photo p ON p.id = e.photo "
        "WHERE e.side = 'top' ORDER BY e.network, e.layer, e.channel, e.place"
    )
    for row in db.execute(query):
        yield tuple(row)


def photos(db: View) -> list[Row]:
    """All photos by id."""
    return db.keep(("photos",), lambda: _rows(db, "SELECT * FROM photo ORDER BY id"))


def labels_of_photos(db: View) -> dict[str, int]:
    """How many stored photos have each label, by label."""
    query = "SELECT label, COUNT(*) FROM photo WHERE label IS NOT NULL GROUP BY label ORDER BY label"
    return dict(db.execute(query).fetchall())
