"""Pictures made from a photo: what a layer makes of it, exaggerated, and what in it speaks to a unit, accentuated.

Photo and picture go through the network side by side under the same views (`Beside`, `Together`), and each objective
here judges such a pair: (photo, picture), with the score in the picture's place and 0 in the photo's.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from PIL import Image
from torch import Tensor

from retinoscope.base.errors import BadInputError
from retinoscope.base.units import Unit
from retinoscope.image.beside import Beside
from retinoscope.image.codec import photo as read
from retinoscope.image.together import Together
from retinoscope.network.model import Model
from retinoscope.network.record import Trace
from retinoscope.synthesize.diversity import magnitude
from retinoscope.synthesize.objectives import Objective, as_objective, check, projection
from retinoscope.synthesize.optimize import optimize
from retinoscope.synthesize.recipes import Recipe, find
from retinoscope.synthesize.render import Rendered, default_size, final_scores
from retinoscope.synthesize.score import split
from retinoscope.tensor.axes import Images, Maps

Photos = str | Path | Image.Image | Tensor | Sequence[str | Path | Image.Image | Tensor]
"""One photo or several: paths, PIL pictures, (3, h, w) tensors, or one tensor (b, 3, h, w)."""


def activation_difference(layer: str, target: Tensor) -> Objective:
    """Mean squared difference at a layer from given activations (c, y, x) or (b, c, y, x), (b,): subtract it to invert.

    `-activation_difference(layer, code)` is code inversion's term, for a picture whose map has the code's size.
    """
    code = target.detach().float()

    def evaluate(trace: Trace) -> Tensor:
        maps = trace[layer].float()
        if maps.shape[-3:] != code.shape[-3:]:
            came, have = (" x ".join(map(str, some.shape[-3:])) for some in (code, maps))
            raise BadInputError(f"{layer} answers {have} here; came a target of {came}")
        return (maps - code.to(maps)).square().mean((1, 2, 3))

    return Objective(f"activation_difference({layer})", frozenset([layer]), evaluate)


def likeness(layer: str, power: float = 1.0) -> Objective:
    """For a pair (photo, picture): mean over positions of <a, p> * max(0.1, cos(a, p)) ** power at a layer.

    a are the picture's activations and p the photo's: their dot product is free to grow, so that what the layer sees in
    the photo comes out stronger; the power keeps the direction (Building Blocks' caricature) [olah2018].
    """

    def evaluate(photo: Maps, picture: Maps) -> Tensor:
        return projection(picture, photo, power).mean((1, 2))

    return _pair(f"likeness({layer}{f', power={power:g}' if power != 1 else ''})", layer, evaluate)


def nearness(layer: str) -> Objective:
    """For a pair (photo, picture): minus the squared distance at a layer, in units of the photo's own square norm."""

    def evaluate(photo: Maps, picture: Maps) -> Tensor:
        return -(picture - photo).square().sum((1, 2, 3)) / photo.square().sum((1, 2, 3)).clamp(min=1e-8)

    return _pair(f"nearness({layer})", layer, evaluate)


def _pair(name: str, layer: str, compare: Callable[[Maps, Maps], Tensor]) -> Objective:
    def evaluate(trace: Trace) -> Tensor:
        maps = trace[layer].float()
        scores = compare(maps[0::2].detach(), maps[1::2])
        return rearrange(torch.stack([torch.zeros_like(scores), scores], 1), "b two -> (b two)")

    return Objective(name, frozenset([layer]), evaluate, span=2)


def in_picture(objective: Objective) -> Objective:
    """An objective of the second of a pair (photo, picture) alone."""

    def evaluate(trace: Trace) -> Tensor:
        _, picture = split(trace, [1, 1])
        value = objective(picture)
        return torch.cat([torch.zeros_like(value), value])

    return Objective(objective.formula, objective.layers, evaluate, objective.units, objective.simple, span=2)


def caricature(
    model: Model,
    photos: Photos,
    layer: str,
    *,
    power: float = 1.0,
    size: int | None = None,
    steps: int | None = None,
    recipe: str | Recipe = "robust",
    seed: int = 0,
    dtype: torch.dtype | None = None,
) -> Rendered:
    """Exaggerate what a layer sees in each photo, from noise: the caricature of *The Building Blocks* [olah2018].

    Maximises `likeness(layer, power)`. Photos are cut square in the centre. The other arguments are `render`'s.
    """
    objective = likeness(layer, power)
    plan = planned(model, objective, size, steps, recipe)
    return _run(model, objective, beside(model, photos, plan), plan, seed, dtype)


def accentuate(
    model: Model,
    photos: Photos,
    unit: Objective | Unit | str,
    *,
    near: str | None = None,
    weight: float = 1.0,
    size: int | None = None,
    steps: int | None = None,
    recipe: str | Recipe = "robust",
    seed: int = 0,
    dtype: torch.dtype | None = None,
) -> Rendered:
    """Move each photo towards a unit while it stays itself: feature accentuation [hamblin2024].

    Starts from the photo in the canvas's space and maximises `unit + weight * magnitude * nearness(near)`, where the
    magnitude is the unit's score without gradient, so that the weight suits all layers; `near` is by default the map
    half way to the unit. The other arguments are `render`'s.
    """
    objective = accented(model, as_objective(unit), near, weight)
    plan = planned(model, objective, size, steps, recipe)
    canvas = beside(model, photos, plan)
    canvas.paint(canvas.photos.repeat_interleave(2, 0))
    return _run(model, objective, canvas, plan, seed, dtype)


def accented(model: Model, unit: Objective, near: str | None = None, weight: float = 1.0) -> Objective:
    """The objective of `accentuate` on a pair (photo, picture)."""
    pair = in_picture(unit)
    return pair + weight * magnitude(pair) * nearness(near or half_way(model, unit))


def half_way(model: Model, objective: Objective) -> str:
    """The last map layer before the middle between image and objective."""
    deepest = max(model.layers[name].index for name in objective.layers)
    maps = [layer.name for layer in model.layers.values() if 2 * layer.index <= deepest and max(layer.size) > 1]
    return maps[-1] if maps else next(iter(model.layers))


def planned(model: Model, objective: Objective, size: int | None, steps: int | None, recipe: str | Recipe) -> Recipe:
    """The recipe with its numbers filled in, as `render` does."""
    check(model, objective)
    plan = find(recipe)
    side = size or plan.size or default_size(model, [objective])
    return replace(plan, steps=steps or plan.steps, size=side)


def beside(model: Model, photos: Photos, plan: Recipe) -> Beside:
    """A blank canvas of the recipe next to each photo."""
    side = plan.size or max(model.input_size)
    originals = squares(photos, side).to(model.device)
    return Beside(plan.canvas(len(originals), side), originals)


def _run(
    model: Model, objective: Objective, canvas: Beside, plan: Recipe, seed: int, dtype: torch.dtype | None
) -> Rendered:
    run = optimize(
        model, objective, canvas=canvas, transforms=(Together(2, plan.transforms),), penalties=plan.penalties,
        corrections=plan.corrections, steps=plan.steps, rate=plan.rate, ascent=plan.ascent, seed=seed, dtype=dtype,
    )  # fmt: skip
    for _ in run:
        pass
    with torch.no_grad():
        both = canvas().float()
    scores = final_scores(model, [objective] * len(both), both)[1::2]
    return Rendered(both[1::2], scores, (objective,) * len(scores), plan, seed)


def squares(photos: Photos, side: int) -> Images:
    """Photos as (b, 3, side, side), cut square in the centre."""
    one = isinstance(photos, str | Path | Image.Image) or (isinstance(photos, Tensor) and photos.ndim == 3)
    some: Any = [photos] if one else photos
    return torch.stack([read(photo, (side, side)) for photo in some])
