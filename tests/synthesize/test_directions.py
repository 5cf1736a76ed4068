"""Directions at a position, on a block, and at random, against slow code and closed forms."""

import pytest
import torch
from torch import Tensor

from retinoscope.base.errors import BadInputError, BadUnitError
from retinoscope.network.bases import rotation
from retinoscope.network.model import Layer, Model, ReceptiveField
from retinoscope.network.record import Trace
from retinoscope.synthesize.directions import direction_cossim, direction_neuron, tensor_direction
from retinoscope.synthesize.objectives import channel, direction, neuron
from retinoscope.synthesize.render import render

V = torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0])


def trace() -> Trace:
    field = ReceptiveField((3, 3), (1, 1), (1, 1))
    values = torch.randn(2, 5, 4, 6, generator=torch.Generator().manual_seed(0))
    return Trace({"a": Layer("a", "a", 1, 0, "Conv2d", 5, (4, 6), field, 0.5)}, {"a": values})


def slow(a: Tensor, v: Tensor, power: float) -> float:
    cosine = float(a @ v) / (float(a.norm() * v.norm()) + 1e-4)
    return float(a @ v) * (max(0.1, cosine) ** power if power else 1)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_a_direction_at_a_position_in_slow_code(power: float) -> None:
    t = trace()
    ours = direction_neuron("a", V, 1, 5, power)(t)
    assert ours.tolist() == pytest.approx([slow(t["a"][b, :, 1, 5], V, power) for b in range(2)], abs=1e-5)
    centre = direction_neuron("a", V, power=power)(t)
    assert centre.tolist() == pytest.approx([slow(t["a"][b, :, 2, 3], V, power) for b in range(2)], abs=1e-5)


def test_a_basis_vector_at_a_position_is_its_neuron() -> None:
    t = trace()
    for k in range(5):
        assert torch.allclose(direction_neuron("a", torch.eye(5)[k], 3, 0)(t), neuron("a", k, 3, 0)(t))


@pytest.mark.parametrize("power", [0.0, 2.0])
@pytest.mark.parametrize("size", [(4, 6), (2, 3), (1, 1)])
def test_a_block_lies_on_the_centre(size: tuple[int, int], power: float) -> None:
    t = trace()
    block = torch.randn(5, *size, generator=torch.Generator().manual_seed(1))
    top, left = (4 - size[0]) // 2, (6 - size[1]) // 2
    places = [(y, x) for y in range(size[0]) for x in range(size[1])]
    expected = [
        sum(slow(t["a"][b, :, top + y, left + x], block[:, y, x], power) for y, x in places) / len(places)
        for b in range(2)
    ]
    assert tensor_direction("a", block, power)(t).tolist() == pytest.approx(expected, abs=1e-5)


def test_a_uniform_block_is_the_direction() -> None:
    t = trace()
    block = V[:, None, None].expand(5, 4, 6)
    assert torch.allclose(tensor_direction("a", block, 1.0)(t), direction("a", V, power=1.0)(t), atol=1e-6)


def test_cossim_is_the_mean_cosine_whatever_the_length() -> None:
    t = trace()
    expected = [
        sum(float(torch.cosine_similarity(t["a"][b, :, y, x], V, dim=0)) for y in range(4) for x in range(6)) / 24
        for b in range(2)
    ]
    assert direction_cossim("a", V)(t).tolist() == pytest.approx(expected, abs=1e-3)
    assert torch.allclose(direction_cossim("a", 10 * V)(t), direction_cossim("a", V)(t), atol=1e-3)


def test_directions_of_a_layer_are_rendered_beside_its_channels(tiny: Model) -> None:
    out = render(tiny, [direction("conv3", torch.eye(12)[2]), channel("conv3", 2)], size=32, steps=1)
    assert out.scores.shape == (2,)
    assert render(tiny, [direction("conv3", v) for v in rotation(12)[:2]], size=32, steps=2).scores.isfinite().all()


def test_wrong_requests_are_refused() -> None:
    t = trace()
    with pytest.raises(BadUnitError, match="5 values; came 2"):
        direction_neuron("a", [1.0, 2.0])(t)
    with pytest.raises(BadUnitError, match=r"\(4, 0\) is outside a's map, which is 4 x 6"):
        direction_neuron("a", V, 4, 0)(t)
    with pytest.raises(BadInputError, match="larger than a's map, which is 4 x 6"):
        tensor_direction("a", torch.ones(5, 5, 5))(t)
    with pytest.raises(BadInputError, match=r"must be \(c, y, x\)"):
        tensor_direction("a", V)
