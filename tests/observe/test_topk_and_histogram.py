"""Rankings and histograms against sorting and counting everything."""

import numpy as np
import pytest
import torch
from torch import Tensor

from retinoscope.observe import histogram, topk
from retinoscope.observe.histogram import BINS, Histogram
from retinoscope.observe.topk import Ranking


def ranked(maps: Tensor, start: int, k: int, sign: int = 1) -> Ranking:
    """A ranking of all items at once; maps (n, p, c)."""
    return enter(Ranking.empty(maps.shape[2], k), keys(start, len(maps)), maps, sign)


def enter(ranking: Ranking, items: Tensor, maps: Tensor, sign: int = 1) -> Ranking:
    return topk.enter(ranking, (sign * maps).amax(1), items, lambda i, c: topk.strongest(maps, i, c, sign))


def keys(start: int, count: int, tiles: int = 1) -> Tensor:
    """Places of items and the numbers of their photos, each photo having so many tiles."""
    places = torch.arange(start, start + count)
    return torch.stack([places, places // tiles])


def brute(maps: Tensor, channel: int, k: int, sign: int) -> list[tuple[float, int, int]]:
    flat = (sign * maps[:, :, channel]).tolist()
    rows = [(-max(row), item, row.index(max(row))) for item, row in enumerate(flat)]
    return [(-score, item, spot) for score, item, spot in sorted(rows)][:k]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("k", [1, 4, 50])
def test_ranking_equals_sorting_everything_with_many_ties(k: int, sign: int) -> None:
    maps = torch.randint(-3, 4, (37, 6, 5), generator=torch.Generator().manual_seed(0)).float()
    streamed = Ranking.empty(5, k)
    for start in range(0, 37, 8):
        part = maps[start : start + 8]
        streamed = enter(streamed, keys(start, len(part)), part, sign)
    pieces = [ranked(maps[a:b], a, k, sign) for a, b in [(20, 37), (0, 3), (3, 20)]]
    merged = topk.merge(topk.merge(pieces[0], pieces[1], k), pieces[2], k)
    other = topk.merge(pieces[2], topk.merge(pieces[1], pieces[0], k), k)
    for channel in range(5):
        expected = brute(maps, channel, k, sign)
        for found in (streamed, merged, other, ranked(maps, 0, k, sign)):
            assert list(topk.entries(found, channel)) == expected


@pytest.mark.parametrize("batch", [1, 4, 30])
def test_of_a_photos_tiles_the_strongest_counts(batch: int) -> None:
    maps = torch.randint(-3, 4, (30, 6, 5), generator=torch.Generator().manual_seed(0)).float()
    streamed = Ranking.empty(5, 4)
    for start in range(0, 30, batch):
        part = maps[start : start + batch]
        streamed = enter(streamed, keys(start, len(part), 3), part)
    halves = []
    for start in (0, 16):  # in the middle of a photo
        part = maps[start : start + (16 if not start else 14)]
        halves.append(enter(Ranking.empty(5, 4), keys(start, len(part), 3), part))
    for channel in range(5):
        everything, expected = brute(maps, channel, 30, 1), []
        for row in everything:
            if row[1] // 3 not in {kept[1] // 3 for kept in expected}:
                expected.append(row)
        for found in (streamed, topk.merge(*halves, 4), topk.merge(*reversed(halves), 4)):
            assert list(topk.entries(found, channel)) == expected[:4]


def test_positions_are_found_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = torch.randn(9, 12, 4, generator=torch.Generator().manual_seed(0))
    whole = ranked(maps, 0, 5)
    monkeypatch.setattr(topk, "_GATHERED", 30)
    assert torch.equal(ranked(maps, 0, 5).spots, whole.spots)


def counted(values: Tensor) -> Histogram:
    return histogram.count(values, values.abs().amax(0), Histogram.empty(values.shape[1]).exponents)


def test_histograms_merge_to_the_same_in_any_order() -> None:
    values = torch.randn(600, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([1e-6, 1.0, 3e4, 0.0])
    values[300:] *= 37.3
    values[:60, 0] = 0
    whole = counted(values)
    parts = [counted(part) for part in values.split([1, 99, 250, 250])]
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        found = Histogram.empty(4)
        for index in order:
            found = histogram.merge(found, parts[index])
        assert torch.equal(found.counts, whole.counts)
        assert torch.equal(found.exponents, whole.exponents)


def test_counts_equal_numpy_on_the_same_edges() -> None:
    values = torch.randn(5000, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.01, 5.0])
    found = counted(values)
    for channel in range(2):
        edges = histogram.edges(int(found.exponents[channel]))
        column = values[:, channel].double().numpy()
        # Bins are closed on the side towards zero: numpy closes the left side, so count the mirrored negatives.
        positive, negative = (np.histogram(side, edges)[0] for side in (column[column > 0], -column[column < 0]))
        assert np.array_equal(found.counts[channel].numpy(), positive + negative[::-1])
        assert (edges[1] - edges[0]) * 256 <= np.abs(column).max() < edges[-1]


@pytest.mark.parametrize("kind", ["normal", "relu", "negative", "constant", "zero"])
def test_quantiles_are_within_a_bin(kind: str) -> None:
    values = torch.randn(3000, 1, generator=torch.Generator().manual_seed(1))
    values = {
        "normal": values,
        "relu": values.relu(),
        "negative": -values.abs() - 1,
        "constant": values * 0 + 7,
        "zero": values * 0,
    }[kind]
    found, low, high = counted(values), float(values.min()), float(values.max())
    for q in (0.001, 0.25, 0.5, 0.9, 0.999, 1.0):
        expected = float(np.quantile(values.numpy(), q, method="inverted_cdf"))
        came = histogram.quantile(found.counts[0].numpy(), int(found.exponents[0]), q, low, high)
        assert abs(came - expected) <= values.abs().max() / 256
        assert low <= came <= high
    assert came == high


def test_plotted_bins_hold_every_value() -> None:
    values = torch.randn(2000, 1, generator=torch.Generator().manual_seed(1)).relu()
    found = counted(values)
    for most in (1, 7, 64, BINS):
        edges, counts = histogram.plotted(found.counts[0].numpy(), int(found.exponents[0]), most)
        assert len(edges) == len(counts) + 1 <= most + 1
        assert counts.sum() == 2000
        assert (np.diff(edges) > 0).all()
        assert edges[0] <= 0
        assert edges[-1] > values.max()
