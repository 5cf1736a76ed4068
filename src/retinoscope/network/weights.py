"""Weights: read them from files without ever executing one, fit them to a network, and hash them."""

import hashlib
import pickle
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from retinoscope.base.errors import BadWeightsError

_NESTS = ("state_dict", "model_state_dict", "model")
SUFFIXES = (".safetensors", ".pth", ".pt")


def load_weights(module: nn.Module, file: str | Path) -> None:
    """Put the weights of a .safetensors, .pth or .pt file into `module`, in place.

    Weights nested under "state_dict" or "model" and names behind "module." are understood. Raises BadWeightsError when
    the file is missing, is not plain weights (it is never executed), or does not fit.
    """
    fit(module, read_weights(Path(file)), str(file))


def read_weights(file: Path) -> dict[str, Tensor]:
    """The tensors of a weights file by name; raises BadWeightsError."""
    if file.suffix not in SUFFIXES:
        raise BadWeightsError(f"cannot read weights from '{file}': give a file that ends in {', '.join(SUFFIXES)}")
    if not file.is_file():
        raise BadWeightsError(f"no weights file '{file}'")
    content = _read_safetensors(file) if file.suffix == ".safetensors" else _read_pickle(file)
    return _plain(content, file)


def _read_safetensors(file: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise BadWeightsError(f"'{file}' is not a whole safetensors file: {error}") from error


def _read_pickle(file: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # old and odd pickles are answered for below
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BadWeightsError(
            f"'{file}' holds more than plain weights, and was not executed. "
            "Save the network's state_dict() alone, best as .safetensors"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise BadWeightsError(f"'{file}' is not a whole PyTorch weights file: {error}") from error


def _plain(content: Any, file: Path) -> dict[str, Tensor]:
    for nest in _NESTS:
        if isinstance(content, Mapping) and isinstance(content.get(nest), Mapping):
            content = content[nest]
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise BadWeightsError(f"'{file}' holds no state dict: expected tensors by name, came {type(content).__name__}")
    names = [str(name) for name in content]
    cut = len("module.") if all(name.startswith("module.") for name in names) else 0
    return {name[cut:]: tensor for name, tensor in zip(names, content.values(), strict=True)}


def fit(module: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Copy `weights` into `module`; raises BadWeightsError naming what is missing, unexpected or of another shape."""
    own = module.state_dict()
    uncounted = {name for name in own if name.endswith("num_batches_tracked")}  # counts training steps only
    problems = [
        _few("missing", [name for name in own if name not in weights and name not in uncounted]),
        _few("unexpected", [name for name in weights if name not in own]),
        _few("of another shape", [_shapes(n, weights[n], own[n]) for n in own if _differ(weights.get(n), own[n])]),
    ]
    if any(problems):
        raise BadWeightsError(f"{source} does not fit {type(module).__name__}: {'; '.join(filter(None, problems))}")
    module.load_state_dict(dict(weights), strict=False)


def fit_in_order(module: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Copy weights that have other names but the same order; every shape must agree."""
    own = module.state_dict()
    pairs = list(zip(own, weights, strict=False))
    wrong = [_shapes(f"{b} for {a}", weights[b], own[a]) for a, b in pairs if _differ(weights[b], own[a])]
    if wrong or len(own) != len(weights):
        raise BadWeightsError(
            f"{source} does not fit {type(module).__name__}: {len(weights)} tensors for {len(own)}"
            + (f"; {_few('of another shape', wrong)}" if wrong else "")
        )
    module.load_state_dict({ours: weights[theirs] for ours, theirs in pairs})


def _differ(given: Tensor | None, own: Tensor) -> bool:
    return given is not None and given.shape != own.shape


def _shapes(name: str, given: Tensor, own: Tensor) -> str:
    return f"{name} {tuple(given.shape)} instead of {tuple(own.shape)}"


def _few(what: str, names: Sequence[str]) -> str:
    """The first three names and how many more; empty for none."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{len(names)} {what}: {', '.join(names[:3])}{more}" if names else ""


def weights_hash(module: nn.Module) -> str:
    """16 hex digits of the SHA-256 of a network's state: names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        if isinstance(tensor, Tensor):
            digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]
