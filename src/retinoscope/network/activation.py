"""In-place ReLU6 that keeps its output for the backward pass, where PyTorch keeps a copy of its input as large."""

from typing import Any

import torch
from torch import Tensor, nn


class InPlaceRelu6(nn.ReLU6):
    """Stands in for `nn.ReLU6(inplace=True)`; values and gradients are the same to the bit."""

    def __init__(self) -> None:
        super().__init__(inplace=True)

    def forward(self, input: Tensor) -> Tensor:
        """(b, ...) to the same shape, the same memory."""
        # A view's history cannot be rewritten by a custom function; PyTorch's own knows how. And a mode that rewrites
        # operations, as for redirected gradients, must see this one.
        watched = torch._C._is_torch_function_mode_enabled()
        if not input.requires_grad or input._is_view() or watched:
            return super().forward(input)
        result: Tensor = _Relu6.apply(input)
        return result


class _Relu6(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x.clamp_(0.0, 6.0)
        ctx.mark_dirty(x)
        ctx.save_for_backward(x)
        return x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (y,) = ctx.saved_tensors  # strictly between the bounds exactly where the input was
        return torch.ops.aten.hardtanh_backward(grad, y, 0.0, 6.0)
