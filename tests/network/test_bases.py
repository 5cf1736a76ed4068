"""Directions to compare with single channels: uniform, of their own, and orthonormal where they are a basis."""

import pytest
import torch

from retinoscope.base.errors import UnknownNameError
from retinoscope.network.bases import random_directions, rotation
from retinoscope.network.model import Model


def test_random_directions_are_unit_vectors_of_their_own(tiny: Model) -> None:
    some, more = random_directions(tiny, "conv3", 3), random_directions(tiny, "conv3", 5)
    assert some.shape == (3, 12)
    assert torch.equal(some, more[:3])
    assert torch.allclose(more.norm(dim=1), torch.ones(5))
    assert not torch.equal(some, random_directions(tiny, "conv3", 3, seed=1))
    many = random_directions(tiny, "conv3", 2000)
    assert many.mean(0).abs().max() < 0.03  # uniform: no axis is preferred
    assert torch.allclose(many.T @ many / 2000, torch.eye(12) / 12, atol=0.02)


def test_a_rotation_keeps_lengths_and_is_uniform() -> None:
    q = rotation(12, seed=3)
    assert torch.allclose(q @ q.T, torch.eye(12), atol=1e-5)
    assert not torch.equal(q, rotation(12, seed=4))
    many = torch.cat([rotation(6, seed) for seed in range(400)])
    assert many.mean(0).abs().max() < 0.03
    assert torch.allclose(many.T @ many / len(many), torch.eye(6) / 6, atol=0.02)


def test_a_wrong_layer_is_refused(tiny: Model) -> None:
    with pytest.raises(UnknownNameError, match="nearest"):
        random_directions(tiny, "conv9", 2)
