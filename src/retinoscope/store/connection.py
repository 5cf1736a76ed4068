"""Connections to the store's SQLite file, and what can be wrong with it."""

import os
import sqlite3
from collections.abc import Sequence
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from retinoscope.base.errors import StoreError
from retinoscope.store import lock

FILE = "store.db"
VERSION = 4
"""The version of schema.sql; a store of a newer one is refused, one of an older one is read and not written to.

2 added the slight sides of examples and the peaks of pictures, 3 the backward pictures,
4 the stages and steps."""


def empty(folder: Path) -> bool:
    """Whether a folder holds nothing that a new store would mix with."""
    # A writer killed before its first commit leaves no more than its lock.
    return all(path.name == lock.FILE for path in folder.iterdir())


def existing(folder: Path) -> Path:
    """The folder, if a store is in it; raises StoreError."""
    if not (folder / FILE).is_file():
        kind = "has no store in it" if folder.is_dir() else "does not exist"
        raise StoreError(f"{folder} {kind}; make one with: retinoscope atlas MODEL PHOTOS --store {folder}")
    return folder


def connect_writer(folder: Path) -> sqlite3.Connection:
    """Connect for writing; a new file gets its tables first."""
    connection = sqlite3.connect(folder / FILE, isolation_level=None)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        if not connection.execute("SELECT 1 FROM sqlite_master").fetchall():
            _lay_out(connection)
        _check_version(connection, folder, oldest=VERSION)
    except sqlite3.OperationalError:
        connection.close()
        raise
    except sqlite3.DatabaseError as error:
        connection.close()
        raise damaged(folder, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _lay_out(connection: sqlite3.Connection) -> None:
    schema = resources("retinoscope.store").joinpath("schema.sql").read_text(encoding="utf-8")
    version = f"INSERT INTO meta (key, value) VALUES ('schema', '{VERSION}');"
    connection.executescript(f"BEGIN;\n{schema}\n{version}\nCOMMIT;")


def connect_reader(folder: Path) -> sqlite3.Connection:
    """Connect for reading, from any thread."""
    address = (folder / FILE).absolute().as_uri() + "?mode=ro"
    if not os.access(folder, os.W_OK) and not (folder / f"{FILE}-wal").exists():
        address += "&immutable=1"  # on a read-only disk SQLite cannot make the shared memory that WAL needs
    connection = sqlite3.connect(address, uri=True, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    try:
        _check_version(connection, folder)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise damaged(folder, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _check_version(connection: sqlite3.Connection, folder: Path, oldest: int = 1) -> None:
    found: Sequence[Any] | None = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    if found is None:
        raise StoreError(f"{folder / FILE} names no schema version; it is not a store of this program")
    if int(found[0]) > VERSION:
        raise StoreError(
            f"the store {folder} has schema version {found[0]}, and this program knows versions up to {VERSION}; "
            "update retinoscope"
        )
    if int(found[0]) < oldest:
        raise StoreError(
            f"the store {folder} has schema version {found[0]}, of an older retinoscope; this one can serve and export "
            f"it, but writes version {VERSION}: name a new folder to make the atlas again"
        )


def damaged(folder: Path, error: sqlite3.DatabaseError) -> StoreError:
    """What to say of a file that SQLite cannot read."""
    return StoreError(
        f"{folder / FILE} is damaged or no store ({error}); restore it from a copy, or make the atlas again elsewhere"
    )
