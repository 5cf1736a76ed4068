"""Depthwise convolution in float64, tap by tap.

PyTorch runs float64 depthwise convolutions one channel after the other, and their gradients slower still. A sum of
shifted maps over the kernel's few taps is the same arithmetic in a fraction of the time.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Pair = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """Stride, padding and dilation along (y, x)."""

    stride: Pair
    padding: Pair
    dilation: Pair

    def tap(self, maps: Tensor, row: int, column: int, size: Pair) -> Tensor:
        """What one tap of the kernel sees on padded maps, a view (b, c, *size)."""
        top, left = row * self.dilation[0], column * self.dilation[1]
        down, across = self.stride
        return maps[
            :, :, top : top + (size[0] - 1) * down + 1 : down, left : left + (size[1] - 1) * across + 1 : across
        ]


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.geometry, ctx.size = geometry, x.shape[2:]
        (down, across), kernel = geometry.padding, weight.shape[2:]
        padded = F.pad(x, (across, across, down, down))
        spans = zip(padded.shape[2:], kernel, geometry.dilation, geometry.stride, strict=True)
        height, width = ((n - d * (k - 1) - 1) // s + 1 for n, k, d, s in spans)
        out = x.new_zeros(*x.shape[:2], height, width)
        for row in range(kernel[0]):
            for column in range(kernel[1]):
                out.addcmul_(geometry.tap(padded, row, column, (height, width)), weight[:, :, row, column, None])
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (weight,) = ctx.saved_tensors
        geometry, (height, width) = ctx.geometry, ctx.size
        down, across = geometry.padding
        wide = grad.new_zeros(*grad.shape[:2], height + 2 * down, width + 2 * across)
        for row in range(weight.shape[2]):
            for column in range(weight.shape[3]):
                seen = geometry.tap(wide, row, column, (grad.shape[2], grad.shape[3]))
                seen.addcmul_(grad, weight[:, :, row, column, None])
        return wide[:, :, down : down + height, across : across + width], None, None


NAMES = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")


def depthwise(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """`conv2d` of these arguments, tap by tap; None unless it is a depthwise convolution of as many maps."""
    given: dict[str, Any] = {"bias": None, "stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    given |= dict(zip(NAMES, args, strict=False)) | kwargs
    x, weight = given["input"], given["weight"]
    if not 1 < given["groups"] == len(weight) == x.shape[-3] or x.ndim != 4 or isinstance(given["padding"], str):
        return None
    geometry = Geometry(*(_pair(given[name]) for name in ("stride", "padding", "dilation")))
    out: Tensor = _Depthwise.apply(x, weight, geometry)
    return out if given["bias"] is None else out + given["bias"][:, None, None]


def _pair(value: Any) -> Pair:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values[0], values[-1]
