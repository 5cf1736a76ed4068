"""Run a job of backward pictures: what comes back from a unit's top examples, all in one file of the store."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from torch import Tensor

from retinoscope.base.boxes import Box
from retinoscope.base.errors import BadNetworkError, NoGradientError
from retinoscope.base.units import Unit
from retinoscope.data.imageset import ImageSet
from retinoscope.image.codec import encode_jpeg, encode_png
from retinoscope.image.mosaic import mosaic
from retinoscope.image.patches import whole_pixels
from retinoscope.jobs.backward import backward_examples, shown
from retinoscope.jobs.job import BackwardChunk
from retinoscope.jobs.outcome import Outcome, Run
from retinoscope.network.model import Model
from retinoscope.network.prepare import prepare
from retinoscope.store.files import backward_file
from retinoscope.store.records import BackwardRecord, ExampleRecord, NoteRecord, Provenance

Examples = Callable[[str, str, int], Sequence[ExampleRecord]]
"""A unit's examples, by network, layer and channel."""

SMALL = 96
"""Pixels up to which a cell is kept without loss: larger ones are blurred less by a JPEG than by the page."""


@dataclass(frozen=True)
class _Cell:
    """A backward picture cut to the unit's field (3, y, x), the field's exact box in it, and its largest magnitude."""

    example: ExampleRecord
    picture: Tensor
    box: Box
    peak: float


def make_backward(job: BackwardChunk, model: Model, photos: ImageSet, examples: Examples) -> Run:
    """Run the top examples of a chunk of units backwards: a file for each unit and rule, a row for each example.

    Examples whose photo cannot be read any more get none; where a rule says nothing about the network, a note says so.
    """
    channels = range(job.first, job.last + 1)
    found = [one for channel in channels for one in examples(model.name, job.layer, channel) if one.side == "top"]
    pictures = shown(model, photos, [one.item for one in found])
    rows = [one for one in found if one.item in pictures]
    fast, outcome = prepare(model, [job.layer]), Outcome(files=(files := []))
    for done, rule in enumerate(job.rules):
        origin = _provenance(job, model, rule)
        try:
            cells: list[_Cell] = []
            for part in _cells(fast, pictures, rows, rule):
                cells += part
                yield (done + len(cells) / len(rows)) / len(job.rules)
        except (BadNetworkError, NoGradientError) as error:
            kind = f"{rule} backward"
            notes = [NoteRecord(model.name, job.layer, channel, kind, str(error), origin) for channel in channels]
            outcome.records.extend(notes)
            continue
        for channel in channels:
            if own := [cell for cell in cells if cell.example.channel == channel]:
                records, file = _stored(own, rule, origin)
                outcome.records.extend(records)
                files.append(file)
    yield 1.0
    return outcome


def _cells(
    model: Model, pictures: dict[str, Tensor], rows: Sequence[ExampleRecord], rule: str
) -> Iterator[list[_Cell]]:
    neurons = [(Unit(row.layer, row.channel, (row.y, row.x)), row.item) for row in rows]
    place = 0
    for part in backward_examples(model, pictures, neurons, rule):
        own = rows[place : place + len(part.units)]
        place += len(own)
        peaks = part.signed.abs().amax((1, 2, 3)).tolist()
        yield [_Cell(*cell) for cell in zip(own, *_cut(part.images, part.boxes), peaks, strict=True)]


def _cut(images: Tensor, boxes: Sequence[Box]) -> tuple[list[Tensor], list[Box]]:
    """The smallest whole pixels around each box, and where the box lies among them."""
    edges = [whole_pixels(box) for box in boxes]
    cut = [image[:, y0:y1, x0:x1] for image, (y0, x0, y1, x1) in zip(images, edges, strict=True)]
    inner = [
        Box(box.top - y0, box.left - x0, box.bottom - y0, box.right - x0)
        for box, (y0, x0, _, _) in zip(boxes, edges, strict=True)
    ]
    return cut, inner


def _stored(cells: Sequence[_Cell], rule: str, origin: Provenance) -> tuple[list[BackwardRecord], tuple[str, bytes]]:
    """The rows of one unit's pictures by one rule, and their file."""
    first = cells[0].example
    page, corners = mosaic([cell.picture for cell in cells])
    small = max(max(cell.picture.shape[1:]) for cell in cells) <= SMALL
    data, suffix = (encode_png(page), ".png") if small else (encode_jpeg(page), ".jpg")
    name = backward_file(first.network, first.layer, first.channel, rule, suffix)
    records = [
        BackwardRecord(
            first.network, first.layer, first.channel, rule, cell.example.place, name, page.shape[1], page.shape[2],
            corner.top + cell.box.top, corner.left + cell.box.left, corner.top + cell.box.bottom,
            corner.left + cell.box.right, cell.peak, origin,
        )
        for cell, corner in zip(cells, corners, strict=True)
    ]  # fmt: skip
    return records, (name, data)


def _provenance(job: BackwardChunk, model: Model, rule: str) -> Provenance:
    settings: dict[str, object] = {"rule": rule, "start": "the activation", "size": list(model.input_size)}
    images = job.scanning.images
    return Provenance(version("retinoscope"), settings, None, model.weights_hash, images, model.device.type, "float32")
