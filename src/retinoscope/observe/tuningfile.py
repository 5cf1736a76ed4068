"""Tuning as a file: one .npz of plain arrays, its words as JSON inside; no pickles, written whole or not at all."""

import json
import os
import tempfile
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from retinoscope.base.axis import Axis
from retinoscope.base.errors import StoreError
from retinoscope.observe.tuning import Tuning

VERSION = 1
WORDS = ("network", "weights", "stimuli", "reading", "units")


def save(tuning: Tuning, file: Path) -> None:
    """Write answers to `file`; a failure leaves what was there before. Raises StoreError."""
    words: dict[str, Any] = {name: getattr(tuning, name) for name in WORDS}
    words |= {part: {name: asdict(axis) for name, axis in getattr(tuning, part).items()} for part in ("axes", "over")}
    arrays = {"words": np.frombuffer(json.dumps({"version": VERSION, **words}).encode(), np.uint8)}
    arrays |= {"values": tuning.values.numpy(), "blank": tuning.blank.numpy()}
    arrays |= {f"picture.{name}": picture.numpy() for name, picture in tuning.pictures.items()}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=".part")
        with os.fdopen(handle, "wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)
        os.replace(part, file)
    except OSError as error:
        raise StoreError(f"cannot write tuning '{file}': {error.strerror or error}") from error


def load(file: Path) -> Tuning:
    """Read saved answers; raises StoreError when there are none, they are damaged, or of another version."""
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {name: torch.from_numpy(archive[name]) for name in archive.files if name != "words"}
            words = json.loads(archive["words"].tobytes())
        if words["version"] != VERSION:
            raise ValueError(f"it is of version {words['version']}; this program reads {VERSION}")
        axes, over = ({name: _axis(row) for name, row in words[part].items()} for part in ("axes", "over"))
        pictures = {name: arrays[f"picture.{name}"] for name in axes if f"picture.{name}" in arrays}
        told = {name: words[name] for name in WORDS[:-1]}
        return Tuning(
            **told, axes=axes, over=over, units=tuple(words["units"]), values=arrays["values"], blank=arrays["blank"],
            pictures=pictures,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise StoreError(f"'{file}' holds no tuning that can be read: {error}") from error


def _axis(row: dict[str, Any]) -> Axis:
    return Axis(**{**row, "values": tuple(row["values"])})
