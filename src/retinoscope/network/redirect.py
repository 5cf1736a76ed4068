"""Redirected ReLU gradients: a start-up aid for units whose ReLU is dead on noise [lucid2018].

The plain gradient of a ReLU is zero where it is off. While switched on, a named item of the batch whose plain gradient
is zero everywhere gets the redirected one, which also lets through, below zero, whatever pushes the input up (and,
above a ReLU6's ceiling, whatever pushes it down). Other items keep their plain gradient to the bit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


@dataclass
class Redirect:
    """The switch of `redirected`: which items of the batch (b,) may get redirected gradients; None for none."""

    items: Tensor | None = None


class _Relu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, ceiling: float, items: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        ctx.ceiling, ctx.items = ceiling, items
        return x.clamp(0, ceiling)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return relu_gradient(x, grad, ctx.ceiling, ctx.items), None, None


class _ReluInPlace(_Relu):
    @staticmethod
    def forward(ctx: Any, x: Tensor, ceiling: float, items: Tensor) -> Tensor:
        ctx.save_for_backward(x.clone())
        ctx.ceiling, ctx.items = ceiling, items
        ctx.mark_dirty(x)
        return x.clamp_(0, ceiling)


def relu_gradient(x: Tensor, grad: Tensor, ceiling: float, items: Tensor) -> Tensor:
    """The gradient of clamp(x, 0, ceiling) from the upstream `grad` of a loss to descend.

    Redirected for those of `items` (b,) whose plain gradient is zero everywhere.
    """
    plain = grad * ((x > 0) & (x < ceiling))
    dead = plain.abs().amax(tuple(range(1, x.ndim))) == 0
    if len(dead) == len(items):  # networks that cut images into windows have more rows than items
        dead &= items
    blocked = ((x < 0) & (grad > 0)) | ((x > ceiling) & (grad < 0))
    return torch.where(dead.view(-1, *(1,) * (x.ndim - 1)), grad * ~blocked, plain)


@contextmanager
def redirected(module: nn.Module) -> Iterator[Redirect]:
    """Redirect the gradients of every ReLU and ReLU6 in the module's own pass, for the items the yielded switch names.

    Modules and functions alike, in place or not: `nn.ReLU`, `F.relu`, `torch.relu`, `x.relu_()`, and `hardtanh` from
    zero. A ReLU written as a clamp or a maximum keeps its plain gradient. Forward values do not change.
    """
    redirect = Redirect()
    original = module.forward
    own = vars(module).get("forward")

    def forward(*args: Any, **kwargs: Any) -> Any:
        if redirect.items is None:
            return original(*args, **kwargs)
        # Only while the network computes: a mode left on between steps would reach into the caller's own code.
        with _Redirecting(redirect.items):
            return original(*args, **kwargs)

    module.forward = forward
    try:
        yield redirect
    finally:
        del module.forward
        if own is not None:
            module.forward = own


class _Redirecting(TorchFunctionMode):
    """Answers every ReLU with one of redirected gradient."""

    def __init__(self, items: Tensor) -> None:
        super().__init__()
        self.items = items

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        call = _as_relu(func, args, kwargs or {})
        if call is None or not call.x.requires_grad:
            return func(*args, **(kwargs or {}))
        return (_ReluInPlace if call.in_place else _Relu).apply(call.x, call.ceiling, self.items)


@dataclass(frozen=True)
class _Call:
    """A call of a ReLU: its input, its ceiling, and whether it overwrites its input."""

    x: Tensor
    ceiling: float
    in_place: bool


PLAIN = {F.relu, torch.relu, Tensor.relu, torch.relu_, Tensor.relu_}
ALWAYS_IN_PLACE = {torch.relu_, Tensor.relu_}


def _as_relu(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call | None:
    """The call as that of a ReLU with a ceiling; None if it is something else."""
    if func in PLAIN:
        given = _named(("input", "inplace"), args, kwargs)
        return _Call(given["input"], float("inf"), func in ALWAYS_IN_PLACE or given.get("inplace", False))
    if func is F.relu6:
        given = _named(("input", "inplace"), args, kwargs)
        return _Call(given["input"], 6.0, given.get("inplace", False))
    if func is F.hardtanh:  # what nn.ReLU6 calls
        given = _named(("input", "min_val", "max_val", "inplace"), args, kwargs)
        if given.get("min_val", -1.0) == 0:
            return _Call(given["input"], float(given.get("max_val", 1.0)), given.get("inplace", False))
    return None


def _named(names: tuple[str, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    return {**dict(zip(names, args, strict=False)), **kwargs}
