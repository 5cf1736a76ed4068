"""One unit through training: the same picture asked of every checkpoint, and each picture shown to all of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from retinoscope.base.errors import BadInputError, NoGradientError
from retinoscope.image.codec import encode_png
from retinoscope.image.sheet import GAP, INK, PAPER, TEXT, Cell, heat, indented, sheet, stacked, text_width, write
from retinoscope.network.model import Model
from retinoscope.network.zoo import load
from retinoscope.synthesize.objectives import Objective
from retinoscope.synthesize.recipes import Recipe, find
from retinoscope.synthesize.render import default_size, final_scores, gather, render
from retinoscope.synthesize.score import Target
from retinoscope.synthesize.score import names as names_of
from retinoscope.tensor.axes import Images, Scores
from retinoscope.tensor.random import Draws


@dataclass(frozen=True, repr=False)
class Training:
    """A unit through training: `images` (t, 3, h, w), one per checkpoint, and `matrix` (t, t).

    `matrix[i, j]` is what checkpoint j answers to the picture of checkpoint i, in the objective's own unit and without
    transforms. `unreached` says of which checkpoints no gradient reached the picture.
    """

    images: Images
    matrix: Float[Tensor, "t t"]
    names: tuple[str, ...]
    objective: Objective
    recipe: Recipe
    seed: int
    unreached: dict[int, str]

    @property
    def scores(self) -> Scores:
        """What each checkpoint answers to its own picture, (t,)."""
        return self.matrix.diagonal()

    @property
    def standardized(self) -> Float[Tensor, "t t"]:
        """The matrix with each column at mean 0 and standard deviation 1, since checkpoints answer at scales apart."""
        centred = self.matrix - self.matrix.mean(0)
        return centred / self.matrix.std(0, correction=0).clamp(min=1e-12)

    @property
    def changes(self) -> Tensor:
        """Root mean square difference of each picture from the one before it, (t - 1,), in [0, 1]."""
        return (self.images[1:] - self.images[:-1]).square().mean((1, 2, 3)).sqrt()

    def __repr__(self) -> str:
        wide = max(map(len, (*self.names, "picture of")))
        head = "picture of".ljust(wide) + "".join(f"  {name:>9}" for name in self.names) + "   changed by"
        changes = ["", *(f"{change:.3f}" for change in self.changes.tolist())]
        rows = [
            name.ljust(wide) + "".join(f"  {value:>9.3g}" for value in row) + f"   {change}".rstrip()
            for name, row, change in zip(self.names, self.matrix.tolist(), changes, strict=True)
        ]
        return "\n".join([f"{self.objective} through training; a row is a picture, a column who looks", head, *rows])

    def save(self, file: str | Path) -> Path:
        """Write the figure as a PNG file: the pictures in a strip, below them the matrix as a heat map."""
        file = Path(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        self.figure().save(file)
        return file

    def figure(self, side: int = 160) -> Image.Image:
        """The strip of pictures, `side` pixels each, above the matrix, each column's colours from its own extremes."""
        cells = [
            Cell(image, name, (f"score {score:.3g}",))
            for image, name, score in zip(self.images, self.names, self.scores.tolist(), strict=True)
        ]
        margin = max(GAP, *(text_width(name, TEXT) + GAP for name in self.names))
        strip = indented(sheet(cells, len(cells), side, f"{self.objective} through training"), margin - GAP)
        told = Image.new("RGB", (strip.width, 2 * TEXT), PAPER)
        text = "What the checkpoint of each column answers to the picture of each row, each column from dark to bright"
        write(told, (margin, TEXT // 2), text, TEXT - 1, INK, told.width - margin - GAP)
        low, high = self.matrix.amin(0), self.matrix.amax(0)
        shares = (self.matrix - low) / (high - low).clamp(min=1e-12)
        texts = [[f"{value:.2g}" for value in row] for row in self.matrix.tolist()]
        return stacked([strip, told, heat(shares, self.names, (side + GAP, 36), margin, texts)])

    def _repr_png_(self) -> bytes:
        return encode_png(torch.cat(list(self.images), dim=2))


def through_training(
    models: Sequence[Model | str],
    unit: Target,
    *,
    names: Sequence[str] | None = None,
    size: int | None = None,
    steps: int | None = None,
    recipe: str | Recipe = "robust",
    seed: int = 0,
    dtype: torch.dtype | None = None,
) -> Training:
    """Render one unit in every checkpoint from the same start and with the same views [olah2017].

    `models` are checkpoints of one architecture, in the order of training (`load_checkpoints`), or names for `load`;
    `names` are what they are called, by default the Models' own names. Equal checkpoints give equal pictures, to the
    bit, so that whatever differs between two pictures comes from training. A checkpoint whose unit no gradient reaches
    keeps its starting noise and is named in `unreached`. Raises BadInputError for fewer than two checkpoints, and
    NoGradientError when no gradient reaches any picture.
    """
    checkpoints = [load(model) if isinstance(model, str) else model for model in models]
    if len(checkpoints) < 2:
        raise BadInputError(f"training needs two checkpoints or more; came {len(checkpoints)}")
    called = tuple(model.name for model in checkpoints) if names is None else tuple(names)
    if len(called) != len(checkpoints):
        raise BadInputError(f"{len(called)} names for {len(checkpoints)} checkpoints")
    (item,) = _one(checkpoints, unit)
    plan = find(recipe)
    side = size or plan.size or default_size(checkpoints[0], [item])
    plan = replace(plan, steps=steps or plan.steps, size=side)
    images, unreached = _pictures(checkpoints, item, plan, seed, dtype)
    matrix = [final_scores(model, [item] * len(images), images.to(model.device)).cpu() for model in checkpoints]
    return Training(images, torch.stack(matrix, 1), called, item, plan, seed, unreached)


def _one(checkpoints: Sequence[Model], unit: Target) -> list[Objective]:
    """The one objective, checked against every checkpoint."""
    for model in checkpoints:
        items = gather(model, unit)
    if len(items) != 1:
        raise BadInputError(f"'{unit}' asks for {len(items)} pictures; follow one unit at a time")
    return items


def _pictures(
    checkpoints: Sequence[Model], item: Objective, plan: Recipe, seed: int, dtype: torch.dtype | None
) -> tuple[Images, dict[int, str]]:
    """A picture per checkpoint, and why some show nothing but the noise they began with."""
    images: list[Tensor] = []
    unreached: dict[int, str] = {}
    for place, model in enumerate(checkpoints):
        try:
            images.append(render(model, item, recipe=plan, seed=seed, dtype=dtype).images[0].cpu())
        except NoGradientError as error:
            unreached[place] = str(error)
            images.append(_noise(item, plan, seed))
    if len(unreached) == len(checkpoints):
        raise NoGradientError(unreached[0])
    return torch.stack(images), unreached


@torch.no_grad()
def _noise(item: Objective, plan: Recipe, seed: int) -> Tensor:
    assert plan.size is not None
    canvas = plan.canvas(1, plan.size)
    canvas.start(Draws(seed, names_of([item])))
    picture: Tensor = canvas()[0]
    return picture.detach()
