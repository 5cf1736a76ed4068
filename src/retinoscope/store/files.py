"""Image files of a store: written whole or not at all, under names that any file system takes."""

import errno
import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from retinoscope.base.errors import StoreError

TEMPORARY = ".partial-"
"""How the names of unfinished files begin."""

LONGEST = 200
"""Bytes of a file name before it is cut and marked with a hash; common file systems take 255."""


def picture_file(network: str, layer: str, channel: int, kind: str = "optimised") -> str:
    """Where a unit's picture lies, relative to the store's folder."""
    name = f"{channel}.png" if kind == "optimised" else f"{channel}.{safe(kind)}.png"
    return f"pictures/{safe(network)}/{safe(layer)}/{name}"


def backward_file(network: str, layer: str, channel: int, rule: str, suffix: str) -> str:
    """Where a unit's backward pictures lie, relative to the store's folder."""
    return f"backward/{safe(network)}/{safe(layer)}/{channel}.{safe(rule)}{suffix}"


def photo_file(photo: str) -> str:
    """Where the stored copy of a photo lies, relative to the store's folder; `photo` is its id."""
    return "photos/" + "/".join(safe(part) for part in f"{photo}.jpg".split("/"))


def safe(name: str) -> str:
    """A name as one path segment: percent-encoded, never hidden, cut and hashed when too long."""
    text = quote(name, safe="@,+=") or "%"
    text = "%2E" + text[1:] if text.startswith(".") else text
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST - 20]}~{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def save(folder: Path, relative: str, data: bytes) -> None:
    """Write a file under `folder` so that a kill or a power cut leaves the old file, or the new one, whole."""
    path = folder / relative
    with disk_errors(folder):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=TEMPORARY, dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)  # mkstemp's files are private; a store is to be shown
            os.replace(temporary, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def clean(folder: Path) -> None:
    """Remove what killed processes left unfinished; only the holder of the writer's lock may."""
    for path in folder.rglob(f"{TEMPORARY}*"):
        path.unlink(missing_ok=True)


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn a full disk, and a folder that may not be written, into a StoreError."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "full" in str(error):
            raise full(folder) from error
        if "readonly" in str(error):
            raise StoreError(f"the store {folder} may not be written to; change its permissions") from error
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise full(folder) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StoreError(f"{error.filename or folder} may not be written to; change its permissions") from error
        raise


def full(folder: Path) -> StoreError:
    """What to say when there is no room left."""
    return StoreError(f"disk full while writing to {folder}; nothing already made is lost: free space and run again")
