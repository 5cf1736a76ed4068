"""Facets: several pictures of one unit that are kept apart, to show all that it answers to [olah2017].

The style of a picture at a layer is its Gram matrix G = F F', with F (c, y x) its map, scaled to unit norm: what occurs
together, wherever it is. The article rewards C = - sum over ordered pairs a, b of <G_a, G_b>. `diversity` gives each
picture its own part of that sum, so that the scores of n pictures add up to C. Lucid's term has the other sign and is
divided by n: it is minus the mean of our scores.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.base.errors import BadInputError
from retinoscope.network.model import Model
from retinoscope.network.record import Trace
from retinoscope.synthesize.objectives import Objective
from retinoscope.synthesize.recipes import Recipe
from retinoscope.synthesize.render import Rendered, final_scores, gather, render
from retinoscope.synthesize.score import Target, groups
from retinoscope.tensor.axes import Images, Maps

WEIGHT = 0.75
"""Weight of diversity in units of the score itself, found by measurement (docs/diversity.md)."""

Apart = Callable[[str, int], Objective]
"""A maker of objectives that keep pictures apart: `diversity` or `cosine_diversity`."""


def diversity(layer: str, n: int = 4) -> Objective:
    """Minus the summed likeness <G_a, G_b> of each of n pictures' styles to the others' at a layer, (n,) [olah2017].

    0 for pictures without a channel in common, -(n - 1) for equal ones. Blind to where things are. The sum of the
    scores is the article's C; minus their mean is Lucid's `diversity`, which one subtracts: `- 1e2 * diversity(layer)`
    there is `+ 1e2 * diversity(layer, n)` here.
    """
    return _apart("diversity", layer, n, styles)


def cosine_diversity(layer: str, n: int = 4) -> Objective:
    """Minus the summed cosine of each of n pictures' activations at a layer to the others', (n,), in +-(n - 1).

    Position by position: the same pattern elsewhere counts as different, unlike in `diversity`.
    """
    return _apart("cosine_diversity", layer, n, lambda maps: maps.flatten(1))


def _apart(name: str, layer: str, n: int, code: Callable[[Maps], Tensor]) -> Objective:
    if n < 2:
        raise BadInputError(f"{name} compares pictures: it needs n of 2 or more, came {n}")

    def evaluate(trace: Trace) -> Tensor:
        likeness = cosines(code(trace[layer].float()))
        return likeness.diagonal() - likeness.sum(1)

    return Objective(f"{name}({layer}, {n})", frozenset([layer]), evaluate, span=n)


def styles(maps: Maps) -> Tensor:
    """Gram matrices over positions as vectors, (b, c * c)."""
    flat = maps.flatten(2)
    return torch.bmm(flat, flat.transpose(1, 2)).flatten(1)


def cosines(codes: Tensor) -> Tensor:
    """Cosine (b, b) of each pair of rows of codes (b, d)."""
    rows = codes / codes.norm(dim=1, keepdim=True).clamp(min=1e-5)  # Lucid's epsilon, 1e-10 of the square
    cosine: Tensor = rows @ rows.T
    return cosine


def magnitude(objective: Objective) -> Objective:
    """The absolute value of an objective as a factor that passes no gradient, to weigh another term by it.

    `a + 0.5 * magnitude(a) * b` weighs b in units of a's own score, whatever the layer's scale.
    """
    return Objective(
        f"magnitude({objective})",
        objective.layers,
        lambda trace: objective(trace).detach().abs(),
        objective.units,
        span=objective.span,
    )


@dataclass(frozen=True, repr=False)
class Facets(Rendered):
    """A Rendered of n pictures for each unit, one unit after the other; `scores` are the units' alone.

    `likeness` (u,) is the mean cosine of the styles of each unit's pictures, pair by pair; `n` pictures each.
    """

    likeness: Float[Tensor, " u"] = field(default_factory=lambda: torch.zeros(0))
    n: int = 1


def facets(
    model: Model,
    units: Target | Sequence[Target],
    n: int = 4,
    *,
    weight: float = WEIGHT,
    layer: str | None = None,
    apart: Apart = diversity,
    size: int | None = None,
    steps: int | None = None,
    recipe: str | Recipe = "robust",
    seed: int = 0,
    batch: int | None = None,
    dtype: torch.dtype | None = None,
) -> Facets:
    """Render n diverse pictures of each unit together: what else excites it [olah2017].

    Each picture's objective is `unit + weight / (n - 1) * magnitude(unit) * apart(layer, n)`: the weight is in units of
    the unit's own score, so that one value suits all layers. `layer` is where the pictures must differ, by default the
    unit's own (`compared_at`). The other arguments are `render`'s.
    """
    items = facet_objectives(model, units, n, weight=weight, layer=layer, apart=apart)
    out = render(model, items, size=size, steps=steps, recipe=recipe, seed=seed, batch=batch, dtype=dtype)
    plain = [item for item in gather(model, units) for _ in range(n)]
    layers = [layer or compared_at(model, item) for item in plain[::n]]
    same = {one.name: getattr(out, one.name) for one in fields(Rendered)}
    same |= {"objectives": tuple(plain), "scores": final_scores(model, plain, out.images)}
    likeness = [_likeness(model, place, part) for place, part in zip(layers, torch.split(out.images, n), strict=True)]
    return Facets(**same, likeness=torch.stack(likeness), n=n)


def facet_objectives(
    model: Model,
    units: Target | Sequence[Target],
    n: int = 4,
    *,
    weight: float = WEIGHT,
    layer: str | None = None,
    apart: Apart = diversity,
) -> list[Objective]:
    """The objectives of `facets`, one for the n pictures of each unit, for `render` and `render_stepwise`."""
    plain = gather(model, units)
    if spanning := [item for item in groups(plain) if item.span > 1]:
        raise BadInputError(f"{spanning[0]} judges several pictures already; give one picture's objective")
    return [item + weight / (n - 1) * magnitude(item) * apart(layer or compared_at(model, item), n) for item in plain]


def compared_at(model: Model, objective: Objective) -> str:
    """Where facets must differ: the deepest layer of the objective, or the last map before it for one of 1 x 1."""
    deepest = max((model.layers[name] for name in objective.layers), key=lambda layer: layer.index)
    before = [layer for layer in model.layers.values() if layer.index <= deepest.index and max(layer.size) > 1]
    return before[-1].name if before else deepest.name


@torch.no_grad()
def _likeness(model: Model, layer: str, images: Images) -> Tensor:
    n = len(images)
    scores = final_scores(model, [diversity(layer, n)] * n, images)
    return -scores.mean() / (n - 1)
