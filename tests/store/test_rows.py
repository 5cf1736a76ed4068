"""Records and schema.sql name the same columns in the same order."""

import sqlite3
from dataclasses import fields
from importlib.resources import files

from retinoscope.store import rows


def test_every_record_has_its_table() -> None:
    db = sqlite3.connect(":memory:")
    db.executescript(files("retinoscope.store").joinpath("schema.sql").read_text())
    for kind, table in rows.TABLES.items():
        columns = [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]
        assert columns == [column.name for column in fields(kind)]
    db.close()
