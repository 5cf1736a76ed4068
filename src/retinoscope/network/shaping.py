"""Operations that only move values about: views, permutations, cuts, joins."""

from collections.abc import Sequence
from dataclasses import replace

from retinoscope.network.geometry import shift
from retinoscope.network.operation import Operation, inserted, put
from retinoscope.network.roles import Atom, Dim, Dims, plain, reshape, spatial, whole_axis
from retinoscope.network.seen import Seen, blind, broadcast_dims, everything, join


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
    return seen.laid(op.shape, inserted(seen.dims, op.arguments["dim"] % len(op.shape), ()))


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
    shape = put(seen.shape, place, size)
    if size == length and stride == 1:
        return seen
    if (label := whole_axis(dim)) and (axis := seen.axis(label)):
        seen = seen.with_axis(label, shift(axis, first, stride))
        return seen.laid(shape, put(seen.dims, place, plain(dim[0].label, size)))
    if not spatial(dim):
        kind = dim[0].label if len(dim) == 1 and dim[0].label in ("c", "e") else "?"
        return seen.laid(shape, put(seen.dims, place, plain(kind, size)))
    if dim[0].label == "n" and first == dim[0].prefix and size == length - first:
        return seen.laid(shape, put(seen.dims, place, dim[0].inner))
    clear = whole_axis(dim) is not None  # an axis that is whole already keeps its place
    left = plain(dim[0].label, size) if clear else plain("?", size)
    return blind(seen, *spatial(dim)).laid(shape, put(seen.dims, place, left))


def selected(op: Operation) -> Seen:
    (seen,) = op.tracked
    place = op.arguments["dim"] % len(seen.dims)
    dims = seen.dims[:place] + seen.dims[place + 1 :]
    return blind(seen, *spatial(seen.dims[place])).laid(op.shape, dims)


def concatenated(op: Operation) -> Seen:
    place = op.arguments["dim"] % len(op.shape)
    parts, shapes = op.seen["tensors"], op.shapes["tensors"]
    tracked = [s for s in parts if s is not None]
    others = [s.laid(put(s.shape, place, 1), put(s.dims, place, ())) for s in tracked]
    dims = broadcast_dims(others, put(op.shape, place, 1))
    patches = [i for i, s in enumerate(parts) if s is not None and spatial(s.dims[place])]
    if not patches:
        return join(tracked, op.shape, put(dims, place, plain("c", op.shape[place])), gates=False)
    if len(patches) > 1:
        return everything(op.shape, put(dims, place, plain("?", op.shape[place])))
    prefix = sum(shape[place] for shape in shapes[: patches[0]])
    atom = _behind(parts[patches[0]].dims[place], prefix, op.shape[place])
    return join([parts[patches[0]]], op.shape, put(dims, place, (atom,)), gates=False)


def _behind(dim: Dim, prefix: int, size: int) -> Atom:
    if dim[0].label == "n":
        return replace(dim[0], size=size, prefix=dim[0].prefix + prefix)
    return Atom("n", size, prefix=prefix, inner=dim)


def stacked(op: Operation) -> Seen:
    place = op.arguments["dim"] % len(op.shape)
    parts = [s.laid(inserted(s.shape, place, 1), inserted(s.dims, place, ())) for s in op.tracked]
    dims = broadcast_dims(parts, put(op.shape, place, 1))
    return join(parts, op.shape, put(dims, place, plain("c", op.shape[place])), gates=False)


def moved(op: Operation) -> Seen:
    """Rolls and flips: harmless along channels, along the image every position may now see any other."""
    (seen,) = op.tracked
    places = op.arguments["dims"] or range(len(seen.dims))  # a roll without dims runs through all of them
    return blind(seen, *(label for place in places for label in spatial(seen.dims[place])))
