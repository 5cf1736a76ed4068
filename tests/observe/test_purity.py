"""Purity against a count by hand, and basis against random directions where features are planted on the axes."""

from collections import Counter

import pytest
import torch

from retinoscope.network.bases import rotation
from retinoscope.observe.purity import bootstrap, purity

CHANNELS, CONCEPTS, PHOTOS = 24, 24, 600


def planted() -> tuple[torch.Tensor, torch.Tensor]:
    """Answers (n, c) in which channel c stands for concept c alone, over a little noise; and each photo's concept."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(CONCEPTS, (PHOTOS,), generator=draw)
    strength = 0.5 + torch.rand(PHOTOS, 1, generator=draw)
    answers = strength * torch.eye(CONCEPTS)[labels] + 0.1 * torch.randn(PHOTOS, CHANNELS, generator=draw)
    return answers, labels


def unit_vectors(count: int, seed: int) -> torch.Tensor:
    v = torch.randn(count, CHANNELS, generator=torch.Generator().manual_seed(seed))
    return v / v.norm(dim=1, keepdim=True)


def test_purity_is_the_share_of_the_commonest_label() -> None:
    answers = torch.randn(50, 6, generator=torch.Generator().manual_seed(1))
    labels = torch.randint(4, (50,), generator=torch.Generator().manual_seed(2))
    for k in (1, 9):
        for channel, value in enumerate(purity(answers, labels, k).tolist()):
            top = answers[:, channel].argsort(descending=True)[:k]
            assert value == pytest.approx(Counter(labels[top].tolist()).most_common(1)[0][1] / k)


def test_the_basis_is_purer_where_features_lie_on_it_and_not_after_a_rotation() -> None:
    answers, labels = planted()
    directions = unit_vectors(200, 3)
    basis, at_random = purity(answers, labels), purity(answers @ directions.T, labels)
    assert bootstrap(basis)[1] > bootstrap(at_random)[2]  # the intervals do not meet
    # Rotations make the basis a set of random directions: equal within the interval of the difference.
    turned = torch.cat([purity(answers @ rotation(CHANNELS, seed).T, labels) for seed in range(10)])
    low, high = bootstrap(turned)[1] - bootstrap(at_random)[2], bootstrap(turned)[2] - bootstrap(at_random)[1]
    assert low < 0 < high
    assert turned.mean() < basis.mean() - 0.2


def test_a_bootstrap_interval_has_the_normal_width() -> None:
    values = torch.randn(400, generator=torch.Generator().manual_seed(4))
    mean, low, high = bootstrap(values)
    assert mean == pytest.approx(float(values.mean()))
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.15)
    assert low < mean < high
