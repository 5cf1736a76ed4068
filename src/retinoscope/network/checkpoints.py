"""Checkpoints: one network at several moments of its training, each a Model of its own."""

import copy
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from retinoscope.base.errors import BadWeightsError
from retinoscope.network.model import Model
from retinoscope.network.weights import SUFFIXES, fit, read_weights, weights_hash


def load_checkpoints(model: Model, files: str | Path | Iterable[str | Path]) -> list[Model]:
    """A Model per checkpoint file, with the architecture, range and labels of `model`, which is not changed.

    `files` is a folder (its .safetensors, .pth and .pt files, numbers in their names in order: epoch_2 before
    epoch_10) or files in the order of training. Each Model is named after its file. Files are read as plain weights
    and never executed. Raises BadWeightsError for a file that is missing or does not fit, or an empty folder.
    """
    found = _in_folder(Path(files)) if isinstance(files, str | Path) else [Path(file) for file in files]
    return [checkpoint(model, read_weights(file), file.stem) for file in found]


def checkpoint(model: Model, weights: dict[str, Tensor], name: str) -> Model:
    """A copy of `model` that holds `weights` (a state dict) and is called `name`."""
    module = copy.deepcopy(model.module).eval()
    fit(module, weights, name)
    return replace(model, module=module, name=name, weights_hash=weights_hash(module))


def _in_folder(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise BadWeightsError(f"no folder '{folder}' of checkpoints; give a folder, or a list of files")
    found = [file for file in folder.iterdir() if file.suffix in SUFFIXES and not file.name.startswith(".")]
    if not found:
        raise BadWeightsError(f"no checkpoints in '{folder}': they end in {', '.join(SUFFIXES)}")
    return sorted(found, key=lambda file: _natural(file.name))


def _natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts the numbers in names by size."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]
