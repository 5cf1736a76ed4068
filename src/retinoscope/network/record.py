"""Recording: what chosen layers answer to images, and not a layer more.

Hooks live inside the `with` block only. The pass stops after the deepest layer asked for. A layer whose output a later
in-place operation would overwrite is copied, so that in-place and functional activations never change what was seen.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from retinoscope.base.errors import BadNetworkError
from retinoscope.network.model import Layer, Model, Side


class _DeepestReachedError(Exception):
    """Ends a forward pass once every layer asked for is recorded; never seen outside `forward`."""


class Trace(Mapping[str, Tensor]):
    """Activations by layer name; each value is `b c y x`, in the network's own precision.

    Tokens come as their patch grid (class and register tokens left out), vectors as 1 x 1 maps; `raw(name)` gives the
    module's own output. Inside the `with` block of `record`, the trace holds the latest forward pass. `images`
    (b, 3, h, w) are the pictures before their views, and `alpha` (b, 1, h, w) their opacity, where a picture is made.
    """

    def __init__(
        self,
        layers: Mapping[str, Layer],
        values: dict[str, Tensor] | None = None,
        images: Tensor | None = None,
        alpha: Tensor | None = None,
    ) -> None:
        self.layers = dict(layers)
        self.images, self.alpha = images, alpha
        self._values = {} if values is None else values
        self._versions: dict[str, int] = {}

    def __getitem__(self, name: str) -> Tensor:
        return channels_first(self.raw(name), self.layers[name])

    def raw(self, name: str) -> Tensor:
        """The output as the module gave it."""
        value = self._values[name]
        if not value.is_inference() and value._version != self._versions.get(name, value._version):
            raise BadNetworkError(f"{name} was overwritten in place after it was recorded; wrap the network again")
        return value

    def put(self, name: str, value: Tensor) -> None:
        """Record a layer's raw output, copied where a later in-place operation would overwrite it."""
        value = value.clone() if self.layers[name].overwritten else value
        self._values[name] = value
        if not value.is_inference():
            self._versions[name] = value._version

    def like(self) -> Tensor:
        """Any tensor of the batch: for its length and its device."""
        return next(iter(self._values.values())) if self.images is None else self.images

    def clear(self) -> None:
        """Forget the last forward pass."""
        self._values.clear()
        self._versions.clear()

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def channels_first(value: Tensor, layer: Layer) -> Tensor:
    """A layer's raw output as `b c y x`, whatever its layout."""
    if layer.layout == "map":
        return value
    if layer.layout == "map-last":
        return rearrange(value, "b y x c -> b c y x")
    if layer.layout == "vector":
        return rearrange(value, "b c -> b c 1 1")
    tokens = value[:, layer.prefix :]
    rows, columns = layer.size
    if rows * columns != tokens.shape[1]:  # the images are not of the input size: keep the tokens as one column
        rows, columns = tokens.shape[1], 1
    return rearrange(tokens, "b (y x) c -> b c y x", y=rows, x=columns)


@contextmanager
def record(model: Model, layers: Sequence[str]) -> Iterator[Trace]:
    """Record the outputs of `layers` in every forward pass of `model` inside the block.

    Raises UnknownNameError for a layer that does not exist. The hooks are gone after the block, on errors too.
    """
    trace = Trace({name: model.layers[name] for name in layers})
    handles = _attach(model.module, trace)
    try:
        yield trace
    finally:
        for handle in handles:
            handle.remove()


def _attach(module: nn.Module, trace: Trace) -> list[RemovableHandle]:
    wanted: dict[tuple[str, Side], dict[int, str]] = {}
    for name, layer in trace.layers.items():
        wanted.setdefault((layer.module, layer.side), {})[layer.call] = name
    calls = dict.fromkeys(wanted, 0)

    def start(*_: Any) -> None:
        trace.clear()
        calls.update(dict.fromkeys(calls, 0))

    def hook_for(end: tuple[str, Side]) -> Any:
        def seen(_module: nn.Module, *values: Any) -> None:  # the inputs, and of an output the output
            calls[end] += 1
            if name := wanted[end].get(calls[end]):
                trace.put(name, first_tensor(values[-1]))
                # The whole network's own output needs no early end: nothing runs after it.
                if len(trace) == len(trace.layers) and end[0]:
                    raise _DeepestReachedError

        return seen

    handles = [module.register_forward_pre_hook(start)]
    for path, side in wanted:
        child = module.get_submodule(path)
        attach = child.register_forward_hook if side == "output" else child.register_forward_pre_hook
        handles.append(attach(hook_for((path, side))))
    return handles


def first_tensor(output: Any) -> Tensor:
    """The tensor of a module's output, the first one of a tuple, list or dict."""
    while not isinstance(output, Tensor):
        if isinstance(output, Mapping):
            output = list(output.values())
        if not isinstance(output, Sequence) or isinstance(output, str) or not output:
            raise BadNetworkError(f"a network must give tensors; came {type(output).__name__}")
        output = output[0]
    return output


def forward(module: nn.Module, inputs: Tensor) -> Tensor:
    """Run a network on normalised inputs in its own precision; empty (b, 0) when a recorder stopped it early."""
    parameter = next((p for p in module.parameters() if p.is_floating_point()), None)
    inputs = inputs if parameter is None else inputs.to(parameter.dtype)
    with suppress(_DeepestReachedError):
        return first_tensor(module(inputs))
    return torch.empty(inputs.shape[0], 0, device=inputs.device)
