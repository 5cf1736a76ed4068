"""Peaks: the largest activation of every channel in every photo, kept for all photos.

A scan keeps the k photos that excite a unit most; comparing two units also needs how both rank the rest.
"""

import json
import os
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from retinoscope.base.boxes import Item
from retinoscope.base.errors import BadInputError, StoreError, unknown
from retinoscope.network.model import Model
from retinoscope.network.prepare import prepare
from retinoscope.network.record import record
from retinoscope.observe.scan import Photos

VERSION = 1


@dataclass(frozen=True)
class Peaks:
    """Per layer the photos' largest activations (n, c), and the channels' mean magnitudes (c,) over all positions.

    `photos` are the photos' ids in order; `labels` their class folders, None where there are none.
    """

    photos: tuple[str, ...]
    labels: tuple[str | None, ...]
    values: Mapping[str, Float[Tensor, "n c"]]
    sizes: Mapping[str, Float[Tensor, " c"]]

    def __getitem__(self, layer: str) -> Float[Tensor, "n c"]:
        """A layer's largest activations; raises UnknownNameError for a layer that was not looked at."""
        if layer not in self.values:
            raise unknown("layer with peaks", layer, self.values)
        return self.values[layer]

    def classes(self) -> Int[Tensor, " n"]:
        """A number for each photo's kind: its folder, or, without folders, what the network itself takes it for.

        Raises BadInputError where there are neither folders nor recorded logits.
        """
        if all(label is not None for label in self.labels):
            names = sorted({str(label) for label in self.labels})
            return torch.tensor([names.index(str(label)) for label in self.labels])
        if "logits" not in self.values:
            raise BadInputError("purity needs photos in class folders, or a network with logits")
        return self.values["logits"].argmax(1)

    def save(self, file: str | Path) -> None:
        """Write everything as one .npz file, whole or not at all; raises StoreError."""
        words = {"version": VERSION, "photos": self.photos, "labels": self.labels, "layers": list(self.values)}
        arrays = {"words": np.frombuffer(json.dumps(words).encode(), np.uint8)}
        for place, name in enumerate(self.values):
            arrays |= {f"{place}.values": self.values[name].numpy(), f"{place}.sizes": self.sizes[name].numpy()}
        file = Path(file)
        try:
            handle, part = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=".part")
            with os.fdopen(handle, "wb") as stream:
                np.savez_compressed(stream, allow_pickle=False, **arrays)
            os.replace(part, file)
        except OSError as error:
            raise StoreError(f"cannot write peaks '{file}': {error.strerror or error}") from error

    @classmethod
    def load(cls, file: str | Path) -> "Peaks":
        """Read saved peaks; raises StoreError when the file holds none."""
        try:
            with Path(file).open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
                words = json.loads(archive["words"].tobytes())
                values, sizes = (
                    {name: torch.from_numpy(archive[f"{i}.{part}"]) for i, name in enumerate(words["layers"])}
                    for part in ("values", "sizes")
                )
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise StoreError(f"'{file}' holds no peaks that can be read: {error}") from error
        return cls(tuple(words["photos"]), tuple(words["labels"]), values, sizes)


def peaks(model: Model, photos: Photos, layers: Sequence[str], batch: int = 32) -> Peaks:
    """Show a network every photo once and keep each channel's largest activation in each.

    Of a photo's tiles the strongest counts. Raises UnknownNameError for a layer that does not exist, BadInputError for
    activations that are NaN or infinite.
    """
    if not layers or batch < 1:
        raise BadInputError(f"peaks need layers and a batch of at least 1; came {list(layers)}, {batch}")
    layers = list(dict.fromkeys(layers))
    fast = prepare(model, layers)
    seen: list[Item] = []
    found: dict[str, list[Tensor]] = {name: [] for name in layers}
    sizes = {name: torch.zeros(model.layers[name].channels, dtype=torch.float64) for name in layers}
    with torch.inference_mode(), record(fast, layers) as trace:
        for items, images in photos.batches(model.input_size, batch):
            fast(images)
            seen += items
            for name in layers:
                maps = trace[name].float().cpu()
                found[name].append(_largest(name, maps))
                sizes[name] += maps.abs().mean((2, 3), dtype=torch.float64).sum(0)
            trace.clear()
    means = {name: (total / max(len(seen), 1)).float() for name, total in sizes.items()}
    return _by_photo(seen, {name: torch.cat(parts) for name, parts in found.items()}, means)


def _largest(name: str, maps: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c"]:
    largest = maps.amax((2, 3))
    if not bool(largest.isfinite().all()):
        raise BadInputError(f"{name}: activations are NaN or infinite")
    return largest


def _by_photo(items: Sequence[Item], values: Mapping[str, Tensor], sizes: Mapping[str, Tensor]) -> Peaks:
    """The largest over each photo's items."""
    first = {item.photo: item for item in reversed(items)}
    rows: dict[str, list[int]] = {}
    for row, item in enumerate(items):
        rows.setdefault(item.photo, []).append(row)
    joined = {name: torch.stack([found[places].amax(0) for places in rows.values()]) for name, found in values.items()}
    return Peaks(tuple(rows), tuple(first[photo].label for photo in rows), joined, dict(sizes))
