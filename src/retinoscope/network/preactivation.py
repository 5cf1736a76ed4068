"""Which layer gives what an activation function then cuts off: the signed answers before a ReLU."""

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from retinoscope.network.hooks import watched
from retinoscope.network.model import Model
from retinoscope.network.record import forward

ACTIVATIONS = frozenset({
    "relu", "relu6", "hardtanh", "threshold", "leaky_relu", "prelu", "rrelu", "elu", "celu", "selu", "gelu", "silu",
    "mish", "softplus", "hardswish", "sigmoid", "hardsigmoid", "tanh", "logsigmoid", "softsign", "tanhshrink",
    "softshrink", "hardshrink", "clamp", "clip", "clamp_min",
})  # fmt: skip
"""torch's functions of single values, by their names, in place or not."""


def pre_activation(model: Model, layer: str) -> str | None:
    """The layer whose answers, and nothing else, go through an activation function and are then those of `layer`.

    After a ReLU every minimum is 0; the layer before it still tells the photos that a unit answers least from those
    it merely ignores [olah2017]. Found on the real graph, for functional and in-place activations too. Where what goes
    into an activation module is no layer's output, as the sum at the end of a residual block or the inside of a batch
    norm with an activation, it is that module's input, "NAME.input". None when the layer does not end in an activation
    (its answers are signed already), and when a functional activation takes what no module gave. Raises
    UnknownNameError for a layer that does not exist.
    """
    wanted = model.layers[layer]
    names = {(found.module, found.call): name for name, found in model.layers.items()}
    entered = {(found.module, found.call): name for name, found in model.layers.inputs.items()}
    module = copy.deepcopy(model.module).eval()
    witness = _Witness()
    example = model.normalize(torch.full((1, 3, *model.input_size), 0.5, device=model.device))
    with watched(module, witness.before, witness.after), torch.no_grad(), witness.functions:
        forward(module, example)
    source = witness.functions.source.get(witness.outputs.get((wanted.module, wanted.call)))
    if source is None:
        return None
    given = [names[call] for call, state in witness.outputs.items() if state == source and call in names]
    taken = [entered[call] for call, state in witness.inputs.items() if state == source and call in entered]
    return next(iter(given + taken), None)


State = tuple[int, int]
"""A tensor at a moment: its identity, and how many times it had been changed in place."""


@dataclass
class _Functions(TorchFunctionMode):
    """Notes what goes into each activation function, by what comes out."""

    source: dict[State | None, State] = field(default_factory=dict)
    kept: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        activates = getattr(func, "__name__", "").rstrip("_") in ACTIVATIONS
        before = self.state(args[0]) if activates and args and isinstance(args[0], Tensor) else None
        result = func(*args, **(kwargs or {}))
        if before is not None and isinstance(result, Tensor):
            self.source[self.state(result)] = before
        return result

    def state(self, tensor: Tensor) -> State:
        """The tensor as it is now; it is kept, so that its identity stays its own."""
        self.kept.append(tensor)
        return id(tensor), tensor._version


@dataclass
class _Witness:
    """The input and output of each module call, inner modules before those they are in."""

    functions: _Functions = field(default_factory=_Functions)
    inputs: dict[tuple[str, int], State] = field(default_factory=dict)
    outputs: dict[tuple[str, int], State] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def before(self, path: str) -> Any:
        def note(_module: nn.Module, inputs: Any) -> None:
            if inputs and isinstance(inputs[0], Tensor):
                self.inputs[path, self.counts.get(path, 0) + 1] = self.functions.state(inputs[0])

        return note

    def after(self, path: str) -> Any:
        def note(_module: nn.Module, _inputs: Any, output: Any) -> None:
            number = self.counts[path] = self.counts.get(path, 0) + 1
            if isinstance(output, Tensor):
                self.outputs[path, number] = self.functions.state(output)

        return note
