"""Stages and steps of an atlas: exact in planted networks, never older than the examples, resumed like all jobs."""

import torch
from torch import nn

from retinoscope.data.imageset import ImageSet
from retinoscope.jobs.job import Job, MergeScan, Relate, ScanShard, task_of
from retinoscope.jobs.local import pending
from retinoscope.jobs.plan import plan_atlas
from retinoscope.jobs.tasks import Context
from retinoscope.network.model import Model
from retinoscope.network.wrap import wrap
from retinoscope.observe.correspondence import overlaps, rank_correlations
from retinoscope.observe.peaks import peaks
from retinoscope.store.database import Store
from tests.jobs.test_local import finish
from tests.residual import first_version, second_version


def made(model: Model, images: ImageSet, store: Store, layers: list[str], k: int = 3) -> list[Job]:
    """An atlas of scans alone, finished."""
    jobs = plan_atlas(model, images, layers=layers, k=k, kinds=())
    finish(jobs, Context(model, images, lambda name: store.folder / name), store)
    return jobs


def test_blocks_that_add_nothing_share_all_examples(images: ImageSet, store: Store) -> None:
    model = second_version()
    for name in ("body.1.conv2", "body.2.conv2"):
        for parameter in model.module.get_submodule(name).parameters():
            parameter.data.zero_()
    made(model, images, store, ["body.0", "body.1", "body.2"])
    assert [(row.layer, row.letter, row.role) for row in store.stages("v2") if row.role == "trunk"] == [
        ("body.0", "a", "trunk"), ("body.1", "b", "trunk"), ("body.2", "c", "trunk"),
    ]  # fmt: skip
    for channel in range(8):
        steps = store.steps("v2", "body.1", channel)
        assert [(s.before, s.channel, s.after, s.other, s.kind) for s in steps] == [
            ("body.0", channel, "body.1", channel, "same"),
            ("body.1", channel, "body.2", channel, "same"),
        ]
        assert [(s.shared, round(s.rank, 5)) for s in steps] == [(3, 1), (3, 1)]


def test_a_planted_permutation_is_found_in_a_plain_network(images: ImageSet, store: Store) -> None:
    order = [3, 0, 5, 1, 4, 2]
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 1, bias=False)
    with torch.no_grad():
        second.weight.copy_(torch.eye(6)[order, :, None, None])
    model = wrap(nn.Sequential(first, second).eval(), name="shuffled", input_size=32)
    made(model, images, store, ["0", "1"])
    assert store.stages("shuffled") == []
    for other, channel in enumerate(order):
        best = [step for step in store.steps("shuffled", "0", channel) if step.shared == 3]
        assert other in [step.other for step in best]
        assert {step.kind for step in best} == {"match"}
        assert max(best, key=lambda step: step.rank).other == other
        assert max(store.steps("shuffled", "1", other), key=lambda step: step.rank).channel == channel


def test_steps_are_what_peaks_give(images: ImageSet, store: Store) -> None:
    model = first_version()
    made(model, images, store, ["body.1.1", "body.1.2", "body.2.0"])
    seen = peaks(model, images, ["body.1.1", "body.1.2", "body.2.0"])
    for after, kind in (("body.1.2", "same"), ("body.2.0", "match")):
        before = {"same": "body.1.1", "match": "body.1.2"}[kind]
        shared, rank = overlaps(seen[before], seen[after], 3), rank_correlations(seen[before], seen[after])
        found = [
            step
            for channel in range(12)
            for step in store.steps("v1", before, channel)
            if (step.before, step.after) == (before, after)
        ]
        assert len(found) >= 10
        assert {step.kind for step in found} == {kind}
        for step in found:
            assert step.shared == shared[step.channel, step.other]
            assert abs(step.rank - float(rank[step.channel, step.other])) < 1e-5
            assert step.provenance.recipe["photos"] == 7
    roles = {row.layer: (row.name, row.letter, row.role) for row in store.stages("v1")}
    assert roles["body.2.0.projection"] == ("body.2", "a", "shortcut")
    assert roles["body.1.2.bn3"] == ("body.1", "c", "branch")
    assert {role for _, _, role in roles.values()} == {"trunk", "branch", "shortcut", "reduce", "spatial"}


def test_photos_that_are_too_few_give_stages_and_no_steps(images: ImageSet, store: Store) -> None:
    made(second_version(), images, store, ["body.0", "body.1"], k=7)
    assert store.stages("v2")
    assert [store.steps("v2", "body.0", channel) for channel in range(8)] == [[]] * 8


def test_new_examples_take_the_steps_of_the_old_ones_with_them(images: ImageSet, store: Store) -> None:
    model, layers = second_version(), ["body.0", "body.1", "body.2"]
    first = made(model, images, store, layers)
    assert pending(first, store) == []
    assert not list((store.folder / "work").iterdir())
    other = plan_atlas(model, images, layers=layers[1:], k=2, kinds=())
    finish(
        [job for job in other if not isinstance(job, Relate)], Context(model, images, lambda n: store.folder / n), store
    )
    assert store.steps("v2", "body.1", 3) == []
    assert {type(job) for job in pending(first, store)} == {ScanShard, MergeScan, Relate}
    made(model, images, store, layers[1:], k=2)
    assert [step.before for step in store.steps("v2", "body.1", 3)] == ["body.1"]
    made(model, images, store, layers)
    assert [step.before for step in store.steps("v2", "body.1", 3)] == ["body.0", "body.1"]


def test_steps_alone_can_be_made_again(images: ImageSet, store: Store) -> None:
    model = second_version()
    jobs = made(model, images, store, ["body.0", "body.1"])
    before = store.steps("v2", "body.0", 1)
    (job,) = (job for job in jobs if isinstance(job, Relate))
    assert task_of(job).places == ("steps body.0", "steps body.1")
    store.connection.execute("DELETE FROM task WHERE key = ?", (job.key,))
    assert {type(one) for one in pending(jobs, store)} == {ScanShard, Relate}
    made(model, images, store, ["body.0", "body.1"])
    assert store.steps("v2", "body.0", 1) == before
    assert not list((store.folder / "work").iterdir())
