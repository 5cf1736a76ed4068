"""Planted factors are found; errors respect the SVD; losses never rise; scikit-learn finds nothing better."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.decomposition import NMF
from torch import Tensor

from retinoscope.base.errors import BadInputError
from retinoscope.circuits.evidence import choose_k, matched
from retinoscope.circuits.factors import Factors, factorize, neuron_groups, semi_factorize
from retinoscope.circuits.nmf import at_random, from_svd, nonnegative, one_sided, svd_bounds
from retinoscope.tensor.random import generator

NOISE = 0.05


def planted(k: int = 2, noise: float = NOISE, units: int = 8, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, their channel factors (k, 40) and spatial ones (units, k, 5, 5).

    Two factors are mirrored in space, as of high-low frequency detectors in eight directions; others are random.
    """
    random = torch.Generator().manual_seed(seed)
    channels = torch.zeros(k, 40, dtype=torch.float64)
    for factor in range(k):
        channels[factor, factor * 10 : factor * 10 + 10] = 0.2 + torch.rand(10, generator=random, dtype=torch.float64)
    y, x = torch.meshgrid(torch.arange(5) - 2.0, torch.arange(5) - 2.0, indexing="ij")
    angles = (torch.arange(units) * 2 * math.pi / units)[:, None, None]
    slopes = (angles.sin() * y + angles.cos() * x) * torch.exp(-(x**2 + y**2) / 4)
    spatial = torch.stack([slopes, -slopes], 1) if k == 2 else torch.randn(units, k, 5, 5, generator=random)
    weights = torch.einsum("orhw,ri->oihw", spatial.double(), channels)
    weights /= weights.norm()
    speck = torch.randn(weights.shape, generator=random, dtype=torch.float64)
    return weights + noise * speck / speck.norm(), channels, spatial


def correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


@pytest.mark.parametrize("seed", [None, 0, 1, 2])
def test_planted_factors_are_found(seed: int | None) -> None:
    weights, channels, _ = planted()
    found = factorize(weights, 2, seed)
    assert float(matched(channels, found.channels).min()) >= 0.99
    assert correlation(found.spatial[:, 0], found.spatial[:, 1]) < -0.95
    # As near as the noise is far, or nearer: some of it is explained as well.
    assert 0.9 * NOISE < found.error < 1.02 * NOISE
    assert float(found.channels.min()) >= 0
    assert torch.allclose(found.channels.norm(dim=1), torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("k", [1, 3, 4])
def test_other_numbers_of_factors(k: int) -> None:
    weights, channels, spatial = planted(k)
    found = factorize(weights, k)
    assert float(matched(channels, found.channels).min()) >= 0.99
    cosines = torch.nn.functional.normalize(channels, dim=1) @ found.channels.T
    for planted_factor, partner in enumerate(cosines.argmax(1).tolist()):
        assert correlation(spatial[:, planted_factor], found.spatial[:, partner]) > 0.98


@pytest.mark.parametrize("solve", [factorize, semi_factorize])
def test_losses_never_rise_and_errors_respect_the_svd(solve: Callable[[Tensor, int], Factors]) -> None:
    weights = torch.randn(4, 12, 3, 3, generator=torch.Generator().manual_seed(1))
    flat = weights.permute(0, 2, 3, 1).reshape(-1, 12).double()
    strengths = torch.linalg.svdvals(flat)
    errors = []
    for k in range(1, 8):
        found = solve(weights, k)
        assert all(after <= before + 1e-12 for before, after in zip(found.losses, found.losses[1:], strict=False))
        assert found.error >= found.bound
        assert found.bound == pytest.approx(float(strengths[k:].norm() / flat.norm()))
        assert found.error == pytest.approx(float((weights - found.reconstruct()).norm() / weights.norm()), abs=1e-6)
        errors.append(found.error)
    assert errors == sorted(errors, reverse=True)


def test_semi_factors_come_nearer_but_are_not_unique() -> None:
    weights, channels, spatial = planted(noise=0)
    assert semi_factorize(weights, 2).error <= factorize(weights, 2).error + 1e-6
    # Opposite factors may both take on the same channels: nothing changes.
    more = channels + 0.5
    scale = float(weights.norm() / torch.einsum("orhw,ri->oihw", spatial.double(), channels).norm())
    assert torch.allclose(scale * torch.einsum("orhw,ri->oihw", spatial.double(), more), weights)
    random = torch.randn(5, 9, 3, 3, generator=torch.Generator().manual_seed(2))
    assert all(semi_factorize(random, k).error <= factorize(random, k).error for k in (1, 2, 4))


def test_the_order_of_units_does_not_matter() -> None:
    weights = torch.randn(6, 10, 3, 3, generator=torch.Generator().manual_seed(3))
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    for seed in (None, 4):
        one, other = factorize(weights, 3, seed), factorize(weights[order], 3, seed)
        assert torch.allclose(one.channels, other.channels, atol=1e-6)
        assert torch.allclose(one.spatial[order], other.spatial, atol=1e-6)


def test_a_change_of_sign_turns_the_spatial_factors_alone() -> None:
    weights, _, _ = planted()
    one, other = factorize(weights, 2), factorize(-weights, 2)
    places = [int(place) for place in (one.channels @ other.channels.T).argmax(1)]
    assert torch.allclose(one.channels, other.channels[places], atol=1e-4)
    assert torch.allclose(one.spatial, -other.spatial[:, places], atol=1e-4)


def test_mirrored_factors_are_of_rank_one_until_channels_may_not_be_negative() -> None:
    weights, _, _ = planted()
    one, two = factorize(weights, 1), factorize(weights, 2)
    assert one.bound < 1.02 * NOISE
    assert one.error > 0.6
    assert two.error < 1.02 * NOISE


def test_one_units_kernel_is_enough() -> None:
    weights, channels, _ = planted()
    assert float(matched(channels, factorize(weights[:1], 2).channels).min()) >= 0.98


def test_strongest_factor_first() -> None:
    weights, _, _ = planted(3)
    found = factorize(weights, 3)
    assert found.spatial.square().sum((0, 2, 3)).diff().max() <= 0
    (best, weight), *_ = found.top(0)
    assert best == int(found.channels[0].argmax())
    assert weight == float(found.channels[0].max())
    assert len(found.top(0, 7)) == 7


def test_no_worse_than_scikit_learn() -> None:
    """On the same stacked matrix, from its own start at 200 steps."""
    weights = torch.randn(8, 20, 3, 3, generator=torch.Generator().manual_seed(5))
    flat = weights.permute(0, 2, 3, 1).reshape(-1, 20).double().numpy()
    stacked = np.concatenate([np.maximum(flat, 0), np.maximum(-flat, 0)])
    size = np.linalg.norm(stacked)
    for k in (1, 2, 3):
        theirs = NMF(k, init="nndsvda", random_state=0, max_iter=10_000, tol=1e-6)
        amounts = theirs.fit_transform(stacked)
        error = np.linalg.norm(stacked - amounts @ theirs.components_) / size
        ours = nonnegative(stacked, from_svd(stacked, k))
        assert math.sqrt(ours.losses[-1]) / size < error + 2e-4
        left = np.linalg.norm(stacked - ours.amounts @ ours.factors) ** 2
        assert left == pytest.approx(ours.losses[-1])
        assert min(ours.amounts.min(), ours.factors.min()) >= 0


def test_exact_data_is_solved_to_the_end() -> None:
    random = np.random.default_rng(0)
    data = np.kron(np.eye(3), np.ones((6, 4))) * random.uniform(0.5, 1.5, (18, 1))
    for solve in (nonnegative, one_sided):
        assert solve(data, from_svd(data, 3)).losses[-1] < 1e-12 * (data**2).sum()
    assert svd_bounds(data, 5)[2:].max() < 1e-12
    assert at_random(4, 2, generator(0, "a")).shape == (2, 4)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_number_of_factors_is_found(k: int) -> None:
    weights, _, _ = planted(k, noise=0.2, seed=k)
    found = choose_k(weights, most=4, starts=3, shuffles=2)
    assert found.k == k
    assert [rank.k for rank in found.ranks] == [1, 2, 3, 4]
    assert all(rank.error >= rank.bound for rank in found.ranks)
    assert found.ranks[k - 1].stability > 0.99
    errors = [rank.error for rank in found.ranks]
    assert errors == sorted(errors, reverse=True)
    assert found.ranks[0].error == pytest.approx(factorize(weights, 1).error, abs=1e-6)


def test_noise_has_no_second_factor() -> None:
    noise = torch.randn(8, 30, 3, 3, generator=torch.Generator().manual_seed(6))
    assert choose_k(noise, most=3, starts=2).k == 1


def test_groups_of_neurons() -> None:
    random = torch.Generator().manual_seed(7)
    channels = torch.zeros(2, 12)
    channels[0, :5] = 0.3 + torch.rand(5, generator=random)
    channels[1, 7:] = 0.3 + torch.rand(5, generator=random)
    maps = torch.rand(3, 2, 4, 6, generator=random) * (torch.rand(3, 2, 4, 6, generator=random) > 0.5)
    found = neuron_groups(torch.einsum("bryx,rc->bcyx", maps, channels), 2)
    assert float(matched(channels, found.channels).min()) >= 0.99
    partners = (torch.nn.functional.normalize(channels, dim=1).double() @ found.channels.T).argmax(1).tolist()
    assert all(correlation(maps[:, a], found.maps[:, b]) > 0.99 for a, b in enumerate(partners))
    assert found.error < 0.01
    assert found.error >= found.bound - 1e-9
    assert float(found.maps.min()) >= 0


def test_refusals() -> None:
    weights = torch.randn(2, 5, 3, 3)
    for k in (0, 6):
        with pytest.raises(BadInputError, match="k must be from 1 to 5"):
            factorize(weights, k)
    with pytest.raises(BadInputError, match="not all 0"):
        factorize(torch.zeros(2, 5, 3, 3))
    with pytest.raises(BadInputError, match="finite"):
        factorize(torch.full((2, 5, 3, 3), math.nan))
    with pytest.raises(BadInputError, match="after its ReLU"):
        neuron_groups(torch.randn(1, 5, 3, 3), 2)
    with pytest.raises(BadInputError, match="k must be from 1 to 5"):
        neuron_groups(torch.rand(1, 5, 3, 3), 6)
