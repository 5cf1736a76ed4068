"""backproject: which pixels of a photo made a unit answer, by a rule for the way back."""

import copy
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from retinoscope.base.boxes import Box
from retinoscope.base.errors import BadInputError, BadUnitError, NoGradientError
from retinoscope.base.units import Unit, parse_units
from retinoscope.image.codec import photo as read
from retinoscope.image.patches import centred, on_canvas
from retinoscope.image.sheet import Cell, sheet
from retinoscope.network.backward import Rule, find_rule, rewrite
from retinoscope.network.model import Model
from retinoscope.network.record import record
from retinoscope.tensor.axes import Images, Scores

Photos = str | Path | Image.Image | Tensor | Sequence[str | Path | Image.Image | Tensor]
"""One photo or several: paths, PIL pictures, (3, h, w) tensors, or one tensor (b, 3, h, w)."""


@dataclass(frozen=True, repr=False)
class Backprojection:
    """Backward pictures of units in photos, item by item.

    `units` name the neurons, with their positions; `photos` (b, 3, h, w) is what the network was shown, `signed`
    (b, 3, h, w) what came back to its pixels, in activation per unit of sRGB; `activations` (b,) are the neurons'
    answers, which the signals started from. `fields` are the neurons' receptive fields, which may reach outside.
    """

    units: tuple[Unit, ...]
    photos: Images
    signed: Float[Tensor, "b 3 h w"]
    activations: Scores
    fields: tuple[Box, ...]
    rule: str

    @property
    def images(self) -> Images:
        """The signed pictures in [0, 1], zero at mid grey, each in a scale of its own."""
        return centred(self.signed)

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The receptive fields inside the photos."""
        return tuple(box.clip(*self.photos.shape[2:]) for box in self.fields)

    def patches(self) -> list[tuple[Tensor, Tensor]]:
        """The part of each photo that its neuron sees, and of its backward picture, on canvases of the field's size."""
        rows = zip(self.photos, self.images, self.fields, strict=True)
        return [(on_canvas(photo, box), on_canvas(image, box)) for photo, image, box in rows]

    def __repr__(self) -> str:
        some = ", ".join(f"{unit} {value:.3g}" for unit, value in zip(self.units, self.activations, strict=True))
        return f"Backprojection({self.rule}: {some})"

    def sheet(self) -> Image.Image:
        """Each patch beside its backward picture."""
        rows = zip(self.units, self.activations.tolist(), self.patches(), strict=True)
        cells = [
            cell
            for unit, value, (patch, back) in rows
            for cell in (Cell(patch, str(unit), (f"activation {value:.3g}",)), Cell(back, self.rule))
        ]
        return sheet(cells, columns=min(len(cells), 6))

    def save(self, file: str | Path) -> Path:
        """Write the sheet as an image file, its kind by its name; gives the path."""
        path = Path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.sheet().save(path)
        return path

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.sheet().save(stream, format="PNG")
        return stream.getvalue()


def backproject(
    model: Model, photos: Photos, units: Unit | str | Sequence[Unit | str], rule: str | Rule = "guided", batch: int = 16
) -> Backprojection:
    """Run a unit's answer to a photo backwards to the pixels: the deconvnet, guided backpropagation or the gradient.

    The signal starts at the layer's own output (its last ReLU is passed through, if the layer has one), zero
    everywhere but at one neuron, where it is the activation: the unit's strongest position, the first of equal ones,
    or the position in its name (`layer:channel@y,x`). `rule` is "deconvnet" [zeiler2014], "guided" [springenberg2015],
    "gradient" [simonyan2014], or a Rule.

    Photos are paths or PIL pictures, which are cut to the network's input size, or tensors of one size, which are
    taken as they are. One photo goes with many units, one unit with many photos, else they go in pairs; `batch` items
    are computed at a time. The user's module is copied, in eval mode, and not changed.

    Raises BadUnitError or UnknownNameError for a unit that does not exist, BadNetworkError naming the module where
    the rule says nothing, NoGradientError where no gradient leads from the unit to the picture.
    """
    named = parse_units([str(unit) for unit in _several(units)], lambda name: model.layers[name].channels)
    images = load_photos(model, photos)
    wanted = _paired(len(images), named)
    images = images.expand(len(wanted), -1, -1, -1)
    fixed = frozen(model)
    parts = [
        signals(fixed, images[start : start + batch], wanted[start : start + batch], rule)
        for start in range(0, len(wanted), batch)
    ]
    neurons = tuple(unit for part in parts for unit in part.neurons)
    fields = tuple(field(model, unit, images.shape[2:]) for unit in neurons)
    signed = torch.cat([part.signed for part in parts]).float().cpu()
    activations = torch.cat([part.activations for part in parts]).float().cpu()
    return Backprojection(neurons, images.float().cpu(), signed, activations, fields, find_rule(rule).name)


def frozen(model: Model) -> Model:
    """A copy of the model in eval mode whose weights need no gradient."""
    return replace(model, module=copy.deepcopy(model.module).eval().requires_grad_(False))


def _several(units: Unit | str | Sequence[Unit | str]) -> list[Unit | str]:
    return [units] if isinstance(units, Unit | str) else list(units)


def load_photos(model: Model, photos: Photos) -> Images:
    """Photos as the network takes them, (b, 3, h, w): files cut to its input size, tensors as they are."""
    one = isinstance(photos, str | Path | Image.Image) or (isinstance(photos, Tensor) and photos.ndim == 3)
    some: Any = [photos] if one else photos
    found = [read(photo, None if isinstance(photo, Tensor) else model.input_size) for photo in some]
    sizes = {tuple(photo.shape[1:]) for photo in found}
    if len(sizes) != 1:
        raise BadInputError(f"photos of one call must be of one size; came {sorted(sizes)}. Resize them, or give files")
    images = torch.stack(found).to(model.device)
    model.check(images)
    return images


def _paired(count: int, units: list[Unit]) -> list[Unit]:
    """The unit of each item, where there are so many photos."""
    if len(units) == 1:
        return units * count
    if count not in (1, len(units)):
        raise BadInputError(f"{count} photos and {len(units)} units are no pairs; give one of either, or as many")
    return units


@dataclass(frozen=True)
class Signals:
    """What came back: the neurons it started from, the signed pictures (b, 3, h, w), and the neurons' answers (b,)."""

    neurons: list[Unit]
    signed: Tensor
    activations: Tensor


def signals(
    model: Model, images: Images, units: Sequence[Unit], rule: str | Rule, start: float | None = None
) -> Signals:
    """The backward pictures of one batch, in the precision of the images; each image has its own unit.

    The signal starts at the neuron's activation, or at `start`: all rules are homogeneous, so that only its scale
    differs. The module is used as it is: it should be frozen, in eval mode.
    """
    layers = list(dict.fromkeys(unit.layer for unit in units))
    with torch.enable_grad(), rewrite(model, rule), record(model, layers) as trace:
        pixels = images.detach().requires_grad_()
        model(pixels)
        maps = {name: trace[name] for name in layers}
        neurons = [_neuron(maps[unit.layer][place], unit) for place, unit in enumerate(units)]
        seeds = {name: torch.zeros_like(found) for name, found in maps.items()}
        for place, unit in enumerate(neurons):
            where = (place, unit.channel, *_position(unit))
            seeds[unit.layer][where] = maps[unit.layer].detach()[where] if start is None else start
        answers = [
            maps[unit.layer].detach()[place, unit.channel][_position(unit)] for place, unit in enumerate(neurons)
        ]
        signed = _back(maps, pixels, seeds)
    return Signals(neurons, signed, torch.stack(answers))


def _back(maps: dict[str, Tensor], pixels: Tensor, seeds: dict[str, Tensor]) -> Tensor:
    cut = [name for name, found in maps.items() if not found.requires_grad]
    if cut:
        raise NoGradientError(f"no gradient leads from {cut[0]} to the picture: an operation before it has none")
    (signed,) = torch.autograd.grad(list(maps.values()), pixels, list(seeds.values()))
    return signed


def _position(unit: Unit) -> tuple[int, int]:
    assert unit.position is not None
    return unit.position


def _neuron(maps: Tensor, unit: Unit) -> Unit:
    """The unit at its own position, else at the strongest one of its map (c, y, x), the first of equal ones."""
    height, width = maps.shape[1:]
    if unit.position is None:
        plane = maps[unit.channel].detach().flatten()
        first = int((plane == plane.max()).nonzero()[0])
        return replace(unit, position=divmod(first, width))
    y, x = unit.position
    if not (y < height and x < width):
        raise BadUnitError(f"'{unit}' is outside the {height} x {width} map of {unit.layer}; positions start at 0,0")
    return unit


def field(model: Model, unit: Unit, size: Sequence[int]) -> Box:
    """A neuron's receptive field in pixels of a picture of that size (h, w); it may reach outside."""
    seen = model.layers[unit.layer].field
    return Box(0, 0, *size) if seen.whole else seen.box(*_position(unit))
