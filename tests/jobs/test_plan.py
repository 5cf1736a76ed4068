"""The plan of an atlas: what is done, in which order, under which keys."""

from pathlib import Path

import pytest

from retinoscope.base.errors import UnknownNameError
from retinoscope.data.imageset import ImageSet
from retinoscope.jobs import job as job_module
from retinoscope.jobs.job import Describe, MergeScan, Relate, RenderChunk, ScanShard, task_of
from retinoscope.jobs.layers import atlas_layers
from retinoscope.jobs.plan import find_layers, plan_atlas
from retinoscope.network.model import Model
from retinoscope.network.zoo import wrap
from tests.jobs.conftest import write_photos
from tests.samples import tiny_module


def test_order_and_cover(tiny: Model, images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_module, "SHARD", 10)
    jobs = plan_atlas(tiny, images, layers=["conv2", "conv1"])
    kinds = [type(job) for job in jobs]
    assert kinds == sorted(kinds, key=[Describe, ScanShard, MergeScan, Relate, RenderChunk].index)
    shards = [job for job in jobs if isinstance(job, ScanShard)]
    assert [place for job in shards for place in range(job.start, job.stop)] == list(range(len(images)))
    assert [job.shards for job in jobs if isinstance(job, MergeScan | Relate)] == [shards, shards]
    renders = [job for job in jobs if isinstance(job, RenderChunk)]
    units = [(job.layer, channel) for job in renders for channel in range(job.first, job.last + 1)]
    assert units == [("conv1", c) for c in range(8)] + [("conv2", c) for c in range(12)]


def test_equal_plans_have_equal_keys_and_every_job_its_own(tiny: Model, tmp_path: Path) -> None:
    write_photos(tmp_path / "p", 3)
    plans = [plan_atlas(tiny, ImageSet(tmp_path / "p")) for _ in range(2)]
    keys = [job.key for job in plans[0]]
    assert keys == [job.key for job in plans[1]]
    assert len(set(keys)) == len(keys)


def changed(tiny: Model, images: ImageSet, **settings: object) -> tuple[bool, bool]:
    """Whether the settings change the keys of the scan, and of the pictures."""
    plans = (plan_atlas(tiny, images), plan_atlas(tiny, images, **settings))  # type: ignore[arg-type]
    keys = [[{job.key for job in jobs if isinstance(job, kind)} for kind in (MergeScan, RenderChunk)] for jobs in plans]
    return not keys[0][0] & keys[1][0], not keys[0][1] & keys[1][1]


def test_settings_change_the_keys_they_bear_on(tiny: Model, images: ImageSet, tmp_path: Path) -> None:
    for settings in ({"seed": 1}, {"steps": 7}, {"size": 48}, {"recipe": "lucid"}):
        assert changed(tiny, images, **settings) == (False, True)
    assert changed(tiny, images, k=4) == (True, False)
    other = ImageSet(write_photos(tmp_path / "others", 7, seed=1))
    assert plan_atlas(tiny, images)[-1].key == plan_atlas(tiny, other)[-1].key
    assert plan_atlas(tiny, images)[1].key != plan_atlas(tiny, other)[1].key
    weights = wrap(tiny_module(1), name="tiny", input_size=32)
    inputs = wrap(tiny_module(), name="tiny", input_size=32, mean=0.5)
    for model in (weights, inputs):
        assert not {job.key for job in plan_atlas(model, images)} & {job.key for job in plan_atlas(tiny, images)}


def test_each_picture_has_one_place_however_it_is_cut_into_jobs(tiny: Model, images: ImageSet) -> None:
    small, large = (plan_atlas(tiny, images, layers=["conv1"], size=size) for size in (32, 12000))
    places = [
        sorted(place for job in jobs for place in task_of(job).places if place[0] == "o") for jobs in (small, large)
    ]
    assert len(large) > len(small)
    assert places[0] == places[1]


def test_fewer_pictures(tiny: Model, images: ImageSet) -> None:
    last = plan_atlas(tiny, images, layers=["conv1"], pictures=3)[-1]
    assert isinstance(last, RenderChunk)
    assert (last.first, last.last) == (0, 2)
    assert isinstance(plan_atlas(tiny, images, pictures=0)[-1], Relate)


def test_classes_and_channels_get_the_recipe_suited_to_them(tiny: Model, images: ImageSet) -> None:
    layers = [atlas_layers(tiny.layers)[0].name, "logits"]
    jobs = plan_atlas(tiny, images, layers=layers)
    recipes = {job.layer: job.recipe for job in jobs if isinstance(job, RenderChunk)}
    assert recipes == {layers[0]: "robust", "logits": "plain"}  # it has no shortcuts
    named = plan_atlas(tiny, images, layers=layers, recipe="lucid")
    assert {job.recipe for job in named if isinstance(job, RenderChunk)} == {"lucid"}


def test_patterns(lite0: Model) -> None:
    found = find_layers(lite0.layers, ["blocks.?.0", "conv_stem", "blocks.0.0"])
    assert [layer.name for layer in found] == ["conv_stem", *(f"blocks.{stage}.0" for stage in range(7))]


@pytest.mark.parametrize("name", ["conv9", "konv*"])
def test_wrong_layers_give_the_nearest(tiny: Model, images: ImageSet, name: str) -> None:
    with pytest.raises(UnknownNameError, match=r"no layer.*nearest: conv"):
        plan_atlas(tiny, images, layers=[name])
