"""Natural answers: a prior that asks a network's layers to answer to a picture as they answer to photos.

An optimiser finds patterns that photos never hold, and other networks do not read them. Yin and others ask that the
means and variances of each batch norm's channels over a batch of pictures be those that it saw in training [yin2020].
Here each picture is asked on its own, so that a batch's items stay independent, and of any layer: per channel, the mean
and the standard deviation over positions should lie where they lie for photos, as far as photos themselves spread.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.base.errors import BadInputError
from retinoscope.image.samples import sample_images
from retinoscope.image.transforms import apply
from retinoscope.network.model import Model
from retinoscope.network.record import Trace
from retinoscope.network.shaken import blocks
from retinoscope.synthesize.objectives import Objective
from retinoscope.synthesize.score import observe, resize
from retinoscope.tensor.axes import Maps
from retinoscope.tensor.random import Draws

Moments = Float[Tensor, "b c2"]
"""Each channel's mean over positions, then each channel's standard deviation, side by side."""

FLOOR = 0.1
"""Share of a layer's mean spread that every channel is allowed: a channel that photos never move is not a wall."""

PART = 16
"""Photos that are shown together."""


@dataclass(frozen=True)
class Habits:
    """What photos do to a layer: the middle and the spread (2 c,) of its channels' moments over photos."""

    middle: Tensor
    spread: Tensor


def natural(
    model: Model, photos: Tensor | Iterable[Tensor], layers: Sequence[str] | None = None, weight: float = 60.0
) -> Objective:
    """Minus how unlike photos' a picture's answers are, for `penalties`: 0 at best, `weight` times a mean over layers.

    Per layer it is the mean over channels of sqrt(1 + z^2) - 1, with z the distance of the channel's mean from the mean
    over photos, in standard deviations over photos, and the same for the channel's standard deviation over positions.
    `photos` (n, 3, h, w) in [0, 1], or batches of them, two or more, are best of about the pictures' size; `layers`
    are by default `answering(model)`. The weight is in units of the objective beside it; 60 suits logits.
    """
    names = list(layers or answering(model))
    habits = learn(model, photos, names)

    def evaluate(trace: Trace) -> Tensor:
        unlike = [strangeness(trace[name], habits[name]) for name in names]
        return -weight * torch.stack(unlike).mean(0)

    return Objective(f"natural({len(names)} layers, {weight:g})", frozenset(names), evaluate)


def answering(model: Model, deepest: int | None = None) -> tuple[str, ...]:
    """The layers to ask by default: the first normalisation in each of `blocks(model)`, or a block that has none.

    None behind the call index `deepest`, and none whose map has one position.
    """
    last = len(model.layers) if deepest is None else deepest
    found = dict.fromkeys(_first_norm(model, block) for block in blocks(model))
    asked = [model.layers[name] for name in found]
    return tuple(layer.name for layer in asked if max(layer.size) > 1 and layer.index <= last)


def _first_norm(model: Model, block: str) -> str:
    inside = [name for name in model.layers if name == block or name.startswith(f"{block}.")]
    norms = [name for name in inside if "norm" in model.layers[name].kind.lower()]
    return norms[0] if norms else block


def sample_habits(model: Model, side: int, deepest: int) -> tuple[Objective, ...]:
    """`natural` from the photos that come with the package, at pictures' side: the prior of the recipe `natural`."""
    layers = answering(model, deepest)
    return (natural(model, sample_images((side, side), count=64), layers),) if layers else ()


@torch.no_grad()
def learn(model: Model, photos: Tensor | Iterable[Tensor], layers: Sequence[str]) -> dict[str, Habits]:
    """Habits of each layer over photos (n, 3, h, w), or batches of them; raises BadInputError for fewer than two."""
    seen: dict[str, list[Tensor]] = {name: [] for name in layers}
    for batch in (photos,) if isinstance(photos, Tensor) else photos:
        for part in torch.split(apply(resize(model), batch, Draws(0, [])), PART):
            trace = observe(model, layers, part)
            for name in layers:
                seen[name].append(moments(trace[name]))
    count = sum(map(len, next(iter(seen.values()), [])))
    if count < 2:
        raise BadInputError(f"habits need two photos or more; came {count}")
    return {name: _habits(torch.cat(parts)) for name, parts in seen.items()}


def _habits(values: Moments) -> Habits:
    spread = values.std(0)
    halves = [half + FLOOR * half.mean() for half in spread.chunk(2)]
    return Habits(values.mean(0), torch.cat(halves).clamp(min=1e-6))


def moments(maps: Maps) -> Moments:
    """Mean and standard deviation over positions of each channel, (b, 2 c)."""
    values: Tensor = _Moments.apply(maps.float())
    return values


class _Moments(torch.autograd.Function):
    """Two passes over the maps forward and one backward; the formula written out takes three times as many."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> Tensor:
        mean = maps.mean((2, 3))
        square = torch.linalg.vector_norm(maps, dim=(2, 3)).square() / (maps.shape[2] * maps.shape[3])
        # The root's slope stays finite where a channel is constant.
        deviation = ((square - mean.square()).clamp(min=0) + 1e-6).sqrt()
        ctx.save_for_backward(maps, mean, deviation)
        return torch.cat((mean, deviation), 1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        maps, mean, deviation = ctx.saved_tensors
        by_mean, by_deviation = (grad / (maps.shape[2] * maps.shape[3])).chunk(2, 1)
        slope = by_deviation / deviation
        return torch.addcmul((by_mean - slope * mean)[..., None, None], slope[..., None, None], maps)


def strangeness(maps: Maps, habits: Habits) -> Float[Tensor, " b"]:
    """How far moments lie from photos', (b,): of both kinds, the mean over channels of sqrt(1 + z^2) - 1, added up."""
    z = (moments(maps) - habits.middle) / habits.spread
    far: Tensor = 2 * ((1 + z.square()).sqrt() - 1).mean(1)
    return far
