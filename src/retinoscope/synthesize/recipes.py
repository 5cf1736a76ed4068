"""Recipes: named rows of settings, each with where it comes from. A paper's settings are data, not branches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from retinoscope.base.errors import unknown
from retinoscope.image.canvas import Canvas, Fourier, Pixels
from retinoscope.image.corrections import (
    Bilateral,
    Blur,
    ClipSmallAbsoluteBenefit,
    ClipSmallNorms,
    Decay,
    Denoise,
)
from retinoscope.image.magnitude import FixedMagnitude
from retinoscope.image.plain import Raw
from retinoscope.image.transforms import (
    ARTICLE,
    LUCID,
    ROBUST,
    SAMPLE,
    BlurGradient,
    CentreBias,
    Jitter,
    NormalizeGradient,
    Pad,
    Transform,
)
from retinoscope.network.model import Model
from retinoscope.network.shaken import STILL, Shake, blocks
from retinoscope.network.streams import streams
from retinoscope.synthesize.ascent import Ascent, Progress, adam, brisk, gradient, nadam, normalised
from retinoscope.synthesize.natural import sample_habits
from retinoscope.synthesize.objectives import Objective
from retinoscope.synthesize.optimize import Correction
from retinoscope.synthesize.penalties import L1, blur_input_each_step, total_variation

Prior = Callable[[Model, int, int], tuple[Objective, ...]]
"""Makes the penalties that depend on the network, for a side in pixels and the call index of the deepest layer."""


def no_prior(model: Model, side: int, deepest: int) -> tuple[Objective, ...]:
    """Nothing beyond a recipe's own penalties."""
    return ()


def still(model: Model) -> Shake:
    """Every channel as it is."""
    return STILL


def shaken_blocks(model: Model) -> Shake:
    """Gains of standard deviation 0.1 on the channels of every block; at 0.3 pictures fall apart [li2020]."""
    return Shake(blocks(model), 0.1)


@dataclass(frozen=True)
class Recipe:
    """How to make a picture: canvas, views, number of steps, rate, side in pixels (None: by receptive field).

    `ascent` makes the optimiser, `penalties` are added to the objective, `corrections` change the images after a step;
    `prior` makes the penalties that depend on the network, `shake` says how its channels are scaled at random.
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
    shake: Callable[[Model], Shake] = still

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
            "shake": getattr(self.shake, "__name__", repr(self.shake)),
        }


BYTE = 1 / 255
"""A step of one in the units of pixels 0 to 255, in which the older papers give their rates."""


def bright(batch: int, size: int) -> Raw:
    """Pixels around light grey, N(175, 8^2) of 255: the start of [nguyen2016b]."""
    return Raw(batch, size, 175 * BYTE, 8 * BYTE)


def _cure(name: str, origin: str, views: tuple[Transform, ...] = (), **changes: Any) -> Recipe:
    """`naive` with one thing more."""
    return Recipe(name, origin, Pixels, views, 512, 0.05, 128, **changes)


def _yosinski(name: str, steps: int, rate: float, ascent: Ascent, *corrections: Correction) -> Recipe:
    """A row of the tool of [yosinski2015], its rate for pixels of 0 to 255.

    The published rates, 100 and a progress of 2, were for CaffeNet. On EfficientNet-Lite0 they leave pictures that
    differ from grey by less than two levels; here they are 160, 10, 40 and 10 times as large, found by measurement.
    """
    return Recipe(name, "yosinski2015; rates ours", Raw, (), steps, rate * BYTE**2, 224, ascent, (), corrections)


def _octave(name: str, what: str, steps: int, *corrections: Correction) -> Recipe:
    """An octave of [nguyen2016b]: steps of one grey level on average."""
    return Recipe(name, f"nguyen2016b: {what}", bright, (CentreBias(),), steps, BYTE, 224, normalised, (), corrections)


def vivid(batch: int, size: int) -> Fourier:
    """A Fourier canvas that falls off a little faster, f ** -1.1: stronger colours and shapes at the same scores.

    Its mean colour moves four times as fast: channels of early layers that answer to even colour, black or red, else
    end before they get there (up to 1.6 times the score); at eight times some deeper ones get black pictures.
    """
    return Fourier(batch, size, decay=1.1, mean=4.0)


RECIPES = {
    "robust": Recipe(
        "robust", "ours: turned crops at several scales, each item its own", vivid, ROBUST, 256, 0.05, None, brisk
    ),
    "lucid": Recipe("lucid", "lucid2018: render_vis and standard_transforms", Fourier, LUCID, 512, 0.05, 128),
    "article": Recipe("article", "olah2017: the settings of its figures", Fourier, ARTICLE, 2560, 0.05, 128),
    "natural": Recipe(
        "natural",
        "ours, after yin2020 and li2020: classes that other networks read",
        Fourier,
        ROBUST,
        256,
        0.05,
        128,
        brisk,
        prior=sample_habits,
        shake=shaken_blocks,
    ),
    "plain": Recipe(
        "plain",
        "ours: `natural` for networks without shortcuts; SqueezeNet and Tiny Darknet asked for it",
        Fourier,
        ROBUST,
        256,
        0.1,
        128,
        brisk,
        prior=sample_habits,
    ),
    "naive": Recipe("naive", "olah2017: the enemy, pixels without any regularization", Pixels, (), 512, 0.05, 128),
    # The notebook's weights, 0.05 and 0.25, were for the larger activations of InceptionV1.
    "l1": _cure("l1", "olah2017: its notebook; weight ours", penalties=(-0.01 * L1(constant=0.5),)),
    "total-variation": _cure(
        "total-variation", "olah2017: its notebook; weight ours", penalties=(-0.015 * total_variation(),)
    ),
    "blur": _cure("blur", "olah2017: its notebook", penalties=(-1.0 * blur_input_each_step(),)),
    "bilateral": _cure("bilateral", "tyka2016; numbers ours", corrections=(Bilateral(1.5, 0.05, every=8),)),
    "gradient-blur": _cure("gradient-blur", "oygard2015; numbers ours", (BlurGradient(2.0),)),
    "laplacian": _cure("laplacian", "mordvintsev2015: bands of the gradient made equal", (NormalizeGradient(),)),
    "jitter": _cure("jitter", "mordvintsev2015; numbers ours", (Pad(8), Jitter(16))),
    "transformation-robustness": _cure("transformation-robustness", "olah2017: its notebook", SAMPLE),
    "decorrelated": Recipe("decorrelated", "olah2017: preconditioning alone", Fourier, (), 512, 0.05, 128),
    "maco": Recipe("maco", "fel2023; views and rate ours", FixedMagnitude, ROBUST, 256, 0.2, None, nadam),
    "yosinski-1": _yosinski("yosinski-1", 500, 16_000, Progress(320.0), Blur(0.5), ClipSmallNorms(50)),
    "yosinski-2": _yosinski("yosinski-2", 750, 1_000, gradient, Decay(0.3), ClipSmallNorms(20)),
    "yosinski-3": _yosinski("yosinski-3", 1000, 4_000, gradient, Decay(1e-4), Blur(1.0)),
    "yosinski-4": _yosinski("yosinski-4", 1000, 1e9, Progress(20.0), Blur(0.5), ClipSmallAbsoluteBenefit(90)),
    "mean-image": _octave("mean-image", "first octave, to be started from a mean image", 190, Denoise(0.4, 0.4, 190)),
    "centre-bias": _octave("centre-bias", "third octave, crops near the centre", 150, Denoise(0.01, 2.0, 150)),
}

FAMILIES = (
    "naive",
    "l1",
    "total-variation",
    "blur",
    "bilateral",
    "gradient-blur",
    "laplacian",
    "jitter",
    "transformation-robustness",
    "decorrelated",
    "robust",
)
"""The article's families of regularization, by recipe, from weak to strong: none, frequency penalties, transformation
robustness, preconditioning, and what our default makes of the last two [olah2017]."""


def suited(model: Model, objectives: Sequence[Objective]) -> str:
    """The recipe for objectives when none is named: `natural` or `plain` for classes alone, else `robust`.

    A class's picture is read best when all layers answer as they do to photos; a channel's should show what the channel
    asks for and nothing beside it. A probability, at most 1, would be outweighed by the prior. `plain` is for networks
    without identity shortcuts.
    """
    if not all(item.layers == {"logits"} and _of_logits(item) for item in objectives):
        return "robust"
    return "natural" if streams(model) else "plain"


def _of_logits(objective: Objective) -> bool:
    """Whether every unit of its formula stands there as a logit."""
    return 0 < len(objective.units) == objective.formula.count("logits:")


def find(recipe: str | Recipe) -> Recipe:
    """A recipe by name; a wrong name raises with the nearest right ones."""
    if isinstance(recipe, Recipe):
        return recipe
    if recipe not in RECIPES:
        raise unknown("recipe", recipe, RECIPES)
    return RECIPES[recipe]
