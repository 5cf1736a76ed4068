"""Pictures of many units at once."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from retinoscope.base.errors import NoGradientError
from retinoscope.base.units import Unit, parse_units
from retinoscope.image.codec import encode_png
from retinoscope.image.transforms import apply
from retinoscope.network.model import Model
from retinoscope.network.prepare import prepare
from retinoscope.synthesize.objectives import Objective, as_objective, check
from retinoscope.synthesize.optimize import Target, names, optimize, resize, score, why_unreached
from retinoscope.synthesize.recipes import Recipe, find
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

    `unreached` says, by place in the batch, why no gradient reached a picture, which then shows nothing but noise.
    """

    images: Images
    scores: Scores
    objectives: tuple[Objective, ...]
    recipe: Recipe
    seed: int
    unreached: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        lines = [f"{objective!r}: {value:.4g}" for objective, value in zip(self.objectives, self.scores, strict=True)]
        return f"Rendered({', '.join(lines)})"

    def save(self, folder: str | Path) -> list[Path]:
        """Write one PNG per picture into `folder`, named after its objective; gives the paths."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{_file_name(name)}.png" for name in names(self.objectives)]
        for path, image in zip(paths, self.images, strict=True):
            path.write_bytes(encode_png(image))
        return paths

    def _repr_png_(self) -> bytes:
        return encode_png(torch.cat(list(self.images), dim=2))


def _file_name(formula: str) -> str:
    return "".join(letter if letter.isalnum() or letter in ".-_+,@#" else "_" for letter in formula)


def render(
    model: Model,
    objectives: Target | Sequence[Target],
    *,
    size: int | None = None,
    steps: int | None = None,
    recipe: str | Recipe = "robust",
    seed: int = 0,
    batch: int | None = None,
    dtype: torch.dtype | None = None,
) -> Rendered:
    """Optimise one picture per objective; a unit's text is an objective, a slice (`layer:0-63`) is many.

    `size` is the side in pixels, by default the recipe's, else by the layers' receptive field: early layers need less.
    `batch` pictures are optimised together, by default as many as fit in memory, at most 32; each picture's result is
    its own, whatever its neighbours. Raises NoGradientError when no gradient reaches any picture.
    """
    progress = render_stepwise(
        model, objectives, size=size, steps=steps, recipe=recipe, seed=seed, batch=batch, dtype=dtype
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
    recipe: str | Recipe = "robust",
    seed: int = 0,
    batch: int | None = None,
    dtype: torch.dtype | None = None,
) -> Generator[Progress, None, Rendered]:
    """`render` as a generator: yields its Progress after each step and returns the Rendered."""
    items = gather(model, objectives)
    plan = find(recipe)
    side = size or plan.size or default_size(model, items)
    plan = replace(plan, steps=steps or plan.steps, size=side)
    chunk = batch or chunk_size(model, items, side)
    parts = [items[start : start + chunk] for start in range(0, len(items), chunk)]
    images: list[Tensor] = []
    unreached: dict[int, str] = {}
    for place, part in enumerate(parts):
        canvas = plan.canvas(len(part), side)
        run = optimize(
            model, part, canvas=canvas, transforms=plan.transforms, steps=plan.steps, rate=plan.rate, seed=seed,
            dtype=dtype,
        )  # fmt: skip
        for step in run:
            yield Progress(place * plan.steps + step.index + 1, len(parts) * plan.steps)
        with torch.no_grad():
            images.append(canvas().float())
        for item in (~step.reached).nonzero().flatten().tolist():
            unreached[place * chunk + item] = why_unreached(model, part[item], images[-1][item : item + 1])
    if len(unreached) == len(items):
        raise NoGradientError(unreached[0])
    pictures = torch.cat(images)
    return Rendered(pictures, final_scores(model, items, pictures, chunk), tuple(items), plan, seed, unreached)


def gather(model: Model, objectives: Target | Sequence[Target]) -> list[Objective]:
    """The objectives as a list, slices spelled out, each checked against the network."""
    targets = [objectives] if isinstance(objectives, Objective | Unit | str) else list(objectives)
    items: list[Objective] = []
    for target in targets:
        units = parse_units([target], lambda name: model.layers[name].channels) if isinstance(target, str) else [target]
        items += [as_objective(unit) for unit in units]
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


def chunk_size(model: Model, items: Sequence[Objective], side: int) -> int:
    """How many pictures fit in MEMORY, from the sizes of all layers up to the deepest one asked for, at most 32."""
    deepest = max(model.layers[name].index for item in items for name in item.layers)
    layers = [layer for layer in model.layers.values() if layer.index <= deepest]
    values = sum(layer.channels * layer.size[0] * layer.size[1] for layer in layers)
    share = 1.0 if model.fixed_size else side * side / (model.input_size[0] * model.input_size[1])
    needed = values * share * 4 * 2  # float32, each value and its gradient
    return max(1, min(LARGEST_CHUNK, int(MEMORY / max(needed, 1))))


@torch.no_grad()
def final_scores(model: Model, items: Sequence[Objective], images: Images, chunk: int = LARGEST_CHUNK) -> Scores:
    """The objectives (b,) of finished images in float32, without transforms."""
    exact = prepare(model, sorted({name for item in items for name in item.layers}))
    parts = range(0, len(items), chunk)
    whole = [apply(resize(model), images[start : start + chunk], Draws(0, [])) for start in parts]
    return torch.cat(
        [score(exact, items[start : start + chunk], part) for start, part in zip(parts, whole, strict=True)]
    )


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
    exact = prepare(model, sorted({name for item in items for name in item.layers}))
    draws = Draws(seed, [f"robust score {name}" for name in names(items)], model.device)
    transforms = (*find(recipe).transforms, *resize(model))
    return torch.stack([score(exact, items, apply(transforms, images, draws)) for _ in range(views)]).mean(0)
