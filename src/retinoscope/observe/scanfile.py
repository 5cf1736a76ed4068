"""A scan as a file: one .npz of plain arrays, its words as JSON inside; no pickles, written whole or not at all."""

import json
import os
import tempfile
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from retinoscope.base.boxes import Box, Item
from retinoscope.base.errors import StoreError
from retinoscope.network.model import Layer, ReceptiveField
from retinoscope.observe.histogram import Histogram
from retinoscope.observe.sample import Sample
from retinoscope.observe.scan import Scan
from retinoscope.observe.seen import Seen
from retinoscope.observe.tally import Tally
from retinoscope.observe.topk import Ranking

VERSION = 3
"""3 added the photos seen; files of version 2 are read, and know none."""


def save(scan: Scan, file: Path) -> None:
    """Write the scan to `file`; a failure leaves what was there before. Raises StoreError."""
    words = {
        "version": VERSION,
        "k": scan.k,
        "size": scan.size,
        "count": scan.count,
        "layers": [asdict(layer) for layer in scan.layers.values()],
        "items": [[place, asdict(item)] for place, item in scan.items.items()],
        "names": None if scan.seen is None else scan.seen.names,
    }
    arrays = {"words": np.frombuffer(json.dumps(words).encode(), np.uint8)}
    for index, name in enumerate(scan.layers):
        arrays |= {f"{index}.{part}": array for part, array in _arrays(scan.tallies[name]).items()}
        arrays[f"{index}.values"] = scan.sample.values[name].numpy()
    arrays |= {part: getattr(scan.sample, part).numpy() for part in ("keys", "places", "spots")}
    if scan.seen is not None:
        arrays |= {"photos.keys": scan.seen.keys.numpy(), "photos.kinds": scan.seen.kinds.numpy()}
    try:
        _write(file, arrays)
    except OSError as error:
        raise StoreError(f"cannot write scan '{file}': {error.strerror or error}") from error


def _write(file: Path, arrays: dict[str, NDArray[Any]]) -> None:
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)
        os.replace(name, file)
    except BaseException:
        os.unlink(name)
        raise


def _arrays(tally: Tally) -> dict[str, NDArray[Any]]:
    rankings = {
        f"{side}.{part}": getattr(ranking, part).numpy()
        for side, ranking in (("top", tally.top), ("bottom", tally.bottom))
        for part in ("scores", "places", "spots", "photos")
    }
    counts = {"counts": tally.counts.counts.numpy(), "exponents": tally.counts.exponents.numpy()}
    rest = {part: getattr(tally, part).numpy() for part in ("low", "high", "total")}
    return rankings | counts | rest | {"width": np.array(tally.width)}


def load(file: Path) -> Scan:
    """Read a saved scan; raises StoreError when there is none, it is damaged, or of another version."""
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        words = json.loads(arrays["words"].tobytes())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise StoreError(f"'{file}' is not a scan that can be read: {error}") from error
    if words["version"] not in (2, VERSION):
        raise StoreError(f"'{file}' is a scan of version {words['version']}; this program reads {VERSION}. Scan again")
    layers = [_layer(row) for row in words["layers"]]
    tallies = {layer.name: _tally(arrays, index) for index, layer in enumerate(layers)}
    items = {place: _item(row) for place, row in words["items"]}
    keys, places, spots = (torch.from_numpy(arrays[part]) for part in ("keys", "places", "spots"))
    values = {layer.name: torch.from_numpy(arrays[f"{index}.values"]) for index, layer in enumerate(layers)}
    sample = Sample(keys, places, spots, values)
    named = {layer.name: layer for layer in layers}
    seen = _seen(arrays, words.get("names"))
    return Scan(words["k"], tuple(words["size"]), named, tallies, items, words["count"], sample, seen)


def _seen(arrays: dict[str, NDArray[Any]], names: list[str] | None) -> Seen | None:
    if names is None:
        return None
    keys, kinds = (torch.from_numpy(arrays[f"photos.{part}"]) for part in ("keys", "kinds"))
    return Seen(keys, kinds, tuple(names))


def _tally(arrays: dict[str, NDArray[Any]], index: int) -> Tally:
    def get(part: str) -> torch.Tensor:
        return torch.from_numpy(arrays[f"{index}.{part}"])

    top, bottom = (
        Ranking(*(get(f"{side}.{part}") for part in ("scores", "places", "spots", "photos")))
        for side in ("top", "bottom")
    )
    counts = Histogram(get("counts"), get("exponents"))
    return Tally(top, bottom, counts, get("low"), get("high"), get("total"), int(get("width")))


def _layer(row: dict[str, Any]) -> Layer:
    field: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in row.pop("field").items()
    }
    return Layer(**{**row, "size": tuple(row["size"]), "field": ReceptiveField(**field)})


def _item(row: dict[str, Any]) -> Item:
    return Item(**{**row, "box": Box(**row["box"])})
