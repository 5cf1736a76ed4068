"""What a task's records replace: the older ones of their keys, and all that is no longer true beside them."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from retinoscope.store import rows
from retinoscope.store.records import (
    BackwardRecord,
    ExampleRecord,
    NetworkRecord,
    NoteRecord,
    PictureRecord,
    Record,
    StageRecord,
    StepRecord,
)

ByKind = dict[type[Record], list[Record]]

UNIT = "network = ? AND layer = ? AND channel = ?"
"""The rows of one unit."""


@dataclass(frozen=True)
class Task:
    """What a piece of work leaves behind: its key, its description, and the places of a network that it owns."""

    key: str
    network: str = ""
    description: str = ""
    places: tuple[str, ...] = ()


def backward_place(layer: str, channel: int) -> str:
    """The place of a unit's backward pictures, which the task that made them owns."""
    return f"backward {layer}:{channel}"


def steps_place(layer: str) -> str:
    """The place of the steps to and from a layer."""
    return f"steps {layer}"


def enter(run: sqlite3.Connection, records: Iterable[Record], task: Task) -> None:
    """Write a task's records, inside a transaction, and mark it done."""
    by_kind: ByKind = {kind: [] for kind in rows.TABLES}
    for record in records:
        by_kind[type(record)].append(record)
    _write_provenances(run, by_kind)
    _clear(run, by_kind)
    for kind, group in by_kind.items():
        run.executemany(rows.insert(kind), [rows.row(record) for record in group])
    if by_kind[ExampleRecord]:
        run.execute("DELETE FROM photo WHERE id NOT IN (SELECT photo FROM example)")
    _finish(run, task)


def _write_provenances(run: sqlite3.Connection, by_kind: ByKind) -> None:
    found = (getattr(record, "provenance", None) for group in by_kind.values() for record in group)
    unique = {id(provenance): provenance for provenance in found if provenance is not None}
    bodies = [(provenance.id, provenance.body) for provenance in unique.values()]
    run.executemany("INSERT OR IGNORE INTO provenance (id, body) VALUES (?, ?)", bodies)


def _clear(run: sqlite3.Connection, by_kind: ByKind) -> None:
    for network in by_kind[NetworkRecord]:
        _clear_network(run, network)
    units = {(r.network, r.layer, r.channel) for r in by_kind[ExampleRecord] if isinstance(r, ExampleRecord)}
    run.executemany(f"DELETE FROM example WHERE {UNIT}", units)
    _clear_of_examples(run, by_kind, units)
    _clear_steps(run, by_kind)
    _clear_families(run, by_kind)


def _clear_of_examples(run: sqlite3.Connection, by_kind: ByKind, units: set[tuple[str, str, int]]) -> None:
    """Backward pictures and steps are of examples: with these they go, and count as not done."""
    traced = {(r.network, r.layer, r.channel) for r in by_kind[BackwardRecord] if isinstance(r, BackwardRecord)}
    noted = (r for r in by_kind[NoteRecord] if isinstance(r, NoteRecord) and r.kind.endswith(" backward"))
    traced |= {(r.network, r.layer, r.channel) for r in noted}
    run.executemany(f"DELETE FROM backward WHERE {UNIT}", units | traced)
    owned = {(network, backward_place(layer, channel)) for network, layer, channel in units}
    layers = {(network, layer) for network, layer, _ in units}
    run.executemany("DELETE FROM step WHERE network = ?1 AND (before = ?2 OR after = ?2)", layers)
    owned |= {(network, steps_place(layer)) for network, layer in layers}
    run.executemany(f"DELETE FROM task WHERE key IN ({_OWNER})", owned)


def _clear_steps(run: sqlite3.Connection, by_kind: ByKind) -> None:
    pairs = {(r.network, r.before, r.after) for r in by_kind[StepRecord] if isinstance(r, StepRecord)}
    run.executemany("DELETE FROM step WHERE network = ? AND before = ? AND after = ?", pairs)
    staged = {(r.network,) for r in by_kind[StageRecord] if isinstance(r, StageRecord)}
    run.executemany("DELETE FROM stage WHERE network = ?", staged)


def _clear_families(run: sqlite3.Connection, by_kind: ByKind) -> None:
    """A unit has either pictures of a family ('facet' of 'facet 2') or a note that says why not, none of them stale."""
    made = [*by_kind[PictureRecord], *by_kind[NoteRecord]]
    kinds = (r for r in made if isinstance(r, PictureRecord | NoteRecord))
    families = {(r.network, r.layer, r.channel, r.kind.split()[0]) for r in kinds}
    families |= {
        (r.network, r.layer, r.channel, r.rule) for r in by_kind[BackwardRecord] if isinstance(r, BackwardRecord)
    }
    for table in ("note", "picture"):
        where = f"{UNIT} AND (kind = ? OR kind LIKE ? || ' %')"
        run.executemany(f"DELETE FROM {table} WHERE {where}", [(*family, family[3]) for family in families])


def _clear_network(run: sqlite3.Connection, record: Record) -> None:
    """Forget all results of a network that comes with other weights than before."""
    assert isinstance(record, NetworkRecord)
    old = run.execute("SELECT weights_hash FROM network WHERE name = ?", (record.name,)).fetchone()
    if old is None or old[0] == record.weights_hash:
        return
    run.execute("DELETE FROM task WHERE key IN (SELECT task FROM place WHERE network = ?)", (record.name,))
    for table in ("layer", "picture", "example", "backward", "histogram", "note", "stage", "step"):
        run.execute(f"DELETE FROM {table} WHERE network = ?", (record.name,))


_OWNER = "SELECT task FROM place WHERE network = ? AND name = ?"


def _finish(run: sqlite3.Connection, task: Task) -> None:
    owned = [(task.network, place) for place in task.places]
    run.executemany(f"DELETE FROM task WHERE key IN ({_OWNER})", owned)
    run.execute("INSERT OR REPLACE INTO task (key, description) VALUES (?, ?)", (task.key, task.description))
    run.executemany("INSERT INTO place (network, name, task) VALUES (?, ?, ?)", [(*place, task.key) for place in owned])
