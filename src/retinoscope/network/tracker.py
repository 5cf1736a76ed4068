"""Tracker: follows the image through every tensor operation of one forward pass, on the real graph."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from retinoscope.network.geometry import Axis
from retinoscope.network.operation import Operation, conservative
from retinoscope.network.roles import plain
from retinoscope.network.rules import CONSTANTS, rule_for
from retinoscope.network.seen import Seen, everything

Place = tuple[int, tuple[int, ...], tuple[int, ...]]


class Tracker(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves its hook untyped
    """Inside `with Tracker(image) as tracker:` every tensor made from `image` (1 c h w) knows what it has seen.

    It works below modules and functions, on the operations PyTorch dispatches, so that functional, in-place and
    shared operations look alike. A tensor is known by the memory it lies in: nothing is kept alive.
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._memory: dict[int, dict[Place, Seen]] = {}
        self._watched: dict[int, list[Any]] = {}
        dims = ((), plain("c", image.shape[1]), plain("y", image.shape[2]), plain("x", image.shape[3]))
        self._remember(image, Seen(tuple(image.shape), dims, Axis(), Axis()))

    def seen(self, tensor: Tensor) -> Seen | None:
        """What a tensor has seen of the image; None when it does not depend on it."""
        places = self._memory.get(address_of(tensor))
        if places is None:
            return None
        return places.get(place_of(tensor)) or everything(tuple(tensor.shape))

    def watch(self, tensor: Tensor, tell: Any) -> None:
        """Call `tell()` if an operation later writes into the tensor's memory."""
        self._watched.setdefault(address_of(tensor), []).append(tell)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        before = {address_of(t) for t in tensors_in((args, kwargs))}
        operation = self._operation(func, args, kwargs)
        result = func(*args, **kwargs)
        outputs = list(tensors_in(result))
        fresh = {address_of(t) for t in outputs} - before
        for address in fresh:
            self._memory.pop(address, None)
            self._watched.pop(address, None)
        if operation.tracked and outputs and operation.name not in CONSTANTS:
            written = {address_of(t) for t in written_by(func, args, kwargs)}
            self._follow(func, operation, outputs, written)
        return result

    def _operation(self, func: Any, args: Any, kwargs: Any) -> Operation:
        named = _bind(func, args, kwargs)
        tensors = {k: v for k, v in named.items() if _holds_tensor(v)}
        name = func.overloadpacket.__name__
        name = name[:-1] if name.endswith("_") and not name.endswith("__") else name
        seen = {k: _each(v, self.seen) for k, v in tensors.items()}
        shapes = {k: _each(v, lambda t: tuple(t.shape)) for k, v in tensors.items()}
        return Operation(name, named, seen, shapes, ())

    def _follow(self, func: Any, op: Operation, outputs: list[Tensor], written: set[int]) -> None:
        rule = rule_for(op, torch.Tag.pointwise in func.tags)
        for i, (tensor, single) in enumerate(zip(outputs, _single(op, outputs), strict=True)):
            kept = i == 0 or tensor.shape == outputs[0].shape or op.name in SPLITS
            seen = rule(single) if kept else conservative(single)
            if address_of(tensor) in written:
                self._overwrite(tensor, seen)
            self._remember(tensor, seen)

    def _overwrite(self, tensor: Tensor, seen: Seen) -> None:
        """After an in-place operation, other views of the memory are known only if nothing but values changed."""
        address = address_of(tensor)
        places = self._memory.get(address, {})
        if places.get(place_of(tensor)) != seen:
            self._memory[address] = {}
        for tell in self._watched.pop(address, []):
            tell()

    def _remember(self, tensor: Tensor, seen: Seen) -> None:
        if tensor.numel():
            self._memory.setdefault(address_of(tensor), {})[place_of(tensor)] = seen


SPLITS = ("split", "split_with_sizes", "unsafe_split")


def _single(op: Operation, outputs: list[Tensor]) -> Iterator[Operation]:
    """The operation as seen by each of its outputs; a split is a slice for each."""
    start = 0
    for tensor in outputs:
        shape = tuple(tensor.shape)
        arguments = op.arguments
        if op.name in SPLITS:
            end = start + shape[arguments["dim"] % len(shape)]
            arguments, start = {**arguments, "start": start, "end": end, "step": 1}, end
        yield replace(op, arguments=arguments, outputs=(shape,))


def _bind(func: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    """Every argument by its schema name, with defaults."""
    schema = func._schema.arguments
    given = {argument.name: value for argument, value in zip(schema, args, strict=False)}
    defaults = {a.name: a.default_value for a in schema if a.has_default_value()}
    return {**{a.name: None for a in schema}, **defaults, **given, **kwargs}


def written_by(func: Any, args: Any, kwargs: Any) -> Iterator[Tensor]:
    """The tensors an operation writes into, by its schema."""
    named = _bind(func, args, kwargs)
    for argument in func._schema.arguments:
        if argument.alias_info is not None and argument.alias_info.is_write:
            yield from tensors_in(named[argument.name])


def tensors_in(values: Any) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor))


def _each(value: Any, apply: Any) -> Any:
    if isinstance(value, list | tuple):
        return [apply(v) if isinstance(v, Tensor) else None for v in value]
    return apply(value)


def _holds_tensor(value: Any) -> bool:
    return isinstance(value, Tensor) or (isinstance(value, list | tuple) and any(isinstance(v, Tensor) for v in value))


def address_of(tensor: Tensor) -> int:
    """Where the tensor's memory lies; 0 for tensors without plain memory."""
    return tensor.untyped_storage().data_ptr() if tensor.layout == torch.strided else 0


def place_of(tensor: Tensor) -> Place:
    """Which part of its memory a tensor is."""
    strides = tuple(0 if n == 1 else s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
    return int(tensor.storage_offset()), tuple(tensor.shape), strides
