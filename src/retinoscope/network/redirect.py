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
from torch import Tensor, nn

from retinoscope.network.activation import InPlaceRelu6


@dataclass
class Redirect:
    """The switch of `redirected`: which items of the batch (b,) may get redirected gradients; None for none."""

    items: Tensor | None = None


class _Relu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, ceiling: float, redirect: Redirect) -> Tensor:
        ctx.save_for_backward(x)
        ctx.ceiling, ctx.items = ceiling, redirect.items
        return x.clamp(0, ceiling)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return relu_gradient(x, grad, ctx.ceiling, ctx.items), None, None


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
    """Redirect the gradients of the module's own ReLU and ReLU6 children for the items that the yielded switch names.

    Functional ReLUs keep their plain gradient. The forward pass and its values do not change.
    """
    redirect = Redirect()
    relus = [child for child in module.modules() if type(child) in (nn.ReLU, nn.ReLU6, InPlaceRelu6)]
    for relu in relus:
        relu.forward = _replacement(relu, redirect)
    try:
        yield redirect
    finally:
        for relu in relus:
            del relu.forward


def _replacement(relu: nn.Module, redirect: Redirect) -> Any:
    ceiling = 6.0 if isinstance(relu, nn.ReLU6) else float("inf")
    original = type(relu).forward

    def forward(x: Tensor) -> Tensor:
        if redirect.items is not None and x.requires_grad:
            result: Tensor = _Relu.apply(x, ceiling, redirect)
            return result
        plain: Tensor = original(relu, x)
        return plain

    return forward
