"""How each tensor operation of a network carries receptive fields from its inputs to its outputs.

One function per kind of operation, in the literal table RULES at the end, by the name PyTorch dispatches it under.
What is not in the table and not pointwise is taken to see the whole image: never too small, at worst too large.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from retinoscope.network.geometry import (
    Axis,
    adaptive_reads,
    interpolation_reads,
    resample,
    shift,
    transposed_window,
    window,
)
from retinoscope.network.roles import Atom, AxisName, Dim, Dims, plain, reshape, spatial, squash, whole_axis
from retinoscope.network.seen import AXES, Seen, absorb, blind, broadcast_dims, everything, join


@dataclass(frozen=True)
class Operation:
    """One call: its name, arguments by schema name, what each tensor argument has seen, and its output shapes.

    `seen` holds None for tensors that do not depend on the image; `shapes` gives every tensor argument's shape.
    """

    name: str
    arguments: dict[str, Any]
    seen: dict[str, Any]
    shapes: dict[str, Any]
    outputs: tuple[tuple[int, ...], ...]

    @property
    def tracked(self) -> list[Seen]:
        """Everything among the inputs that depends on the image."""
        flat = [s for value in self.seen.values() for s in (value if isinstance(value, list) else [value])]
        return [s for s in flat if isinstance(s, Seen)]

    @property
    def main(self) -> Seen | None:
        """What the first tensor argument has seen."""
        first: Seen | None = next(iter(self.seen.values()), None)
        return first

    @property
    def shape(self) -> tuple[int, ...]:
        """The first output's shape."""
        return self.outputs[0]


Rule = Callable[[Operation], Seen]


def conservative(op: Operation) -> Seen:
    """The whole image; dimensions are kept where the shape is."""
    same = next((s.dims for s in op.tracked if s.shape == op.shape), None)
    return everything(op.shape, same)


def pointwise(op: Operation) -> Seen:
    """Elementwise with broadcasting."""
    dims = broadcast_dims(op.tracked, op.shape)
    return join(op.tracked, op.shape, dims, gates=op.name in ("mul", "div"))


def same(op: Operation) -> Seen:
    """One tensor's values, unchanged positions."""
    return replace(op.tracked[0], shape=op.shape) if len(op.shape) == len(op.tracked[0].dims) else conservative(op)


def copied(op: Operation) -> Seen:
    """`copy_`: the source's values in the destination's shape."""
    source = op.seen["src"]
    if source is None:
        return conservative(op)
    return source.laid(op.shape, broadcast_dims([source], op.shape))


# Shapes


def viewed(op: Operation) -> Seen:
    (seen,) = op.tracked
    if seen.shape == op.shape:
        return seen
    return seen.laid(op.shape, _match_ends(seen, op.shape) or reshape(seen.dims, op.shape))


def _match_ends(seen: Seen, shape: Sequence[int]) -> Dims | None:
    """Dims of a view that only adds or drops dimensions of size 1, where single positions keep their meaning."""
    held = [(size, dim) for size, dim in zip(seen.shape, seen.dims, strict=True) if size != 1]
    if [size for size, _ in held] != [size for size in shape if size != 1]:
        return None
    queue = [dim for _, dim in held]
    return tuple(() if size == 1 else queue.pop(0) for size in shape)


def permuted(op: Operation) -> Seen:
    (seen,) = op.tracked
    order = list(range(len(seen.dims)))
    if op.name == "permute":
        order = [i % len(order) for i in op.arguments["dims"]]
    elif len(order) > 1:
        a, b = (0, 1) if op.name == "t" else (op.arguments["dim0"], op.arguments["dim1"])
        order[a], order[b] = order[b], order[a]
    return seen.laid(op.shape, tuple(seen.dims[i] for i in order))


def expanded(op: Operation) -> Seen:
    (seen,) = op.tracked
    missing = len(op.shape) - len(seen.dims)
    shape, dims = (1,) * missing + seen.shape, ((),) * missing + seen.dims
    copies = tuple(d if n == m else plain("e", m) for d, n, m in zip(dims, shape, op.shape, strict=True))
    return seen.laid(op.shape, copies)


def unsqueezed(op: Operation) -> Seen:
    (seen,) = op.tracked
    return seen.laid(op.shape, _insert(seen.dims, op.arguments["dim"] % len(op.shape), ()))


def squeezed(op: Operation) -> Seen:
    (seen,) = op.tracked
    return seen.laid(op.shape, _match_ends(seen, op.shape))


def sliced(op: Operation) -> Seen:
    (seen,) = op.tracked
    place = op.arguments["dim"] % len(op.shape)
    start, end, step = (op.arguments[key] for key in ("start", "end", "step"))
    first, _, stride = slice(start, end, step).indices(seen.shape[place])
    return _cut(seen, place, first, op.shape[place], stride)


def _cut(seen: Seen, place: int, first: int, size: int, stride: int = 1) -> Seen:
    """Positions first, first + stride, ... of one dimension."""
    dim, length = seen.dims[place], seen.shape[place]
    shape = _put(seen.shape, place, size)
    if size == length and stride == 1:
        return seen
    if (label := whole_axis(dim)) and (axis := seen.axis(label)):
        seen = seen.with_axis(label, shift(axis, first, stride))
        return seen.laid(shape, _put(seen.dims, place, plain(dim[0].label, size)))
    if not spatial(dim):
        kind = dim[0].label if len(dim) == 1 and dim[0].label in ("c", "e") else "?"
        return seen.laid(shape, _put(seen.dims, place, plain(kind, size)))
    if dim[0].label == "n" and first == dim[0].prefix and size == length - first:
        return seen.laid(shape, _put(seen.dims, place, dim[0].inner))
    clear = whole_axis(dim) is not None  # an axis that is whole already keeps its place
    left = plain(dim[0].label, size) if clear else plain("?", size)
    return blind(seen, *spatial(dim)).laid(shape, _put(seen.dims, place, left))


def selected(op: Operation) -> Seen:
    (seen,) = op.tracked
    place = op.arguments["dim"] % len(seen.dims)
    dims = seen.dims[:place] + seen.dims[place + 1 :]
    return blind(seen, *spatial(seen.dims[place])).laid(op.shape, dims)


def padded(op: Operation) -> Seen:
    seen = op.tracked[0]
    pads: list[int] = op.arguments["pad"]
    for back in range(len(pads) // 2):
        before, place = pads[2 * back], len(seen.dims) - 1 - back
        if pads[2 * back] or pads[2 * back + 1]:
            seen = _pad(seen, place, before, op.shape[place])
    return seen


def _pad(seen: Seen, place: int, before: int, size: int) -> Seen:
    dim, shape = seen.dims[place], _put(seen.shape, place, size)
    label = whole_axis(dim) or _single_axis(seen, place, len(seen.dims) - 2)
    if label is None:
        seen = blind(seen, *spatial(dim))
        return seen.laid(shape, _put(seen.dims, place, plain("?" if spatial(dim) else "c", size)))
    if axis := seen.axis(label):
        seen = seen.with_axis(label, shift(axis, -before))
    return seen.laid(shape, _put(seen.dims, place, plain(label, size)))


def mirrored(op: Operation) -> Seen:
    """Reflected or repeated borders: near a border, positions read pixels up to twice the padding away."""
    (seen,) = op.tracked
    if len(op.arguments["padding"]) != 4 or len(_image_axes(seen, 2)) != 2:
        return conservative(op)
    left, right, top, bottom = op.arguments["padding"]
    for (label, place), (before, after) in zip(_image_axes(seen, 2), ((top, bottom), (left, right)), strict=True):
        axis, far = seen.axis(label), before + 2 * after
        seen = _pad(seen, place, before, op.shape[place])
        if axis is not None:
            wide = Axis(axis.step, axis.low - far * axis.step, axis.high + before * axis.step)
            seen = seen.with_axis(label, wide)
    return seen


def concatenated(op: Operation) -> Seen:
    place = op.arguments["dim"] % len(op.shape)
    parts, shapes = op.seen["tensors"], op.shapes["tensors"]
    tracked = [s for s in parts if s is not None]
    others = [s.laid(_put(s.shape, place, 1), _put(s.dims, place, ())) for s in tracked]
    dims = broadcast_dims(others, _put(op.shape, place, 1))
    inside = set().union(*(spatial(s.dims[place]) for s in tracked))
    if not inside:
        return join(tracked, op.shape, _put(dims, place, plain("c", op.shape[place])), gates=False)
    patches = [i for i, s in enumerate(parts) if s is not None and spatial(s.dims[place])]
    if len(patches) > 1:
        return everything(op.shape, _put(dims, place, plain("?", op.shape[place])))
    prefix = sum(shape[place] for shape in shapes[: patches[0]])
    atom = _behind(parts[patches[0]].dims[place], prefix, op.shape[place])
    return join([parts[patches[0]]], op.shape, _put(dims, place, (atom,)), gates=False)


def _behind(dim: Dim, prefix: int, size: int) -> Atom:
    if dim[0].label == "n":
        return replace(dim[0], size=size, prefix=dim[0].prefix + prefix)
    return Atom("n", size, prefix=prefix, inner=dim)


def stacked(op: Operation) -> Seen:
    place = op.arguments["dim"] % len(op.shape)
    parts = [s.laid(_insert(s.shape, place, 1), _insert(s.dims, place, ())) for s in op.tracked]
    dims = broadcast_dims(parts, _put(op.shape, place, 1))
    return join(parts, op.shape, _put(dims, place, plain("c", op.shape[place])), gates=False)


def moved(op: Operation) -> Seen:
    """Rolls and flips: harmless along channels, along the image every position may now see any other."""
    (seen,) = op.tracked
    return blind(seen, *(label for place in op.arguments["dims"] for label in spatial(seen.dims[place])))


# Windows


def _image_axes(seen: Seen, count: int) -> list[tuple[AxisName, int]]:
    """The last `count` dimensions that are image axes, as (label, place)."""
    places = range(len(seen.dims) - count, len(seen.dims))
    found = [(whole_axis(seen.dims[p]) or _single_axis(seen, p, len(seen.dims) - count), p) for p in places]
    return [(label, place) for label, place in found if label]


def _single_axis(seen: Seen, place: int, first: int) -> AxisName | None:
    """A dimension of size 1 where an image axis would be, if that axis is nowhere else."""
    if seen.shape[place] != 1 or len(seen.dims) - first != 2 or place < first:
        return None
    label = AXES[place - first]
    return None if seen.holders(label) else label


def convolved(op: Operation) -> Seen:
    seen, weight = op.main, op.seen.get("weight")
    if seen is None or (weight is not None and (weight.y or weight.x)):
        return conservative(op)
    size = len(seen.dims) - 2
    seen = _windowed(absorb(seen, [1]), op, op.shapes["weight"][2:], size)
    return replace(seen, gated=seen.gated or weight is not None)


def pooled(op: Operation) -> Seen:
    (seen,) = op.tracked
    return _windowed(seen, op, op.arguments["kernel_size"], len(op.arguments["kernel_size"]))


def _windowed(seen: Seen, op: Operation, kernel: Sequence[int], size: int) -> Seen:
    slid = dict(_image_axes(seen, size))
    first = len(seen.dims) - size
    result = seen
    for label in AXES:
        if label not in slid and any(p >= first for p in seen.holders(label)):
            result = blind(result, label)
    dims = list(seen.dims)
    for place in range(first, len(dims)):
        dims[place] = plain("c", op.shape[place])
    for label, place in slid.items():
        result = result.with_axis(label, _slide(seen.axis(label), op, place - first, kernel))
        dims[place] = plain(label, op.shape[place])
    if op.name == "convolution":
        dims[1] = plain("c", op.shape[1])
    return replace(result, shape=op.shape, dims=tuple(dims))


def _slide(axis: Axis | None, op: Operation, i: int, kernel: Sequence[int]) -> Axis | None:
    args = op.arguments
    stride, padding = args["stride"] or kernel, args["padding"]
    dilation = args.get("dilation") or [1]
    step, pad, gap, reach = (v[i % len(v)] for v in (stride, padding, dilation, kernel))
    if axis is None:
        return None
    slide = transposed_window if args.get("transposed") else window
    return slide(axis, reach, step, pad, gap)


def adaptively_pooled(op: Operation) -> Seen:
    (seen,) = op.tracked
    return _resized(seen, op, lambda size, target, _: adaptive_reads(size, target))


def _resized(seen: Seen, op: Operation, reads: Callable[[int, int, int], list[tuple[int, int]]]) -> Seen:
    axes = dict(_image_axes(seen, 2))
    if len(axes) < 2:
        return conservative(op)
    for i, (label, place) in enumerate(axes.items()):
        size, target, axis = seen.shape[place], op.shape[place], seen.axis(label)
        collapsed = target == 1 and size > 1
        new = None if axis is None or collapsed else resample(axis, size, reads(size, target, i))
        dims, shape = _put(seen.dims, place, plain(label, target)), _put(seen.shape, place, target)
        seen = replace(seen.with_axis(label, new), dims=dims, shape=shape)
    return seen


_SUPPORT = {"nearest": 0.0, "bilinear": 1.0, "bicubic": 2.0}


def interpolated(op: Operation) -> Seen:
    (seen,) = op.tracked
    support = next((half for kind, half in _SUPPORT.items() if kind in op.name), None)
    if support is None or "exact" in op.name:
        return conservative(op)
    corners, scales = bool(op.arguments.get("align_corners")), [op.arguments.get(k) for k in ("scales_h", "scales_w")]

    def reads(size: int, target: int, i: int) -> list[tuple[int, int]]:
        scale = scales[i]
        rate = (size - 1) / max(target - 1, 1) if corners else 1 / scale if scale else size / target
        wide = support * max(rate, 1) if "_aa" in op.name else support
        return interpolation_reads(size, target, rate, corners, wide)

    return _resized(seen, op, reads)


def pixels_shuffled(op: Operation) -> Seen:
    (seen,) = op.tracked
    seen = replace(absorb(seen, [1]), shape=_put(seen.shape, 1, op.shape[1]))
    seen = replace(seen, dims=_put(seen.dims, 1, plain("c", op.shape[1])))
    if op.name == "pixel_shuffle":
        return _resized(seen, op, lambda size, target, _: [(i * size // target,) * 2 for i in range(target)])
    factor = op.arguments["downscale_factor"]
    return _resized(seen, op, lambda _, n, __: [(i * factor, (i + 1) * factor - 1) for i in range(n)])


# Mixing


def reduced(op: Operation) -> Seen:
    (seen,) = op.tracked
    places = op.arguments.get("dim")
    places = [places] if isinstance(places, int) else places
    places = [p % len(seen.dims) for p in (places or range(len(seen.dims)))]
    seen = absorb(seen, places)
    if len(op.shape) == len(seen.dims):
        return replace(seen, shape=op.shape, dims=tuple(() if i in places else d for i, d in enumerate(seen.dims)))
    dims = tuple(dim for i, dim in enumerate(seen.dims) if i not in places)
    return replace(seen, shape=op.shape, dims=dims) if len(dims) == len(op.shape) else everything(op.shape)


def softmaxed(op: Operation) -> Seen:
    (seen,) = op.tracked
    return blind(seen, *spatial(seen.dims[op.arguments["dim"]]))


def layer_normed(op: Operation) -> Seen:
    """Statistics over channels; over image axes too, they are a global signal that scales the map."""
    seen = op.tracked[0]
    places = range(len(seen.dims) - len(op.arguments["normalized_shape"]), len(seen.dims))
    inside = [p for p in places if spatial(seen.dims[p])]
    partial = [p for p in inside if any(a.label in AXES for a in seen.dims[p]) and not whole_axis(seen.dims[p])]
    kept_elsewhere = any(set(seen.holders(label)) - set(places) for p in partial for label in spatial(seen.dims[p]))
    if kept_elsewhere:
        return absorb(seen, partial)
    return replace(seen, gated=seen.gated or bool(inside))


def batch_normed(op: Operation) -> Seen:
    """Fixed statistics in eval; statistics of the image itself are a global signal that scales the map."""
    return replace(op.tracked[0], gated=op.tracked[0].gated or bool(op.arguments.get("training")))


def group_normed(op: Operation) -> Seen:
    return replace(op.tracked[0], gated=True)


def multiplied(op: Operation) -> Seen:
    """Matrix products: the contracted dimensions are mixed, rows and columns keep their meaning."""
    keys = [k for k in op.seen if k not in ("self", "bias")] if op.name in ("addmm", "baddbmm") else list(op.seen)
    left, right = (op.seen[k] for k in keys[:2])
    parts: list[Seen] = []
    dims: list[Dim] = [(), ()]
    for side, seen in enumerate((left, right)):
        inner = -1 if side == 0 else -2
        if seen is None:
            dims[side] = plain("c", op.shape[-2 + side])
        else:
            place = len(seen.dims) + inner
            mixed = absorb(seen, [place])
            parts.append(mixed)
            dims[side] = mixed.dims[-2 if side == 0 else -1]
    batch = broadcast_dims([s.laid(s.shape[:-2], s.dims[:-2]) for s in parts], op.shape[:-2])
    return join(parts, op.shape, (*batch, *dims), gates=False) if parts else conservative(op)


def attended(op: Operation) -> Seen:
    """Attention: every query sees every key; queries keep their places."""
    query, value = op.seen["query"], op.seen["value"]
    dims = (*query.dims[:-1], squash(value.dims[-1])) if query and value else None
    return everything(op.shape, dims)


def linear(op: Operation) -> Seen:
    seen = absorb(op.tracked[0], [len(op.shape) - 1])
    return replace(seen, shape=op.shape, dims=(*seen.dims[:-1], plain("c", op.shape[-1])))


def _insert(values: Any, place: int, value: Any) -> Any:
    return (*values[:place], value, *values[place:])


def _put(values: Any, place: int, value: Any) -> Any:
    return (*values[:place], value, *values[place + 1 :])


CONSTANTS = {"new_zeros", "new_ones", "new_full", "new_empty", "zeros_like", "ones_like", "full_like", "empty_like"}
CONSTANTS |= {"rand_like", "randn_like", "bernoulli", "zero", "fill", "empty_strided", "new_empty_strided"}
"""Operations that take only the shape of their input."""

RULES: dict[str, Rule] = {
    **dict.fromkeys(("prelu", "_prelu_kernel", "hardswish", "native_dropout", "_to_copy", "masked_fill"), same),
    **dict.fromkeys(("contiguous", "detach", "alias", "lift_fresh", "channel_shuffle", "native_channel_shuffle"), same),
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias"), viewed),
    **dict.fromkeys(("permute", "transpose", "t"), permuted),
    **dict.fromkeys(("split", "split_with_sizes", "unsafe_split", "slice"), sliced),
    **dict.fromkeys(("select", "unbind"), selected),
    **dict.fromkeys(("roll", "flip"), moved),
    **dict.fromkeys(("reflection_pad2d", "replication_pad2d"), mirrored),
    **dict.fromkeys(("max_pool2d_with_indices", "avg_pool2d", "mkldnn_max_pool2d"), pooled),
    **dict.fromkeys(("_adaptive_avg_pool2d", "adaptive_max_pool2d"), adaptively_pooled),
    **dict.fromkeys(("upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d"), interpolated),
    **dict.fromkeys(("_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"), interpolated),
    **dict.fromkeys(("pixel_shuffle", "pixel_unshuffle"), pixels_shuffled),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "var", "std", "linalg_vector_norm", "max", "min"), reduced),
    **dict.fromkeys(("prod", "logsumexp", "argmax", "argmin", "var_mean", "std_mean"), reduced),
    **dict.fromkeys(("_softmax", "_log_softmax", "softmax", "log_softmax", "cumsum"), softmaxed),
    **dict.fromkeys(("native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit"), batch_normed),
    **dict.fromkeys(("_native_batch_norm_legit_no_training", "miopen_batch_norm"), batch_normed),
    **dict.fromkeys(("mm", "bmm", "addmm", "baddbmm"), multiplied),
    **dict.fromkeys(("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention"), attended),
    **dict.fromkeys(("_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention"), attended),
    "copy": copied,
    "expand": expanded,
    "unsqueeze": unsqueezed,
    "squeeze": squeezed,
    "constant_pad_nd": padded,
    "cat": concatenated,
    "stack": stacked,
    "convolution": convolved,
    "native_layer_norm": layer_normed,
    "native_group_norm": group_normed,
    "linear": linear,
}
