"""Lineage: which channel of which operation every channel of every tensor comes from, unmixed.

Beside each tensor runs a tensor of identifiers of the same shape. Operations that only move values (views, slices,
paddings, concatenations) are applied to the identifiers as they are; those that change each channel for itself
(activations, batch norm, pooling) leave them alone; those that mix channels (convolutions, matrix products) and sums of
two tensors give new ones. So an identity shortcut shows on the real graph, whatever module or function it is made of.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from retinoscope.network.rules import CONSTANTS
from retinoscope.network.tracker import Place, address_of, place_of, tensors_in, written_by


@dataclass(frozen=True)
class Line:
    """What a tensor's values come from: identifiers (0: no single channel), every node before them, and which values.

    `past` has a bit for each node the tensor depends on. Equal `stamp`s mean equal values, moved at most. `normed` says
    that a normalisation came after the node that made the values.
    """

    ids: Tensor
    past: int
    stamp: int
    normed: bool = False


@dataclass(frozen=True)
class Node:
    """An operation that gives new channels, identified by first, first + 1, and so on.

    `parts` are a sum's two summands, empty otherwise; `module` is the path of the innermost module at work; `weight`
    the shape of the weights (o i kh kw, or o i), None where there are none; `positions` how many the map has.
    """

    index: int
    name: str
    first: int
    channels: int
    stamp: int
    past: int
    parts: tuple[Line, ...] = ()
    module: str = ""
    weight: tuple[int, ...] | None = None
    positions: int = 1


MOVES = frozenset({
    "view", "_unsafe_view", "reshape", "_reshape_alias", "permute", "transpose", "t", "slice", "select", "split",
    "split_with_sizes", "unsafe_split", "unbind", "expand", "squeeze", "unsqueeze", "cat", "stack", "clone",
    "contiguous", "detach", "alias", "lift_fresh", "constant_pad_nd", "roll", "flip", "channel_shuffle",
    "native_channel_shuffle", "pixel_shuffle", "pixel_unshuffle",
})  # fmt: skip
"""Operations that move values and change none."""

VIEWS = frozenset({"view", "_unsafe_view", "reshape", "_reshape_alias"})
COPIES = frozenset({"clone", "contiguous", "detach", "alias", "lift_fresh"})

SAME_PLACES = VIEWS | COPIES | {"permute", "transpose", "t", "squeeze", "unsqueeze", "native_dropout", "_to_copy"}
"""Operations after which the values are all there, and the same."""

NORMS = frozenset({
    "native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
    "miopen_batch_norm", "native_layer_norm", "native_group_norm",
})  # fmt: skip

ACROSS = frozenset({
    "max_pool2d_with_indices", "mkldnn_max_pool2d", "avg_pool2d", "_adaptive_avg_pool2d", "adaptive_max_pool2d",
    "upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d", "_upsample_bilinear2d_aa",
    "_upsample_bicubic2d_aa", "reflection_pad2d", "replication_pad2d",
})  # fmt: skip
"""Operations on maps that mix positions, but no channels."""

ALONE = frozenset({"prelu", "_prelu_kernel", "hardswish", "native_dropout", "_to_copy", "masked_fill"})
"""Operations on single values that PyTorch does not always declare as such."""


@dataclass
class _Memory:
    """The lines of the tensors that lie in one piece of memory, and all that was ever written into it."""

    lines: dict[Place, Line] = field(default_factory=dict)
    past: int = 0


class Lineage(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves its hook untyped
    """Inside `with Lineage(image) as lineage:` every tensor made from `image` has a Line; `nodes` are in call order.

    `enter` and `leave` tell it which module is at work.
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.nodes: list[Node] = []
        self._memory: dict[int, _Memory] = {}
        self._stamps, self._next = count(), 1
        self._modules = [""]
        self._remember(image, self._born(image, "image", []))

    def enter(self, path: str) -> None:
        """A module begins."""
        self._modules.append(path)

    def leave(self) -> None:
        """The module that began last is done."""
        self._modules.pop()

    def line(self, tensor: Tensor) -> Line | None:
        """Where a tensor's values come from; None when it does not depend on the image."""
        memory = self._memory.get(address_of(tensor))
        if memory is None:
            return None
        return memory.lines.get(place_of(tensor)) or self._unknown(tensor, memory.past)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [(tensor, self.line(tensor)) for tensor in tensors_in((args, kwargs))]
        lines = [line for _, line in given if line is not None]
        shapes = [tuple(tensor.shape) for tensor, line in given if line is None and tensor.ndim > 1]
        before, written = {address_of(t) for t, _ in given}, {address_of(t) for t in written_by(func, args, kwargs)}
        moved = self._moved(func, args, kwargs) if lines and _name(func) in MOVES else None
        result = func(*args, **kwargs)
        outputs = list(tensors_in(result))
        for fresh in {address_of(t) for t in outputs} - before:
            self._memory.pop(fresh, None)
        if lines and _name(func) not in CONSTANTS:
            for place, tensor in enumerate(outputs):
                new = moved[place] if moved else self._made(func, tensor, lines, shapes) if place == 0 else None
                line = new or self._unknown(tensor, _past(lines))  # statistics and indices beside the result
                self._remember(tensor, line, overwritten=address_of(tensor) in written)
        return result

    def _moved(self, func: Any, args: Any, kwargs: Any) -> list[Line]:
        """Lines of an operation that moves values: the operation on the identifiers."""
        found: list[Line] = []

        def shadow(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            line = self.line(value)
            found.extend([line] if line else [])
            return line.ids if line else torch.zeros((), dtype=torch.int64).expand(value.shape)

        args, kwargs = tree_map(shadow, args), tree_map(shadow, kwargs)
        if _name(func) in COPIES:
            return found
        args = args[:2] if _name(func) == "constant_pad_nd" else args  # what is padded comes from nowhere
        past, normed = _past(found), any(line.normed for line in found)
        # Identifiers may lie in memory as no view allows.
        outputs = [args[0].reshape(args[1])] if _name(func) in VIEWS else list(tensors_in(func(*args, **kwargs)))
        kept = _name(func) in SAME_PLACES or (_name(func) == "expand" and outputs[0].shape == found[0].ids.shape)
        return [Line(_compact(ids), past, found[0].stamp if kept else next(self._stamps), normed) for ids in outputs]

    def _made(self, func: Any, output: Tensor, lines: list[Line], weights: list[tuple[int, ...]]) -> Line:
        """The line of an operation that computes."""
        name, past = _name(func), _past(lines)
        if name == "copy":
            source = lines[-1]
            return Line(source.ids.expand(output.shape), past, next(self._stamps), source.normed)
        full = [line for line in lines if line.ids.shape == output.shape]
        first = (full or lines)[0]
        pointwise = name in NORMS or name in ALONE or torch.Tag.pointwise in func.tags
        if name in ACROSS and len(lines) == 1 and (flat := _across(first.ids, output.shape)) is not None:
            return Line(flat, past, next(self._stamps), first.normed)
        if pointwise and len(full) <= 1 and _widens(first.ids, output.shape):
            stamp = first.stamp if name in SAME_PLACES else next(self._stamps)
            return Line(first.ids.expand(output.shape), past, stamp, first.normed or name in NORMS)
        if pointwise and len(full) > 1 and all(torch.equal(line.ids, first.ids) for line in full[1:]):
            return Line(first.ids, past, next(self._stamps), any(line.normed for line in full))
        parts = full if name in ("add", "sub") and len(full) == 2 else []
        return self._born(output, name, lines, parts, weights)

    def _born(
        self,
        output: Tensor,
        name: str,
        lines: list[Line],
        parts: Sequence[Line] = (),
        weights: Sequence[tuple[int, ...]] = (),
    ) -> Line:
        """A new node and its line."""
        shape, index, stamp = tuple(output.shape), len(self.nodes), next(self._stamps)
        dim = next((found[0] for part in parts if (found := channels_of(part.ids))), _channel_dim(name, shape))
        size = shape[dim] if shape else 1
        ids = torch.arange(self._next, self._next + size)
        view = [size if place == dim % max(len(shape), 1) else 1 for place in range(len(shape))]
        past = _past(lines) | 1 << index
        positions = prod(shape) // size
        node = Node(
            index,
            name,
            self._next,
            size,
            stamp,
            past,
            tuple(parts),
            self._modules[-1],
            _weight(name, weights),
            positions,
        )
        self.nodes.append(node)
        self._next += size
        return Line(ids.view(view).expand(shape), past, stamp)

    def _remember(self, tensor: Tensor, line: Line, overwritten: bool = False) -> None:
        if not tensor.numel():
            return
        memory = self._memory.setdefault(address_of(tensor), _Memory())
        if overwritten:  # other views of this memory are no longer what they were
            memory.lines.clear()
        memory.lines[place_of(tensor)] = line
        memory.past |= line.past

    def _unknown(self, tensor: Tensor, past: int) -> Line:
        return Line(torch.zeros((), dtype=torch.int64).expand(tensor.shape), past, next(self._stamps))


def _name(func: Any) -> str:
    name: str = func.overloadpacket.__name__
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name


def _past(lines: Sequence[Line]) -> int:
    past = 0
    for line in lines:
        past |= line.past
    return past


def _widens(ids: Tensor, shape: Sequence[int]) -> bool:
    """Whether identifiers broadcast to the output's shape with their last dimensions in place."""
    return ids.ndim <= len(shape) and all(
        a in (1, b) for a, b in zip(ids.shape[::-1], tuple(shape)[::-1], strict=False)
    )


def _across(ids: Tensor, shape: Sequence[int]) -> Tensor | None:
    """Identifiers of a map's channels at other positions; None where positions of a channel differ in origin."""
    one, few = ids[..., :1, :1], _folded(ids)
    return one.expand(shape) if len(shape) == ids.ndim and bool((few == one).all()) else None


def _compact(ids: Tensor) -> Tensor:
    """The same identifiers, in little memory where they are the same along a dimension."""
    for dim, (size, stride) in enumerate(zip(ids.shape, ids.stride(), strict=True)):
        one = ids.narrow(dim, 0, 1) if size > 1 else ids
        if size > 1 and stride and bool((_folded(ids) == _folded(one)).all()):
            ids = one.expand(ids.shape)
    return ids


def _folded(ids: Tensor) -> Tensor:
    """Identifiers with the dimensions along which they are the same in memory cut to length 1."""
    return ids[tuple(slice(None) if stride else slice(0, 1) for stride in ids.stride())]


def _channel_dim(name: str, shape: Sequence[int]) -> int:
    """Where an operation that mixes channels puts its own: behind the batch in maps, else last."""
    return 1 if len(shape) == 4 and name not in ("linear", "bmm", "mm", "addmm") else len(shape) - 1


def _weight(name: str, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...] | None:
    """The shape of an operation's weights with its outputs first."""
    if name == "convolution":
        return next((shape for shape in shapes if len(shape) > 2), None)
    flat = next((shape for shape in shapes if len(shape) == 2), None)
    return flat[::-1] if flat and name in ("mm", "addmm") else flat if name == "linear" else None


def channels_of(ids: Tensor) -> tuple[int, Tensor] | None:
    """The dimension that holds channels, and their identifiers (c,), the same at every position; None if there is none.

    Positions that come from nowhere (a class token) do not count.
    """
    ids = _folded(ids)
    for dim in dict.fromkeys((1 if ids.ndim == 4 else ids.ndim - 1, ids.ndim - 1)):
        if ids.ndim < 2 or ids.shape[dim] < 2:
            continue
        rows = ids.movedim(dim, -1).reshape(-1, ids.shape[dim])
        rows = rows[rows.any(1)]
        if len(rows) and bool((rows == rows[0]).all()):
            return dim, rows[0]
    return None
