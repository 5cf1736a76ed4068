"""Correspondence: overlaps are set intersections, planted permutations and duplicates are found, chance is chance."""

import math

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor

from retinoscope.base.errors import BadInputError, UnknownNameError
from retinoscope.network.model import Model
from retinoscope.observe.correspondence import (
    against_random,
    alive,
    correspond,
    corresponding,
    exciting,
    overlaps,
    pairing,
    rank_correlations,
    same_index,
)
from tests.observe.photos import Pictures


def answers(n: int, c: int, seed: int = 0) -> Tensor:
    return torch.randn(n, c, generator=torch.Generator().manual_seed(seed))


def test_overlaps_are_set_intersections() -> None:
    a, b = answers(40, 6), answers(40, 5, 1).relu()
    sets_a, sets_b = ([set(column.argsort(descending=True)[:9].tolist()) for column in x.T] for x in (a, b))
    expected = [[len(one & other) for other in sets_b] for one in sets_a]
    assert overlaps(a, b, 9).tolist() == expected


def test_identical_layers_share_all_examples() -> None:
    a = answers(60, 12)
    assert overlaps(a, a, 9).diag().tolist() == [9] * 12


def test_equal_answers_keep_the_earlier_photo_and_silence_excites_nothing() -> None:
    a = torch.tensor([[1.0, 0], [2, 0], [1, 0], [0, 0]])
    assert exciting(a, 2).T.tolist() == [[True, True, False, False], [False] * 4]
    few = torch.tensor([[0.0], [3], [0], [0]])
    assert exciting(few, 3).sum() == 1  # the ties at zero are no examples
    assert overlaps(torch.zeros(9, 2), torch.zeros(9, 2), 3).sum() == 0


@pytest.mark.parametrize("k", [0, 4, 9])
def test_as_many_examples_as_photos_are_refused(k: int) -> None:
    with pytest.raises(BadInputError, match="k must be from 1 to 3"):
        exciting(answers(4, 2), k)


def test_rank_correlations_are_spearmans() -> None:
    a, b = answers(30, 4).relu(), answers(30, 3, 1)
    found = rank_correlations(a, b)
    for i in range(4):
        for j in range(3):
            assert math.isclose(float(found[i, j]), spearmanr(a[:, i], b[:, j]).statistic, abs_tol=1e-6)
    assert rank_correlations(torch.ones(30, 1), b).abs().max() == 0


def test_a_planted_permutation_is_recovered_completely() -> None:
    a = answers(120, 48)
    order = torch.randperm(48, generator=torch.Generator().manual_seed(3))
    found = corresponding(a, (a * 3 - 1)[:, order].exp(), draws=19)
    assert {match.a: match.b for match in found.one_to_one()} == {int(i): b for b, i in enumerate(order)}
    for match in found.one_to_one():
        assert (match.overlap, round(match.rank, 5), match.p_rank, match.p_overlap) == (9, 1, 0.05, 0.05)
        assert [m.b for m in found.one_to_many(match.a)] == [match.b]
        assert found.best(match.a) == match


def test_a_duplicated_channel_gives_two_matches() -> None:
    a = answers(120, 10)
    b = torch.cat([a, 2 * a[:, [4]]], 1)
    found = corresponding(a, b)
    assert [m.b for m in found.one_to_many(4)] == [4, 10]
    assert all(len(found.one_to_many(unit)) == 1 for unit in range(10) if unit != 4)


def test_unrelated_layers_match_as_often_as_chance() -> None:
    a, b = answers(200, 40), answers(200, 40, 1)
    found = corresponding(a, b)
    p = torch.tensor([found.match(i, int(found.rank[i].argmax())).p_rank for i in range(40)])
    assert (p <= 0.05).float().mean() < 0.2
    assert abs(float(p.mean()) - 0.5) < 0.2  # uniform
    pair = 1 - sum(math.comb(9, i) * math.comb(191, 9 - i) for i in (0, 1)) / math.comb(200, 9)
    assert abs(float(found.chance_pairs.float().mean()) - 1600 * pair) < 8  # hypergeometric
    assert abs(found.pairs(2) - 1600 * pair) < 40


def test_shuffles_keep_how_units_go_together() -> None:
    a = answers(50, 3)
    found = corresponding(a, a[:, [0, 0, 0]], draws=30)
    single = corresponding(a, a[:, [0]], draws=30)
    assert torch.allclose(found.chance_rank, single.chance_rank, atol=1e-6)


def test_different_photos_are_refused() -> None:
    with pytest.raises(BadInputError, match="same photos; came 5 and 6"):
        corresponding(answers(5, 2), answers(6, 2))


def test_the_same_channel_against_random_ones() -> None:
    scores = torch.eye(20)
    found = against_random(scores, same_index(20), torch.arange(20), draws=999)
    assert (found.observed, found.p, found.pairs) == (1, 0.001, 20)
    assert abs(found.random - 1 / 20) < 0.01
    shifted = pairing([(i, i + 2) for i in range(18)])
    assert against_random(scores, shifted, torch.arange(20)).observed == 0
    assert against_random(scores.roll(2, 1), shifted, torch.arange(20)).p == 0.001


def test_p_values_of_nothing_are_uniform() -> None:
    p = torch.tensor([
        against_random(answers(30, 30, seed), same_index(30), torch.arange(30), 99).p for seed in range(60)
    ])  # fmt: skip
    assert 0.35 < float(p.mean()) < 0.65
    assert float((p <= 0.1).float().mean()) < 0.25


def test_no_pairs() -> None:
    found = against_random(torch.eye(3), pairing([]), torch.arange(3))
    assert found.pairs == 0
    assert math.isnan(found.p)


def test_dead_channels_are_known() -> None:
    assert alive(torch.tensor([[0.0, 1], [0, 2]])).tolist() == [False, True]


def test_correspond_on_a_network(tiny: Model) -> None:
    found = correspond(tiny, Pictures(20, 32), "conv2", "conv3", k=3, draws=9)
    assert found.overlap.shape == found.rank.shape == (12, 12)
    assert (found.layers, found.photos, found.k) == (("conv2", "conv3"), 20, 3)
    with pytest.raises(UnknownNameError):
        correspond(tiny, Pictures(20, 32), "conv2", "conv9")
