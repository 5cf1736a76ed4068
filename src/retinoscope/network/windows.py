"""Operations that read windows of positions: convolution, pooling, padding, interpolation, pixel shuffles."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from retinoscope.network.geometry import (
    Axis,
    adaptive_reads,
    interpolation_reads,
    resample,
    shift,
    transposed_window,
    window,
)
from retinoscope.network.operation import Operation, conservative, put
from retinoscope.network.roles import AxisName, plain, spatial, whole_axis
from retinoscope.network.seen import AXES, Seen, absorb, blind


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
        dims, shape = put(seen.dims, place, plain(label, target)), put(seen.shape, place, target)
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
    seen = replace(absorb(seen, [1]), shape=put(seen.shape, 1, op.shape[1]))
    seen = replace(seen, dims=put(seen.dims, 1, plain("c", op.shape[1])))
    if op.name == "pixel_shuffle":
        return _resized(seen, op, lambda size, target, _: [(i * size // target,) * 2 for i in range(target)])
    factor = op.arguments["downscale_factor"]
    return _resized(seen, op, lambda _, n, __: [(i * factor, (i + 1) * factor - 1) for i in range(n)])


def padded(op: Operation) -> Seen:
    seen = op.tracked[0]
    pads: list[int] = op.arguments["pad"]
    for back in range(len(pads) // 2):
        before, place = pads[2 * back], len(seen.dims) - 1 - back
        if pads[2 * back] or pads[2 * back + 1]:
            seen = _pad(seen, place, before, op.shape[place])
    return seen


def _pad(seen: Seen, place: int, before: int, size: int) -> Seen:
    dim, shape = seen.dims[place], put(seen.shape, place, size)
    label = whole_axis(dim) or _single_axis(seen, place, len(seen.dims) - 2)
    if label is None:
        seen = blind(seen, *spatial(dim))
        return seen.laid(shape, put(seen.dims, place, plain("?" if spatial(dim) else "c", size)))
    if axis := seen.axis(label):
        seen = seen.with_axis(label, shift(axis, -before))
    return seen.laid(shape, put(seen.dims, place, plain(label, size)))


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
