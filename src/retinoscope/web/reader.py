"""Which files a store names, asked over one connection that stays open: a page of pictures asks a hundred times."""

import sqlite3
import threading
import weakref
from pathlib import Path

from retinoscope.base.errors import StoreError
from retinoscope.store.connection import FILE, connect_reader, existing
from retinoscope.web import queries
from retinoscope.web.queries import View

Stamp = tuple[int, int, int, int, bool]


class Reader:
    """Answers from what is committed at the moment of asking, also while an atlas is being written or made anew.

    A connection without a transaction sees every commit; it is opened again when another file has taken the
    database's place, or when one that was read as unchanging has changed. Any thread may ask.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._stamp: Stamp | None = None
        self._view: View | None = None
        self._close: weakref.finalize[[], Reader] | None = None

    def has_file(self, file: str) -> bool:
        """Whether the store's tables name this image file; raises StoreError for a missing or damaged store."""
        with self._lock:
            try:
                return queries.has_file(self._current(), file)
            except sqlite3.DatabaseError as error:
                self._drop()
                raise StoreError(f"{self._folder / FILE} cannot be read ({error}); restore it from a copy") from error

    def _current(self) -> View:
        stamp = _stamp(self._folder)
        if self._view is None or stamp != self._stamp:
            self._drop()
            connection = connect_reader(existing(self._folder))
            self._close = weakref.finalize(self, connection.close)
            self._view, self._stamp = View(connection), stamp
        return self._view

    def _drop(self) -> None:
        if self._close is not None:
            self._close()
        self._view = self._close = None


def _stamp(folder: Path) -> Stamp | None:
    """What changes when the database's file does: who it is, when it was written, and whether commits lie beside it."""
    try:
        found = (folder / FILE).stat()
    except OSError:
        return None
    beside = (folder / f"{FILE}-wal").exists()
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size, beside)
