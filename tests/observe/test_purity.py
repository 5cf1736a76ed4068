"""Purity against a count by hand, and basis against random directions where features are planted on the axes."""

from collections import Counter

import pytest
import torch

from retinoscope.network.bases import rotation
from retinoscope.observe.purity import bootstrap, bootstrap_difference, purity

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


def test_equal_answers_are_ranked_at_random() -> None:
    """A saturated unit's top photos are any photos, and not the first, which may well share a label."""
    labels, counts = torch.arange(600) // 25, []
    draw = torch.Generator().manual_seed(6)
    for _ in range(2000):
        counts.append(labels[torch.randperm(600, generator=draw)[:9]].bincount().max().item() / 9)
    found = purity(torch.full((600, 2000), 6.0), labels)
    mean, low, high = bootstrap(found, level=0.99)
    assert low < sum(counts) / 2000 < high
    assert mean < 0.3
    answers = torch.cat([torch.full((600, 1), 6.0), torch.arange(600.0)[:, None]], 1)
    assert purity(answers, labels)[1] == 1, "and what is not equal keeps its rank"


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


def test_a_difference_has_the_interval_of_both_samples() -> None:
    draw = torch.Generator().manual_seed(7)
    first, second = 1 + torch.randn(400, generator=draw), 2 * torch.randn(900, generator=draw)
    mean, low, high = bootstrap_difference(first, second)
    assert mean == pytest.approx(float(first.mean() - second.mean()))
    assert high - low == pytest.approx(2 * 1.96 * (1 / 400 + 4 / 900) ** 0.5, rel=0.15)
    assert low < 1 < high
