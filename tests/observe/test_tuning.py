"""tune: planted detectors are found at their angles; answers are those of the network, one by one."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from retinoscope.base.errors import BadInputError, BadUnitError, StoreError, UnknownNameError
from retinoscope.image import stimuli
from retinoscope.image.stimuli.grid import Grid
from retinoscope.image.stimuli.sweep import Sweep
from retinoscope.network.model import Model
from retinoscope.network.record import record
from retinoscope.network.zoo import wrap
from retinoscope.observe import curves
from retinoscope.observe.aim import aims
from retinoscope.observe.curves import largest
from retinoscope.observe.tuning import Tuning, tune
from tests.highlow import ANGLES, BOUNDARY, HIGH, LOW, high_low

DETECTORS = [f"both:{unit}" for unit in range(8)]


@pytest.fixture(scope="module")
def planted() -> Tuning:
    """The planted detectors' answers to frequency pairs."""
    return tune(high_low(), "both", stimuli.frequency_pair(orientations=24, ratios=4, phase=2))


def apart(a: Tensor, b: Tensor) -> Tensor:
    return ((a - b + 180) % 360 - 180).abs()


def test_planted_detectors_are_found_at_their_angles(planted: Tuning) -> None:
    found = planted.select(DETECTORS).preference()
    assert float(apart(found.preferred, torch.tensor(ANGLES)).max()) < 1
    assert torch.allclose(found.selectivity, torch.tensor(math.pi / 4).double(), atol=0.02), "a rectified cosine's"
    assert torch.allclose(found.width, torch.tensor(120.0).double(), atol=6)
    assert float(found.error.max()) < 1
    assert float(found.reliability.min()) > 0.95
    cosine = 1 / (1 + 4 / (3 * math.pi))  # a rectified cosine's first two harmonics are 1/2 and 2/3pi
    assert torch.allclose(found.directionality, torch.tensor(cosine).double(), atol=0.03)
    best = planted.select(DETECTORS).preference(reduce=largest)
    assert float(apart(best.preferred, torch.tensor(ANGLES)).max()) < 1


def test_planted_detectors_see_nothing_at_ratio_one_nor_the_other_way_round(planted: Tuning) -> None:
    maps = planted.select(DETECTORS).maps
    top = maps.flatten(1).amax(1)
    assert float((maps[:, :, 0].amax(1) / top).max()) < 0.01
    for unit, degrees in enumerate(ANGLES):
        opposite = round((degrees + 180) / 15) % 24
        assert float(maps[unit, opposite].max() / top[unit]) < 0.01


def test_units_that_only_look_like_detectors(planted: Tuning) -> None:
    found = planted.preference()
    assert float(found.directionality[BOUNDARY]) < 0.05, "either side may be high"
    assert float(found.harmonics[BOUNDARY, 1]) > 0.3 * float(planted.maps[BOUNDARY].mean())
    assert float(found.selectivity[[HIGH, LOW]].max()) < 0.05


def test_a_family_is_one_curve_turned(planted: Tuning) -> None:
    family = planted.select(DETECTORS)
    found, axis = family.preference(), planted.axes["orientation"]
    turned = curves.aligned(family.curves(), found.preferred, axis)
    assert curves.likeness(turned) > 0.98
    assert curves.largest_gap(found.preferred) < 90
    assert curves.likeness(family.curves()) < 0.5


def test_wrong_stimuli_fail() -> None:
    """Textures that do not turn with the border would still do here; swapped sides and radians would not."""
    good = stimuli.frequency_pair(orientations=12, ratios=2, phase=1)

    def swapped(grid: Grid, orientation: Tensor, ratio: Tensor, phase: Tensor) -> Tensor:
        return good.draw(grid, orientation=orientation + 180, ratio=ratio, phase=phase)

    def radians(grid: Grid, orientation: Tensor, ratio: Tensor, phase: Tensor) -> Tensor:
        return good.draw(grid, orientation=torch.deg2rad(orientation), ratio=ratio, phase=phase)

    for wrong in (swapped, radians):
        found = tune(high_low(), DETECTORS, Sweep("wrong", wrong, good.axes, good.over)).preference()
        assert float(apart(found.preferred, torch.tensor(ANGLES)).nan_to_num(180).max()) > 90


def test_answers_are_those_of_the_network_one_by_one(tiny: Model) -> None:
    sweep = stimuli.curve(3, 2)
    found = tune(tiny, ["conv2:3", "depthwise:0-2", "conv2:1"], sweep, batch=5)
    assert found.units == ("conv2:3", "depthwise:0", "depthwise:1", "depthwise:2", "conv2:1")
    assert found.values.shape == (5, 3, 2, 2)
    for aim in aims(tiny, [tiny.layers[name] for name in ("conv2", "depthwise")]):
        for name, (y, x) in aim.positions.items():
            grid = Grid.around(tiny.input_size, aim.point)
            with torch.no_grad(), record(tiny, [name]) as trace:
                for row, unit in enumerate(found.units):
                    layer, channel = unit.split(":")
                    if layer != name:
                        continue
                    for place, numbers in enumerate(sweep.rows()):
                        tiny(sweep.images(grid, numbers[None]))
                        alone = float(trace[name][0, int(channel), y, x])
                        assert float(found.values[row].flatten()[place]) == pytest.approx(alone, abs=1e-4)
                    tiny(torch.full((1, 3, 32, 32), 0.5))
                    assert float(found.blank[row]) == pytest.approx(float(trace[name][0, int(channel), y, x]), abs=1e-4)


def test_readings(tiny: Model) -> None:
    sweep = stimuli.edge(4, 1)
    (images,) = sweep.batches((32, 32), 4)
    with torch.no_grad(), record(tiny, ["conv2"]) as trace:
        tiny(images)
        maps = trace["conv2"].clone()
    for reading, expected in (("mean", maps.mean((2, 3))), ("peak", maps.amax((2, 3)))):
        found = tune(tiny, "conv2", sweep, reading)
        assert torch.allclose(found.values[:, :, 0].T, expected, atol=1e-5)
        assert found.reading == reading


def test_batches_do_not_matter_and_hooks_are_gone(tiny: Model) -> None:
    sweep = stimuli.grating(3, 2)
    one, other = (tune(tiny, "conv2", sweep, batch=batch) for batch in (1, 7))
    assert torch.allclose(one.values, other.values, atol=1e-5)


def test_measured_points_can_be_given(tiny: Model) -> None:
    sweep = stimuli.edge(4, 1)
    points = aims(tiny, [tiny.layers["conv2"], tiny.layers["depthwise"]])
    assert torch.allclose(
        tune(tiny, "conv2", sweep, aimed=points).values,
        tune(tiny, ["depthwise", "conv2"], sweep, aimed=points).select("conv2").values,
    )


def test_points_must_be_for_the_layers(tiny: Model) -> None:
    points = aims(tiny, [tiny.layers["depthwise"]])
    with pytest.raises(BadInputError, match="not for conv2; measure them"):
        tune(tiny, ["conv2", "depthwise"], stimuli.edge(2, 1), aimed=points)


def test_mixtures(planted: Tuning) -> None:
    weights = torch.rand(2, len(planted))
    mixed = planted.mix(weights, ["a", "b"])
    assert mixed.units == ("a", "b")
    assert torch.allclose(mixed.map("b"), torch.einsum("n,nac->ac", weights[1], planted.maps), atol=1e-5)
    assert torch.allclose(mixed.blank, weights @ planted.blank)
    with pytest.raises(BadInputError, match=r"weights must be \(1, 12\); came \(2, 12\)"):
        planted.mix(weights, ["a"])


def test_curves_and_maps(planted: Tuning) -> None:
    assert planted.maps.shape == (12, 24, 4)
    assert torch.equal(planted.map("both:3"), planted.values[3].mean(-1))
    assert torch.allclose(planted.curve("both:3"), planted.values[3].mean((1, 2)))
    assert torch.allclose(planted.curve("both:3", "ratio", largest), planted.map("both:3").amax(0))
    ratio = planted.preference("ratio")
    assert ratio.harmonics.shape == (12, 0)
    assert bool((ratio.preferred[:8] > 2).all())


def test_selection(planted: Tuning) -> None:
    assert planted.select("both").units == planted.units
    assert planted.select(["both:7", "both:2"]).units == ("both:7", "both:2")
    with pytest.raises(UnknownNameError, match="no tuned unit named 'both:77'; nearest"):
        planted.select("both:77")
    with pytest.raises(UnknownNameError, match="no axis of frequency_pair named 'angle'"):
        planted.curves("angle")
    assert repr(planted) == (
        "Tuning(12 units of high-low to frequency_pair, 24 orientation x 4 ratio: both:0, both:1, both:2, ...)"
    )


def test_saved_and_loaded(planted: Tuning, tmp_path: Path) -> None:
    again = Tuning.load(planted.save(tmp_path / "deep" / "tuning.npz"))
    assert torch.equal(again.values, planted.values)
    assert (again.axes, again.over, again.units) == (planted.axes, planted.over, planted.units)
    assert torch.equal(again.pictures["ratio"], planted.pictures["ratio"])
    assert again.pictures["orientation"].shape == (24, 96, 96, 3)
    (tmp_path / "bad.npz").write_bytes(b"no")
    for name in ("bad.npz", "none.npz"):
        with pytest.raises(StoreError, match="holds no tuning"):
            Tuning.load(tmp_path / name)


def test_figures(planted: Tuning, tmp_path: Path) -> None:
    few = planted.select(["both:0", "both:9"])
    assert few.save(tmp_path / "few.svg").read_text().count("<image") == 2
    assert len(few.radial().axes) == 1
    assert planted.select("both:0")._repr_png_()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("units", "error", "told"),
    [
        ("conv2:0@1,2", BadUnitError, "ask for 'conv2:0' without a position"),
        ("conv2:12", BadUnitError, "channels 0 to 11"),
        ("conv9:0", UnknownNameError, "no layer named 'conv9'"),
        ([], BadUnitError, "at least one unit"),
    ],
)
def test_wrong_units(tiny: Model, units: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        tune(tiny, units, stimuli.edge(2, 1))


def test_wrong_readings_and_broken_networks(tiny: Model) -> None:
    with pytest.raises(UnknownNameError, match="no reading named 'centre'; nearest: center"):
        tune(tiny, "conv2", stimuli.edge(2, 1), "centre")
    module = nn.Sequential(nn.Conv2d(3, 2, 3))
    nn.init.constant_(module[0].bias, math.nan)
    with pytest.raises(BadInputError, match="NaN or infinite"):
        tune(wrap(module.eval(), input_size=16), "0", stimuli.edge(2, 1))
