"""Slightly excited examples against sorting every spot of every item."""

import hashlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from retinoscope.base.boxes import Box, Item
from retinoscope.network.model import Model
from retinoscope.network.wrap import wrap
from retinoscope.observe import sample
from retinoscope.observe.scan import Scan, scan
from tests.observe.test_scan import LAYERS, SIZE, Net, Photos, activations


@pytest.fixture(scope="module")
def model() -> Model:
    return wrap(Net(), input_size=SIZE)


@pytest.fixture(scope="module")
def photos() -> Photos:
    draw = torch.Generator().manual_seed(3)
    return Photos(torch.randint(0, 3, (40, 3, SIZE, SIZE), generator=draw) / 16)


def spots(items: Sequence[Item], most: int) -> list[tuple[int, int, float, float]]:
    """(hash, item, y, x) of the `most` spots with the least hashes, written out."""
    rows = []
    for place, item in enumerate(items):
        for number in range(4):
            data = hashlib.sha256(f"{item.id} {number}".encode()).digest()
            key, y, x = (int.from_bytes(data[a:b], "big") for a, b in ((0, 8), (8, 12), (12, 16)))
            rows.append((key // 2, place, y / 2**32, x / 2**32))
    return sorted(rows)[:most]


def brute(maps: Tensor, channel: int, deviation: float, sign: int, items: Sequence[Item], most: int) -> list:
    """Every spot with an answer of that sign, by its distance from a quarter of the deviation; each photo once."""
    rated = []
    for key, place, y, x in spots(items, most):
        at = (int(y * maps.shape[2]), int(x * maps.shape[3]))
        value = float(maps[place, channel, at[0], at[1]])
        if sign * value > 0:
            rated.append((abs(value - sign * 0.25 * deviation), key, items[place].photo, items[place].id, value, *at))
    found: dict[str, tuple] = {}
    for row in sorted(rated):
        found.setdefault(row[2], row[3:])
    return list(found.values())


def found(result: Scan, unit: str, sign: int, n: int) -> list:
    examples = result.slightly_positive(unit, n) if sign > 0 else result.slightly_negative(unit, n)
    return [(e.item.id, e.score, e.y, e.x) for e in examples]


@pytest.mark.parametrize("batch", [1, 7, 64])
@pytest.mark.parametrize("most", [12, 70, 512])
def test_slight_examples_equal_brute_force(
    model: Model, photos: Photos, batch: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "SIZE", most)
    result = scan(model, photos, LAYERS, 2, batch)
    assert len(result.sample.keys) == min(most, 160)
    for name, maps in activations(model, photos.images).items():
        for channel in range(maps.shape[1]):
            unit = f"{name}:{channel}"
            for sign in (1, -1):
                assert found(result, unit, sign, 99) == brute(
                    maps, channel, result.deviation(unit), sign, photos.items, most
                )
                assert found(result, unit, sign, 2) == found(result, unit, sign, 99)[:2]


def test_the_deviation_is_right_within_a_bin(model: Model, photos: Photos) -> None:
    result = scan(model, photos, LAYERS, 1)
    for name, maps in activations(model, photos.images).items():
        for channel in range(maps.shape[1]):
            values = maps[:, channel].double().flatten()
            assert result.deviation(f"{name}:{channel}") == pytest.approx(
                float(values.std(correction=0)), abs=float(values.abs().max()) / 256
            )


def test_parts_merge_to_the_same_in_any_order(model: Model, photos: Photos, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "SIZE", 30)
    whole = scan(model, photos, LAYERS, 2)
    a, b, c = (scan(model, photos.part(*ends), LAYERS, 2, 3) for ends in [(0, 2), (2, 25), (25, 40)])
    for merged in (a.merge(b).merge(c), c.merge(a.merge(b)), b.merge(c).merge(a)):
        for name in LAYERS:
            assert torch.equal(merged.sample.values[name], whole.sample.values[name])
            for unit in (f"{name}:{channel}" for channel in range(merged.layers[name].channels)):
                assert merged.slightly_negative(unit, 9) == whole.slightly_negative(unit, 9)
                assert merged.slightly_positive(unit, 9) == whole.slightly_positive(unit, 9)
        assert merged.items == whole.items


def test_the_four_kinds_of_examples_are_in_order(photos: Photos) -> None:
    """The scan's share of the spectrum: minimum < slightly negative < 0 < slightly positive < maximum."""
    edges = nn.Sequential(nn.Conv2d(3, 6, 3, bias=False))
    edges[0].weight.data -= edges[0].weight.data.mean((1, 2, 3), keepdim=True)  # no answer to plain grey
    result = scan(wrap(edges, input_size=SIZE), photos, ["0"], 3)
    for unit in (f"0:{channel}" for channel in range(6)):
        kinds = (result.bottom(unit), result.slightly_negative(unit), result.slightly_positive(unit), result.top(unit))
        means = [float(np.mean([example.score for example in examples])) for examples in kinds]
        assert all(low < high for low, high in pairwise(means))
        assert means[1] < 0 < means[2]


def test_after_a_relu_nothing_is_slightly_negative(model: Model, photos: Photos) -> None:
    result = scan(model, photos, ["act", "second"], 2)
    assert result.slightly_negative("act:0") == []
    assert result.slightly_positive("second:4") == []  # always negative
    assert len(result.slightly_negative("second:4")) == 3


def test_boxes_are_those_of_their_position(model: Model, photos: Photos) -> None:
    result = scan(model, photos, ["first"], 1)
    field = model.layers["first"].field
    for example in result.slightly_positive("first:0", 9):
        inside = field.box(example.y, example.x).clip(SIZE, SIZE)
        assert example.box == inside.within(example.item.box, SIZE, SIZE)


def test_spots_are_spread_evenly_and_differ() -> None:
    drawn = [spot for n in range(2000) for spot in sample.draw(Item(f"{n}.jpg", f"{n}.jpg", Box(0, 0, 1, 1)))]
    keys, *places = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    assert len({key for key, _, _ in drawn}) == 8000
    for numbers in (keys / 2**63, *places):
        assert numbers.min() >= 0
        assert numbers.max() < 1
        share, _ = np.histogram(numbers, 10, (0, 1))
        assert abs(share - 800).max() < 5 * 800**0.5
