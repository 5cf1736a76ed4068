"""A network that is never quite the same twice: chosen layers' channels are scaled at random, per picture and pass.

What excites one network alone stands on chance cancellations between its channels; they do not survive when each
channel comes out a little stronger or weaker at every step. What survives, other networks see too: transfer attacks
know this as ghost networks [li2020].
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from retinoscope.network.model import Model
from retinoscope.tensor.random import Draws


@dataclass(frozen=True)
class Shake:
    """How much is shaken: `deviation` of the channels' gains around 1, at the outputs of `layers`."""

    layers: tuple[str, ...] = ()
    deviation: float = 0.0


STILL = Shake()
"""No shaking at all."""

_CONTAINERS = ("Sequential", "ModuleList")


def blocks(model: Model) -> tuple[str, ...]:
    """The layers to shake by default: the outermost kinds of module that a network repeats, such as residual blocks.

    A network without blocks gives its activations, else all its layers.
    """
    kinds = Counter(layer.kind for layer in model.layers.values())
    repeated = [n for n, layer in model.layers.items() if kinds[layer.kind] > 1 and layer.kind not in _CONTAINERS]
    parents = {name for name in repeated if any(inner.startswith(f"{name}.") for inner in model.layers)}
    outermost = [name for name in repeated if name in parents and not _above(name) & parents]
    activations = [name for name in repeated if "lu" in model.layers[name].kind.lower()]
    return tuple(outermost or activations or model.layers)


def _above(name: str) -> set[str]:
    parts = name.split(".")
    return {".".join(parts[:end]) for end in range(1, len(parts))}


@contextmanager
def shaken(model: Model, shake: Shake, draws: Draws) -> Iterator[None]:
    """Multiply each channel of the layers by 1 + deviation times a normal number, per item and pass, inside the block.

    Passes of another batch size than that of `draws` are left alone. Raises UnknownNameError for a wrong layer.
    """
    chosen = [model.layers[name] for name in shake.layers]
    axes = {layer.module: 1 if layer.layout in ("map", "vector") else -1 for layer in chosen}
    handles = [
        model.module.get_submodule(path).register_forward_hook(partial(_scale, shake.deviation, draws, axis))
        for path, axis in axes.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _scale(deviation: float, draws: Draws, axis: int, _module: nn.Module, _inputs: Any, output: Any) -> Any:
    if not isinstance(output, Tensor) or len(output) != len(draws):
        return output
    gains = 1 + deviation * draws.normal(output.shape[axis])
    shape = [len(output)] + [1] * (output.ndim - 1)
    shape[axis] = output.shape[axis]
    return output * gains.to(output).view(shape)
