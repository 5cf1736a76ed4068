"""Pictures of many units at once."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from retinoscope.base.errors import BadInputError, NoGradientError
from retinoscope.base.units import Unit, parse_units
from retinoscope.image.codec import encode_png
from retinoscope.image.transforms import Resize, apply
from retinoscope.network.model import Model
from retinoscope.network.prepare import prepare
from retinoscope.synthesize.objectives import Objective, as_objective, check
from retinoscope.synthesize.optimize import optimize
from retinoscope.synthesize.reach import why_unreached
from retinoscope.synthesize.recipes import Recipe, find, suited
from retinoscope.synthesize.score import Target, groups, judge, layers_of, names, observe, resize, score
from retinoscope.tensor.axes import Images, Scores
from retinoscope.tensor.random import Draws

MEMORY = 3 * 2**30
"""Bytes that a chunk's activations and gradients may take, roughly."""

LARGEST_CHUNK = 32
"""Pictures optimised together; more bring no more speed."""


@dataclass(frozen=True)
class Progress:
    """How far a rendering is, in steps over all chunks."""

    done: int
    total: int


@dataclass(frozen=True, repr=False)
class Rendered:
    """Pictures of objectives: `images` (b, 3, h, w) in [0, 1], `scores` (b,) the objectives without transforms.

    An objective that judges several pictures together stands once for each of them. `unreached` says, by place in the
    batch, why no gradient reached a picture, which then shows nothing but noise. `alpha` (b, 1, h, w) is the opacity of
    transparent pictures.
    """

    images: Images
    scores: Scores
    objectives: tuple[Objective, ...]
    recipe: Recipe
    seed: int
    unreached: dict[int, str] = field(default_factory=dict)
    alpha: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        lines = [f"{objective!r}: {value:.4g}" for objective, value in zip(self.objectives, self.scores, strict=True)]
        return f"Rendered({', '.join(lines)})"

    def save(self, folder: str | Path) -> list[Path]:
        """Write one PNG per picture into `folder`, named after its objective; gives the paths.

        Transparent pictures are written with their opacity.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{_file_name(name)}.png" for name in names(self.objectives)]
        for path, image, alpha in zip(paths, self.images, self._alphas(), strict=True):
            path.write_bytes(encode_png(image, alpha))
        return paths

    def _alphas(self) -> list[Tensor] | list[None]:
        return [None] * len(self) if self.alpha is None else list(self.alpha)

    def _repr_png_(self) -> bytes:
        side_by_side = None if self.alpha is None else torch.cat(list(self.alpha), dim=2)
        return encode_png(torch.cat(list(self.images), dim=2), side_by_side)


def _file_name(formula: str) -> str:
    return "".join(letter if letter.isalnum() or letter in ".-_+,@#" else "_" for letter in formula)


def render(
    model: Model,
    objectives: Target | Sequence[Target],
    *,
    size: int | None = None,
    steps: int | None = None,
    recipe: str | Recipe | None = None,
    seed: int = 0,
    batch: int | None = None,
    start: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> Rendered:
    """Optimise one picture per objective; a unit's text is an objective, a slice (`layer:0-63`) is many.

    `recipe` is one of `RECIPES` by name or value, by default the one that is `suited`. `size` is
    the side in pixels, by default the recipe's, else by the layers' receptive field: early layers need less.
    `batch` pictures are optimised together, by default as many as fit in memory, at most 32; each picture's result is
    its own, whatever its neighbours. `start` gives the pictures to begin with, (3, h, w) for all or (b, 3, h, w), of
    any size; by default noise. Raises NoGradientError when no gradient reaches any picture.
    """
    progress = render_stepwise(
        model, objectives, size=size, steps=steps, recipe=recipe, seed=seed, batch=batch, start=start, dtype=dtype
    )
    while True:
        try:
            next(progress)
        except StopIteration as end:
            rendered: Rendered = end.value
            return rendered


def render_stepwise(
    model: Model,
    objectives: Target | Sequence[Target],
    *,
    size: int | None = None,
    steps: int | None = None,
    recipe: str | Recipe | None = None,
    seed: int = 0,
    batch: int | None = None,
    start: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> Generator[Progress, None, Rendered]:
    """`render` as a generator: yields its Progress after each step and returns the Rendered."""
    items = gather(model, objectives)
    plan = find(recipe or suited(model, items))
    side = size or plan.size or default_size(model, items)
    plan = replace(plan, steps=steps or plan.steps, size=side)
    chunk = batch or chunk_size(model, items, side)
    parts = chunks(items, chunk)
    penalties = (*plan.penalties, *plan.prior(model, side, _deepest(model, items)))
    begin = None if start is None else starting(start, len(items), side).to(model.device)
    images: list[Tensor] = []
    alphas: list[Tensor] = []
    unreached: dict[int, str] = {}
    for place, part in enumerate(parts):
        canvas = plan.canvas(len(part), side)
        before = sum(map(len, parts[:place]))
        if begin is not None:
            canvas.paint(begin[before : before + len(part)])
        run = optimize(
            model, list(groups(part)), canvas=canvas, transforms=plan.transforms, penalties=penalties,
            corrections=plan.corrections, shake=plan.shake(model),
            steps=plan.steps, rate=plan.rate, ascent=plan.ascent, seed=seed, dtype=dtype,
        )  # fmt: skip
        for step in run:
            yield Progress(place * plan.steps + step.index + 1, len(parts) * plan.steps)
        with torch.no_grad():
            images.append(canvas().float())
            alphas += [alpha.float()] if (alpha := canvas.alpha()) is not None else []
        for item in (~step.reached).nonzero().flatten().tolist():
            unreached[before + item] = why_unreached(model, part[item], images[-1][item : item + 1])
    if len(unreached) == len(items):
        raise NoGradientError(unreached[0])
    pictures = torch.cat(images)
    alpha = torch.cat(alphas) if alphas else None
    scores = final_scores(model, items, pictures, chunk, alpha)
    return Rendered(pictures, scores, tuple(items), plan, seed, unreached, alpha)


def starting(images: Tensor, batch: int, side: int) -> Images:
    """Starting pictures (batch, 3, side, side) from one (3, h, w) or one for each, (batch, 3, h, w), in [0, 1]."""
    whole = images[None] if images.ndim == 3 else images
    if whole.ndim != 4 or whole.shape[1] != 3 or len(whole) not in (1, batch):
        raise BadInputError(
            f"starting pictures must be (3, h, w) or ({batch}, 3, h, w), one per objective; came {tuple(images.shape)}"
        )
    sized = Resize(side, side)(whole.float(), Draws(0, []))
    return sized.expand(batch, -1, -1, -1).clamp(0, 1)


def chunks(items: Sequence[Objective], most: int) -> list[list[Objective]]:
    """Items in parts of `most` or fewer, pictures that one objective judges together never parted."""
    parts: list[list[Objective]] = [[]]
    for item in groups(items):
        if parts[-1] and len(parts[-1]) + item.span > most:
            parts.append([])
        parts[-1] += [item] * item.span
    return parts


def gather(model: Model, objectives: Target | Sequence[Target]) -> list[Objective]:
    """The objectives as a list, slices spelled out, each checked against the network."""
    targets = [objectives] if isinstance(objectives, Objective | Unit | str) else list(objectives)
    items: list[Objective] = []
    for target in targets:
        units = parse_units([target], lambda name: model.layers[name].channels) if isinstance(target, str) else [target]
        items += [item for unit in units for item in [as_objective(unit)] * as_objective(unit).span]
    for item in items:
        check(model, item)
    return items


def default_size(model: Model, items: Sequence[Objective]) -> int:
    """A side in pixels that shows a unit well: twice its receptive field, from 64 to 160, a multiple of 16.

    A texture unit needs only a few of its fields side by side; a unit that sees more than 80 pixels gets 160, a deep
    one's object in the views of the robust recipe.
    """
    fields = [model.layers[name].field for item in items for name in item.layers]
    seen = max((max(model.input_size) if field.whole else max(field.size) for field in fields), default=80)
    return min(max(16 * -(-2 * seen // 16), 64), 160)


def _deepest(model: Model, items: Sequence[Objective]) -> int:
    """The call index of the deepest layer that any of the objectives reads."""
    return max((model.layers[name].index for item in items for name in item.layers), default=0)


def chunk_size(model: Model, items: Sequence[Objective], side: int) -> int:
    """How many pictures fit in MEMORY, from the sizes of all layers up to the deepest one asked for, at most 32."""
    deepest = _deepest(model, items)
    layers = [layer for layer in model.layers.values() if layer.index <= deepest]
    values = sum(layer.channels * layer.size[0] * layer.size[1] for layer in layers)
    share = 1.0 if model.fixed_size else side * side / (model.input_size[0] * model.input_size[1])
    needed = values * share * 4 * 2  # float32, each value and its gradient
    return max(1, min(LARGEST_CHUNK, int(MEMORY / max(needed, 1))))


@torch.no_grad()
def final_scores(
    model: Model,
    items: Sequence[Objective],
    images: Images,
    chunk: int = LARGEST_CHUNK,
    alpha: Tensor | None = None,
) -> Scores:
    """The objectives (b,) of finished images in float32, without transforms; transparent ones are laid on mid-grey."""
    exact = prepare(model, layers_of(items))
    parts = chunks(items, chunk)
    sizes = [len(part) for part in parts]
    shown = images if alpha is None else alpha * images + (1 - alpha) * 0.5
    views = [apply(resize(model), some, Draws(0, [])) for some in torch.split(shown, sizes)]
    pictures = torch.split(images, sizes)
    alphas = [None] * len(parts) if alpha is None else torch.split(alpha, sizes)
    scores = [
        judge(part, observe(exact, layers_of(part), view, some, opacity))
        for part, view, some, opacity in zip(parts, views, pictures, alphas, strict=True)
    ]
    return torch.cat(scores)


@torch.no_grad()
def robust_scores(
    model: Model,
    objectives: Sequence[Target],
    images: Images,
    views: int = 64,
    seed: int = 0,
    recipe: str | Recipe = "robust",
) -> Scores:
    """Mean score (b,) of each image under `views` fresh random views, in float32: a measure of honest excitation."""
    items = [as_objective(target) for target in objectives]
    exact = prepare(model, layers_of(items))
    draws = Draws(seed, [f"robust score {name}" for name in names(items)], model.device)
    transforms = (*find(recipe).transforms, *resize(model))
    parts, each = [], max(1, chunk_size(model, items, images.shape[-1]) // len(images))
    for first in range(0, views, each):
        seen = [apply(transforms, images, draws) for _ in range(min(each, views - first))]
        parts.append(score(exact, items * len(seen), torch.cat(seen)).view(len(seen), -1))
    return torch.cat(parts).mean(0)
