"""Channels against other directions on a network whose features are planted: on its axes, and turned away from them."""

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from retinoscope.base.boxes import Box, Item
from retinoscope.base.errors import BadInputError, UnknownNameError
from retinoscope.network.bases import random_directions, rotation
from retinoscope.network.model import Model
from retinoscope.network.wrap import wrap
from retinoscope.observe.directions import BASES, Directions, compare_directions
from retinoscope.observe.purity import bootstrap, bootstrap_difference, purity

SIDE, FILTER, ANGLES, PERIODS = 24, 12, 8, (3.0, 4.5, 7.0)
CONCEPTS = ANGLES * len(PERIODS)


def grating(concept: int, side: int, phase: float) -> Tensor:
    """Stripes (side, side) of one of 8 orientations and 3 periods, in [-1, 1]."""
    angle, period = math.pi * (concept % ANGLES) / ANGLES, PERIODS[concept // ANGLES]
    y, x = torch.meshgrid(torch.arange(float(side)), torch.arange(float(side)), indexing="ij")
    return torch.cos(2 * math.pi * (math.cos(angle) * x + math.sin(angle) * y) / period + phase)


class Gratings(nn.Module):
    """`features` has the energy of each kind of stripes on a channel of its own; `turned` the same, rotated."""

    def __init__(self) -> None:
        super().__init__()
        waves = [grating(concept, FILTER, phase) for concept in range(CONCEPTS) for phase in (0, math.pi / 2)]
        self.stripes = nn.Conv2d(3, 2 * CONCEPTS, FILTER, stride=4, bias=False)
        self.stripes.weight.data = torch.stack([wave / wave.norm() for wave in waves])[:, None].expand(-1, 3, -1, -1)
        self.features = nn.Conv2d(2 * CONCEPTS, CONCEPTS, 1, bias=False)
        self.features.weight.data = torch.eye(CONCEPTS).repeat_interleave(2, 1)[..., None, None]
        self.turned = nn.Conv2d(CONCEPTS, CONCEPTS, 1, bias=False)
        self.turned.weight.data = rotation(CONCEPTS, seed=99)[..., None, None]

    def forward(self, x: Tensor) -> Tensor:
        """(b, 3, h, w) to (b, c)."""
        return self.turned(self.features(self.stripes(x - 0.5).square())).mean((2, 3))


@dataclass
class Striped:
    """Photos of noise and one kind of stripes each, whose item's label is the kind."""

    images: Tensor
    labels: Sequence[str | None]
    start: int = 0

    @property
    def items(self) -> Sequence[Item]:
        return [Item(f"{n}.png", f"{n}.png", Box(0, 0, SIDE, SIDE), label) for n, label in enumerate(self.labels)]

    def batches(self, size: tuple[int, int], batch: int) -> Iterator[tuple[list[Item], Tensor]]:
        assert size == (SIDE, SIDE)
        for first in range(0, len(self.images), batch):
            yield list(self.items[first : first + batch]), self.images[first : first + batch]


def striped(each: int) -> Striped:
    draw = torch.Generator().manual_seed(0)
    kinds = [concept for _ in range(each) for concept in range(CONCEPTS)]
    phases = (2 * math.pi * torch.rand(len(kinds), generator=draw)).tolist()
    waves = torch.stack([grating(kind, SIDE, phase) for kind, phase in zip(kinds, phases, strict=True)])
    strength = 0.15 + 0.15 * torch.rand(len(kinds), 1, 1, 1, generator=draw)
    noise = 0.05 * torch.randn(len(kinds), 3, SIDE, SIDE, generator=draw)
    return Striped((0.5 + strength * waves[:, None] + noise).clamp(0, 1), [f"kind {kind}" for kind in kinds])


LAYERS = ["features", "turned"]


@pytest.fixture(scope="module")
def model() -> Model:
    return wrap(Gratings().eval(), name="gratings", input_size=SIDE)


@pytest.fixture(scope="module")
def photos() -> Striped:
    return striped(20)


@pytest.fixture(scope="module")
def compared(model: Model, photos: Striped) -> Directions:
    return compare_directions(model, photos, LAYERS, count=96, groups=CONCEPTS)


@pytest.mark.parametrize("what", ["label", "texture"])
def test_the_basis_is_purer_where_features_lie_on_it(compared: Directions, what: str) -> None:
    basis, *others = (getattr(compared.of("features", basis), what) for basis in BASES)
    assert (basis == 1).all() if what == "label" else basis.mean() > 0.85
    for other in others:
        assert bootstrap_difference(basis, other)[1] > 0.1


@pytest.mark.parametrize("what", ["label", "texture"])
def test_the_basis_is_as_pure_as_any_direction_after_a_rotation(compared: Directions, what: str) -> None:
    basis, at_random, rotated, chance = (getattr(compared.of("turned", basis), what) for basis in BASES)
    for other in (at_random, rotated):
        _, low, high = bootstrap_difference(basis, other)
        assert low < 0 < high
    assert basis.mean() > chance.mean() + 0.1


def test_every_row_is_what_slow_code_finds(model: Model, photos: Striped, compared: Directions) -> None:
    labels = torch.tensor([int(label.split()[1]) for label in photos.labels if label])
    with torch.no_grad():
        maps = model.module.features(model.module.stripes(photos.images - 0.5).square())
    for basis, vectors in (
        ("basis", torch.eye(CONCEPTS)),
        ("random", random_directions(model, "features", 96)),
        ("rotated", torch.cat([rotation(CONCEPTS, seed) for seed in range(4)])),
    ):
        answers = torch.stack([torch.einsum("bcyx,c->byx", maps, v).amax((1, 2)) for v in vectors], 1)
        assert torch.allclose(compared.of("features", basis).label, purity(answers, labels))


def test_batches_change_nothing(model: Model, photos: Striped) -> None:
    some = Striped(photos.images[:60], photos.labels[:60])
    one, other = (compare_directions(model, some, ["features"], count=8, k=3, groups=4, batch=b) for b in (7, 60))
    for row, same in zip(one.rows, other.rows, strict=True):
        assert torch.equal(row.texture, same.texture)
        assert row.label is not None
        assert same.label is not None
        assert torch.equal(row.label, same.label)


def test_chance_is_that_of_the_labels(compared: Directions) -> None:
    """Of 9 of 480 photos in 24 equal groups: the commonest group's expected share, by drawing."""
    draw = torch.Generator().manual_seed(5)
    labels = torch.arange(480) % CONCEPTS
    drawn = [labels[torch.randperm(480, generator=draw)[:9]].bincount().max().item() / 9 for _ in range(4000)]
    chance = compared.of("features", "chance").label
    assert chance is not None
    _, low, high = bootstrap(chance, level=0.99)
    assert low < sum(drawn) / len(drawn) < high


def test_saturated_maps_have_chances_purity(photos: Striped) -> None:
    """A layer that answers the same everywhere ties all photos and places: its basis is as good as chance."""
    flat = nn.Conv2d(3, 40, 1)
    nn.init.zeros_(flat.weight)
    compared = compare_directions(wrap(nn.Sequential(flat).eval(), input_size=SIDE), photos, ["0"], count=40, groups=8)
    for what in ("texture", "label"):
        basis, chance = (getattr(compared.of("0", kind), what) for kind in ("basis", "chance"))
        _, low, high = bootstrap_difference(basis, chance, level=0.99)
        assert low < 0 < high


def test_labels_may_be_said_or_be_missing(model: Model, photos: Striped) -> None:
    def angle(item: Item) -> Hashable:
        return int(str(item.label).split()[1]) % ANGLES

    some = Striped(photos.images[:96], photos.labels[:96])
    told = compare_directions(model, some, ["features"], label=angle, count=4, k=3, groups=4)
    plain = compare_directions(
        model, Striped(some.images, [None, *some.labels[1:]]), ["features"], count=4, k=3, groups=4
    )
    assert told.of("features", "basis").label is not None
    assert plain.of("features", "basis").label is None
    assert plain.table()[0] == ("layer", "directions", "count", "texture", "basis less this")


def test_it_prints_as_a_table(compared: Directions) -> None:
    lines = repr(compared).splitlines()
    assert lines[0] == "Purity of the top 9 of 480 photos, gratings"
    assert lines[1].split("  ")[0] == "layer"
    assert len(lines) == 2 + 2 * len(BASES)
    cells = compared.table()
    assert cells[1][:3] == ("features", "basis", "24")
    assert cells[1][4] == cells[1][6] == ""
    assert cells[1][5] == "1.000 (1.000 to 1.000)"
    assert cells[2][6].startswith("+0.")


def test_wrong_requests_are_refused(model: Model, photos: Striped, compared: Directions) -> None:
    few = Striped(photos.images[:4], photos.labels[:4])
    with pytest.raises(BadInputError, match="4 photos are too few for the top 9"):
        compare_directions(model, few, ["features"])
    with pytest.raises(UnknownNameError, match="nearest: features"):
        compare_directions(model, few, ["feature"])
    with pytest.raises(BadInputError, match="takes layers and positive numbers"):
        compare_directions(model, few, [])
    with pytest.raises(BadInputError, match="nothing was measured of 'basis' at 'stripes'"):
        compared.of("stripes", "basis")
