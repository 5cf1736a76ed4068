"""Convolution with frozen weights whose backward pass is made of convolutions too.

CPU libraries run the gradient of a convolution with respect to its input several times slower than its forward pass,
for strided depthwise ones ten times. That gradient is the flipped kernel, inputs and outputs swapped, slid over the
upstream gradient; with a stride s, each of the s x s phases of the input sees its own part of the kernel. Exactly the
same sums, by the fast forward routine.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn


@dataclass(frozen=True)
class _Geometry:
    stride: tuple[int, int]
    padding: tuple[int, int] | None  # None: TensorFlow's 'same', by input size
    kernel: tuple[int, int]
    groups: int

    def before_after(self, size: torch.Size) -> list[tuple[int, int]]:
        """Zeros before and after the input, per axis (y, x)."""
        if self.padding is not None:
            return [(p, p) for p in self.padding]
        spans = zip(size, self.stride, self.kernel, strict=True)
        missing = [max((math.ceil(n / s) - 1) * s + k - n, 0) for n, s, k in spans]
        return [(m // 2, m - m // 2) for m in missing]


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, swapped: Tensor, bias: Tensor | None, shape: _Geometry) -> Tensor:
        ctx.save_for_backward(swapped)
        ctx.shape, ctx.size = shape, x.shape[2:]
        pads = shape.before_after(x.shape[2:])
        if any(before != after for before, after in pads):
            x = F.pad(x, [*pads[1], *pads[0]])
            pads = [(0, 0), (0, 0)]
        return F.conv2d(x, weight, bias, shape.stride, [before for before, _ in pads], groups=shape.groups)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (swapped,) = ctx.saved_tensors
        return input_gradient(grad, swapped, ctx.shape, ctx.size), None, None, None, None


def input_gradient(grad: Tensor, swapped: Tensor, shape: _Geometry, size: torch.Size) -> Tensor:
    """Gradient (b, i, *size) from the upstream one (b, o, y, x); `swapped` is the kernel (i, o or 1, kh, kw)."""
    pads = shape.before_after(size)
    before = [start for start, _ in pads]
    back = [k - 1 - start for k, start in zip(shape.kernel, before, strict=True)]
    if shape.stride == (1, 1) and min(back) >= 0 and all(start == end for start, end in pads):
        return F.conv2d(grad, swapped.flip(2, 3), None, 1, back, groups=shape.groups)
    wide = grad.new_zeros(len(grad), *size, swapped.shape[0]).permute(0, 3, 1, 2)  # channels-last from the start
    for phase in itertools.product(range(shape.stride[0]), range(shape.stride[1])):
        part = swapped[:, :, phase[0] :: shape.stride[0], phase[1] :: shape.stride[1]]
        if 0 in part.shape:
            continue
        reach = [k - 1 for k in part.shape[2:]]
        answer = F.conv2d(grad, part.flip(2, 3), None, 1, reach, groups=shape.groups)
        # Row q of the answer is the gradient of input row q * stride + phase - padding.
        spans = [_span(*axis) for axis in zip(shape.stride, phase, before, size, answer.shape[2:], strict=True)]
        (into_y, from_y), (into_x, from_x) = spans
        wide[:, :, into_y, into_x] = answer[:, :, from_y, from_x]
    return wide


def _span(stride: int, phase: int, before: int, size: int, length: int) -> tuple[slice, slice]:
    first = max(math.ceil((before - phase) / stride), 0)
    start = first * stride + phase - before
    count = min(len(range(start, size, stride)), length - first)
    return slice(start, start + (count - 1) * stride + 1, stride), slice(first, first + count)


class FrozenConvolution(nn.Module):
    """Stands in for an `nn.Conv2d` whose weights need no gradient; shapes and values as the original's."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        kernel = (conv.kernel_size[0], conv.kernel_size[1])
        padding = None if isinstance(conv, Conv2dSame) else (int(conv.padding[0]), int(conv.padding[1]))
        self.geometry = _Geometry((conv.stride[0], conv.stride[1]), padding, kernel, conv.groups)
        weight = conv.weight.detach()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.swapped = nn.Parameter(weight if conv.groups > 1 else weight.transpose(0, 1), requires_grad=False)
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
        return plain and (depthwise or dense)

    def forward(self, x: Tensor) -> Tensor:
        """As `nn.Conv2d`: (b, c, h, w) to (b, c, y, x)."""
        result: Tensor = _Convolution.apply(x, self.weight, self.swapped, self.bias, self.geometry)
        return result
