"""Growing: residual blocks that change nothing at first, put into a trained network to be trained on.

A block's last convolution begins at zero, so that its sum is its input and every answer of the network stays as it was;
its gradient is not zero, so that training goes on from there [chu2017].
"""

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from retinoscope.base.errors import BadNetworkError
from retinoscope.network.model import Layer, Model
from retinoscope.network.trace import trace
from retinoscope.network.weights import weights_hash
from retinoscope.tensor.random import generator


class ZeroBlock(nn.Module):
    """x + branch(x), whose branch gives zero until it is trained: convolution, ReLU, convolution, as many channels.

    There is no activation after the sum, so that negative answers pass too. `tokens` and `vector` layouts have linear
    maps over channels instead of 3x3 convolutions.
    """

    def __init__(self, layer: Layer, seed: int = 0) -> None:
        super().__init__()
        conv = layer.layout == "map"
        count = layer.channels
        self.first: nn.Module = nn.Conv2d(count, count, 3, padding=1) if conv else nn.Linear(count, count)
        self.relu = nn.ReLU()
        self.last: nn.Module = nn.Conv2d(count, count, 3, padding=1) if conv else nn.Linear(count, count)
        _he(self.first, generator(seed, layer.name))
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        branch: Tensor = self.last(self.relu(self.first(x)))
        return x + branch


@torch.no_grad()
def _he(module: nn.Module, random: torch.Generator) -> None:
    """He's initialisation for ReLU: normal weights of variance 2 / inputs, no bias."""
    weight, bias = module.get_parameter("weight"), module.get_parameter("bias")
    weight.copy_(torch.randn(weight.shape, generator=random) * (2 / weight[0].numel()) ** 0.5)
    bias.zero_()


class Grown(nn.Module):
    """A trained layer with new blocks behind it."""

    def __init__(self, layer: nn.Module, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layer = layer
        self.blocks = nn.Sequential(*blocks)

    def forward(self, *inputs: Tensor) -> Tensor:
        """What the layer takes and gives."""
        found: Tensor = self.blocks(self.layer(*inputs))
        return found


def grow(model: Model, layers: Sequence[str], blocks: int = 1, seed: int = 0) -> Model:
    """A copy of the network with `blocks` zero residual blocks behind each of `layers`; its answers are the same.

    A layer `a` becomes `a.layer` and its blocks `a.blocks.0`, and so on; `streams` of the copy finds them, and `follow`
    shows what they refine once `model.module` has been trained on. The given network is not changed. Raises
    UnknownNameError for a layer that does not exist, BadNetworkError for one that is called more than once, or whose
    output is not a single tensor: a block behind one of its calls would stand behind all.
    """
    chosen = [model.layers[name] for name in dict.fromkeys(layers)]
    for layer in chosen:
        _check(model, layer)
    module = copy.deepcopy(model.module)
    # Inner layers first: what is around a grown layer may be grown too.
    for layer in sorted(chosen, key=lambda layer: -layer.module.count(".")):
        new = [ZeroBlock(layer, seed + place) for place in range(blocks)]
        old = module.get_submodule(layer.module)
        like = next((p for p in module.parameters() if p.is_floating_point()), torch.empty(0))
        parent, _, name = layer.module.rpartition(".")
        setattr(module.get_submodule(parent), name, Grown(old, new).train(old.training).to(like))
    found = trace(module, model.input_size, 1 if model.grey else 3)
    return replace(model, module=module, layers=found, weights_hash=weights_hash(module))


def _check(model: Model, layer: Layer) -> None:
    calls = [other.name for other in model.layers.values() if other.module == layer.module]
    if not layer.module:
        raise BadNetworkError(f"'{layer.name}' is the network's answer; grow behind a layer before it")
    if len(calls) > 1:
        raise BadNetworkError(
            f"'{layer.module}' is called {len(calls)} times, and a block behind it would stand behind every call; "
            "choose the layer before it"
        )
    paths = [path for path, child in model.module.named_modules(remove_duplicate=False) if path == layer.module]
    same = model.module.get_submodule(layer.module)
    places = [path for path, child in model.module.named_modules(remove_duplicate=False) if child is same]
    if len(places) > len(paths):
        raise BadNetworkError(f"'{layer.name}' stands in several places: {', '.join(places)}; choose another layer")
