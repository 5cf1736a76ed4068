"""Curves against closed forms: directions, widths, harmonics, errors."""

import math

import pytest
import torch
from torch import Tensor

from retinoscope.base.axis import listed, ratios_apart, spaced, turns
from retinoscope.base.errors import BadInputError
from retinoscope.observe import curves


def bump(center: float, count: int = 72, period: float = 360.0) -> Tensor:
    """A rectified cosine around an angle, as one curve."""
    angles = torch.tensor(turns(count, period).values, dtype=torch.float64)
    return torch.cos((angles - center) * 2 * math.pi / period).clamp(min=0)[None]


@pytest.mark.parametrize("center", [0.0, 3.0, 200.0, 359.0])
def test_directions_of_rectified_cosines(center: float) -> None:
    axis = turns(72)
    found = float(curves.preferred(bump(center), axis))
    assert abs((found - center + 180) % 360 - 180) < 0.05
    assert float(curves.selectivity(bump(center), axis)) == pytest.approx(math.pi / 4, abs=1e-3)
    assert float(curves.width(bump(center), axis)) == pytest.approx(120, abs=0.3)


def test_tilts_come_around_at_their_own_period() -> None:
    axis = turns(18, 180)
    assert float(curves.preferred(bump(150, 18, 180), axis)) == pytest.approx(150)
    assert float(curves.width(bump(150, 18, 180), axis)) == pytest.approx(60, abs=1.0)


def test_harmonics_are_amplitudes() -> None:
    axis = turns(24)
    angles = torch.deg2rad(torch.tensor(axis.values, dtype=torch.float64))
    curve = (5 + 3 * torch.cos(angles - 1) + 2 * torch.sin(2 * angles) + 0.5 * torch.cos(4 * angles))[None]
    assert torch.allclose(curves.harmonics(curve, axis), torch.tensor([[3, 2, 0, 0.5]]).double(), atol=1e-12)
    assert curves.harmonics(curve[:, ::8], turns(3)).shape == (1, 4)


def test_tops_between_the_values() -> None:
    axis = ratios_apart(4, 32, 13, "px")
    places = torch.tensor(axis.places, dtype=torch.float64)
    curve = (10 - (places - math.log2(11.0)).square())[None]
    assert float(curves.preferred(curve, axis)) == pytest.approx(11)
    down = ratios_apart(32, 4, 13, "px")
    assert float(curves.preferred(curve.flip(1), down)) == pytest.approx(11)
    assert float(curves.preferred(torch.tensor([[0.0, 1, 2]]), spaced(0, 2, 3))) == 2, "the end of an axis"
    assert float(curves.preferred(torch.tensor([[3.0, 1]]), listed([5, 6]))) == 5


def test_widths_of_triangles() -> None:
    curve = torch.tensor([[0.0, 1, 2, 3, 4, 3, 2, 1, 0]])
    assert float(curves.width(curve, spaced(0, 8, 9))) == 4
    assert float(curves.width(curve, ratios_apart(1, 256, 9))) == pytest.approx(4), "in octaves"
    assert float(curves.width(curve.flip(1), ratios_apart(256, 1, 9))) == pytest.approx(4)
    assert float(curves.width(torch.tensor([[4.0, 4, 4]]), spaced(0, 8, 3))) == 8, "never falls: to the axis's ends"


def test_sparseness() -> None:
    axis = spaced(0, 1, 5)
    one, flat = torch.tensor([[0.0, 0, 7, 0, 0]]), torch.ones(1, 5)
    assert float(curves.selectivity(one, axis)) == pytest.approx(1)
    assert float(curves.selectivity(flat, axis)) == pytest.approx(0)


def test_no_answer_is_no_number() -> None:
    silent = torch.zeros(1, 8)
    for axis in (turns(8), spaced(0, 1, 8)):
        for measure in (curves.preferred, curves.selectivity, curves.width):
            assert math.isnan(float(measure(silent, axis))), measure.__name__


def test_errors_of_angles_are_the_jackknife() -> None:
    axis = turns(36)
    variants = torch.stack([bump(90 + shift, 36)[0] for shift in (-6, 2, 1, 3)], 1)[None]
    whole = float(curves.preferred(variants.sum(2), axis))
    less = [float(curves.preferred(variants.sum(2) - variants[:, :, one], axis)) - whole for one in range(4)]
    assert float(curves.angle_error(variants, axis)) == pytest.approx(math.sqrt(3 / 4 * sum(one**2 for one in less)))
    assert float(curves.angle_error(variants[:, :, :1].expand(-1, -1, 3), axis)) == pytest.approx(0, abs=1e-6)
    assert math.isnan(float(curves.angle_error(variants[:, :, :1], axis)))


def test_errors_of_places() -> None:
    axis = spaced(0, 10, 11)
    places = torch.tensor(axis.values)
    variants = torch.stack([50 - (places - top).square() for top in (4.0, 5.0, 6.0)], 1)[None]
    less = [5.5, 5.0, 4.5]
    assert float(curves.place_error(variants, axis)) == pytest.approx(
        math.sqrt(2 / 3 * sum((x - 5) ** 2 for x in less))
    )
    assert math.isnan(float(curves.place_error(variants[:, :, :1], axis)))


def test_reliability_is_the_mean_correlation() -> None:
    maps = torch.rand(2, 30, 4, generator=torch.Generator().manual_seed(0)).double()
    slow = torch.stack([torch.corrcoef(one.T) for one in maps])
    pairs = [slow[:, a, b] for a in range(4) for b in range(a)]
    assert torch.allclose(curves.reliability(maps), torch.stack(pairs).mean(0))
    assert bool(curves.reliability(maps[:, :, :1]).isnan().all())


def test_aligned_curves_of_a_family_are_alike() -> None:
    axis, angles = turns(24), torch.tensor([0.0, 41.0, 100.0, 222.0, 333.0])
    family = torch.cat([1 + torch.cos(torch.deg2rad(torch.tensor(axis.values) - float(a)))[None] for a in angles])
    turned = curves.aligned(family, angles, axis)
    assert torch.allclose(turned, turned[:1].expand_as(turned), atol=1e-6)
    assert curves.likeness(turned) == pytest.approx(1)
    assert curves.likeness(family) < 0.5
    whole = curves.aligned(torch.rand(1, 24), torch.tensor([30.0]), axis)
    shifted = torch.rand(1, 24)
    assert torch.allclose(curves.aligned(shifted, torch.tensor([30.0]), axis), shifted.roll(-2, 1).double(), atol=1e-6)
    assert whole.shape == (1, 24)
    assert math.isnan(curves.likeness(turned[:1]))


def test_gaps_between_angles() -> None:
    assert curves.largest_gap(torch.tensor([350.0, 10.0, 100.0])) == 250
    assert curves.largest_gap(torch.tensor([0.0, 90.0, 180.0, 270.0])) == 90
    assert curves.largest_gap(torch.tensor([7.0])) == 360
    assert curves.largest_gap(torch.tensor([])) == 360
    assert curves.largest_gap(torch.tensor([10.0, 170.0]), 180) == 160


def test_only_what_comes_around_has_directions() -> None:
    with pytest.raises(BadInputError, match="comes around"):
        curves.harmonics(torch.rand(1, 4), spaced(0, 1, 4))
