"""From one unit to another in n pictures: does one turn into the other, or do both stand side by side? [olah2017]"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from retinoscope.base.errors import BadInputError
from retinoscope.base.units import Unit
from retinoscope.image.shared import Shared
from retinoscope.image.together import Together
from retinoscope.network.model import Model
from retinoscope.network.record import Trace
from retinoscope.synthesize.objectives import Objective, as_objective, channel
from retinoscope.synthesize.recipes import Recipe, find
from retinoscope.synthesize.render import Rendered, final_scores, render
from retinoscope.synthesize.score import Target

REACH = 4
"""How many neighbours away pictures are still aligned, Lucid's."""


def between(a: Target, b: Target, n: int = 6) -> Objective:
    """(1 - w) a + w b for n pictures judged together, with w from 0 to 1 in equal steps: all a first, all b last."""
    first, second = as_objective(a), as_objective(b)
    if n < 2 or (first.span, second.span) != (1, 1):
        raise BadInputError(f"an interpolation needs two objectives of one picture and n of 2 or more, came {n}")

    def evaluate(trace: Trace) -> Tensor:
        weights = torch.linspace(0, 1, n, device=trace.like().device)
        return (1 - weights) * first(trace) + weights * second(trace)

    units = first.units + second.units
    return Objective(f"between({first}, {second}, {n})", first.layers | second.layers, evaluate, units, span=n)


def channel_interpolate(layer1: str, channel1: int, layer2: str, channel2: int, n: int = 6) -> Objective:
    """`between` two channels, by Lucid's name."""
    return between(channel(layer1, channel1), channel(layer2, channel2), n)


def alignment(layer: str, n: int, decay: float = 2.0) -> Objective:
    """Minus the squared differences at a layer of pictures up to 4 apart, (n,): keeps neighbours alike [lucid2018].

    The sum of the scores is Lucid's - sum over d of sum over i of mean((a_i - a_{i+d}) ** 2) / decay ** d; each picture
    has half of every pair it is in. Give the pictures the same views (`Together`), or there is nothing to align.
    """

    def evaluate(trace: Trace) -> Tensor:
        maps = trace[layer].float()
        total = torch.zeros(len(maps), device=maps.device)
        for apart in range(1, min(REACH, len(maps) - 1) + 1):
            cost = (maps[apart:] - maps[:-apart]).square().mean((1, 2, 3)) / (2 * decay**apart)
            none = cost.new_zeros(apart)
            total = total - torch.cat([cost, none]) - torch.cat([none, cost])
        return total

    return Objective(f"alignment({layer}, {n})", frozenset([layer]), evaluate, span=n)


def interpolate(
    model: Model,
    a: Objective | Unit | str,
    b: Objective | Unit | str,
    n: int = 6,
    *,
    align: Sequence[Objective] = (),
    size: int | None = None,
    steps: int | None = None,
    recipe: str | Recipe = "robust",
    seed: int = 0,
    dtype: torch.dtype | None = None,
) -> Rendered:
    """Render n pictures on the way from a to b, on a `Shared` canvas and under the same views, so that they compare.

    `align` are further terms that keep them alike, such as `0.01 * alignment(layer, n)`; Lucid finds that sharing the
    canvas does most of it. The scores are `between`'s, alone. The other arguments are `render`'s.
    """
    plan = find(recipe)
    plan = replace(plan, canvas=partial(Shared, together=n), transforms=(Together(n, plan.transforms),))
    path = between(a, b, n)
    out = render(model, sum(align, path), size=size, steps=steps, recipe=plan, seed=seed, batch=n, dtype=dtype)
    return replace(out, objectives=(path,) * n, scores=final_scores(model, [path] * n, out.images))
