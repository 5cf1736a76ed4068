"""The randomisation check: does a backward picture notice that the network has forgotten what it learned?

A picture that explains a trained unit must change when the weights it explains are lost. Layers are re-initialised one
after the other from the top, and the backward pictures of the same neuron compared with those of the trained network
[adebayo2018].
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from retinoscope.base.boxes import Box
from retinoscope.base.errors import BadInputError
from retinoscope.base.units import Unit, parse_unit
from retinoscope.image.patches import centred, on_canvas, whole_pixels
from retinoscope.image.sheet import Cell, sheet
from retinoscope.image.similarity import rank_correlation, ssim
from retinoscope.network.backward import RULES
from retinoscope.network.model import Model
from retinoscope.network.reinitialize import reinitialized, weighted
from retinoscope.observe.backproject import Photos, field, frozen, load_photos, signals
from retinoscope.tensor.axes import Images


@dataclass(frozen=True)
class Likeness:
    """How alike the backward pictures are to the trained network's, when `layers` modules from the top are random.

    Means over the photos, inside the receptive field: Spearman's rank correlation of signed values (`rank`) and of
    their magnitudes (`rank_magnitude`), the structural similarity of the pictures as shown (`ssim`), and the cosine.
    `last` is the module that was re-initialised last. `alive` is the share of photos in which any signal came back;
    the others count for nothing, and with none all are NaN.
    """

    rule: str
    layers: int
    last: str
    rank: float
    rank_magnitude: float
    ssim: float
    cosine: float
    alive: float


@dataclass(frozen=True, repr=False)
class Sanity:
    """The check's outcome: a row for each stage of the cascade and rule; prints as a table.

    `pictures` are the shown pictures (b, 3, h, w) by rule and number of random layers; 0 is the trained network.
    `fields` are the neurons' receptive fields in the photos (b, 3, h, w).
    """

    unit: Unit
    rows: tuple[Likeness, ...]
    pictures: dict[tuple[str, int], Images]
    photos: Images
    fields: tuple[Box, ...]

    def of(self, rule: str) -> list[Likeness]:
        """The rows of a rule, from few random layers to all of them."""
        return [row for row in self.rows if row.rule == rule]

    def sheet(self, photo: int = 0) -> Image.Image:
        """The pictures of one photo as a row for each rule: the patch, the trained network's, and those that follow."""
        box, rules = self.fields[photo], list(dict.fromkeys(rule for rule, _ in self.pictures))
        cells = []
        for rule in rules:
            cells.append(Cell(on_canvas(self.photos[photo], box), str(self.unit)))
            for (own, count), found in self.pictures.items():
                if own == rule:
                    cells.append(Cell(on_canvas(found[photo], box), f"{rule}, {count} random" if count else rule))
        return sheet(cells, columns=len(cells) // len(rules))

    def save(self, file: str | Path) -> Path:
        """Write the first photo's sheet as an image file, its kind by its name; gives the path."""
        path = Path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.sheet().save(path)
        return path

    def plain(self) -> dict[str, Any]:
        """All numbers as plain values, for JSON."""
        return {"unit": str(self.unit), "rows": [vars(row) for row in self.rows]}

    def __repr__(self) -> str:
        head = f"{'rule':10} {'random':>6} {'rank':>6} {'|rank|':>6} {'ssim':>6} {'cosine':>6} {'alive':>6}  down to"
        lines = [
            f"{row.rule:10} {row.layers:6} {row.rank:6.2f} {row.rank_magnitude:6.2f} {row.ssim:6.2f} "
            f"{row.cosine:6.2f} {row.alive:6.0%}  {row.last}"
            for row in self.rows
        ]
        return "\n".join([f"{self.unit}: likeness to the trained network's backward pictures", head, *lines])


def sanity_check(
    model: Model,
    photos: Photos,
    unit: Unit | str,
    rules: Sequence[str] = tuple(RULES),
    *,
    stages: int = 6,
    seed: int = 0,
    batch: int = 16,
) -> Sanity:
    """Re-initialise a network from a unit's layer downwards: do its backward pictures change? [adebayo2018]

    All modules with weights up to the unit's layer are re-initialised in a cascade from the top, in `stages` steps of
    equally many modules. At each, the same neuron (each photo's strongest
    position in the trained network) is run backwards by each rule, from a signal of 1.

    A rule whose pictures stay alike shows the photo's edges and the architecture more than what the network learned.
    Raises as `backproject`, and BadInputError when nothing below the unit has weights.
    """
    wanted = parse_unit(unit) if isinstance(unit, str) else unit
    model.check_unit(wanted)
    trained = frozen(model)
    images, paths = load_photos(model, photos), weighted(trained, wanted.layer)
    if stages < 1 or not paths:
        raise BadInputError(
            f"nothing to re-initialise: {stages} stages, {len(paths)} modules of weights to {wanted.layer}"
        )
    neurons = signals(trained, images, [wanted] * len(images), "gradient").neurons
    fields = tuple(field(model, neuron, images.shape[2:]) for neuron in neurons)
    boxes = [box.clip(*images.shape[2:]) for box in fields]
    first = {rule: _run(trained, images, neurons, rule, batch) for rule in rules}
    rows, pictures = [], {(rule, 0): centred(signed) for rule, signed in first.items()}
    for count in _counts(len(paths), stages):
        random = reinitialized(trained, paths[:count], seed)
        for rule in rules:
            signed = _run(random, images, neurons, rule, batch)
            rows.append(_compared(rule, count, paths[count - 1], first[rule], signed, boxes))
            pictures[rule, count] = centred(signed)
    return Sanity(wanted, tuple(rows), pictures, images.float().cpu(), fields)


def _counts(total: int, stages: int) -> list[int]:
    """How many modules are random at each stage, in equal steps up to all of them."""
    steps = min(stages, total)
    return [math.ceil(total * step / steps) for step in range(1, steps + 1)]


def _run(model: Model, images: Images, neurons: Sequence[Unit], rule: str, batch: int) -> Tensor:
    starts = range(0, len(images), batch)
    parts = [signals(model, images[i : i + batch], neurons[i : i + batch], rule, start=1.0).signed for i in starts]
    return torch.cat(parts).float().cpu()


def _compared(rule: str, count: int, last: str, before: Tensor, after: Tensor, boxes: Sequence[Box]) -> Likeness:
    numbers = [_alike(a, b, box) for a, b, box in zip(before, after, boxes, strict=True) if b.any() and a.any()]
    rank, magnitude, structure, cosine = (fmean(found) for found in zip(*(numbers or [(math.nan,) * 4]), strict=True))
    return Likeness(rule, count, last, rank, magnitude, structure, cosine, len(numbers) / len(boxes))


def _alike(before: Tensor, after: Tensor, box: Box) -> tuple[float, float, float, float]:
    top, left, bottom, right = whole_pixels(box)
    a, b = (found[:, top:bottom, left:right] for found in (before, after))
    shown = [centred(found[None])[0] for found in (a, b)]
    cosine = float(torch.cosine_similarity(a.flatten(), b.flatten(), 0))
    flat = a.flatten(), b.flatten()
    return rank_correlation(*flat), rank_correlation(flat[0].abs(), flat[1].abs()), ssim(*shown), cosine
