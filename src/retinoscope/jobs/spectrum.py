"""The spectrum of a unit in one call: from the picture that it answers most negatively to the most positive one."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from retinoscope.base.errors import BadInputError, BadUnitError, NoGradientError
from retinoscope.base.units import Unit, parse_unit
from retinoscope.data.imageset import ImageSet
from retinoscope.image.codec import decode, resize, to_tensor
from retinoscope.jobs.peaks import peaks
from retinoscope.network.model import Model
from retinoscope.network.preactivation import pre_activation
from retinoscope.observe.scan import Example, Scan
from retinoscope.observe.scan import scan as scan_photos
from retinoscope.synthesize.objectives import as_objective
from retinoscope.synthesize.recipes import Recipe, find
from retinoscope.synthesize.render import default_size, render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = ("negative optimised", "minimum", "slightly negative", "slightly positive", "maximum", "positive optimised")
"""The panels in the article's order."""

SIDE = 224
"""Pixels of a patch's long side."""


@dataclass(frozen=True)
class Panel:
    """One panel: its `image` (3, h, w) in [0, 1] and the unit's `value`, or a `note` that says why it has none.

    The value is the answer at the example's position, or the strongest answer anywhere in an optimised picture.
    """

    title: str
    image: Float[Tensor, "3 h w"] | None = None
    value: float | None = None
    example: Example | None = None
    note: str = ""


@dataclass(frozen=True, repr=False)
class Spectrum:
    """Six panels of a unit, in order, beside the distribution of all its answers to the photos.

    `layer` is where the answers are read: the layer before the unit's activation, where there is one. `edges` (m + 1,)
    and `counts` (m,) are the histogram of all activations, `deviation` their standard deviation, `median` their median.
    """

    unit: Unit
    layer: str
    panels: tuple[Panel, ...]
    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    deviation: float
    median: float
    recipe: Recipe
    seed: int

    def __repr__(self) -> str:
        values = (f"{panel.title} {'-' if panel.value is None else f'{panel.value:.3g}'}" for panel in self.panels)
        return f"Spectrum({self.unit}: {', '.join(values)})"

    def figure(self) -> "Figure":
        """The panels in a row over the histogram, on which their values are marked."""
        from retinoscope.jobs.spectrum_figure import draw

        return draw(self)

    def save(self, file: str | Path) -> Path:
        """Write the figure as an image file (.png, .jpg, .svg or .pdf, by its name); gives the path."""
        path = Path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.figure().savefig(path)
        return path

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.figure().savefig(stream, format="png")
        return stream.getvalue()


def spectrum(
    model: Model,
    unit: Unit | str,
    photos: ImageSet,
    scan: Scan | None = None,
    *,
    size: int | None = None,
    steps: int | None = None,
    recipe: str | Recipe = "robust",
    seed: int = 0,
) -> Spectrum:
    """The six pictures of a unit's spectrum: what makes it answer from most negatively to most positively [olah2017].

    Photos are the scan's: its exact extremes, and those nearest to a quarter of a standard deviation on both sides of
    zero (the article names no number). The two optimised pictures maximise the unit and its negative, in one batch,
    and are those that `render` gives. All are of the layer before the unit's activation (`pre_activation`), where
    there is one: after a ReLU nothing is negative.

    `scan` is a scan of `photos` that holds that layer; by default the photos are scanned here. `size`, `steps`,
    `recipe` and `seed` are those of `render`. A panel that cannot be had says why. Raises UnknownNameError or
    BadUnitError for a unit that does not exist or has a position, BadInputError for a scan without that layer.
    """
    asked = parse_unit(unit) if isinstance(unit, str) else unit
    signed = signed_unit(model, asked)
    if scan is not None and signed.layer not in scan.tallies:
        raise BadInputError(f"the spectrum of {asked} reads layer {signed.layer}: scan that layer too")
    found = scan or scan_photos(model, photos, [signed.layer])
    plan = _settled(model, signed, find(recipe), size, steps)
    negative, positive = _optimised(model, signed, plan, seed)
    sides = (found.bottom(signed), found.slightly_negative(signed), found.slightly_positive(signed), found.top(signed))
    middle = [_shown(title, side, photos) for title, side in zip(TITLES[1:5], sides, strict=True)]
    edges, counts = found.histogram(signed)
    return Spectrum(
        asked, signed.layer, (negative, *middle, positive), edges, counts, found.deviation(signed),
        found.quantile(signed, 0.5), plan, seed,
    )  # fmt: skip


def signed_unit(model: Model, unit: Unit) -> Unit:
    """The unit whose answers have a sign: of the layer before the unit's activation, else the unit itself."""
    model.check_unit(unit)
    if unit.position is not None:
        raise BadUnitError(
            f"a spectrum is of a whole channel; ask for '{unit.layer}:{unit.channel}' without a position"
        )
    return Unit(pre_activation(model, unit.layer) or unit.layer, unit.channel)


def _settled(model: Model, unit: Unit, recipe: Recipe, size: int | None, steps: int | None) -> Recipe:
    """The recipe with its number of steps and its side in pixels."""
    side = size or recipe.size or default_size(model, [as_objective(unit)])
    return replace(recipe, steps=steps or recipe.steps, size=side)


def _optimised(model: Model, unit: Unit, recipe: Recipe, seed: int) -> list[Panel]:
    positive = as_objective(unit)
    try:
        made = render(model, [-positive, positive], recipe=recipe, seed=seed)
    except NoGradientError as error:
        return [Panel(title, note=str(error)) for title in (TITLES[0], TITLES[5])]
    panels = []
    for place, (title, sign) in enumerate(((TITLES[0], -1), (TITLES[5], 1))):
        value = float(peaks(model, [unit], made.images[place : place + 1], sign))
        why = made.unreached.get(place)
        panels.append(Panel(title, note=why) if why else Panel(title, made.images[place].cpu(), value))
    return panels


def _shown(title: str, examples: Sequence[Example], photos: ImageSet) -> Panel:
    if not examples:
        sign = title.split()[-1]
        return Panel(title, note=f"no spot of the scan's sample has a {sign} answer")
    return Panel(title, patch(photos, examples[0]), examples[0].score, examples[0])


def patch(photos: ImageSet, example: Example, side: int = SIDE) -> Float[Tensor, "3 h w"]:
    """What the unit sees in an example: the part of the photo inside its box, its long side `side` pixels."""
    box, image = example.box, decode(photos.photo(example.item.photo).file)
    scale = side / max(box.height, box.width)
    return to_tensor(resize(image, box, (max(1, round(box.height * scale)), max(1, round(box.width * scale)))))
