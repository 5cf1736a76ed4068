"""A network taken as linear: activations let everything through, max pools give their window's mean.

Between two layers of such a network there is nothing but weights, whose products and sums are the expanded weights
[schubert2021]. Found on the real graph: functional, in-place and shared activations count as modules do.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from retinoscope.base.errors import BadNetworkError
from retinoscope.circuits.depthwise import depthwise
from retinoscope.network.pools import average
from retinoscope.network.preactivation import ACTIVATIONS

Alter = Callable[[Tensor], Tensor]
"""What stands for a constant that multiplies the signal: the weight itself, its size, or one for each connection."""

MAX_POOLS = frozenset({"max_pool2d", "max_pool2d_with_indices"})
ADAPTIVE_POOLS = frozenset({"adaptive_max_pool2d", "adaptive_max_pool2d_with_indices"})

WEIGHED = frozenset({
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "linear", "batch_norm",
    "matmul", "mm", "bmm", "einsum", "baddbmm", "addmm", "addcmul", "__matmul__", "__rmatmul__", "lerp", "where",
})  # fmt: skip
"""Linear in the signal, with tensors of constants for weights."""

SCALED = frozenset({
    "mul", "multiply", "div", "divide", "true_divide", "__mul__", "__rmul__", "__imul__", "__truediv__", "__div__",
    "__itruediv__",
})  # fmt: skip
"""Products with constants, numbers among them."""

DIFFERENCES = frozenset({"sub", "subtract", "__sub__", "__isub__", "__rsub__", "rsub", "neg", "negative", "__neg__"})

PLAIN = frozenset({
    "add", "__add__", "__radd__", "__iadd__", "sum", "mean", "cat", "concat", "concatenate", "stack", "view",
    "view_as", "reshape", "reshape_as", "flatten", "unflatten", "permute", "transpose", "swapaxes", "movedim", "t",
    "squeeze", "unsqueeze", "expand", "expand_as", "contiguous", "clone", "to", "double", "float", "type", "type_as",
    "chunk", "split", "unbind", "narrow", "select", "index_select", "gather", "__getitem__", "pad", "roll", "flip",
    "repeat", "repeat_interleave", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d",
    "adaptive_avg_pool2d", "interpolate", "upsample", "upsample_nearest", "upsample_bilinear", "pixel_shuffle",
    "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle", "dropout", "dropout2d", "feature_dropout",
    "alpha_dropout", "unfold", "fold", "identity", "cumsum", "diagonal", "diag_embed", "__setitem__", "copy",
})  # fmt: skip
"""Moves, means and sums: linear, with no weight below zero."""

QUERIES = frozenset({
    "__get__", "size", "dim", "numel", "stride", "is_floating_point", "is_contiguous", "__len__", "requires_grad_",
    "shape", "ndimension", "element_size", "data_ptr", "get_device", "is_complex", "nelement", "__format__", "__repr__",
    "__hash__", "storage_offset", "is_inference", "register_hook", "detach", "__bool__", "untyped_storage",
})  # fmt: skip
"""What is asked of a tensor without making another from its values."""


def keep(weight: Tensor) -> Tensor:
    """The weights as they are."""
    return weight


@dataclass
class Linear(TorchFunctionMode):
    """Inside the block, whatever is computed from tensors with `requires_grad` is linear in them, with altered weights.

    `replaced` collects what was taken as linear and is not, `unclear` what is on no list here.
    """

    alter: Alter = keep
    replaced: set[str] = field(default_factory=set)
    unclear: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        name = name if name.startswith("__") else name.rstrip("_")
        signal = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor) and leaf.requires_grad]
        if not signal or name in QUERIES:
            return _faster(func, name, args, kwargs)
        if name in ACTIVATIONS | MAX_POOLS | ADAPTIVE_POOLS:
            self.replaced.add(name.removesuffix("_with_indices"))
            return args[0] if name in ACTIVATIONS else pooled(name, args, kwargs)
        if name in SCALED and len(signal) > 1:
            self.unclear.add("a product of two signals")
        elif name not in WEIGHED | SCALED | DIFFERENCES | PLAIN:
            self.unclear.add(name)
        return self._weighed(func, name, args, kwargs)

    def _weighed(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        """The function with its constants altered."""
        if name in DIFFERENCES and self.alter is not keep:  # of sizes, differences are sums
            return args[0] if len(args) == 1 else torch.add(args[0], args[1])
        if name in WEIGHED | SCALED and self.alter is not keep:
            args, kwargs = tree_map(self._constant(name in SCALED), (args, kwargs))
        return _faster(func, name, args, kwargs)

    def _constant(self, numbers: bool) -> Callable[[Any], Any]:
        def altered(value: Any) -> Any:
            if isinstance(value, Tensor):
                constant = value.is_floating_point() and not value.requires_grad
                return self.alter(value) if constant else value
            if numbers and isinstance(value, int | float) and not isinstance(value, bool):
                return float(self.alter(torch.tensor(float(value), dtype=torch.float64)))
            return value

        return altered


def _faster(func: Any, name: str, args: Any, kwargs: Any) -> Any:
    """The function, depthwise convolutions tap by tap."""
    found = depthwise(args, kwargs) if name == "conv2d" else None
    return func(*args, **kwargs) if found is None else found


def pooled(name: str, args: Any, kwargs: Any) -> Tensor:
    """The mean of each window of a max pool, of the same geometry; what lies outside the map does not count."""
    if name in ADAPTIVE_POOLS:
        given = dict(zip(("input", "output_size"), args, strict=False)) | kwargs
        mean: Tensor = F.adaptive_avg_pool2d(given["input"], given["output_size"])
        return mean
    names = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode")
    given = dict(zip(names, args, strict=False)) | kwargs
    if given.get("return_indices"):
        raise BadNetworkError("a max pool that gives its indices too has no linear stand-in")
    pool = nn.MaxPool2d(
        given["kernel_size"],
        given.get("stride") or given["kernel_size"],
        given.get("padding", 0),
        given.get("dilation", 1),
        ceil_mode=given.get("ceil_mode", False),
    )
    return average(given["input"], pool)
