"""Recipes: named rows of settings, each with where it comes from. A paper's settings are data, not branches."""

from collections.abc import Callable
from dataclasses import dataclass

from retinoscope.base.errors import unknown
from retinoscope.image.canvas import Canvas, Fourier, Pixels
from retinoscope.image.transforms import ARTICLE, LUCID, ROBUST, Transform
from retinoscope.network.model import Model
from retinoscope.synthesize.ascent import Ascent, adam
from retinoscope.synthesize.natural import sample_habits
from retinoscope.synthesize.objectives import Objective
from retinoscope.synthesize.optimize import Correction

Prior = Callable[[Model, int], tuple[Objective, ...]]
"""Makes the penalties that depend on the network, for pictures of a side in pixels."""


def no_prior(model: Model, side: int) -> tuple[Objective, ...]:
    """Nothing beyond a recipe's own penalties."""
    return ()


@dataclass(frozen=True)
class Recipe:
    """How to make a picture: canvas, views, number of steps, rate, side in pixels (None: by receptive field).

    `ascent` makes the optimiser, `penalties` are added to the objective, `corrections` change the images after a step;
    `prior` makes the penalties that depend on the network.
    """

    name: str
    origin: str
    canvas: Callable[[int, int], Canvas]
    transforms: tuple[Transform, ...]
    steps: int
    rate: float
    size: int | None
    ascent: Ascent = adam
    penalties: tuple[Objective, ...] = ()
    corrections: tuple[Correction, ...] = ()
    prior: Prior = no_prior

    def describe(self) -> dict[str, object]:
        """The settings as plain data, for provenance."""
        return {
            "recipe": self.name,
            "canvas": getattr(self.canvas, "__name__", repr(self.canvas)),
            "transforms": [repr(transform) for transform in self.transforms],
            "steps": self.steps,
            "rate": self.rate,
            "ascent": getattr(self.ascent, "__name__", repr(self.ascent)),
            "penalties": [repr(penalty) for penalty in self.penalties],
            "corrections": [repr(correction) for correction in self.corrections],
            "prior": getattr(self.prior, "__name__", repr(self.prior)),
        }


RECIPES = {
    "robust": Recipe("robust", "ours: independent turned crops at several scales", Fourier, ROBUST, 256, 0.05, None),
    "lucid": Recipe("lucid", "lucid2018: render_vis and standard_transforms", Fourier, LUCID, 512, 0.05, 128),
    "article": Recipe("article", "olah2017: the settings of its figures", Fourier, ARTICLE, 2560, 0.05, 128),
    "natural": Recipe(
        "natural",
        "yin2020, per picture: classes that other networks read",
        Fourier,
        ROBUST,
        256,
        0.05,
        128,
        prior=sample_habits,
    ),
    "naive": Recipe("naive", "olah2017: the enemy, pixels without any regularization", Pixels, (), 512, 0.05, 128),
}


def find(recipe: str | Recipe) -> Recipe:
    """A recipe by name; a wrong name raises with the nearest right ones."""
    if isinstance(recipe, Recipe):
        return recipe
    if recipe not in RECIPES:
        raise unknown("recipe", recipe, RECIPES)
    return RECIPES[recipe]
