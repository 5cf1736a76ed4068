"""What a step of PyTorch's backward graph is to a backward rule: a rectifier, a squashing function, or something else.

The graph holds one node for every operation that was run, however it was written: as a module or a function, in place
or not, shared or not. Its name says which operation it was. What is listed nowhere is unclear, and never passed over.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

import torch
from torch import Tensor, nn

Node = Any
"""A `grad_fn`: torch has no type that covers those made in C++ and those made in Python."""

Kind = Literal["rectifier", "squash", "chain", "unclear"]
"""rectifier: a ReLU or what stands in for one. squash: bounded on both sides. chain: the chain rule is all there is to
say, as for convolutions, norms, pooling and products. unclear: nobody can tell."""

_RECTIFIERS = frozenset({
    "Relu", "LeakyRelu", "PreluKernel", "RreluWithNoise", "Elu", "Celu", "Silu", "Gelu", "Mish", "Softplus",
    "Hardswish", "_Relu6",  # network/activation.py
})  # fmt: skip

_SQUASHES = frozenset({"Sigmoid", "Hardsigmoid", "Tanh", "Softsign", "LogSigmoid"})

_PRODUCTS = frozenset({"Mul", "Mm", "Bmm", "Baddbmm", "Addmm", "Addcmul", "Div"})

_LINEAR = frozenset({
    "Convolution", "ConvolutionOverrideable", "MkldnnConvolution", "CudnnConvolution", "SlowConv2D", "ConvTranspose2D",
    "_Convolution",  # network/convolution.py
    "Linear", "MkldnnLinear", "Add", "Sub", "Rsub", "Neg", "Sum", "Mean", "Cumsum", "Clone", "Copy", "ToCopy", "Alias",
    "NativeBatchNorm", "CudnnBatchNorm", "MiopenBatchNorm", "NativeLayerNorm", "NativeGroupNorm", "NativeDropout",
    "AvgPool2D", "AdaptiveAvgPool2D", "MkldnnAdaptiveAvgPool2D", "MaxUnpool2D", "ConstantPadNd", "ReflectionPad2D",
    "ReplicationPad2D", "UpsampleNearest2D", "UpsampleNearestExact2D", "UpsampleBilinear2D", "UpsampleBicubic2D",
    "UpsampleBilinear2DAa", "UpsampleBicubic2DAa", "GridSampler2D", "PixelShuffle", "PixelUnshuffle", "Im2Col",
    "Col2Im",
})  # fmt: skip

_MOVES = frozenset({
    "View", "UnsafeView", "ReshapeAlias", "Reshape", "Permute", "Transpose", "T", "Expand", "Squeeze", "Unsqueeze",
    "Slice", "Select", "Split", "SplitWithSizes", "UnsafeSplit", "Unbind", "Chunk", "Cat", "Stack", "Roll", "Flip",
    "Repeat", "Narrow", "Unfold", "AsStrided", "Index", "IndexSelect", "Gather", "Diagonal", "Movedim", "Contiguous",
    "ChannelShuffle", "NativeChannelShuffle", "Clone", "Alias",
})  # fmt: skip

_CHOICES = frozenset({
    "MaxPool2DWithIndices", "MkldnnMaxPool2D", "AdaptiveMaxPool2D", "FractionalMaxPool2D", "Max", "Min", "Amax", "Amin",
    "Minimum", "Fmin", "Sort", "Topk",
})  # fmt: skip
"""The signal goes to whatever was largest: the switches of the deconvnet. Overlapping windows add up."""

_CURVES = frozenset({
    "Softmax", "SafeSoftmax", "LogSoftmax", "Exp", "Log", "Pow", "Square", "Sqrt", "Rsqrt", "Reciprocal", "Var",
    "VarMean", "Std", "LinalgVectorNorm", "Norm", "Logsumexp", "Cos", "Sin", "Atan2", "Einsum", "Glu",
    "ScaledDotProductFlashAttention", "ScaledDotProductFlashAttentionForCpu", "ScaledDotProductEfficientAttention",
    "ScaledDotProductCudnnAttention", "ScaledDotProductFusedAttentionOverrideable", "ScaledDotProductAttentionMath",
})  # fmt: skip

_CHAIN = _PRODUCTS | _LINEAR | _MOVES | _CHOICES | _CURVES

LEAVES = frozenset({"AccumulateGrad"})
"""Where the graph ends: a picture, a weight."""


def operation(node: Node) -> str:
    """The operation of a node: `Relu` for `ReluBackward0`."""
    name = str(node.name()).rpartition("::")[2]
    return re.sub(r"Backward\d*$", "", name)


def kind_of(node: Node) -> Kind:
    """What a node is to a backward rule."""
    name = operation(node)
    if name in _RECTIFIERS:
        return "rectifier"
    if name in _SQUASHES:
        return "squash"
    if name in ("Clamp", "ClampMin", "ClampMax", "Hardtanh", "Threshold"):
        return _bounded(node)
    if name in ("Maximum", "Fmax"):
        return _larger(node)
    if name == "Mul" and _masked(node):
        return "unclear"
    return "chain" if name in _CHAIN or name in LEAVES else "unclear"


def _bounded(node: Node) -> Kind:
    """A clamp from zero is a ReLU, one between other bounds squashes, one with a single other bound is a safeguard."""
    low = _first(node, ("_saved_min", "_saved_min_val", "_saved_threshold"))
    high = _first(node, ("_saved_max", "_saved_max_val"))
    if low is not None and _is_zero(low):
        return "rectifier"
    return "squash" if low is not None and high is not None else "chain"


def _first(node: Node, names: Sequence[str]) -> Any:
    found = (getattr(node, name, None) for name in names)
    return next((value for value in found if value is not None), None)


def _is_zero(value: float | Tensor) -> bool:
    return not bool((value != 0).any()) if isinstance(value, Tensor) else value == 0


def _larger(node: Node) -> Kind:
    """The larger of a signal and zero is a ReLU; of two signals a choice."""
    constants = [saved for saved, (source, _) in zip(_pair(node), node.next_functions, strict=True) if source is None]
    return "rectifier" if any(value is not None and _is_zero(value) for value in constants) else "chain"


def _pair(node: Node) -> tuple[Tensor | None, Tensor | None]:
    """The two factors of an elementwise operation, as far as they were saved."""
    with suppress(RuntimeError):  # changed in place since: the backward pass will say so itself
        return getattr(node, "_saved_self", None), getattr(node, "_saved_other", None)
    return None, None


def _masked(node: Node) -> bool:
    """Whether a product is with a constant map of zeros and ones: perhaps `x * (x > 0)`, a ReLU in disguise."""
    for source, value in zip(node.next_functions, _pair(node), strict=False):
        if source[0] is None and value is not None and value.ndim > 1 and value.numel() > 1:
            binary = (value == 0) | (value == 1)
            if bool(binary.all()) and bool((value == 0).any()) and bool((value == 1).any()):
                return True
    return False


Readers = Mapping[Node, Sequence[Node]]
"""Which nodes read each node's outcome."""


def gates(node: Node, readers: Readers) -> bool:
    """Whether all that a squashing function gives is multiplied with another signal, as an attention or a gate is.

    A function that multiplies its own input is no gate but an activation written out, such as `x * sigmoid(x)`.
    """
    used = readers.get(node, ())
    return bool(used) and all(_gated(node, node, reader, readers) for reader in used)


def _gated(squash: Node, factor: Node, reader: Node, readers: Readers) -> bool:
    if operation(reader) in _MOVES or _scales(reader):
        onward = readers.get(reader, ())
        return bool(onward) and all(_gated(squash, reader, after, readers) for after in onward)
    if operation(reader) not in _PRODUCTS:
        return False
    others = [source for source, _ in reader.next_functions if source is not None and source != factor]
    return any(not _is_weight(other) and not _sees(squash, other, 3) for other in others)


def _scales(node: Node) -> bool:
    """Whether a node adds constants to one signal, or multiplies it with them."""
    inputs = [source for source, _ in node.next_functions if source is not None]
    return operation(node) in ("Mul", "Div", "Add", "Sub", "Rsub", "Neg") and len(inputs) == 1


def _is_weight(node: Node) -> bool:
    return operation(node) in LEAVES and isinstance(getattr(node, "variable", None), nn.Parameter)


def _sees(node: Node, source: Node, steps: int) -> bool:
    """Whether `node` is a function of the single values of `source`, directly or over so many further functions."""
    if not (operation(node) in _RECTIFIERS | _SQUASHES or _scales(node)):
        return False
    below = next(found for found, _ in node.next_functions if found is not None)
    return bool(below == source) or (steps > 0 and _sees(below, source, steps - 1))


def tensors(values: Any) -> list[Tensor]:
    """All tensors in nested tuples, lists and dicts."""
    return [leaf for leaf in torch.utils._pytree.tree_leaves(values) if isinstance(leaf, Tensor)]
