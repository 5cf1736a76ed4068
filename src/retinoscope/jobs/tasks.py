"""Run one Job: nothing is written here; what comes out are records and the bytes of files."""

import io
import json
import math
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from functools import reduce
from importlib.metadata import version
from pathlib import Path
from typing import cast

import torch
from PIL import Image

from retinoscope.base.errors import BadPhotosError, NoGradientError
from retinoscope.base.units import Unit
from retinoscope.data.imageset import ImageSet, Photo
from retinoscope.image.codec import decode, encode_png
from retinoscope.jobs.plan import Describe, Job, MergeScan, RenderChunk, ScanShard
from retinoscope.network.model import Layer, Model
from retinoscope.observe.scan import Example, Scan, scan
from retinoscope.store.files import photo_file, picture_file
from retinoscope.store.records import (
    ExampleRecord,
    HistogramRecord,
    LayerRecord,
    NetworkRecord,
    NoteRecord,
    PhotoRecord,
    PictureRecord,
    Provenance,
    Record,
)
from retinoscope.synthesize.optimize import RESCUE_STEPS, precision
from retinoscope.synthesize.render import Rendered, render, render_stepwise

LONG_SIDE = 640
"""Pixels of a stored photo's long side, at most: wide enough for a page, a tenth of a camera's file."""

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)


@dataclass(frozen=True)
class Context:
    """What jobs work with: the network, the photos, and a way to read the files of earlier jobs by their names."""

    model: Model
    photos: ImageSet
    locate: Callable[[str], Path]


@dataclass(frozen=True)
class Outcome:
    """What a job made: records for the database, files by name (made one at a time), and names of files not needed now.

    `skipped` are photos that could not be read, with the reason.
    """

    records: list[Record] = field(default_factory=list)
    files: Iterable[tuple[str, bytes]] = ()
    spent: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()


Run = Generator[float, None, Outcome]
"""Yields the share of the job that is done, 0 to 1, and returns the Outcome."""


def run(job: Job, context: Context) -> Run:
    """Do one job."""
    match job:
        case Describe():
            return _describe(context.model)
        case ScanShard():
            return _scan_shard(job, context)
        case MergeScan():
            return _merge_scan(job, context)
        case RenderChunk():
            return _render_chunk(job, context.model)


def _describe(model: Model) -> Run:
    network = NetworkRecord(model.name, model.weights_hash, *model.input_size, model.labels)
    yield 1.0
    return Outcome([network, *(_layer_record(model, layer) for layer in model.layers.values())])


def _layer_record(model: Model, layer: Layer) -> LayerRecord:
    rows, columns = layer.size
    field_y, field_x = layer.field.size
    stride_y, stride_x = (None, None) if layer.field.whole else layer.stride
    return LayerRecord(
        model.name, layer.name, layer.index, layer.kind, layer.channels, rows, columns, stride_y, stride_x,
        field_y, field_x, layer.depth,
    )  # fmt: skip


def _scan_shard(job: ScanShard, context: Context) -> Run:
    photos = context.photos.shard(job.start, job.stop)
    found = scan(context.model, photos, job.scanning.layers, k=job.scanning.k)
    yield 1.0
    return Outcome(files=[(job.file, _scan_bytes(found))], skipped=tuple(photos.skipped))


def _scan_bytes(found: Scan) -> bytes:
    with tempfile.TemporaryDirectory(prefix="retinoscope-") as folder:
        file = Path(folder) / "scan.npz"
        found.save(file)
        return file.read_bytes()


def _merge_scan(job: MergeScan, context: Context) -> Run:
    names = [shard.file for shard in job.shards]
    found = reduce(Scan.merge, (Scan.load(context.locate(name)) for name in names))
    if not found.count:
        raise BadPhotosError("no photo can be read; give a folder of JPEG, PNG or WebP photos")
    origin = _scan_provenance(job, context.model)
    records: list[Record] = []
    for done, name in enumerate(job.scanning.layers, 1):
        for channel in range(found.layers[name].channels):
            records += _unit_records(found, job.network.name, Unit(name, channel), origin)
        yield done / len(job.scanning.layers)
    shown = sorted({record.photo for record in records if isinstance(record, ExampleRecord)})
    photos = [context.photos.photo(photo) for photo in shown]
    records += [_photo_record(photo, context.photos) for photo in photos]
    return Outcome(records, ((photo_file(photo.id), stored_copy(photo)) for photo in photos), tuple(names))


def _scan_provenance(job: MergeScan, model: Model) -> Provenance:
    settings: dict[str, object] = {"scan": "top and bottom", "k": job.scanning.k, "size": list(model.input_size)}
    settings["items"] = job.scanning.items
    return Provenance(
        version("retinoscope"), settings, None, model.weights_hash, job.scanning.images, model.device.type, "float32"
    )


def _unit_records(found: Scan, network: str, unit: Unit, origin: Provenance) -> Iterator[Record]:
    for place, example in enumerate(found.top(unit), 1):
        yield _example_record(network, unit, "top", place, example, origin)
    for place, example in enumerate(found.bottom(unit), 1):
        yield _example_record(network, unit, "bottom", place, example, origin)
    edges, counts = found.histogram(unit)
    quantiles = {str(q): found.quantile(unit, q) for q in QUANTILES}
    low, high = found.extremes(unit)
    yield HistogramRecord(
        network, unit.layer, unit.channel, tuple(edges.tolist()), tuple(counts.tolist()), quantiles, low, high,
        found.mean(unit), origin,
    )  # fmt: skip


def _example_record(
    network: str, unit: Unit, side: str, place: int, example: Example, origin: Provenance
) -> ExampleRecord:
    item, box = example.item, example.box
    return ExampleRecord(
        network, unit.layer, unit.channel, "top" if side == "top" else "bottom", place, item.photo, item.id,
        example.score, example.y, example.x, box.top, box.left, box.bottom, box.right, origin,
    )  # fmt: skip


def _photo_record(photo: Photo, photos: ImageSet) -> PhotoRecord:
    return PhotoRecord(photo.id, photo_file(photo.id), photo.height, photo.width, photo.label, photos.credit(photo.id))


def stored_copy(photo: Photo) -> bytes:
    """A photo as a JPEG file with a long side of at most 640 pixels."""
    share = min(1.0, LONG_SIDE / max(photo.height, photo.width))
    image = decode(photo.file, share)
    size = (max(1, round(photo.width * share)), max(1, round(photo.height * share)))
    stream = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(stream, format="JPEG", quality=88)
    return stream.getvalue()


def _render_chunk(job: RenderChunk, model: Model) -> Run:
    units = [Unit(job.layer, channel) for channel in range(job.first, job.last + 1)]
    origin = _render_provenance(job, model)
    steps = render_stepwise(
        model, units, size=job.size, steps=job.steps, recipe=job.recipe, seed=job.seed, batch=len(units)
    )
    try:
        while True:
            progress = next(steps)
            yield progress.done / progress.total
    except StopIteration as end:
        return _pictures(cast(Rendered, end.value), units, model.name, origin)
    except NoGradientError as error:
        why = {unit: _why(job, model, unit) or str(error) for unit in units}
        return Outcome([_note(unit, model.name, text, origin) for unit, text in why.items()])


def _why(job: RenderChunk, model: Model, unit: Unit) -> str:
    """Why no gradient reaches an image from a unit, found by rendering it alone; empty when one does."""
    try:
        render(model, [unit], size=job.size, steps=RESCUE_STEPS, recipe=job.recipe, seed=job.seed)
    except NoGradientError as error:
        return str(error)
    return ""


def _render_provenance(job: RenderChunk, model: Model) -> Provenance:
    settings: dict[str, object] = {**json.loads(job.settings), "size": job.size}
    kind = str(precision(model.device)).removeprefix("torch.")
    return Provenance(version("retinoscope"), settings, job.seed, model.weights_hash, None, model.device.type, kind)


def _pictures(rendered: Rendered, units: list[Unit], network: str, origin: Provenance) -> Outcome:
    outcome = Outcome(files=(files := []))
    for place, (unit, image, score) in enumerate(zip(units, rendered.images, rendered.scores.tolist(), strict=True)):
        why = rendered.unreached.get(place) or _unfit(image, score)
        if why:
            outcome.records.append(_note(unit, network, why, origin))
            continue
        file = picture_file(network, unit.layer, unit.channel)
        files.append((file, encode_png(image)))
        height, width = image.shape[1:]
        where = (network, unit.layer, unit.channel, "optimised", file)
        outcome.records.append(PictureRecord(*where, height, width, score, origin))
    return outcome


def _unfit(image: torch.Tensor, score: float) -> str:
    sound = math.isfinite(score) and bool(torch.isfinite(image).all())
    return "" if sound else "the picture or its score became NaN or infinite; the network overflows in this precision"


def _note(unit: Unit, network: str, text: str, origin: Provenance) -> NoteRecord:
    return NoteRecord(network, unit.layer, unit.channel, "optimised", text, origin)
