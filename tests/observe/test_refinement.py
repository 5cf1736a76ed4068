"""Following channels: same channels against random ones, padded and broken borders, energies, and single units."""

import pytest
import torch

from retinoscope.base.errors import BadNetworkError, BadUnitError
from retinoscope.base.units import parse_unit
from retinoscope.network.streams import streams
from retinoscope.observe.correspondence import overlaps, rank_correlations
from retinoscope.observe.peaks import Peaks, peaks
from retinoscope.observe.refinement import (
    Refinement,
    branch_energy,
    follow,
    follow_unit,
    layers_of,
    likeness,
    refinements,
    rising,
)
from tests.observe.photos import Pictures
from tests.residual import first_version, padded, plain, second_version

PICTURES = Pictures(48, 16)


@pytest.fixture(scope="module")
def followed() -> list[Refinement]:
    return follow(first_version(), PICTURES, k=5, draws=199)


def test_same_channels_are_compared(followed: list[Refinement]) -> None:
    model = first_version()
    seen = peaks(model, PICTURES, ["body.1.0", "body.1.1"])
    a, b = seen["body.1.0"], seen["body.1.1"]
    step = followed[0].steps[0]
    alive = ((a.amax(0) > a.amin(0)) & (b.amax(0) > b.amin(0))).nonzero().flatten()
    assert (step.before, step.after, step.kind) == ("body.1.0", "body.1.1", "block")
    assert torch.equal(step.pairs, torch.stack([alive, alive]))
    assert torch.equal(step.shared, overlaps(a, b, 5).diag()[alive] / 5)
    assert torch.allclose(step.rank, rank_correlations(a, b).diag()[alive])
    assert step.overlap.observed == pytest.approx(float(step.shared.mean()))


def test_channels_stay_what_they_are_inside_a_stage_and_not_across_a_projection(followed: list[Refinement]) -> None:
    low, high = followed
    for step in (*low.steps, *high.steps):
        assert step.ranks.p == 0.005
        assert step.ranks.observed > step.ranks.random + 0.2
    border = high.border
    assert low.border is None
    assert border is not None
    assert (border.kind, border.before, border.after) == ("border", "body.1.2", "body.2.0")
    assert border.ranks.p > 0.05  # equal numbers mean nothing there
    assert border.own < 0.2


def test_a_padded_border_joins_displaced_channels() -> None:
    first, second = follow(padded(), PICTURES, k=5, draws=199)
    border = second.border
    assert border is not None
    assert border.kind == "padded"
    assert all(int(b) == int(a) + 2 for a, b in border.pairs.T)
    assert border.ranks.p == 0.005
    assert first.border is None


def test_energy_is_the_branchs_magnitude_beside_the_shortcuts(followed: list[Refinement]) -> None:
    model = first_version()
    seen = peaks(model, PICTURES, ["body.1.0", "body.1.1.bn3"])
    expected = seen.sizes["body.1.1.bn3"] / seen.sizes["body.1.0"]
    assert torch.equal(branch_energy(seen, "body.1.0", "body.1.1.bn3"), expected)
    assert followed[0].steps[0].energy == pytest.approx(float(expected.median()))


def planted() -> Peaks:
    """Answers of the v2 network's layers in which channel 0 becomes pure, channel 1 stays, channel 2 changes wholly."""
    random = torch.Generator().manual_seed(0)
    names = ["body.0", "body.1", "body.2", "body.1.conv2", "body.2.conv2"]
    base = torch.randn(48, 8, generator=random)
    kinds = torch.arange(48) % 4
    values = {name: base.clone() for name in names}
    values["body.1"][:, 0] += 1.0 * (kinds == 2)
    values["body.2"][:, 0] += 6.0 * (kinds == 2)
    values["body.2"][:, 2] = -base[:, 2] + 9.0 * (kinds == 1)
    sizes = {name: torch.ones(8) for name in names}
    return Peaks(tuple(map(str, range(48))), tuple(f"kind {k}" for k in kinds), values, sizes)


def test_refined_channels_are_found() -> None:
    (one,) = refinements(planted(), streams(second_version()), k=5, draws=99)
    assert one.purities[-1, 0] == 1 > one.purities[0, 0]
    assert one.clearest(8) == [0]  # channel 2 becomes pure too, but its examples are other ones
    assert one.purities[0, 1] == one.purities[-1, 1]
    assert one.gain > 0


def test_likeness_is_the_mean_cosine_of_pairs() -> None:
    random = torch.Generator().manual_seed(5)
    answers, logits = torch.randn(20, 3, generator=random), torch.randn(20, 6, generator=random)
    found = likeness(answers, logits, 4)
    centred = logits - logits.mean(0)
    for channel in range(3):
        top = centred[answers[:, channel].argsort(descending=True)[:4]]
        cosines = [torch.cosine_similarity(top[i], top[j], 0) for i in range(4) for j in range(i)]
        assert found[channel] == pytest.approx(float(torch.stack(cosines).mean()), abs=1e-5)


def test_with_logits_what_counts_is_likeness(followed: list[Refinement]) -> None:
    (planted_one,) = refinements(planted(), streams(second_version()), k=5, draws=99)
    assert planted_one.alike is None
    assert torch.equal(planted_one.kinship, planted_one.purities)
    for one in followed:
        assert one.alike is not None
        assert torch.equal(one.kinship, one.alike)
        assert one.gain == pytest.approx(float((one.alike[-1] - one.alike[0]).mean()), abs=1e-6)


def test_rising_purity() -> None:
    assert rising(torch.full((10,), 0.5), 999)[1] < 0.01
    mean, p = rising(torch.tensor([0.2, -0.2, 0.1, -0.1]), 999)
    assert abs(mean) < 1e-7
    assert p > 0.3


def test_a_unit_through_its_stage_and_inside_its_branches() -> None:
    model = first_version()
    (stream, _) = streams(model)
    stops = follow_unit(model, PICTURES, "body.1.2:5", k=5)
    assert [stop.layer for stop in stops if stop.role in "abc"] == list(stream.layers)
    assert [stop.role for stop in stops][:6] == ["reduce", "spatial", "branch", "shortcut", "a", "reduce"]
    assert all(stop.channel == 5 for stop in stops if stop.role in ("a", "b", "c", "branch", "shortcut"))
    seen = peaks(model, PICTURES, layers_of(model, [stream], inner=True))
    reduce = stops[0]
    closest = rank_correlations(seen["body.1.0"][:, [5]], seen["body.1.0.relu#1"])[0]
    assert (reduce.layer, reduce.channel) == ("body.1.0.relu#1", int(closest.argmax()))
    assert reduce.rank == pytest.approx(float(closest.max()))
    b = next(stop for stop in stops if stop.role == "b")
    top = seen["body.1.1"][:, 5].sort(descending=True, stable=True).indices[:5]
    assert b.photos == tuple(seen.photos[int(i)] for i in top)
    assert b.overlap == int(overlaps(seen["body.1.0"], seen["body.1.1"], 5)[5, 5])
    added = [stop for stop in stops if stop.role == "branch"]
    assert added[0].energy == float(seen.sizes["body.1.0.bn3"][5] / seen.sizes["body.1.0.projection"][5])
    assert added[1].energy == float(seen.sizes["body.1.1.bn3"][5] / seen.sizes["body.1.0"][5])


def test_only_channels_of_a_stage_are_followed() -> None:
    with pytest.raises(BadUnitError, match="inside a branch"):
        follow_unit(first_version(), PICTURES, parse_unit("body.1.1.relu#1:0"))
    with pytest.raises(BadUnitError, match="out of range"):
        follow_unit(first_version(), PICTURES, parse_unit("body.1.1:12"))


def test_plain_networks() -> None:
    assert follow(plain(), PICTURES) == []
    with pytest.raises(BadNetworkError, match="no identity shortcuts"):
        follow(plain(), PICTURES, "body.0")
