"""Seen: what one tensor inside a network has seen of the image, and how operations that mix positions change that."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from retinoscope.network.geometry import Axis, unite
from retinoscope.network.roles import AxisName, Dim, Dims, labels, plain, spatial, squash, unknown_dims

AXES: tuple[AxisName, ...] = ("y", "x")


@dataclass(frozen=True)
class Seen:
    """The meaning of a tensor's dimensions, and its receptive field along y and x; None is the whole image."""

    shape: tuple[int, ...]
    dims: Dims
    y: Axis | None
    x: Axis | None
    aligned: bool = True
    gated: bool = False

    def axis(self, label: str) -> Axis | None:
        """The receptive field along `y` or `x`."""
        return self.y if label == "y" else self.x

    def with_axis(self, label: str, axis: Axis | None) -> "Seen":
        """The same with another receptive field along one axis."""
        return replace(self, y=axis) if label == "y" else replace(self, x=axis)

    def laid(self, shape: Sequence[int], dims: Dims | None) -> "Seen":
        """The same values in another shape; None for dims that cannot be followed, and then the whole image is seen."""
        shape = tuple(shape)
        return everything(shape) if dims is None else replace(self, shape=shape, dims=dims)

    def holders(self, label: str) -> list[int]:
        """The dimensions that hold positions along that axis."""
        return [i for i, dim in enumerate(self.dims) if label in labels(dim)]


def everything(shape: Sequence[int], dims: Dims | None = None) -> Seen:
    """A tensor of which no more is known than that it may have seen the whole image."""
    return Seen(tuple(shape), unknown_dims(shape) if dims is None else dims, None, None)


def blind(seen: Seen, *axes: str) -> Seen:
    """The same tensor after an operation that mixes all positions along these axes."""
    for label in axes:
        seen = seen.with_axis(label, None)
    return seen


def absorb(seen: Seen, places: Sequence[int]) -> Seen:
    """Mix everything inside these dimensions, which become plain channels.

    Where they hold the inner part of an axis (2 x 2 patches moved into channels) and the outer part stays, positions
    become coarser; where no part stays, the whole axis is seen.
    """
    rest = [i for i in range(len(seen.dims)) if i not in places]
    for label in AXES:
        mixed = [a for i in places for a in seen.dims[i] if label in labels((a,))]
        if mixed:
            seen = _coarsen(seen, label, prod(a.size for a in mixed), rest)
    dims = tuple(squash(dim) if i in places else dim for i, dim in enumerate(seen.dims))
    return replace(seen, dims=dims)


def _coarsen(seen: Seen, label: str, count: int, rest: Sequence[int]) -> Seen:
    axis = seen.axis(label)
    kept = [(i, a) for i in rest for a in seen.dims[i] if label in labels((a,))]
    if axis is None or len(kept) != 1 or kept[0][1].label != label or kept[0][1].step != count:
        return blind(seen, label)
    place, outer = kept[0]
    whole = tuple(replace(a, step=1) if a is outer else a for a in seen.dims[place])
    dims = tuple(whole if i == place else dim for i, dim in enumerate(seen.dims))
    wider = Axis(axis.step * count, axis.low, axis.high + (count - 1) * axis.step)
    return replace(seen.with_axis(label, wider), dims=dims)


def join(inputs: Sequence[Seen], shape: Sequence[int], dims: Dims, gates: bool) -> Seen:
    """What a tensor has seen that several tensors meet in.

    A local map that a global signal without positions of its own scales or shifts keeps its field and is `gated`;
    `gates` says whether that also holds where the map itself has a single position.
    """
    result = Seen(tuple(shape), dims, None, None, all(s.aligned for s in inputs), any(s.gated for s in inputs))
    for label in AXES:
        result = _join_axis(result, inputs, label, gates)
    return result


def _join_axis(result: Seen, inputs: Sequence[Seen], label: str, gates: bool) -> Seen:
    placed = [s for s in inputs if s.holders(label)]
    free = [s for s in inputs if not s.holders(label)]
    if any(_backs(s, label) != _backs(result, label) for s in placed):
        return result
    if not placed:
        local = [s for s in free if s.axis(label) is not None]
        if len(local) < len(free) and not gates:
            return result
        placed, free = local, [s for s in free if s.axis(label) is None]
    axes = [axis for s in placed if (axis := s.axis(label)) is not None]
    if not axes or len(axes) < len(placed) or not all(_is_gate(s, label, result) for s in free):
        return result
    axis, aligned = unite(axes, length(result, label))
    result = replace(result, aligned=result.aligned and aligned, gated=result.gated or bool(free))
    return result.with_axis(label, axis)


def _backs(seen: Seen, label: str) -> list[int]:
    """The dimensions that hold an axis, counted from the last as broadcasting does."""
    return [place - len(seen.dims) for place in seen.holders(label)]


def _is_gate(free: Seen, label: str, result: Seen) -> bool:
    """Whether a tensor without positions of its own is a global signal, the same for every position of the result."""
    if free.axis(label) is not None:
        return False
    inside = [back for back in _backs(result, label) if -back <= len(free.dims)]
    return all(free.shape[back] == 1 or labels(free.dims[back]) == {"e"} for back in inside)


def length(seen: Seen, label: str) -> int:
    """The number of positions along an axis."""
    return prod(a.size for dim in seen.dims for outer in dim for a in (outer, *outer.inner) if a.label == label)


def broadcast_dims(inputs: Sequence[Seen], shape: Sequence[int]) -> Dims:
    """The dimensions of a broadcast of these tensors; unknown where two of them disagree about image axes."""
    return tuple(_broadcast_dim(inputs, place - len(shape), size) for place, size in enumerate(shape))


def _broadcast_dim(inputs: Sequence[Seen], back: int, size: int) -> Dim:
    options = [s.dims[back] for s in inputs if len(s.dims) >= -back and s.shape[back] == size]
    placed = {dim for dim in options if spatial(dim) or "?" in labels(dim)}
    if len(placed) > 1:
        return plain("?", size)
    if placed:
        return placed.pop()
    return next((dim for dim in options if "c" in labels(dim)), options[0] if options else plain("c", size))
