"""What each job makes is what `scan` and `render` say."""

import io
import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from retinoscope.base.units import Unit
from retinoscope.data.imageset import ImageSet
from retinoscope.image.codec import encode_png
from retinoscope.jobs.job import Job, MergeScan, RenderChunk, ScanShard
from retinoscope.jobs.outcome import Outcome
from retinoscope.jobs.plan import plan_atlas
from retinoscope.jobs.tasks import Context, run, stored_copy
from retinoscope.network.model import Model
from retinoscope.network.zoo import wrap
from retinoscope.observe.scan import scan
from retinoscope.store.files import photo_file
from retinoscope.store.records import (
    ExampleRecord,
    HistogramRecord,
    LayerRecord,
    MetaRecord,
    NetworkRecord,
    NoteRecord,
    PhotoRecord,
    PictureRecord,
)
from retinoscope.synthesize.render import render


def outcome(job: Job, context: Context) -> Outcome:
    """Run a job to its end; its shares must grow, to no more than 1."""
    steps, shares = run(job, context), []
    while True:
        try:
            shares.append(next(steps))
        except StopIteration as end:
            assert shares == sorted(shares)
            assert 0 < shares[0] <= shares[-1] <= 1
            result: Outcome = end.value
            return result


def test_the_network_and_its_layers(jobs: list[Job], context: Context) -> None:
    network, *layers = outcome(jobs[0], context).records
    assert network == NetworkRecord("tiny", context.model.weights_hash, 32, 32, ("a", "b", "c", "d", "e"))
    assert [layer.name for layer in layers if isinstance(layer, LayerRecord)] == list(context.model.layers)
    conv1 = next(layer for layer in layers if isinstance(layer, LayerRecord) and layer.name == "conv1")
    assert (conv1.channels, conv1.height, conv1.stride_y, conv1.field_x) == (8, 16, 2.0, 3)


def scanned(jobs: list[Job], context: Context) -> Outcome:
    """Run the scan's jobs; gives what the merge made."""
    for job in jobs:
        if isinstance(job, ScanShard):
            for name, data in outcome(job, context).files:
                context.locate(name).parent.mkdir(parents=True, exist_ok=True)
                context.locate(name).write_bytes(data)
    return outcome(next(job for job in jobs if isinstance(job, MergeScan)), context)


def test_examples_and_histograms_are_those_of_one_scan(
    jobs: list[Job], context: Context, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retinoscope.jobs.job.SHARD", 16)
    jobs = plan_atlas(context.model, images, layers=["conv1", "conv2"], k=2)
    assert sum(isinstance(job, ScanShard) for job in jobs) > 1
    made = scanned(jobs, context)
    whole = scan(context.model, images, ["conv1", "conv2"], k=2)
    for unit in (Unit("conv1", 3), Unit("conv2", 11)):
        sides = {"top": whole.top(unit), "bottom": whole.bottom(unit)}
        sides |= {
            "slightly positive": whole.slightly_positive(unit),
            "slightly negative": whole.slightly_negative(unit),
        }
        for side, wanted in sides.items():
            rows = [r for r in made.records if isinstance(r, ExampleRecord) and (r.layer, r.channel, r.side) == (unit.layer, unit.channel, side)]  # noqa: E501  # fmt: skip
            assert [row.place for row in rows] == list(range(1, len(wanted) + 1))
            assert len(wanted) == 2 or side.startswith("slight")
            assert [(r.photo, r.item, r.score, r.y, r.x, r.box_top, r.box_right) for r in rows] == [
                (e.item.photo, e.item.id, pytest.approx(e.score), e.y, e.x, e.box.top, e.box.right) for e in wanted
            ]
        (found,) = (r for r in made.records if isinstance(r, HistogramRecord) and (r.layer, r.channel) == (unit.layer, unit.channel))  # noqa: E501  # fmt: skip
        edges, counts = whole.histogram(unit)
        assert found.counts == tuple(counts.tolist())
        assert found.edges == pytest.approx(edges.tolist())
        assert (found.minimum, found.maximum) == pytest.approx(whole.extremes(unit))
        assert found.quantiles["0.95"] == whole.quantile(unit, 0.95)


def test_photos_shown_are_stored_and_the_shards_are_spent(jobs: list[Job], context: Context, images: ImageSet) -> None:
    made = scanned(jobs, context)
    shown = {record.photo for record in made.records if isinstance(record, ExampleRecord)}
    photos = [record for record in made.records if isinstance(record, PhotoRecord)]
    assert [photo.id for photo in photos] == sorted(shown)
    assert {(photo.height, photo.width) for photo in photos} == {(30, 40)}
    assert {photo.label for photo in photos} == {"cats", "dogs"}
    files = dict(made.files)
    assert sorted(files) == sorted(photo.file for photo in photos)
    assert all(Image.open(io.BytesIO(data)).size == (40, 30) for data in files.values())
    assert made.spent == tuple(job.file for job in jobs if isinstance(job, ScanShard))


def test_large_photos_are_stored_small(tmp_path: Path) -> None:
    Image.new("RGB", (3000, 1000), (200, 30, 30)).save(tmp_path / "wide.jpg")
    copy = Image.open(io.BytesIO(stored_copy(ImageSet(tmp_path).photo("wide.jpg"))))
    assert (copy.format, copy.size) == ("JPEG", (640, 213))


def test_skipped_photos_are_told(context: Context, jobs: list[Job], images: ImageSet) -> None:
    file = images.photos[0].file
    file.write_bytes(file.read_bytes()[:200])
    shard = next(job for job in jobs if isinstance(job, ScanShard))
    assert [name for name, _ in outcome(shard, context).skipped] == [images.photos[0].id]


def test_a_photo_removed_since_it_was_scanned_is_named(jobs: list[Job], context: Context, images: ImageSet) -> None:
    whole = scanned(jobs, context)
    gone = next(record.photo for record in whole.records if isinstance(record, ExampleRecord))
    images.photo(gone).file.unlink()
    made = outcome(next(job for job in jobs if isinstance(job, MergeScan)), context)
    kept = dict(made.files)
    assert kept.keys() == dict(whole.files).keys() - {photo_file(gone)}
    ((name, reason),) = made.skipped
    assert (name, "no such file" in reason) == (gone, True)
    assert made.records == whole.records  # what was found, and where, stays


def test_the_census_is_of_all_photos_seen(jobs: list[Job], context: Context, images: ImageSet) -> None:
    (meta,) = [record for record in scanned(jobs, context).records if isinstance(record, MetaRecord)]
    assert meta.key == f"photos {images.content_hash}"
    assert json.loads(meta.value) == {"photos": 7, "labels": {"cats": 4, "dogs": 3}}


def test_pictures_are_those_of_render(jobs: list[Job], context: Context) -> None:
    job = jobs[-1]
    assert isinstance(job, RenderChunk)
    made = outcome(job, context)
    wanted = render(context.model, [f"conv2:{c}" for c in range(12)], size=32, steps=2, seed=0)
    records = [record for record in made.records if isinstance(record, PictureRecord)]
    assert [record.score for record in records] == pytest.approx(wanted.scores.tolist())
    assert dict(made.files) == {r.file: encode_png(image) for r, image in zip(records, wanted.images, strict=True)}
    assert {(r.layer, r.height, r.width, r.provenance.seed) for r in records} == {("conv2", 32, 32, 0)}
    assert records[0].provenance.recipe["steps"] == 2


def dead(channels: tuple[int, ...]) -> Model:
    """A network of one convolution and a ReLU, some of whose channels no gradient reaches."""
    conv = nn.Conv2d(3, 3, 3)
    with torch.no_grad():
        for channel in channels:
            conv.weight[channel] = 0
    return wrap(nn.Sequential(conv, nn.ReLU()), input_size=32)


@pytest.mark.parametrize("channels", [(1,), (0, 1, 2)])
def test_units_that_no_gradient_reaches_get_a_note(
    channels: tuple[int, ...], images: ImageSet, context: Context
) -> None:
    model = dead(channels)
    job = plan_atlas(model, images, layers=["0"], size=32, steps=18)[-1]
    made = outcome(job, Context(model, images, context.locate))
    notes = [record for record in made.records if isinstance(record, NoteRecord)]
    assert [note.channel for note in notes] == list(channels)
    assert len(list(made.files)) == 3 - len(channels) == sum(isinstance(r, PictureRecord) for r in made.records)
    assert all(f"from 0:{note.channel}" in note.text for note in notes)


def test_pictures_that_overflow_get_a_note(images: ImageSet, context: Context) -> None:
    conv = nn.Conv2d(3, 2, 3)
    with torch.no_grad():
        conv.weight[1] = 3e38
    model = wrap(nn.Sequential(conv), input_size=32)
    job = plan_atlas(model, images, layers=["0"], size=32, steps=2)[-1]
    made = outcome(job, Context(model, images, context.locate))
    assert [type(record) for record in made.records] == [PictureRecord, NoteRecord]
