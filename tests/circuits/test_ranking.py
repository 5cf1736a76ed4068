"""Rankings equal brute force; planted networks' order is known; groups that are alike are told from chance."""

import math

import pytest
import torch
from torch import nn

from retinoscope.base.errors import BadInputError, BadUnitError
from retinoscope.circuits.expand import expand
from retinoscope.circuits.ranking import kinship, made_of, norms, ranked, used_by
from retinoscope.network.model import Model
from tests.circuits.networks import chain


def network() -> Model:
    layers = [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 10, 3, padding=1), nn.ReLU(), nn.Conv2d(10, 12, 3, padding=1)]
    return chain(*layers)


def test_ranking_is_that_of_norms_by_loops() -> None:
    weights = expand(network(), "body.1", "body.4")
    group = [1, 5, 6]
    brute = {
        unit: math.sqrt(sum(float(weights[unit, c, y, x]) ** 2 for c in group for y in range(5) for x in range(5)))
        for unit in range(12)
    }
    found = used_by(network(), [f"body.1:{channel}" for channel in group], "body.4")
    assert [link.unit.channel for link in found] == sorted(brute, key=lambda unit: -brute[unit])
    assert all(math.isclose(link.norm, brute[link.unit.channel]) for link in found)
    assert math.isclose(sum(link.share for link in found), 1)
    assert torch.allclose(found[0].kernels, weights[found[0].unit.channel, group])
    assert torch.allclose(norms(weights)[3, 4], weights[3, 4].square().sum().sqrt())


def test_what_a_unit_is_made_of() -> None:
    weights = expand(network(), "body.1", "body.4")
    found = made_of(network(), "body.4:7", "body.1", k=3)
    brute = sorted(range(8), key=lambda channel: -float(weights[7, channel].norm()))
    assert [link.unit.channel for link in found] == brute[:3]
    assert [str(link.unit) for link in found] == [f"body.1:{channel}" for channel in brute[:3]]
    best = weights[7, brute[0]]
    assert torch.allclose(found[0].kernels, best[None])
    assert math.isclose(found[0].sign, float(best.sum() / best.abs().sum()))
    assert math.isclose(found[0].share, float(best.square().sum() / weights[7].square().sum()))


def test_forwards_and_backwards_give_the_same_weights() -> None:
    """A few channels are run forwards, all of them backwards."""
    model = chain(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 40, 3, 2, 1), nn.Conv2d(40, 60, 1))
    whole = expand(model, "body.0", "body.3")
    assert torch.allclose(expand(model, "body.0", "body.3", channels=[2]), whole[:, [2]], atol=1e-13)
    some = expand(model, "body.0", "body.3", units=[59, 3], channels=[3, 0])
    assert torch.allclose(some, whole[[59, 3]][:, [3, 0]], atol=1e-13)


def test_equal_norms_are_ordered_by_number() -> None:
    links = ranked(torch.ones(4, 2, 3, 3), "layer")
    assert [link.unit.channel for link in links] == [0, 1, 2, 3]
    assert [link.sign for link in ranked(-torch.ones(1, 1, 3, 3), "layer")] == [-1]
    assert ranked(torch.zeros(2, 1, 1, 1), "layer")[0].share == 0


def planted() -> Model:
    """Eight units that look for opposite halves in eight directions, and units above that ignore the polarity.

    Unit 0 of the last layer weighs each direction and its opposite alike; unit 1 weighs them little; others are noise.
    """
    model = chain(nn.Conv2d(3, 2, 1), nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 6, 3, padding=1))
    angles = torch.arange(8, dtype=torch.float64) * math.pi / 4
    y, x = torch.meshgrid(torch.arange(3) - 1.0, torch.arange(3) - 1.0, indexing="ij")
    slopes = angles.sin()[:, None, None] * y + angles.cos()[:, None, None] * x
    model.module.get_submodule("body.1").weight.data.copy_(torch.stack([slopes, -slopes], 1))
    last = model.module.get_submodule("body.3").weight
    random = torch.Generator().manual_seed(3)
    half = torch.randn(6, 4, 3, 3, generator=random, dtype=torch.float64)
    last.data.copy_(0.3 * torch.cat([half, half], 1) + 0.02 * torch.randn(6, 8, 3, 3, generator=random))
    last.data[0] *= 5
    last.data[1] /= 10
    return model


def test_the_planted_user_comes_first() -> None:
    found = used_by(planted(), [f"body.2:{channel}" for channel in range(8)], "body.3")
    assert found[0].unit.channel == 0
    assert found[-1].unit.channel == 1
    assert found[0].share > 0.5


def test_outgoing_weights_ignore_a_polarity_that_incoming_ones_have() -> None:
    groups = [0, 1, 2, 3, 0, 1, 2, 3]  # by angle modulo 180 degrees
    outgoing = kinship(expand(planted(), "body.2", "body.3").transpose(0, 1).flatten(1), groups)
    incoming = kinship(expand(planted(), "body.0", "body.2").flatten(1), groups)
    assert outgoing.within > 0.98
    assert incoming.within < -0.98
    assert outgoing.p < 0.05
    assert incoming.p > 0.9
    assert abs(outgoing.random) < 0.3


def test_kinship_against_every_permutation() -> None:
    vectors = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    found = kinship(vectors, [0, 0, 1, 1], draws=400)
    pairs = [((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2))]
    means = [sum(float(unit[a] @ unit[b]) for a, b in pair) / 2 for pair in pairs]
    assert math.isclose(found.within, means[0], rel_tol=1e-5)
    assert math.isclose(found.random, sum(means) / 3, abs_tol=0.03)
    assert math.isclose(found.p, sum(mean >= means[0] - 1e-9 for mean in means) / 3, abs_tol=0.08)


def test_refusals() -> None:
    with pytest.raises(BadInputError, match=r"body\.1, body\.2"):
        made_of(network(), ["body.1:0", "body.2:0"], "body.0")
    with pytest.raises(BadUnitError, match="out of range"):
        used_by(network(), "body.1:8", "body.4")
    with pytest.raises(BadInputError, match="as many groups"):
        kinship(torch.ones(2, 2), [0])
    with pytest.raises(BadInputError, match="no group has two"):
        kinship(torch.ones(2, 2), [0, 1])
