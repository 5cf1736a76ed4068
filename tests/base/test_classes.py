"""Classes of examples against slow counts: every draw of a few photos, scipy's distribution, and rows one by one."""

import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import entropy as scipy_entropy
from scipy.stats import hypergeom

from retinoscope.base.classes import LEVEL, Census, chance, classes, entropy
from retinoscope.observe.purity import purity


@pytest.mark.parametrize(("photos", "whole", "drawn"), [(7, 3, 3), (8, 2, 5), (6, 6, 2), (5, 0, 2), (6, 4, 6)])
def test_chance_is_the_share_of_all_draws(photos: int, whole: int, drawn: int) -> None:
    hits = [sum(photo < whole for photo in draw) for draw in combinations(range(photos), drawn)]
    for count in range(drawn + 1):
        assert chance(photos, whole, drawn, count) == pytest.approx(sum(hit >= count for hit in hits) / len(hits))


@pytest.mark.parametrize(
    ("photos", "whole", "drawn"), [(50_000, 50, 9), (700, 30, 9), (1_281_167, 1300, 100), (60, 40, 20)]
)
def test_chance_is_the_tail_of_the_hypergeometric_distribution(photos: int, whole: int, drawn: int) -> None:
    for count in (0, 1, 2, 5, min(9, drawn)):
        expected = hypergeom.sf(count - 1, photos, whole, drawn)
        assert chance(photos, whole, drawn, count) == pytest.approx(expected, rel=1e-6, abs=1e-300)


def test_counts_equal_those_of_the_rows() -> None:
    draw = np.random.default_rng(0)
    labels = [f"class {place}" for place in draw.integers(0, 5, 200)]
    answers = draw.normal(size=200)
    census = Census(200, Counter(labels))
    order = np.argsort(-answers)[:9]
    found = classes([(labels[place], float(answers[place])) for place in order], census)
    assert sorted(row.label for row in found.rows) == sorted({labels[place] for place in order})
    for row in found.rows:
        own = [place for place in order if labels[place] == row.label]
        assert (row.count, row.share) == (len(own), len(own) / 9)
        assert row.base == labels.count(row.label) / 200
        assert row.lift == pytest.approx(row.share / row.base)
        assert row.p == pytest.approx(hypergeom.sf(len(own) - 1, 200, labels.count(row.label), 9))
        assert row.strongest == answers[own].max()
        assert order[row.place - 1] == own[int(np.argmax(answers[own]))]
        assert row.telling == (row.p * 5 <= LEVEL)
    assert [row.count for row in found.rows] == sorted((row.count for row in found.rows), reverse=True)
    kinds = torch.tensor([int(label[-1]) for label in labels])
    assert found.purity == pytest.approx(purity(torch.tensor(answers)[:, None], kinds, 9).item())
    assert found.entropy == pytest.approx(scipy_entropy([row.count for row in found.rows], base=2))
    assert (found.examples, found.tied, found.unlabelled, found.photos, found.complete) == (9, 0, 0, 200, True)


def test_entropy_of_none_one_and_equal_kinds() -> None:
    assert entropy([]) == entropy([7]) == entropy([0, 3]) == 0
    assert entropy([2, 2, 2, 2]) == 2
    assert entropy([1, 3]) == pytest.approx(0.25 * 2 + 0.75 * math.log2(4 / 3))


def test_photos_without_a_label_are_of_no_class() -> None:
    found = classes([(None, 5.0), ("cat", 4.0), (None, 3.0), ("cat", 2.0)], Census(40, {"cat": 2}))
    (cat,) = found.rows
    assert (cat.count, cat.share, cat.base, cat.place, found.unlabelled) == (2, 0.5, 0.05, 2, 2)
    assert (found.purity, found.entropy) == (0.5, 0)
    assert classes([(None, 1.0)], Census(3, {})).rows == ()


def test_a_dead_unit_has_no_classes() -> None:
    """Its examples are the first photos of the set, which share a folder: their order says nothing."""
    census = Census(60, {"cat": 20, "dog": 40})
    dead = classes([("cat", 0.0)] * 9, census)
    assert (dead.rows, dead.examples, dead.tied, dead.purity) == ((), 0, 9, 0)
    some = classes([("dog", 2.0), ("dog", 1.0)] + [("cat", 0.0)] * 7, census)
    assert [(row.label, row.count, row.share) for row in some.rows] == [("dog", 2, 1.0)]
    assert (some.examples, some.tied) == (2, 7)
    everything = classes([("cat", 0.0)] * 3, Census(3, {"cat": 3}))  # there is no other photo
    assert [(row.count, row.lift, row.p) for row in everything.rows] == [(3, 1.0, 1.0)]


def test_no_examples_and_a_census_that_misses_some() -> None:
    assert classes([], Census(0, {})).rows == ()
    found = classes([("cat", 2.0), ("cat", 1.0)], Census(1, {}, complete=False))
    assert [(row.base, row.lift, row.p) for row in found.rows] == [(1.0, 1.0, 1.0)]
    assert not found.complete
