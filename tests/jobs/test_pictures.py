"""Negative and diverse pictures are those of `render` and `facets`; what cannot be had is a note."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import nn

from retinoscope.base.errors import BadInputError, UnknownNameError
from retinoscope.data.imageset import ImageSet
from retinoscope.image.codec import encode_png
from retinoscope.jobs.job import FacetChunk, Job, NegativeChunk, RenderChunk, task_of
from retinoscope.jobs.plan import plan_atlas
from retinoscope.jobs.tasks import Context
from retinoscope.network.model import Model
from retinoscope.network.record import record
from retinoscope.network.wrap import wrap
from retinoscope.store.database import Store
from retinoscope.store.records import NoteRecord, PictureRecord, Record
from retinoscope.synthesize.diversity import facets
from retinoscope.synthesize.objectives import channel
from retinoscope.synthesize.render import render
from tests.jobs.test_local import finish
from tests.jobs.test_tasks import outcome


def made(records: Sequence[Record]) -> list[PictureRecord]:
    return [record for record in records if isinstance(record, PictureRecord)]


def plan(model: Model, images: ImageSet, *kinds: str, layers: Sequence[str] = ("conv2",), n: int = 3) -> list[Job]:
    return plan_atlas(model, images, layers=layers, k=2, size=32, steps=3, kinds=kinds, facets=n)


def test_negative_pictures_are_renders_of_the_negative(tiny: Model, images: ImageSet, context: Context) -> None:
    job = plan(tiny, images, "negative")[-1]
    assert isinstance(job, NegativeChunk)
    found = outcome(job, context)
    wanted = render(tiny, [-channel("conv2", c) for c in range(12)], size=32, steps=3)
    with torch.no_grad(), record(tiny, ["conv2"]) as trace:
        tiny(wanted.images)
    planes = [trace["conv2"][c, c] for c in range(12)]
    records = made(found.records)
    assert {r.kind for r in records} == {"negative"}
    assert [r.score for r in records] == pytest.approx([float(plane.mean()) for plane in planes], rel=1e-3, abs=1e-5)
    assert [r.peak for r in records] == pytest.approx([float(plane.min()) for plane in planes], rel=1e-3, abs=1e-5)
    assert dict(found.files) == {r.file: encode_png(image) for r, image in zip(records, wanted.images, strict=True)}
    assert records[0].provenance.recipe["objective"] == "-1 * unit"


def test_facets_are_those_of_facets(tiny: Model, images: ImageSet, context: Context) -> None:
    job = plan(tiny, images, "facets")[-1]
    assert isinstance(job, FacetChunk)
    found = outcome(job, context)
    units = [f"conv2:{c}" for c in range(job.first, job.last + 1)]
    wanted = facets(tiny, units, 3, size=32, steps=3)
    records = made(found.records)
    assert [(r.channel, r.kind) for r in records] == [
        (c, f"facet {n}") for c in range(job.first, 12) for n in (1, 2, 3)
    ]
    assert [r.score for r in records] == pytest.approx(wanted.scores.tolist(), rel=1e-4, abs=1e-6)
    assert [data for _, data in found.files] == [encode_png(image) for image in wanted.images]
    assert all(r.peak is not None and r.peak >= r.score for r in records)
    assert "diversity(conv2, 3)" in str(records[0].provenance.recipe["objective"])


def test_simple_pictures_have_their_peak(jobs: list[Job], context: Context) -> None:
    for one in made(outcome(jobs[-1], context).records):
        assert one.peak is not None
        assert one.peak >= one.score


def test_kinds_come_one_after_the_other_and_own_their_places(tiny: Model, images: ImageSet) -> None:
    jobs = plan(tiny, images, "facets", "optimised", "negative", layers=("conv1", "conv2"))
    kinds = [type(job) for job in jobs if isinstance(job, RenderChunk | NegativeChunk | FacetChunk)]
    assert kinds == sorted(kinds, key=[RenderChunk, NegativeChunk, FacetChunk].index)
    assert set(kinds) == {RenderChunk, NegativeChunk, FacetChunk}
    places = [place for job in jobs for place in task_of(job).places]
    assert len(set(places)) == len(places)
    assert {"optimised conv1:0", "negative conv1:0", "facet conv2:11"} <= set(places)
    assert len({job.key for job in jobs}) == len(jobs)
    plain = plan(tiny, images, "optimised", layers=("conv1", "conv2"))
    assert [job.key for job in plain] == [job.key for job in jobs if job in plain]


def test_wrong_kinds(tiny: Model, images: ImageSet) -> None:
    with pytest.raises(UnknownNameError, match="nearest: negative"):
        plan(tiny, images, "negativ")
    with pytest.raises(BadInputError, match="2 or more"):
        plan(tiny, images, "facets", n=1)


def test_fewer_facets_leave_none_of_the_older_ones(
    tiny: Model, images: ImageSet, context: Context, store: Store
) -> None:
    for n, wanted in ((3, ["facet 1", "facet 2", "facet 3"]), (2, ["facet 1", "facet 2"])):
        jobs = plan(tiny, images, "optimised", "facets", layers=("conv1",), n=n)
        finish(jobs, context, store)
        kinds = [row[0] for row in store.connection.execute("SELECT kind FROM picture WHERE channel = 5 ORDER BY kind")]
        assert kinds == [*wanted, "optimised"]
        assert all(store.done(job.key) for job in jobs if isinstance(job, RenderChunk | FacetChunk))


def test_a_note_and_pictures_of_a_family_replace_each_other(store: Store, tiny: Model, images: ImageSet, context: Context) -> None:  # noqa: E501  # fmt: skip
    job = plan(tiny, images, "facets", layers=("conv1",), n=2)[-1]
    records = [record for record in outcome(job, context).records if isinstance(record, PictureRecord)]
    first = records[0]
    note = NoteRecord(first.network, first.layer, first.channel, "facet", "dead", first.provenance)
    for written, left in (([note], [0, 1]), (records[:2], [2, 0]), ([note, replace(first, kind="optimised")], [1, 1])):
        store.write(written, task_of(job))
        counts = [store.connection.execute(f"SELECT COUNT(*) FROM {t}").fetchone()[0] for t in ("picture", "note")]
        assert counts == left


def test_negative_pictures_after_an_activation_are_notes(images: ImageSet, context: Context) -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.MaxPool2d(2))
    nn.init.constant_(module[0].weight, 0.2)  # type: ignore[arg-type]
    nn.init.constant_(module[0].bias, -2.5)  # type: ignore[arg-type]
    model = wrap(module, input_size=32)
    for layer, words in (("1", "seen at the layer 0"), ("2", "least answer is exactly 0")):
        job = plan_atlas(model, images, layers=[layer], size=32, steps=64, kinds=["negative"])[-1]
        notes = outcome(job, Context(model, images, context.locate)).records
        assert [type(note) for note in notes] == [NoteRecord] * 2
        assert all(note.kind == "negative" and words in note.text for note in notes if isinstance(note, NoteRecord))
