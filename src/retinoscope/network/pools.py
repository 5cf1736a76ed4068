"""Smoothed gradients of max pooling: values as they are, gradients for all of a window instead of its maximum alone.

A max pool sends the gradient to one pixel of each window, which writes its grid into pictures. Lucid's overrides
replace its backward pass by that of a smooth pool [lucid2018].
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from retinoscope.base.errors import BadNetworkError
from retinoscope.network.model import Model
from retinoscope.network.record import forward

Smooth = Callable[[Tensor, nn.MaxPool2d], Tensor]
"""A differentiable stand-in for a max pool, of the same output shape."""

FUNCTIONS = {F.max_pool2d, F.max_pool2d_with_indices, torch.max_pool2d}


def average(x: Tensor, pool: nn.MaxPool2d) -> Tensor:
    """The mean of each window; what lies outside the map does not count."""
    if pool.dilation not in (1, (1, 1)):
        raise BadNetworkError(f"a max pool of dilation {pool.dilation} has no smooth gradient here, only of dilation 1")
    stride = pool.stride or pool.kernel_size
    return F.avg_pool2d(x, pool.kernel_size, stride, pool.padding, pool.ceil_mode, count_include_pad=False)


def square(x: Tensor, pool: nn.MaxPool2d) -> Tensor:
    """avg(x^2) / (0.01 + avg |x|): Lucid's L2 form, between mean and maximum, with its constant."""
    return average(x.square(), pool) / (1e-2 + average(x.abs(), pool))


class SmoothedPool(nn.Module):
    """A max pool with the gradient of `smooth`."""

    def __init__(self, pool: nn.MaxPool2d, smooth: Smooth) -> None:
        super().__init__()
        self.pool, self.smooth = pool, smooth

    def forward(self, x: Tensor) -> Tensor:
        """The maximum of each window, bit for bit."""
        with torch.no_grad():
            maximum: Tensor = self.pool(x)
        if not x.requires_grad:
            return maximum
        soft = self.smooth(x, self.pool)
        return maximum + (soft - soft.detach())  # the difference is zero, its gradient is not


def smooth_pools(model: Model, smooth: Smooth = average) -> Model:
    """The model with smoothed gradients of its max pools; its values are the same and the user's module is untouched.

    `smooth` is `average` or `square` [lucid2018]. Raises BadNetworkError where the network calls max pooling as a
    function, or with dilation: such a pool cannot be replaced.
    """
    module = copy.deepcopy(model.module)
    pools = [(path, child) for path, child in module.named_modules() if type(child) is nn.MaxPool2d]
    for path, child in pools:
        average(torch.zeros(1, 1, 64, 64), child)  # refuses dilation here, and not in the middle of a render
        parent, _, name = path.rpartition(".")
        setattr(module.get_submodule(parent), name, SmoothedPool(child, smooth))
    changed = replace(model, module=module)
    _refuse_functions(changed)
    return changed


def _refuse_functions(model: Model) -> None:
    """Raise where the network's pass meets a max pool that is not a SmoothedPool's own."""
    example = torch.full((1, 3, *model.input_size), 0.5, device=model.device)
    own: list[nn.Module] = []
    pools = [child for child in model.module.modules() if isinstance(child, SmoothedPool)]
    handles = [pool.register_forward_hook(lambda pool, inputs, output: own.append(pool)) for pool in pools]
    try:
        with torch.no_grad(), _Pools() as seen:
            forward(model.module, model.normalize(example))
    finally:
        for handle in handles:
            handle.remove()
    if seen.calls > len(own):
        raise BadNetworkError(
            f"{model.name} calls torch.nn.functional.max_pool2d itself, whose gradient cannot be smoothed; "
            "make it a torch.nn.MaxPool2d"
        )


class _Pools(TorchFunctionMode):
    """Counts the calls of max pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += func in FUNCTIONS
        return func(*args, **(kwargs or {}))
