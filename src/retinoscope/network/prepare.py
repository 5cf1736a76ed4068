"""A fast frozen copy of a network: same answers, less work. The user's own module is never touched.

Batch norms are folded into the convolutions before them (found on the real graph: a convolution whose output only a
batch norm reads), memory is channels-last, convolutions get a backward pass that is itself a convolution, and in-place
ReLU6 keeps no copy of its input.
"""

import copy
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from retinoscope.network.activation import InPlaceRelu6
from retinoscope.network.convolution import FrozenConvolution
from retinoscope.network.model import Model
from retinoscope.network.record import forward


def prepare(model: Model, layers: Sequence[str] = (), dtype: torch.dtype = torch.float32) -> Model:
    """A copy of `model` made for speed: eval, frozen, folded, channels-last, in `dtype`.

    Every layer in `layers` keeps its values: a convolution among them is not folded. Other convolutions that feed a
    batch norm alone give the folded (normalised) value.
    """
    module = copy.deepcopy(model.module).eval().requires_grad_(False)
    keep = {model.layers[name].module for name in layers}
    fold(module, _example(model), keep)
    _swap(module, dtype)
    module = module.to(dtype=dtype).to(memory_format=torch.channels_last)
    return replace(model, module=module)


def _example(model: Model) -> Tensor:
    images = torch.full((1, 3, *model.input_size), 0.5, device=model.device)
    return model.normalize(images)


def fold(module: nn.Module, example: Tensor, keep: Collection[str] = ()) -> None:
    """Fold, in place, each batch norm into the convolution whose only reader it is, except convolutions in `keep`."""
    for conv_path, norm_path in foldable(module, example):
        if conv_path not in keep:
            _fold_pair(module, conv_path, norm_path)


def foldable(module: nn.Module, example: Tensor) -> list[tuple[str, str]]:
    """Pairs (convolution, batch norm) by path, where the convolution's output goes into that batch norm alone."""
    seen = _Seen({}, {}, {})
    handles = [
        child.register_forward_hook(partial(seen.call, path))
        for path, child in module.named_modules()
        if isinstance(child, nn.Conv2d | nn.BatchNorm2d)
    ]
    try:
        with torch.no_grad(), _Readers() as readers:
            forward(module, example)
    finally:
        for handle in handles:
            handle.remove()
    return [
        (path, norm)
        for key, (path, output) in seen.convs.items()
        if (norm := seen.norms.get(key)) and readers.count(output) == 1 and seen.calls[path] == seen.calls[norm] == 1
    ]


@dataclass(frozen=True)
class _Seen:
    """Outputs of convolutions and inputs of batch norms by their id, and how often each module was called."""

    convs: dict[int, tuple[str, Tensor]]
    norms: dict[int, str]
    calls: dict[str, int]

    def call(self, path: str, child: nn.Module, inputs: Any, output: Any) -> None:
        self.calls[path] = self.calls.get(path, 0) + 1
        if isinstance(child, nn.Conv2d):
            self.convs[id(output)] = (path, output)  # the tensor is kept, so that its id stays its own
        elif inputs:
            self.norms[id(inputs[0])] = path


class _Readers(TorchFunctionMode):
    """Counts how many torch functions read each tensor."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[int, tuple[int, Tensor]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        computes = any(isinstance(leaf, Tensor) for leaf in tree_leaves(result))  # asking for a shape is no reading
        for leaf in tree_leaves((args, kwargs)) if computes else ():
            if isinstance(leaf, Tensor):
                count, _ = self._seen.get(id(leaf), (0, leaf))
                self._seen[id(leaf)] = (count + 1, leaf)
        return result

    def count(self, tensor: Tensor) -> int:
        """How many functions took the tensor as an argument."""
        return self._seen.get(id(tensor), (0, tensor))[0]


def _fold_pair(module: nn.Module, conv_path: str, norm_path: str) -> None:
    conv, norm = module.get_submodule(conv_path), module.get_submodule(norm_path)
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    if norm.running_mean is None or norm.running_var is None:
        return
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    conv.requires_grad_(False)
    _put(module, norm_path, _Folded(norm))


class _Folded(nn.Module):
    """What is left of a batch norm after folding: its dropout and activation, where it has them (timm's do)."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        for name, child in norm.named_children():
            self.add_module(name, child)

    def forward(self, x: Tensor) -> Tensor:
        for child in self.children():
            x = child(x)
        return x


def _swap(module: nn.Module, dtype: torch.dtype) -> None:
    swapped: dict[nn.Module, nn.Module] = {}  # a module that stands in several places stays one module
    for path, child in list(module.named_modules(remove_duplicate=False)):
        if FrozenConvolution.fits(child, dtype):
            assert isinstance(child, nn.Conv2d)
            _put(module, path, swapped.setdefault(child, FrozenConvolution(child)))
        elif type(child) is nn.ReLU6 and child.inplace:
            _put(module, path, swapped.setdefault(child, InPlaceRelu6()))


def _put(module: nn.Module, path: str, child: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(module.get_submodule(parent), name, child)
