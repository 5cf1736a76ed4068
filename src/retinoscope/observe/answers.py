"""Answers: each item's largest activation in every channel, kept by a scan beside its examples, part by part.

A scan keeps the k photos that excite a unit most; comparing two units needs how both rank the rest, too.
"""

import json
import os
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.base.errors import StoreError

Best = Mapping[str, Tensor]
"""Per layer the largest activations of a batch's items, (b, c)."""


@dataclass(frozen=True)
class Answers:
    """Of a part of an image set: the photo of each item, and per layer the items' largest activations (m, c)."""

    photos: tuple[str, ...]
    values: Mapping[str, Float[Tensor, "m c"]]

    def save(self, file: str | Path) -> None:
        """Write everything as one .npz file, whole or not at all; raises StoreError."""
        words = {"photos": self.photos, "layers": list(self.values)}
        arrays: dict[str, Any] = {"words": np.frombuffer(json.dumps(words).encode(), np.uint8)}
        arrays |= {str(place): values.numpy() for place, values in enumerate(self.values.values())}
        file = Path(file)
        try:
            handle, part = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=".part")
            with os.fdopen(handle, "wb") as stream:
                np.savez(stream, allow_pickle=False, **arrays)  # what does not last needs no packing
            os.replace(part, file)
        except OSError as error:
            raise StoreError(f"cannot write answers '{file}': {error.strerror or error}") from error


def read_answers(files: Sequence[str | Path], layer: str) -> tuple[tuple[str, ...], Float[Tensor, "n c"]]:
    """One layer from the saved parts of an image set: the photos, and their largest activations.

    Of a photo's tiles, in whichever parts, the strongest counts. Raises StoreError for a file that holds no answers.
    """
    parts = [_read(Path(file), layer) for file in files]
    photos = [photo for names, _ in parts for photo in names]
    values = torch.cat([values for _, values in parts])
    order = {photo: row for row, photo in enumerate(dict.fromkeys(photos))}
    rows = torch.tensor([order[photo] for photo in photos], dtype=torch.int64)
    lowest = torch.full((len(order), values.shape[1]), -torch.inf)
    return tuple(order), lowest.scatter_reduce(0, rows[:, None].expand_as(values), values, "amax")


def _read(file: Path, layer: str) -> tuple[list[str], Tensor]:
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            words = json.loads(archive["words"].tobytes())
            return words["photos"], torch.from_numpy(archive[str(words["layers"].index(layer))])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise StoreError(f"'{file}' holds no answers of {layer} that can be read: {error}") from error
