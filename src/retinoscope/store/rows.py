"""Records to rows of the schema and back: which table, which columns, what is stored as JSON."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from retinoscope.store.records import (
    BackwardRecord,
    ExampleRecord,
    HistogramRecord,
    LayerRecord,
    MetaRecord,
    NetworkRecord,
    NoteRecord,
    PhotoRecord,
    PictureRecord,
    Provenance,
    Record,
    StageRecord,
    StepRecord,
)

TABLES: dict[type[Any], str] = {
    NetworkRecord: "network",
    LayerRecord: "layer",
    PhotoRecord: "photo",
    MetaRecord: "meta",
    PictureRecord: "picture",
    ExampleRecord: "example",
    BackwardRecord: "backward",
    HistogramRecord: "histogram",
    NoteRecord: "note",
    StageRecord: "stage",
    StepRecord: "step",
}
"""The table of each kind of record, in the order in which references allow writing them."""

R = TypeVar("R", bound=Record)

_LISTS = ("labels", "edges", "counts")


def insert(kind: type[Record]) -> str:
    """The statement that writes a record of that kind in place of an older one of the same key."""
    marks = ", ".join("?" for _ in fields(kind))
    names = ", ".join(column.name for column in fields(kind))
    return f"INSERT OR REPLACE INTO {TABLES[kind]} ({names}) VALUES ({marks})"


def row(record: Record) -> tuple[Any, ...]:
    """A record's values in column order."""
    return tuple(_store(getattr(record, column.name)) for column in fields(record))


def _store(value: Any) -> Any:
    if isinstance(value, Provenance):
        return value.id
    if isinstance(value, tuple | list | dict):
        return json.dumps(value, sort_keys=True)
    return value


def build(kind: type[R], found: sqlite3.Row, provenances: Mapping[str, Provenance]) -> R:
    """The record that a row of its table holds."""
    return kind(**{key: _read(key, found[key], provenances) for key in found.keys()})  # noqa: SIM118


def _read(column: str, value: Any, provenances: Mapping[str, Provenance]) -> Any:
    if column == "provenance":
        return provenances[value]
    if column in _LISTS:
        return tuple(json.loads(value))
    return json.loads(value) if column == "quantiles" else value
