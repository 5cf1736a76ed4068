"""Families: planted detectors score, what only looks like them does not, and shuffled networks say what chance is."""

import math

import pytest
import torch

from retinoscope.base.errors import BadInputError, UnknownNameError
from retinoscope.image import stimuli
from retinoscope.network.model import Model
from retinoscope.network.shuffled import shuffled
from retinoscope.observe import families
from retinoscope.observe.families import FAMILIES, Found, find, scores, tail, without_polarity
from retinoscope.observe.tuning import tune
from tests.highlow import ANGLES, BOUNDARY, EDGE, HIGH, LOW, high_low

SMALL = families.Family(
    lambda: stimuli.frequency_pair(12, 3, 2), (lambda: stimuli.frequency(5, 2, 2, longest=43, shortest=2.7),)
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, "high-low-frequency", SMALL)  # type: ignore[arg-type]


def test_planted_detectors_score_far_above_what_only_looks_like_them() -> None:
    model = high_low()
    found, rival = (tune(model, "both", make()) for make in (SMALL.stimuli, *SMALL.rivals))
    one = scores(found, [rival])
    assert float(one.score[:8].min()) > 1.5
    for other in (HIGH, LOW, BOUNDARY, EDGE):
        assert float(one.score[other]) < 0.1 * float(one.score[:8].min()), other
    assert float(one.contrast[BOUNDARY]) > 1, "a boundary unit answers to the pair, in both directions"
    best = torch.cat((found.maps.flatten(1), rival.maps.flatten(1)), 1).double()
    by_hand = (found.maps[3].max() - rival.maps[3].max()).double() / best[3].std()
    assert float(one.contrast[3]) == pytest.approx(float(by_hand))


@pytest.mark.usefixtures("small")
def test_the_family_is_found_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "CHANCE", 0.02)  # of shuffled kernels between the same two maps some are detectors
    found = find(high_low(), "high-low-frequency", ["both"], draws=10)
    assert found.null["both"].shape == (120,)
    assert found.members.tolist() == [True] * 8 + [False] * 4
    kin = found.kin()
    assert {*kin.units} == {f"both:{unit}" for unit in range(8)}
    assert found.gap() < 90
    assert found.likeness() > 0.9
    angles = kin.preference().preferred
    wanted = torch.tensor([ANGLES[int(name.split(":")[1])] for name in kin.units])
    assert float(((angles - wanted + 180) % 360 - 180).abs().max()) < 2


def test_nothing_found(tiny: Model) -> None:
    tuning = tune(tiny, "conv2", stimuli.edge(4, 1))
    nothing = families.Scores(torch.zeros(12).double(), torch.zeros(12).double())
    found = Found("edge", tuning, nothing, torch.ones(12).double(), {"conv2": torch.zeros(3)})
    assert not found.members.any()
    assert len(found.kin()) == 0
    assert found.gap() == 360
    assert math.isnan(found.likeness())


def test_of_a_small_null_none_may_score_as_high(tiny: Model) -> None:
    tuning, null = tune(tiny, "conv2", stimuli.edge(4, 1)), torch.linspace(0, 1, 12).double()
    one = families.Scores(torch.linspace(0, 1.1, 12).double(), torch.ones(12).double())
    found = Found("edge", tuning, one, tail(one.score, null), {"conv2": null})
    assert found.members.tolist() == [False] * 11 + [True]


def test_tails_are_counts() -> None:
    null = torch.tensor([0.0, 1.0, 1.0, 3.0])
    assert tail(torch.tensor([4.0, 3.0, 1.0, 0.5, -1.0]), null).tolist() == pytest.approx([0.2, 0.4, 0.8, 0.8, 1.0])


def test_opposite_orientations_are_one_group() -> None:
    angles = torch.tensor([0.0, 180.0, 22.0, 23.0, 203.0, 90.0, 271.0, 359.0, 135.0]).double()
    assert without_polarity(angles).tolist() == [0, 0, 0, 1, 1, 2, 2, 0, 3]


def test_shuffled_kernels_keep_their_weights(tiny: Model) -> None:
    one, again, other = shuffled(tiny, 0), shuffled(tiny, 0), shuffled(tiny, 1)
    for name, before in tiny.module.state_dict().items():
        after = one.module.state_dict()[name]
        assert torch.equal(after, again.module.state_dict()[name])
        if before.ndim > 1:
            assert torch.equal(after.flatten(1).sort(1).values, before.flatten(1).sort(1).values)
            assert not torch.equal(after, before)
            assert not torch.equal(after, other.module.state_dict()[name])
        else:
            assert torch.equal(after, before)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_a_direction(name: str) -> None:
    family = FAMILIES[name]
    first = next(iter(family.stimuli().axes.items()))
    assert first[0] == "orientation"
    assert first[1].period in (180, 360)
    assert all(len(make()) for make in family.rivals)


def test_mistakes(tiny: Model) -> None:
    with pytest.raises(UnknownNameError, match="no family named 'curves'; nearest: curve"):
        find(tiny, "curves", ["conv2"])
    with pytest.raises(BadInputError, match="at least one shuffled network"):
        find(tiny, "edge", ["conv2"], draws=0)
