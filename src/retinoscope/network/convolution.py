"""Convolution with frozen weights whose backward pass is a convolution too.

CPU libraries run the gradient of a convolution with respect to its input several times slower than its forward pass,
for strided depthwise ones ten times. That gradient is the flipped kernel, inputs and outputs swapped, slid over the
upstream gradient spread out by the stride: exactly the same sum, by the fast forward routine.
"""

from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import Conv2dSame, pad_same
from torch import Tensor, nn


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, x: Tensor, weight: Tensor, flipped: Tensor, bias: Tensor | None, stride: Any, padding: Any, groups: int
    ) -> Tensor:
        ctx.save_for_backward(flipped)
        ctx.stride, ctx.padding, ctx.size, ctx.groups = stride, padding, x.shape[2:], groups
        return F.conv2d(x, weight, bias, stride, padding, groups=groups)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # type: ignore[override]
        (flipped,) = ctx.saved_tensors
        kernel = flipped.shape[2:]
        if ctx.stride != (1, 1):
            spread = [n + 2 * p - k + 1 for n, p, k in zip(ctx.size, ctx.padding, kernel, strict=True)]
            wide = torch.empty(*grad.shape[:2], *spread, dtype=grad.dtype, device=grad.device)
            wide = wide.to(memory_format=torch.channels_last).zero_()
            wide[:, :, :: ctx.stride[0], :: ctx.stride[1]] = grad
            grad = wide
        back = [k - 1 - p for k, p in zip(kernel, ctx.padding, strict=True)]
        return F.conv2d(grad, flipped, None, 1, back, groups=ctx.groups), *(None,) * 6


class FrozenConvolution(nn.Module):
    """Stands in for an `nn.Conv2d` whose weights need no gradient; shapes and values as the original's."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.same = isinstance(conv, Conv2dSame)
        self.stride, self.groups = conv.stride, conv.groups
        self.padding = (0, 0) if self.same else conv.padding
        weight = conv.weight.detach()
        swapped = weight if conv.groups > 1 else weight.transpose(0, 1)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.flipped = nn.Parameter(swapped.flip(2, 3).contiguous(), requires_grad=False)
        self.bias = None if conv.bias is None else nn.Parameter(conv.bias.detach(), requires_grad=False)

    @staticmethod
    def fits(module: nn.Module, dtype: torch.dtype) -> bool:
        """Whether this is a convolution that gains: depthwise, or dense without a stride in reduced precision.

        Dense float32 gradients are fast already. Dilated and other than zero-padded convolutions are left alone.
        """
        if type(module) not in (nn.Conv2d, Conv2dSame):
            return False
        assert isinstance(module, nn.Conv2d)
        depthwise = module.groups == module.in_channels == module.out_channels > 1
        dense = module.groups == 1 and module.stride == (1, 1) and dtype != torch.float32
        plain = module.dilation == (1, 1) and module.padding_mode == "zeros" and not isinstance(module.padding, str)
        return plain and (depthwise or dense) and all(int(p) < k for p, k in zip(module.padding, module.kernel_size))

    def forward(self, x: Tensor) -> Tensor:
        """As `nn.Conv2d`: (b, c, h, w) to (b, c, y, x)."""
        if self.same:
            x = pad_same(x, list(self.weight.shape[2:]), list(self.stride))
        result: Tensor = _Convolution.apply(  # type: ignore[no-untyped-call]
            x, self.weight, self.flipped, self.bias, self.stride, self.padding, self.groups
        )
        return result
