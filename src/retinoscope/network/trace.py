"""The layers of a network in call order, found by running it once on a dummy image."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import ceil, isqrt, prod
from typing import Any

import torch
from torch import Tensor, nn

from retinoscope.base.errors import BadNetworkError
from retinoscope.network.hooks import watched
from retinoscope.network.model import Layer, Layers, Layout, ReceptiveField
from retinoscope.network.record import first_tensor
from retinoscope.network.roles import Atom, Dims, labels, spatial
from retinoscope.network.seen import AXES, Seen, absorb
from retinoscope.network.tracker import Tracker


def trace(module: nn.Module, input_size: tuple[int, int], channels: int = 3) -> Layers:
    """The layers of `module` for images of `input_size` (h, w), in call order, with their true receptive fields.

    Runs the module once on one dummy image, in eval mode and without gradients; its modes and buffers are as before
    afterwards. Every named submodule whose output is one tensor with a batch dimension is a layer, unless it only
    hands its input on; the network's own answer (b, classes) comes last as "logits". Beside them, unlisted, what goes
    into each module without submodules. Raises BadNetworkError when the forward pass fails or nothing in it is a layer.
    """
    shape = (1, channels, *input_size)
    calls = _run(module, shape)
    counts: dict[str, int] = {}
    for call in calls:
        counts[call.module] = max(counts.get(call.module, 0), call.number)
    kept = [(call, place) for call in calls if (place := _layout(call, input_size)) is not None]
    layers = [_layer(call, place, i, len(kept), counts, input_size) for i, (call, place) in enumerate(kept)]
    if not any(layer.module for layer in layers):
        raise BadNetworkError(f"no layers in {type(module).__name__}: no named submodule gave a tensor for {shape}")
    outputs = {(layer.module, layer.call): layer for layer in layers}
    inputs = [
        _input(call.input, found, input_size)
        for call in calls
        if call.input and (found := outputs.get((call.module, call.number)))
    ]
    return Layers({layer.name: layer for layer in layers}, {layer.name: layer for layer in inputs if layer})


def _input(entered: "_Call", output: Layer, input_size: tuple[int, int]) -> Layer | None:
    """What goes into a call, from what comes out; None when it is not a batch of maps, tokens or vectors."""
    place = _layout(entered, input_size)
    if place is None:
        return None
    return replace(
        output, name=f"{output.name}.input", kind=f"input of {output.kind}", channels=place.channels, size=place.size,
        field=_receptive_field(place, input_size), layout=place.layout, prefix=place.prefix,
        overwritten=entered.overwritten, side="input",
    )  # fmt: skip


@dataclass
class _Call:
    """One call of a submodule: what its output has seen, and whether its memory was overwritten later.

    `input` is the same of what goes into a module without submodules.
    """

    module: str
    kind: str
    number: int
    seen: Seen | None
    overwritten: bool = False
    input: "_Call | None" = None

    def mark(self) -> None:
        self.overwritten = True


@dataclass
class _Witness:
    """Forward hooks that note each call of each submodule."""

    tracker: Tracker
    calls: list[_Call] = field(default_factory=list)
    _counts: dict[str, int] = field(default_factory=dict)
    _inputs: list[tuple[Any, int | None, _Call | None]] = field(default_factory=list)

    def before(self, _path: str) -> Callable[..., None]:
        def note(module: nn.Module, inputs: Any) -> None:
            first = next((i for i in inputs if isinstance(i, Tensor)), None)
            entered = None
            if first is not None and next(module.children(), None) is None:
                entered = _Call("", "", 0, self.tracker.seen(first))
                self.tracker.watch(first, entered.mark)
            self._inputs.append((first, None if first is None else first._version, entered))

        return note

    def after(self, path: str) -> Callable[..., None]:
        def note(module: nn.Module, _inputs: Any, output: Any) -> None:
            source, version, entered = self._inputs.pop()
            number = self._counts[path] = self._counts.get(path, 0) + 1
            call = _Call(path, type(module).__name__, number, None, input=entered)
            self.calls.append(call)
            if isinstance(output, Tensor) and not (output is source and output._version == version):
                call.seen = self.tracker.seen(output)
                self.tracker.watch(output, call.mark)

        return note


def _run(module: nn.Module, shape: tuple[int, ...]) -> list[_Call]:
    like = next((p for p in module.parameters() if p.is_floating_point()), torch.empty(0))
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(like)
    witness = _Witness(Tracker(image))
    hooks = watched(module, witness.before, witness.after)
    with _untouched(module), torch.no_grad(), torch.random.fork_rng(devices=[]):
        try:
            with hooks, witness.tracker:
                output = first_tensor(module(image))
        except BadNetworkError:
            raise
        except Exception as error:
            raise BadNetworkError(
                f"{type(module).__name__} fails on an image batch of shape {shape}: {error}. "
                "Give the input_size and number of channels it was built for"
            ) from error
    if output.ndim == 2 and not any(call.module == "logits" for call in witness.calls):
        witness.calls.append(_Call("", "Logits", 1, witness.tracker.seen(output)))
    return witness.calls


@contextmanager
def _untouched(module: nn.Module) -> Iterator[None]:
    """Eval mode inside the block; afterwards every submodule's mode and every buffer are as they were."""
    modes = [(child, child.training) for child in module.modules()]
    buffers = [
        (child, name, buffer, None if buffer is None else (buffer._version, buffer.clone()))
        for child in module.modules()
        for name, buffer in child._buffers.items()
    ]
    module.eval()
    try:
        yield
    finally:
        for child, training in modes:
            child.training = training
        for child, name, buffer, copy in buffers:
            child._buffers[name] = buffer
            if buffer is not None and copy is not None and buffer._version != copy[0]:
                with torch.no_grad():
                    buffer.copy_(copy[1])


@dataclass(frozen=True)
class _Place:
    """How a layer's output is laid out: which dimension holds channels, and the map's size (y, x)."""

    layout: Layout
    channels: int
    size: tuple[int, int]
    seen: Seen
    prefix: int = 0


def _layout(call: _Call, input_size: tuple[int, int]) -> _Place | None:
    """The layout of a call's output; None when it is not a batch of maps, tokens or vectors."""
    seen = call.seen
    if seen is None or len(seen.shape) not in (2, 3, 4) or seen.shape[0] != 1 or 0 in seen.shape:
        return None
    if len(seen.shape) == 2:
        return _Place("vector", seen.shape[1], (1, 1), seen)
    if len(seen.shape) == 3:
        return _tokens(seen)
    unclear = any("?" in labels(dim) for dim in seen.dims)
    return _guess_map(seen, input_size) if unclear else _map(seen)


def _map(seen: Seen) -> _Place | None:
    last_is_channels = seen.shape[1] == seen.shape[2] == 1 and seen.shape[3] > 1
    first, last = absorb(seen, [1]), absorb(seen, [3])
    if not last_is_channels and _are_axes(first.dims[2:]):
        return _Place("map", seen.shape[1], (seen.shape[2], seen.shape[3]), first)
    if _are_axes(last.dims[1:3]):
        return _Place("map-last", seen.shape[3], (seen.shape[1], seen.shape[2]), last)
    return None


def _guess_map(seen: Seen, input_size: tuple[int, int]) -> _Place | None:
    """Where dimensions could not be followed, those shaped like the image are taken for its axes."""
    _, a, b, c = seen.shape
    if _alike((b, c), input_size):
        return _Place("map", a, (b, c), seen)
    return _Place("map-last", c, (a, b), seen) if _alike((a, b), input_size) else None


def _alike(size: tuple[int, int], image: tuple[int, int]) -> bool:
    fits = size[0] <= image[0] and size[1] <= image[1]
    return fits and abs(size[0] * image[1] - size[1] * image[0]) <= max(image)  # within one position


def _are_axes(dims: Dims) -> bool:
    return all(not dim or labels(dim) == {label} for dim, label in zip(dims, AXES, strict=True))


def _tokens(seen: Seen) -> _Place | None:
    if spatial(seen.dims[2]) and not spatial(seen.dims[1]):
        return None
    dim, count = seen.dims[1], seen.shape[1]
    behind = dim[0] if len(dim) == 1 and dim[0].label == "n" else None
    prefix, atoms = (behind.prefix, behind.inner) if behind else (0, dim)
    size = _grid(atoms) if "?" not in labels(dim) and labels(dim) != {"c"} else None
    if size is None or prefix + prod(size) != count:
        prefix, size = _guess_grid(count)
    return _Place("tokens", seen.shape[2], size, absorb(seen, [2]), prefix)


def _grid(atoms: tuple[Atom, ...]) -> tuple[int, int] | None:
    """The patch grid that a token dimension unrolls, row by row."""
    order = [atom.label for atom in atoms]
    if order not in (["y", "x"], ["y"], ["x"], []):
        return None
    sizes = {atom.label: atom.size for atom in atoms}
    return sizes.get("y", 1), sizes.get("x", 1)


def _guess_grid(count: int) -> tuple[int, tuple[int, int]]:
    """Prefix tokens and grid of tokens that could not be followed: a square behind at most five, or a column."""
    for prefix in range(min(6, count)):
        side = isqrt(count - prefix)
        if side > 1 and side * side == count - prefix:
            return prefix, (side, side)
    return 0, (count, 1)


def _layer(
    call: _Call, place: _Place, index: int, total: int, counts: dict[str, int], input_size: tuple[int, int]
) -> Layer:
    name = call.module or "logits"
    name = f"{name}#{call.number}" if counts[call.module] > 1 else name
    return Layer(
        name,
        call.module,
        call.number,
        index,
        call.kind,
        place.channels,
        place.size,
        _receptive_field(place, input_size),
        (index + 1) / total,
        place.layout,
        place.prefix,
        call.overwritten,
    )


def _receptive_field(place: _Place, input_size: tuple[int, int]) -> ReceptiveField:
    seen = place.seen
    held = {label for dim in seen.dims for label in spatial(dim)}
    if seen.y is None or seen.x is None or (place.layout == "vector" and held):
        return whole_field(place.size, input_size)
    axes = (seen.y, seen.x)
    size_y, size_x = (ceil(axis.high - axis.low) + 1 for axis in axes)
    step_y, step_x = (float(axis.step) for axis in axes)
    return ReceptiveField(
        (size_y, size_x), (step_y, step_x), (-float(axes[0].low), -float(axes[1].low)), seen.aligned, False, seen.gated
    )


def whole_field(size: tuple[int, int], input_size: tuple[int, int]) -> ReceptiveField:
    """The field of a map that sees the whole image, its positions centred on the cells of an even grid."""
    stride_y, stride_x = (pixels / count for pixels, count in zip(input_size, size, strict=True))
    padding = ((input_size[0] - stride_y) / 2, (input_size[1] - stride_x) / 2)
    return replace(ReceptiveField(input_size, (stride_y, stride_x), padding), whole=True)
