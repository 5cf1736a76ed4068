"""Run one Job: nothing is written here; what comes out are records and the bytes of files."""

import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from importlib.metadata import version
from pathlib import Path

from PIL import Image

from retinoscope.base.errors import BadPhotosError
from retinoscope.base.units import Unit
from retinoscope.data.imageset import ImageSet, Photo
from retinoscope.image.codec import decode
from retinoscope.jobs.backward_files import make_backward
from retinoscope.jobs.job import (
    BackwardChunk,
    Describe,
    FacetChunk,
    Job,
    MergeScan,
    NegativeChunk,
    Relate,
    RenderChunk,
    ScanShard,
)
from retinoscope.jobs.outcome import Outcome, Run
from retinoscope.jobs.pictures import make_pictures
from retinoscope.jobs.relate import relate
from retinoscope.network.model import Layer, Model
from retinoscope.observe import sample
from retinoscope.observe.answers import Answers
from retinoscope.observe.scan import SLIGHT, Example, Scan, scan_with_answers
from retinoscope.store.census import census_record
from retinoscope.store.files import photo_file
from retinoscope.store.records import (
    ExampleRecord,
    HistogramRecord,
    LayerRecord,
    NetworkRecord,
    PhotoRecord,
    Provenance,
    Record,
    Side,
)

LONG_SIDE = 640
"""Pixels of a stored photo's long side, at most: wide enough for a page, a tenth of a camera's file."""

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)


@dataclass(frozen=True)
class Context:
    """What jobs work with: the network, the photos, and ways to what earlier jobs made.

    `locate` gives the path of a file by its name, `examples` a unit's examples by network, layer and channel.
    """

    model: Model
    photos: ImageSet
    locate: Callable[[str], Path]
    examples: Callable[[str, str, int], Sequence[ExampleRecord]] = lambda network, layer, channel: ()


def run(job: Job, context: Context) -> Run:
    """Do one job."""
    match job:
        case Describe():
            return _describe(context.model)
        case ScanShard():
            return _scan_shard(job, context)
        case MergeScan():
            return _merge_scan(job, context)
        case Relate():
            return relate(job, context.model, context.locate)
        case RenderChunk() | NegativeChunk() | FacetChunk():
            return make_pictures(job, context.model)
        case BackwardChunk():
            return make_backward(job, context.model, context.photos, context.examples)


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
    found, answers = scan_with_answers(context.model, photos, job.scanning.layers, k=job.scanning.k)
    yield 1.0
    return Outcome(files=[(job.file, _saved(found)), (job.answers, _saved(answers))], skipped=tuple(photos.skipped))


def _saved(found: Scan | Answers) -> bytes:
    with tempfile.TemporaryDirectory(prefix="retinoscope-") as folder:
        file = Path(folder) / "found.npz"
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
            records += _unit_records(found, job.network.name, Unit(name, channel), job.scanning.few, origin)
        yield done / len(job.scanning.layers)
    shown = sorted({record.photo for record in records if isinstance(record, ExampleRecord)})
    photos = [context.photos.photo(photo) for photo in shown]
    records += [_photo_record(photo, context.photos) for photo in photos]
    if found.seen is not None:  # None in a shard that an older version left
        records.append(census_record(job.scanning.images, found.census))
    skipped: list[tuple[str, str]] = []
    return Outcome(records, _copies(photos, skipped), tuple(names), skipped)


def _copies(photos: Sequence[Photo], skipped: list[tuple[str, str]]) -> Iterator[tuple[str, bytes]]:
    """The stored copies; of a photo that was removed since it was scanned there is none, and `skipped` says so."""
    for photo in photos:
        try:
            yield photo_file(photo.id), stored_copy(photo)
        except BadPhotosError as error:
            skipped.append((photo.id, str(error)))


def _scan_provenance(job: MergeScan, model: Model) -> Provenance:
    settings: dict[str, object] = {"scan": "top, bottom and slight", "k": job.scanning.k, "few": job.scanning.few}
    settings |= {"slight": SLIGHT, "spots": sample.SIZE, "size": list(model.input_size), "items": job.scanning.items}
    return Provenance(
        version("retinoscope"), settings, None, model.weights_hash, job.scanning.images, model.device.type, "float32"
    )


def _unit_records(found: Scan, network: str, unit: Unit, few: int, origin: Provenance) -> Iterator[Record]:
    sides: dict[Side, list[Example]] = {
        "top": found.top(unit),
        "slightly positive": found.slightly_positive(unit, few),
        "slightly negative": found.slightly_negative(unit, few),
        "bottom": found.bottom(unit),
    }
    for side, examples in sides.items():
        for place, example in enumerate(examples, 1):
            yield _example_record(network, unit, side, place, example, origin)
    edges, counts = found.histogram(unit)
    quantiles = {str(q): found.quantile(unit, q) for q in QUANTILES}
    low, high = found.extremes(unit)
    yield HistogramRecord(
        network, unit.layer, unit.channel, tuple(edges.tolist()), tuple(counts.tolist()), quantiles, low, high,
        found.mean(unit), origin,
    )  # fmt: skip


def _example_record(
    network: str, unit: Unit, side: Side, place: int, example: Example, origin: Provenance
) -> ExampleRecord:
    item, box = example.item, example.box
    return ExampleRecord(
        network, unit.layer, unit.channel, side, place, item.photo, item.id,
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
