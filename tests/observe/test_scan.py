"""Scans against brute force over the whole (item, channel, position) tensor."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from retinoscope.base.boxes import Box, Item
from retinoscope.base.errors import BadInputError, BadUnitError, StoreError, UnknownNameError
from retinoscope.network.model import Model
from retinoscope.network.record import record
from retinoscope.network.wrap import wrap
from retinoscope.observe.scan import Scan, scan

SIZE = 12


@dataclass
class Photos:
    """Pictures in memory, each standing for a rectangle of a photo twice as large."""

    images: Tensor
    start: int = 0

    @property
    def items(self) -> Sequence[Item]:
        numbers = range(self.start, self.start + len(self.images))
        return [Item(f"p{n}.jpg", f"p{n}.jpg", Box(10, 20, 10 + 2 * SIZE, 20 + 2 * SIZE)) for n in numbers]

    def batches(self, size: tuple[int, int], batch: int) -> Iterator[tuple[list[Item], Tensor]]:
        assert size == tuple(self.images.shape[2:])
        for start in range(0, len(self.images), batch):
            yield list(self.items[start : start + batch]), self.images[start : start + batch]

    def part(self, start: int, stop: int) -> "Photos":
        return Photos(self.images[start:stop], start)


class Net(nn.Module):
    """Small whole weights on pictures of sixteenths: every sum is exact, so that batching cannot change a value."""

    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        self.first, self.act, self.second = nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 5, 3, padding=1)
        for conv in (self.first, self.second):
            assert conv.bias is not None
            conv.weight.data = torch.randint(-2, 3, conv.weight.shape, generator=draw).float()
            conv.bias.data = torch.randint(-2, 3, conv.bias.shape, generator=draw).float()
        self.second.bias.data[4] = -10_000.0  # a channel that is always negative

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.act(self.first(x))).mean((2, 3))


LAYERS = ["first", "act", "second"]


@pytest.fixture(scope="module")
def model() -> Model:
    return wrap(Net(), input_size=SIZE)


@pytest.fixture(scope="module")
def photos() -> Photos:
    draw = torch.Generator().manual_seed(1)
    return Photos(torch.randint(0, 3, (23, 3, SIZE, SIZE), generator=draw) / 16)


def activations(model: Model, images: Tensor) -> dict[str, Tensor]:
    net = model.module
    with torch.no_grad():
        first = net.first(images)
        return {"first": first, "act": first.relu(), "second": net.second(first.relu())}


def brute(maps: Tensor, channel: int, k: int, sign: int) -> list[tuple[str, float, int, int]]:
    rows = []
    for item, values in enumerate((sign * maps[:, channel]).flatten(1).tolist()):
        spot = values.index(max(values))
        rows.append((-values[spot], item, *divmod(spot, maps.shape[3])))
    return [(f"p{item}.jpg", -sign * score, y, x) for score, item, y, x in sorted(rows)][:k]


def found(result: Scan, unit: str, side: str) -> list[tuple[str, float, int, int]]:
    return [(e.item.id, e.score, e.y, e.x) for e in getattr(result, side)(unit)]


@pytest.mark.parametrize("batch", [1, 4, 23, 64])
@pytest.mark.parametrize("k", [1, 9, 40])
def test_scan_equals_brute_force(model: Model, photos: Photos, k: int, batch: int) -> None:
    result = scan(model, photos, LAYERS, k, batch)
    for name, maps in activations(model, photos.images).items():
        for channel in range(maps.shape[1]):
            assert found(result, f"{name}:{channel}", "top") == brute(maps, channel, k, 1)
            assert found(result, f"{name}:{channel}", "bottom") == brute(maps, channel, k, -1)
            values = maps[:, channel].flatten()
            assert result.extremes(f"{name}:{channel}") == (float(values.min()), float(values.max()))
            assert result.mean(f"{name}:{channel}") == pytest.approx(float(values.double().mean()), rel=1e-5, abs=1e-5)
            assert result.histogram(f"{name}:{channel}")[1].sum() == len(values)
            near = float(values.abs().max()) / 256
            median = float(np.quantile(values.numpy(), 0.5, method="inverted_cdf"))
            assert result.quantile(f"{name}:{channel}", 0.5) == pytest.approx(median, abs=near)
    assert result.count == 23


def same(a: Scan, b: Scan) -> bool:
    units = [f"{name}:{channel}" for name in LAYERS for channel in range(a.layers[name].channels)]
    return a.items == b.items and all(
        a.top(u) == b.top(u)
        and a.bottom(u) == b.bottom(u)
        and a.extremes(u) == b.extremes(u)
        and all(np.array_equal(p, q) for p, q in zip(a.histogram(u), b.histogram(u), strict=True))
        and a.quantile(u, 0.9) == b.quantile(u, 0.9)
        and a.mean(u) == pytest.approx(b.mean(u), rel=1e-6)
        for u in units
    )


def test_shards_merge_in_any_order(model: Model, photos: Photos) -> None:
    whole = scan(model, photos, LAYERS, 5)
    a, b, c = (scan(model, photos.part(*ends), LAYERS, 5, 3) for ends in [(0, 2), (2, 15), (15, 23)])
    for merged in (a.merge(b).merge(c), c.merge(a.merge(b)), b.merge(c).merge(a), a.merge(c).merge(b)):
        assert same(merged, whole)
        assert merged.count == 23


def test_merge_refuses_what_does_not_fit(model: Model, photos: Photos) -> None:
    a = scan(model, photos.part(0, 4), ["act"], 2)
    for other in (scan(model, photos.part(4, 8), ["act"], 3), scan(model, photos.part(4, 8), ["first"], 2)):
        with pytest.raises(BadInputError, match="merge only"):
            a.merge(other)
    with pytest.raises(BadInputError, match="both scans have seen"):
        a.merge(a)


def test_a_planted_hot_pixel_ranks_first_with_its_place_and_box() -> None:
    net = nn.Sequential(nn.Conv2d(3, 2, 3, 1, 1, bias=False))
    net[0].weight.data = torch.zeros(2, 3, 3, 3)
    net[0].weight.data[0, :, 1, 1], net[0].weight.data[1, :, 1, 1] = 1.0, -1.0
    images = torch.rand(11, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 0.5
    images[7, :, 4, 9] = 1.0
    result = scan(wrap(net, input_size=SIZE), Photos(images), ["0"], 3, 4)
    best = result.top("0:0")[0]
    assert (best.item.id, best.y, best.x) == ("p7.jpg", 4, 9)
    assert best.score == pytest.approx(3.0)
    # Pixels 3..5 by 8..10 of the input; the item is a rectangle from (10, 20), twice as large.
    assert best.box == Box(10 + 6, 20 + 16, 10 + 12, 20 + 22)
    assert result.top("0:0", 2) == result.top("0:0")[:2]
    worst = result.bottom("0:1", 1)[0]
    assert (worst.item.id, worst.y, worst.x, worst.score) == ("p7.jpg", 4, 9, -best.score)
    assert len({example.item.id for example in result.top("0:0")}) == 3


def test_the_network_itself_gives_the_stored_answer_at_the_stored_place(tiny: Model) -> None:
    """The scan's network has its batch norms folded: a pass of the user's own may differ by rounding alone."""
    images = torch.rand(30, 3, 32, 32, generator=torch.Generator().manual_seed(5))
    layers = ["bn1", "conv2", "conv3"]
    result = scan(tiny, Photos(images), layers, 9, 7)
    with torch.no_grad(), record(tiny, layers) as trace:
        tiny(images)
    for name in layers:
        for channel in range(tiny.layers[name].channels):
            examples = result.top(f"{name}:{channel}")
            assert len({example.item.id for example in examples}) == 9
            for example in examples:
                place = int(example.item.id[1:].removesuffix(".jpg"))
                again = float(trace[name][place, channel, example.y, example.x])
                assert abs(again - example.score) < 1e-5


def test_boxes_end_at_the_item() -> None:
    net = nn.Conv2d(3, 1, 5, padding=2)
    nn.init.constant_(net.weight, 1.0)
    images = torch.zeros(1, 3, SIZE, SIZE)
    images[0, :, 0, 0] = images[0, :, 0, 2] = 1  # only position (0, 0..2) sees both; (0, 0) is the first
    example = scan(wrap(nn.Sequential(net), input_size=SIZE), Photos(images), ["0"], 1).top("0:0")[0]
    assert (example.y, example.x) == (0, 0)
    assert example.box == Box(10, 20, 10 + 2 * 3, 20 + 2 * 3)


def test_always_negative_channels_rank_by_the_least_negative(model: Model, photos: Photos) -> None:
    result = scan(model, photos, ["second"], 4)
    scores = [example.score for example in result.top("second:4")]
    assert len(scores) == 4
    assert scores == sorted(scores, reverse=True)
    assert scores[0] < -9000


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_activations_that_are_no_numbers_name_the_layer(value: float) -> None:
    net = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Conv2d(2, 2, 1))
    model = wrap(net, input_size=SIZE)
    assert net[1].bias is not None
    net[1].bias.data[1] = value
    with pytest.raises(BadInputError, match=r"^1: .*NaN or infinite"):
        scan(model, Photos(torch.rand(2, 3, SIZE, SIZE)), ["0", "1"], 1)


def test_saved_scans_come_back(model: Model, photos: Photos, tmp_path: Path) -> None:
    result = scan(model, photos.part(0, 9), LAYERS, 3)
    result.save(tmp_path / "a.npz")
    loaded = Scan.load(tmp_path / "a.npz")
    assert same(loaded, result)
    assert loaded.layers == dict(result.layers)
    rest = scan(model, photos.part(9, 23), LAYERS, 3)
    assert same(loaded.merge(rest), scan(model, photos, LAYERS, 3))
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]


def test_files_that_are_no_scan_are_refused(model: Model, photos: Photos, tmp_path: Path) -> None:
    result = scan(model, photos.part(0, 3), ["act"], 1)
    result.save(tmp_path / "a.npz")
    data = (tmp_path / "a.npz").read_bytes()
    words = np.frombuffer(json.dumps({"version": 99}).encode(), np.uint8)
    np.savez(tmp_path / "new.npz", words=words)
    np.savez(tmp_path / "pickle.npz", words=np.array([{}], object))
    (tmp_path / "cut.npz").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.npz").write_text("hello")
    for name in ("none", "cut", "text", "pickle"):
        with pytest.raises(StoreError, match=name):
            Scan.load(tmp_path / f"{name}.npz")
    with pytest.raises(StoreError, match="version 99"):
        Scan.load(tmp_path / "new.npz")
    with pytest.raises(StoreError, match="cannot write"):
        result.save(tmp_path / "no folder" / "a.npz")


def test_wrong_names_and_numbers(model: Model, photos: Photos) -> None:
    result = scan(model, photos.part(0, 3), ["act"], 1)
    with pytest.raises(UnknownNameError, match="act"):
        scan(model, photos, ["acts"])
    with pytest.raises(UnknownNameError, match="act"):
        result.top("second:0")
    with pytest.raises(BadUnitError, match="0 to 5"):
        result.top("act:6")
    with pytest.raises(BadUnitError, match="without a position"):
        result.top("act:1@2,3")
    for quantile in (-0.1, 1.1):
        with pytest.raises(BadInputError):
            result.quantile("act:0", quantile)
    for wrong in ({"k": 0}, {"batch": 0}, {"layers": []}):
        with pytest.raises(BadInputError):
            scan(model, photos, **({"layers": ["act"]} | wrong))  # type: ignore[arg-type]


def test_an_empty_part_is_neutral(model: Model, photos: Photos) -> None:
    empty, part = scan(model, photos.part(4, 4), LAYERS, 2), scan(model, photos.part(0, 4), LAYERS, 2)
    assert empty.top("act:0") == []
    with pytest.raises(BadInputError, match="no items"):
        empty.mean("act:0")
    assert same(empty.merge(part), part)
    assert same(part.merge(empty), part)


def test_the_users_module_keeps_no_hooks(model: Model, photos: Photos) -> None:
    scan(model, photos.part(0, 2), LAYERS, 1)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.module.modules())
