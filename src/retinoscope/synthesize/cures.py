"""The enemy and its cures: one unit rendered under each family of regularization, side by side and measured."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from retinoscope.base.errors import BadInputError, NoGradientError
from retinoscope.image.codec import encode_png
from retinoscope.image.sheet import Cell, sheet
from retinoscope.image.spectrum import high_frequency_share
from retinoscope.network.model import Model
from retinoscope.synthesize.objectives import Objective
from retinoscope.synthesize.recipes import FAMILIES, Recipe, find
from retinoscope.synthesize.render import default_size, gather, render, robust_scores
from retinoscope.synthesize.score import Target
from retinoscope.tensor.axes import Images, Scores

COMPARED = (*FAMILIES, "maco")
"""What `cures` compares: the article's families, our default among them, and the constraint that came later."""

TITLES = {
    "naive": "none",
    "l1": "L1 to grey",
    "total-variation": "total variation",
    "blur": "blur",
    "bilateral": "bilateral filter",
    "gradient-blur": "blurred gradient",
    "laplacian": "gradient's bands made equal",
    "jitter": "jitter",
    "transformation-robustness": "transformation robustness",
    "decorrelated": "decorrelated space",
    "robust": "decorrelated and robust (default)",
    "maco": "fixed magnitude (MACO)",
}
"""What a family is called on a figure; others go by their recipe's name."""


@dataclass(frozen=True)
class Cure:
    """The figures of one family: the score without views, its mean under fresh views, and the high frequencies' share.

    `share` is that of the spectral power above a quarter of Nyquist (`high_frequency_share`), in [0, 1].
    """

    family: str
    title: str
    score: float
    robust: float
    share: float


@dataclass(frozen=True, repr=False)
class Cures:
    """One unit under each family of regularization: `images` (b, 3, h, w), one per family, and their figures.

    Prints as a table. `unreached` says which families no gradient reached, which are left out.
    """

    network: str
    images: Images
    cures: tuple[Cure, ...]
    objective: Objective
    recipes: tuple[Recipe, ...]
    seed: int
    unreached: dict[str, str]

    def __repr__(self) -> str:
        rows = [("regularization", "recipe", "score", "robust", "high frequencies")]
        rows += [(c.title, c.family, f"{c.score:.3g}", f"{c.robust:.3g}", f"{c.share:.0%}") for c in self.cures]
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        table = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        missing = [f"{family} shows nothing: {why}" for family, why in self.unreached.items()]
        return "\n".join([f"{self.objective} of {self.network}", *table, *missing])

    def plain(self) -> dict[str, object]:
        """The figures and how the pictures were made, as plain data."""
        rows = [{**asdict(cure), **recipe.describe()} for cure, recipe in zip(self.cures, self.recipes, strict=True)]
        side = self.images.shape[-1]
        return {"network": self.network, "unit": repr(self.objective), "seed": self.seed, "size": side, "cures": rows}

    def save(self, file: str | Path) -> Path:
        """Write the labelled figure as a PNG file."""
        file = Path(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        self.figure().save(file)
        return file

    def figure(self, columns: int = 4, side: int = 224) -> Image.Image:
        """The pictures with their titles and figures, in rows of `columns`."""
        cells = [
            Cell(image, cure.title, (f"score {cure.score:.3g}, robust {cure.robust:.3g}", _told(cure.share)))
            for image, cure in zip(self.images, self.cures, strict=True)
        ]
        return sheet(cells, columns, side, f"{self.objective} of {self.network}: the enemy and its cures")

    def _repr_png_(self) -> bytes:
        return encode_png(torch.cat(list(self.images), dim=2))


def _told(share: float) -> str:
    return f"{share:.0%} of power in high frequencies"


def cures(
    model: Model,
    unit: Target,
    *,
    size: int | None = None,
    steps: int | None = None,
    families: Sequence[str | Recipe] = COMPARED,
    views: int = 64,
    seed: int = 0,
    dtype: torch.dtype | None = None,
) -> Cures:
    """Render one unit under each family of regularization and measure the pictures [olah2017].

    All have the same side (`size`, by default what suits the unit's layer), the same number of steps (by default the
    robust recipe's) and the same seed; rate, canvas, views, penalties and corrections are each recipe's own. `robust`
    is the mean score under `views` fresh views of the robust recipe, the same for all. Raises BadInputError when
    `unit` is not one picture, and NoGradientError when no gradient reaches any family's picture.
    """
    items = gather(model, unit)
    if len(items) != 1:
        raise BadInputError(f"'{unit}' asks for {len(items)} pictures; compare the cures on one unit at a time")
    side = size or default_size(model, items)
    count = steps or find("robust").steps
    plans = [replace(find(family), steps=count, size=side) for family in families]
    images, unreached = _pictures(model, items[0], plans, seed, dtype)
    made = [plan for plan in plans if plan.name not in unreached]
    pictures = torch.stack([images[plan.name][0] for plan in made])
    scores = torch.stack([images[plan.name][1] for plan in made])
    robust = [robust_scores(model, items, picture[None], views, seed) for picture in pictures]
    measured = _measured(made, scores, torch.cat(robust), high_frequency_share(pictures))
    return Cures(model.name, pictures, measured, items[0], tuple(made), seed, unreached)


def _pictures(
    model: Model, item: Objective, plans: Sequence[Recipe], seed: int, dtype: torch.dtype | None
) -> tuple[dict[str, tuple[Tensor, Tensor]], dict[str, str]]:
    """Picture and score by family, and why some have none."""
    images: dict[str, tuple[Tensor, Tensor]] = {}
    unreached: dict[str, str] = {}
    for plan in plans:
        try:
            out = render(model, item, recipe=plan, seed=seed, dtype=dtype)
            images[plan.name] = out.images[0], out.scores[0]
        except NoGradientError as error:
            unreached[plan.name] = str(error)
    if not images:
        raise NoGradientError(next(iter(unreached.values()), "no families to compare"))
    return images, unreached


def _measured(plans: Sequence[Recipe], scores: Scores, robust: Scores, shares: Scores) -> tuple[Cure, ...]:
    figures = zip(plans, scores.tolist(), robust.tolist(), shares.tolist(), strict=True)
    return tuple(Cure(plan.name, TITLES.get(plan.name, plan.name), *values) for plan, *values in figures)
