"""Expanded weights: what every channel of one layer weighs for every unit of a later one, through all between.

The gradient of a unit in the middle of the later layer's map with respect to the earlier layer's map, in a network
taken as linear [schubert2021]: exact through convolutions, grouped and depthwise ones, batch norms, mean pools, sums
and concatenations. Kernels lie as `conv2d` takes them (cross-correlation, not flipped).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from retinoscope.base.errors import BadNetworkError
from retinoscope.circuits.linear import keep
from retinoscope.circuits.path import Path
from retinoscope.network.model import Model

Weights = Float[Tensor, "o i kh kw"]


@dataclass(frozen=True)
class Influence:
    """Expanded weights with what excites and what inhibits apart: `weights = positive - negative`, both at least 0.

    Each is the sum over all paths of those weights whose product has that sign, so that what cancels in the weights
    shows.
    """

    positive: Weights
    negative: Weights

    @property
    def weights(self) -> Weights:
        """The expanded weights."""
        return self.positive - self.negative


@dataclass(frozen=True)
class Route:
    """Where a kernel lies, and what it leaves out.

    The unit at position p of `target` weighs positions p * stride + offset to p * stride + offset + size - 1 of
    `source`, along (y, x). `replaced` names the functions that were taken as linear. Kernels that are `bounded` reach
    the map's border: they hold for the middle unit on images of the network's own size.
    """

    source: str
    target: str
    size: tuple[int, int]
    offset: tuple[float, float]
    stride: tuple[float, float]
    replaced: tuple[str, ...]
    bounded: bool


def expand(
    model: Model,
    source: str,
    target: str,
    units: Sequence[int] | None = None,
    channels: Sequence[int] | None = None,
) -> Weights:
    """Weights (o, i, kh, kw), float64, of channels i of layer `source` for units o of `target`, by default of all.

    Activations count as identity, max pools as means of their windows [schubert2021]; batch norms are in eval mode. The
    size of the kernels is that of the connections, whether or not some weights are 0. Raises BadNetworkError when
    `target` does not depend on `source`, or by more than weights (attention, gates, layer norms), UnknownNameError and
    BadUnitError for layers and units that do not exist.
    """
    return Path(model, source, target).weights(keep, units, channels)


def influence(
    model: Model,
    source: str,
    target: str,
    units: Sequence[int] | None = None,
    channels: Sequence[int] | None = None,
) -> Influence:
    """Positive and negative expanded weights apart; arguments and errors as of `expand`.

    With A the expanded weights E of the same network with all weights replaced by their sizes, which add up over all
    paths what E lets cancel, they are (A + E) / 2 and (A - E) / 2.
    """
    path = Path(model, source, target)
    signed, sizes = (path.weights(alter, units, channels) for alter in (keep, torch.abs))
    sizes = torch.maximum(sizes, signed.abs())  # smaller by rounding alone
    return Influence((sizes + signed) / 2, (sizes - signed) / 2)


def route(model: Model, source: str, target: str) -> Route:
    """Where the kernels of `expand` lie, and which functions they take as linear."""
    path = Path(model, source, target)
    steps = [far / near for far, near in zip(path.target.stride, path.source.stride, strict=True)]
    offset = (path.box.top - path.place[0] * steps[0], path.box.left - path.place[1] * steps[1])
    replaced = tuple(sorted(path.replaced))
    return Route(source, target, path.kernel, offset, (steps[0], steps[1]), replaced, path.bounded)


def raw_kernels(model: Model, layer: str) -> Weights:
    """The weights (o, i, kh, kw) of one convolution or dense layer, as they are; copies.

    Grouped and depthwise kernels have a 0 for every channel of another group. Raises BadNetworkError for a layer that
    is neither.
    """
    found = model.layers[layer]
    module = model.module.get_submodule(found.module) if found.module else None
    if isinstance(module, nn.Linear):
        return module.weight.detach().cpu().clone()[:, :, None, None]
    if not isinstance(module, nn.Conv2d):
        raise BadNetworkError(f"'{layer}' is a {found.kind}, no convolution or dense layer: use expand")
    weight = module.weight.detach().cpu()
    wide = weight.new_zeros(len(weight), module.in_channels, *weight.shape[2:])
    share, many = weight.shape[1], len(weight) // module.groups
    for group in range(module.groups):
        mine = slice(group * many, (group + 1) * many)
        wide[mine, group * share : (group + 1) * share] = weight[mine]
    return wide
