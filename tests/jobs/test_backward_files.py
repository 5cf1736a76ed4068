"""The atlas's backward pictures: those of `backproject`, in their cells, made once, never older than the examples."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image
from torch import nn

from retinoscope.base.errors import UnknownNameError
from retinoscope.data.imageset import ImageSet
from retinoscope.image.codec import to_image
from retinoscope.image.patches import whole_pixels
from retinoscope.jobs import plan
from retinoscope.jobs.backward import shown
from retinoscope.jobs.job import BackwardChunk, Job, MergeScan, task_of
from retinoscope.jobs.local import pending
from retinoscope.jobs.plan import plan_atlas
from retinoscope.jobs.tasks import Context
from retinoscope.network.model import Model
from retinoscope.network.wrap import wrap
from retinoscope.observe.backproject import backproject
from retinoscope.store.database import Store
from tests.jobs.test_local import finish


def planned(model: Model, images: ImageSet, *rules: str, layers: Sequence[str] = ("conv2",), k: int = 2) -> list[Job]:
    """An atlas without optimised pictures."""
    return plan_atlas(model, images, layers=layers, k=k, kinds=(), backward=rules)


def test_cells_hold_what_backproject_gives(tiny: Model, images: ImageSet, context: Context, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: E501  # fmt: skip
    monkeypatch.setattr(plan, "BACKWARD_PICTURES", 10)  # chunks of five units
    jobs = planned(tiny, images, "guided", "gradient")
    assert [job.last for job in jobs if isinstance(job, BackwardChunk)] == [4, 9, 11]
    finish(jobs, context, store)
    for channel in (0, 11):
        tops = [one for one in store.examples("tiny", "conv2", channel) if one.side == "top"]
        rows = store.backward("tiny", "conv2", channel)
        assert [(row.rule, row.place) for row in rows] == [
            ("gradient", 1),
            ("gradient", 2),
            ("guided", 1),
            ("guided", 2),
        ]
        pictures = shown(tiny, images, [one.item for one in tops])
        for row in rows:
            top = tops[row.place - 1]
            wanted = backproject(tiny, pictures[top.item], f"conv2:{channel}@{top.y},{top.x}", row.rule)
            y0, x0, y1, x1 = whole_pixels(wanted.boxes[0])
            with Image.open(io.BytesIO((store.folder / row.file).read_bytes())) as page:
                cell = page.crop((int(row.cell_left), int(row.cell_top), int(row.cell_right), int(row.cell_bottom)))
                assert page.size == (row.width, row.height)
            expected = np.asarray(to_image(wanted.images[0, :, y0:y1, x0:x1])).astype(int)
            assert np.abs(np.asarray(cell).astype(int) - expected).max() <= 1, "up to rounding of folded norms"
            assert row.peak == pytest.approx(float(wanted.signed.abs().max()), rel=1e-3)
            assert row.provenance.recipe["rule"] == row.rule
            assert row.provenance.images == images.content_hash


def test_done_work_is_not_done_again_and_other_rules_replace_it(tiny: Model, images: ImageSet, context: Context, store: Store) -> None:  # noqa: E501  # fmt: skip
    first = planned(tiny, images, "guided")
    finish(first, context, store)
    assert pending(first, store) == []
    assert pending(planned(tiny, images), store) == []
    other = planned(tiny, images, "deconvnet")
    assert [type(job) for job in pending(other, store)] == [BackwardChunk]
    finish(other, context, store)
    assert {row.rule for row in store.backward("tiny", "conv2", 3)} == {"deconvnet"}
    assert [type(job) for job in pending(first, store)] == [BackwardChunk]


def test_new_examples_take_the_backward_pictures_of_the_old_ones_with_them(tiny: Model, images: ImageSet, context: Context, store: Store) -> None:  # noqa: E501  # fmt: skip
    first = planned(tiny, images, "guided")
    finish(first, context, store)
    finish(planned(tiny, images, k=3), context, store)
    assert store.backward("tiny", "conv2", 3) == []
    assert {type(job) for job in pending(first, store)} >= {MergeScan, BackwardChunk}
    finish(first, context, store)
    assert len(store.backward("tiny", "conv2", 3)) == 2


def test_photos_that_are_gone_have_no_backward_picture(tiny: Model, images: ImageSet, context: Context, store: Store) -> None:  # noqa: E501  # fmt: skip
    jobs = planned(tiny, images, "guided")
    finish([job for job in jobs if not isinstance(job, BackwardChunk)], context, store)
    tops = [one for one in store.examples("tiny", "conv2", 3) if one.side == "top"]
    images.photo(tops[0].photo).file.unlink()
    finish(jobs, context, store)
    assert [row.place for row in store.backward("tiny", "conv2", 3)] == [2]
    assert (store.folder / "photos").exists(), "the patch itself is shown from its stored copy"


def test_a_network_that_the_rule_says_nothing_about_gets_notes(images: ImageSet, context: Context, store: Store) -> None:  # noqa: E501  # fmt: skip
    model = wrap(nn.Sequential(nn.Conv2d(3, 2, 3), nn.Tanh(), nn.Conv2d(2, 2, 3)).eval(), name="old", input_size=32)
    old = Context(model, images, context.locate)
    finish(planned(model, images, "guided", "gradient", layers=["0", "2"]), old, store)
    notes = store.notes("old", "2")
    assert [(note.channel, note.kind) for note in notes] == [(0, "guided backward"), (1, "guided backward")]
    assert "says nothing about the module '1' of old" in notes[0].text
    assert {row.rule for row in store.backward("old", "2", 1)} == {"gradient"}
    assert {row.rule for row in store.backward("old", "0", 1)} == {"gradient", "guided"}


def test_large_fields_are_kept_as_jpeg(context: Context, images: ImageSet, store: Store) -> None:
    model = wrap(nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1)).eval(), name="wide", input_size=112)
    finish(planned(model, images, "gradient", layers=["1"]), Context(model, images, context.locate), store)
    rows = store.backward("wide", "1", 0)
    assert rows[0].file.endswith(".jpg")
    assert (rows[1].cell_left, rows[1].cell_right, rows[1].height) == (112, 224, 112)
    with Image.open(store.folder / rows[0].file) as page:
        assert page.size == (224, 112)


def test_plans(tiny: Model, images: ImageSet) -> None:
    with pytest.raises(UnknownNameError, match="nearest: guided"):
        planned(tiny, images, "guide")
    jobs = plan_atlas(tiny, images, layers=["conv1", "conv2"], pictures=3, kinds=(), backward=["guided", "guided"])
    backward = [job for job in jobs if isinstance(job, BackwardChunk)]
    assert [(job.layer, job.first, job.last, job.rules) for job in backward] == [
        ("conv1", 0, 2, ("guided",)), ("conv2", 0, 2, ("guided",)),
    ]  # fmt: skip
    assert task_of(backward[0]).places == ("backward conv1:0", "backward conv1:1", "backward conv1:2")
