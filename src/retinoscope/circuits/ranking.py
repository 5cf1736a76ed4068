"""What a unit is made of, and what it is used for: channels ranked by the size of the weights that join them.

The size is the L2 norm over a kernel's positions, and over all units of a group [schubert2021].
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from retinoscope.base.errors import BadInputError
from retinoscope.base.units import Unit, check_channel, parse_unit
from retinoscope.circuits.expand import Weights, expand
from retinoscope.network.model import Model
from retinoscope.tensor.random import generator


@dataclass(frozen=True)
class Link:
    """A unit at the other end of weights.

    `norm` is their L2 norm, `share` the part of all ranked units' energy (squared norms) that is its own. `sign` is the
    sum of the weights over the sum of their sizes: 1 excites only, -1 inhibits only. `kernels` (n, kh, kw) are the
    weights themselves, one kernel for each unit asked about.
    """

    unit: Unit
    norm: float
    share: float
    sign: float
    kernels: Float[Tensor, "n kh kw"]


def norms(weights: Weights) -> Float[Tensor, "o i"]:
    """The L2 norm of every kernel."""
    return weights.square().sum((2, 3)).sqrt()


def made_of(model: Model, units: str | Sequence[str], source: str, k: int | None = None) -> list[Link]:
    """The channels of layer `source` that weigh most for a unit or for units of one layer, strongest first.

    Raises BadUnitError for units of several layers, and as `expand`.
    """
    layer, channels = _one_layer(model, units)
    return ranked(expand(model, source, layer, channels).transpose(0, 1), source, k)


def used_by(model: Model, units: str | Sequence[str], target: str, k: int | None = None) -> list[Link]:
    """The units of layer `target` for which a unit, or units of one layer, weigh most, strongest first.

    Raises BadUnitError for units of several layers, and as `expand`.
    """
    layer, channels = _one_layer(model, units)
    return ranked(expand(model, layer, target, channels=channels), target, k)


def ranked(weights: Weights, layer: str, k: int | None = None) -> list[Link]:
    """Links to the `o` units of weights (o, i, kh, kw), over all i, strongest first; equal ones by number."""
    energy = weights.flatten(1).square().sum(1)
    order = torch.argsort(-energy, stable=True).tolist()[:k]
    signs = weights.flatten(1).sum(1) / weights.flatten(1).abs().sum(1).clamp(min=1e-300)
    total = max(float(energy.sum()), 1e-300)
    return [
        Link(
            Unit(layer, place),
            float(energy[place].sqrt()),
            float(energy[place]) / total,
            float(signs[place]),
            weights[place],
        )
        for place in order
    ]


def _one_layer(model: Model, units: str | Sequence[str]) -> tuple[str, list[int]]:
    found = [parse_unit(text) for text in ([units] if isinstance(units, str) else units)]
    layers = {unit.layer for unit in found}
    if len(layers) != 1:
        raise BadInputError(f"give units of one layer; came {', '.join(sorted(layers)) or 'none'}")
    for unit in found:
        check_channel(unit, model.layers[unit.layer].channels)
    return found[0].layer, [unit.channel for unit in found]


@dataclass(frozen=True)
class Kinship:
    """How alike vectors are within groups: the mean cosine, that of random groups of the same sizes, and p.

    p is the share of random groupings that reach the cosine; the true one counts as one of them.
    """

    within: float
    random: float
    p: float


def kinship(vectors: Float[Tensor, "n d"], groups: Sequence[int], draws: int = 999, seed: int = 0) -> Kinship:
    """Whether vectors of the same group (a number for each) are more alike than others, by permutations.

    For units grouped by orientation without regard to polarity, outgoing weights that are alike where incoming ones are
    opposite show that what follows ignores polarity [schubert2021]. Raises BadInputError where no group has two.
    """
    labels = torch.tensor(list(groups))
    if len(labels) != len(vectors):
        raise BadInputError(f"{len(vectors)} vectors need as many groups; came {len(labels)}")
    flat = F.normalize(vectors.double().cpu(), dim=1)
    cosines = flat @ flat.T
    pairs = torch.triu(torch.ones_like(cosines, dtype=torch.bool), 1)
    if not bool((_same(labels) & pairs).any()):
        raise BadInputError("no group has two members")
    within = cosines[_same(labels) & pairs].mean()
    random = generator(seed, "kinship")
    orders = (torch.randperm(len(labels), generator=random) for _ in range(draws))
    means = torch.stack([cosines[_same(labels[order]) & pairs].mean() for order in orders])
    reached = 1 + int((means >= within - 1e-12).sum())
    return Kinship(float(within), float(means.mean()), reached / (1 + draws))


def _same(labels: Tensor) -> Tensor:
    return labels[:, None] == labels[None]
