"""What units share, counted slowly beside; planted permutations and copies; which layers are neighbours; answers."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from retinoscope.base.errors import StoreError
from retinoscope.network.model import Model
from retinoscope.network.streams import streams
from retinoscope.observe.answers import Answers, read_answers
from retinoscope.observe.correspondence import corresponding, exciting, rank_correlations
from retinoscope.observe.peaks import peaks
from retinoscope.observe.relations import chance_of_best, closest, inner_layers, neighbours, same_channels
from retinoscope.observe.scan import scan, scan_with_answers
from retinoscope.tensor.random import generator
from tests.observe.photos import Pictures
from tests.residual import first_version, plain


def answers(seed: int, channels: int = 6, photos: int = 40) -> Tensor:
    """Rectified noise, the last channel dead."""
    noise = torch.randn(photos, channels, generator=torch.Generator().manual_seed(seed)).relu()
    noise[:, -1] = 0
    return noise


def examples(column: Tensor, k: int) -> set[int]:
    """The photos that excite a channel most, slowly."""
    order = sorted(range(len(column)), key=lambda i: (-float(column[i]), i))[:k]
    return {i for i in order if column[i] > column.min()}


def test_same_channels_are_counted_as_sets() -> None:
    a = answers(0)
    b = a + answers(1) / 2
    found = same_channels(a, b, 5)
    assert [one.channel for one in found] == [one.other for one in found] == [0, 1, 2, 3, 4]
    shared = [[len(examples(a[:, i], 5) & examples(b[:, j], 5)) for j in range(5)] for i in range(5)]
    for one in found:
        i = one.channel
        assert one.shared == shared[i][i]
        assert one.rank == pytest.approx(float(rank_correlations(a, b)[i, i]), abs=1e-6)
        assert one.p_on == sum(shared[i][j] >= one.shared for j in range(5)) / 5
        assert one.p_from == sum(shared[j][i] >= one.shared for j in range(5)) / 5


def test_equal_layers_share_everything() -> None:
    a = answers(2)
    assert {(one.shared, round(one.rank, 5)) for one in same_channels(a, a, 9)} == {(9, 1.0)}


def test_chance_is_that_of_corresponding_and_of_slow_shuffles() -> None:
    a, b = answers(3), answers(4, channels=9)
    on, back = chance_of_best(exciting(a, 5), exciting(b, 5), 20)
    assert torch.equal(on, corresponding(a, b, k=5, draws=20).chance_overlap)
    random = generator(0, "shuffled photos")
    for draw in range(20):
        order = torch.randperm(len(b), generator=random)
        shared = [[len(examples(a[:, i], 5) & examples(b[order][:, j], 5)) for i in range(6)] for j in range(9)]
        assert back[draw].tolist() == [max(row) for row in shared]


def test_a_planted_permutation_is_recovered_and_a_copy_gives_two_matches() -> None:
    a = answers(5, channels=21, photos=200)[:, :20]
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    b = torch.cat([a[:, order], a[:, [7]]], 1) + 0.01 * answers(6, channels=21, photos=200)
    found = closest(a, b, 9, best=2)
    above = {(one.channel, one.other) for one in found if one.shared >= 8}
    assert above == {(int(order[j]), j) for j in range(20)} | {(7, 20)}
    assert all(one.p_on == one.p_from == 1 / 200 for one in found if one.shared >= 8)


def test_only_the_best_are_kept_and_ties_go_to_the_better_correlated() -> None:
    a, b = answers(7, photos=12), answers(8, channels=8, photos=12)
    found = closest(a, b, 5, best=2, draws=9)
    pairs = {(one.channel, one.other) for one in found}
    shared, rank = corresponding(a, b, k=5, draws=1).overlap, rank_correlations(a, b)
    wanted = set()
    for i in range(6):
        row = sorted(range(8), key=lambda j: (-int(shared[i, j]), -float(rank[i, j])))[:2]
        wanted |= {(i, j) for j in row if shared[i, j]}
    for j in range(8):
        column = sorted(range(6), key=lambda i: (-int(shared[i, j]), -float(rank[i, j])))[:2]
        wanted |= {(i, j) for i in column if shared[i, j]}
    assert pairs == wanted
    assert all(one.shared == shared[one.channel, one.other] for one in found)


def test_neighbours_are_blocks_of_a_stage_or_next_to_each_other() -> None:
    model = first_version()
    low, high = streams(model)
    blocks = ["body.0", *low.layers, *high.layers, "logits"]
    found = neighbours(blocks, (low, high))
    assert found.same == (("body.1.0", "body.1.1"), ("body.1.1", "body.1.2"), ("body.2.0", "body.2.1"))
    assert found.matched == (("body.0", "body.1.0"), ("body.1.2", "body.2.0"), ("body.2.1", "logits"))
    assert neighbours(["body.1.0", "body.1.2"], (low,)).same == (("body.1.0", "body.1.2"),)
    inner = next(name for name in inner_layers(high) if name.startswith("body.2.0"))
    within = neighbours(["body.1.2", inner, "body.2.0"], (low, high))
    assert within.same == ()
    assert set(within.matched) == {("body.1.2", inner), (inner, "body.2.0"), ("body.1.2", "body.2.0")}
    names = list(plain().layers)[:3]
    assert neighbours(names, ()).matched == ((names[0], names[1]), (names[1], names[2]))


@pytest.mark.parametrize("tiles", [1, 3])
def test_a_scans_answers_are_the_peaks(tiny: Model, tmp_path: Path, tiles: int) -> None:
    pictures, layers = Pictures(7, 32, tiles=tiles), ["conv1", "conv2", "logits"]
    found, kept = scan_with_answers(tiny, pictures, layers, k=2, batch=4)
    wanted = peaks(tiny, pictures, layers, 4)
    assert found.top("conv2:3") == scan(tiny, pictures, layers, k=2, batch=4).top("conv2:3")
    cut = 2 * tiles - 1  # inside a photo's tiles
    for name, part in (("a", slice(0, cut)), ("b", slice(cut, None)), ("none", slice(0, 0))):
        Answers(kept.photos[part], {layer: values[part] for layer, values in kept.values.items()}).save(tmp_path / name)
    for layer in layers:
        photos, values = read_answers([tmp_path / name for name in ("a", "none", "b")], layer)
        assert photos == wanted.photos
        assert torch.equal(values, wanted[layer])


def test_files_without_answers_are_named(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"no")
    for name in ("broken", "missing"):
        with pytest.raises(StoreError, match=f"{name}' holds no answers of conv1"):
            read_answers([tmp_path / name], "conv1")
    with pytest.raises(StoreError, match="cannot write"):
        Answers((), {}).save(tmp_path / "none" / "a")
