"""Backward pictures of the examples that a scan found: the photos' items as the network saw them, run backwards."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor

from retinoscope.base.errors import BadPhotosError
from retinoscope.base.units import Unit
from retinoscope.data.imageset import ImageSet
from retinoscope.image.sheet import Cell, sheet
from retinoscope.network.backward import find_rule
from retinoscope.network.model import Model
from retinoscope.observe.backproject import Backprojection, field, signals
from retinoscope.observe.scan import Example

BATCH = 16


def shown(model: Model, photos: ImageSet, ids: Sequence[str]) -> dict[str, Tensor]:
    """Items as the network is shown them, (3, h, w) by id; those that cannot be read any more are missing."""
    found: dict[str, Tensor] = {}
    for items, images in photos.choose(ids).batches(model.input_size, BATCH):
        found |= {item.id: image for item, image in zip(items, images, strict=True)}
    return found


def backward_examples(
    model: Model, pictures: dict[str, Tensor], wanted: Sequence[tuple[Unit, str]], rule: str, batch: int = BATCH
) -> Iterator[Backprojection]:
    """The backward pictures of neurons in items, by id, `batch` at a time and in order.

    `pictures` are the items (`shown`). The module is used as it is: it should be frozen.
    """
    for start in range(0, len(wanted), batch):
        part = wanted[start : start + batch]
        images = torch.stack([pictures[item] for _, item in part]).to(model.device)
        units = [unit for unit, _ in part]
        found = signals(model, images, units, rule)
        fields = tuple(field(model, unit, images.shape[2:]) for unit in units)
        signed, activations = found.signed.float().cpu(), found.activations.float().cpu()
        yield Backprojection(tuple(units), images.float().cpu(), signed, activations, fields, find_rule(rule).name)


def sheet_of_examples(
    model: Model, photos: ImageSet, unit: Unit, examples: Sequence[Example], rule: str
) -> tuple[Image.Image, list[Example]]:
    """Patches of a unit's examples beside their backward pictures, three pairs in a row, and the examples shown.

    `model` is used as it is: it should be frozen. Raises BadPhotosError when no example can be read any more.
    """
    pictures = shown(model, photos, [example.item.id for example in examples])
    left = [example for example in examples if example.item.id in pictures]
    if not left:
        names = ", ".join(example.item.photo for example in examples[:3])
        raise BadPhotosError(f"none of the {len(examples)} examples of {unit} can be read (any more): {names}")
    neurons = [(replace(unit, position=(example.y, example.x)), example.item.id) for example in left]
    found = backward_examples(model, pictures, neurons, rule)
    patches = [pair for part in found for pair in part.patches()]
    cells = [
        cell
        for (patch, back), example in zip(patches, left, strict=True)
        for cell in (Cell(patch, f"{example.score:.3g}", (example.item.photo,)), Cell(back, rule))
    ]
    return sheet(cells, columns=min(len(cells), 6), heading=str(unit)), left
