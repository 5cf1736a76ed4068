"""Networks whose upper layers have forgotten what they learned: the cascade of the randomisation check."""

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from retinoscope.network.model import Model
from retinoscope.network.record import record
from retinoscope.tensor.random import generator


def weighted(model: Model, layer: str) -> list[str]:
    """Paths of the modules with weights of their own that run up to a layer, the layer's own included, top first.

    A module that runs several times stands where it runs last.
    """
    order: dict[str, None] = {}

    def note(path: str) -> Any:
        def hook(*_: Any) -> None:
            order.pop(path, None)
            order[path] = None

        return hook

    holders = [(path, child) for path, child in model.module.named_modules() if own(child)]
    handles = [child.register_forward_pre_hook(note(path)) for path, child in holders]
    try:
        with torch.no_grad(), record(model, [layer]):
            model(torch.full((1, 3, *model.input_size), 0.5, device=model.device))
    finally:
        for handle in handles:
            handle.remove()
    return list(order)[::-1]


def own(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """A module's parameters that belong to no module inside it."""
    return list(module.named_parameters(recurse=False))


def reinitialized(model: Model, paths: Sequence[str], seed: int = 0) -> Model:
    """A copy of the model, frozen and in eval mode, in which the modules at `paths` are as before any training.

    Weights of two or more axes are normal with variance 2 / fan-in [he2015], norms have gain 1, bias 0, and statistics
    of mean 0 and variance 1, biases are 0; other vectors keep their mean and lose their differences. What a module
    gets depends on the seed and its path alone.
    """
    module = copy.deepcopy(model.module).eval().requires_grad_(False)
    for path in paths:
        child = module.get_submodule(path)
        for name, parameter in own(child):
            parameter.copy_(_fresh(child, name, parameter, generator(seed, path, name)))
        for name, buffer in child.named_buffers(recurse=False):
            if name in ("running_mean", "running_var"):
                buffer.fill_(float(name == "running_var"))
    return replace(model, module=module, weights_hash="")


def _fresh(module: nn.Module, name: str, parameter: Tensor, numbers: torch.Generator) -> Tensor:
    if parameter.ndim > 1:
        fan_in = parameter[0].numel()
        drawn = torch.randn(parameter.shape, generator=numbers) * math.sqrt(2 / fan_in)
        return drawn.to(parameter)
    if name == "bias":
        return torch.zeros_like(parameter)
    norm = isinstance(getattr(module, "eps", None), float)  # batch, layer and group norms have one
    return torch.ones_like(parameter) if norm else parameter.mean().expand(parameter.shape)
