"""The randomisation check: what is random at each stage, and that its numbers are those of the pictures."""

import math
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from retinoscope.base.errors import BadInputError
from retinoscope.image.patches import centred
from retinoscope.image.similarity import rank_correlation, ssim
from retinoscope.network.model import Model
from retinoscope.network.reinitialize import reinitialized, weighted
from retinoscope.network.wrap import wrap
from retinoscope.observe.backproject import backproject, signals
from retinoscope.observe.sanity import _counts, sanity_check
from tests.samples import photos


def test_the_cascade_goes_from_the_unit_down_to_the_pixels(tiny: Model) -> None:
    assert weighted(tiny, "conv3") == ["conv3", "conv2", "depthwise", "bn1", "conv1"]
    assert weighted(tiny, "relu#1") == ["bn1", "conv1"]
    shared = nn.Conv2d(3, 3, 1)
    model = wrap(nn.Sequential(shared, nn.Conv2d(3, 3, 1), shared, nn.Conv2d(3, 3, 1)), input_size=8)
    assert weighted(model, "3") == ["3", "0", "1"]
    assert weighted(model, "1") == ["1", "0"]


def test_only_what_is_named_forgets(tiny: Model) -> None:
    before = {name: value.clone() for name, value in tiny.module.state_dict().items()}
    random = reinitialized(tiny, ["conv2", "bn1"], seed=3).module.state_dict()
    changed = {name for name, value in random.items() if not torch.equal(value, before[name])}
    assert changed == {"conv2.weight", "conv2.bias", "bn1.weight", "bn1.running_mean", "bn1.running_var"}
    assert random["conv2.weight"].std() == pytest.approx(math.sqrt(2 / (8 * 9)), rel=0.1)
    assert random["conv2.bias"].abs().max() == 0
    assert (random["bn1.weight"] == 1).all()
    assert (random["bn1.running_var"] == 1).all()
    assert all(torch.equal(value, before[name]) for name, value in tiny.module.state_dict().items())
    other = reinitialized(tiny, ["conv3", "conv2"], seed=3).module.state_dict()
    assert torch.equal(other["conv2.weight"], random["conv2.weight"]), "by the seed and its own path"
    assert not torch.equal(reinitialized(tiny, ["conv2"], seed=4).module.state_dict()["conv2.weight"], random["conv2.weight"])  # noqa: E501  # fmt: skip


def test_stages_are_equal_steps_to_all_layers() -> None:
    assert _counts(19, 6) == [4, 7, 10, 13, 16, 19]
    assert _counts(3, 6) == [1, 2, 3]
    assert _counts(7, 1) == [7]


def test_the_numbers_are_those_of_the_pictures(tiny: Model, tmp_path: Path) -> None:
    """By hand: both networks run backwards from the same neuron, cut to its field, and compared."""
    images = photos(2, 32)
    found = sanity_check(tiny, images, "conv3:2", ["guided"], stages=5, seed=1)
    assert [(row.layers, row.last) for row in found.rows] == [
        (1, "conv3"), (2, "conv2"), (3, "depthwise"), (4, "bn1"), (5, "conv1"),
    ]  # fmt: skip
    trained = backproject(tiny, images, "conv3:2", "guided")
    random = reinitialized(tiny, ["conv3", "conv2"], seed=1)
    both = [signals(model, images, trained.units, "guided", start=1.0).signed for model in (tiny, random)]
    numbers = []
    for place, box in enumerate(trained.boxes):
        rows, columns = slice(int(box.top), int(box.bottom)), slice(int(box.left), int(box.right))
        a, b = (signed[place][:, rows, columns] for signed in both)
        flat = a.flatten(), b.flatten()
        numbers.append((
            rank_correlation(*flat),
            rank_correlation(flat[0].abs(), flat[1].abs()),
            ssim(centred(a[None])[0], centred(b[None])[0]),
            float(torch.cosine_similarity(*flat, 0)),
        ))  # fmt: skip
    row = found.rows[1]
    wanted = [sum(values) / 2 for values in zip(*numbers, strict=True)]
    assert [row.rank, row.rank_magnitude, row.ssim, row.cosine] == pytest.approx(wanted, abs=1e-3)
    assert row.alive == 1
    assert torch.allclose(found.pictures["guided", 0], trained.images, atol=1e-5)
    assert "conv3:2" in repr(found)
    with Image.open(found.save(tmp_path / "check.png")) as saved:
        assert saved.width > 7 * 192 > saved.height
    assert found.plain()["rows"][1]["rank"] == row.rank


def test_a_network_that_was_random_already_has_nothing_to_forget(tiny: Model) -> None:
    """What the check takes away is gone: the same random weights again, and the likeness is complete."""
    paths = weighted(tiny, "conv3")
    random = reinitialized(tiny, paths, seed=5)
    for row in sanity_check(random, photos(2, 32), "conv3:2", seed=5, stages=2).rows:
        assert (row.rank, row.ssim, row.cosine) == pytest.approx((1, 1, 1))


def test_with_all_weights_random_nothing_is_left() -> None:
    first, second = nn.Conv2d(3, 6, 5, bias=False), nn.Conv2d(6, 1, 1, bias=False)
    model = wrap(nn.Sequential(first, nn.ReLU(), second).eval(), input_size=16)
    found = sanity_check(model, photos(3, 16), "2:0", ["gradient", "guided"], stages=2)
    last = {rule: found.of(rule)[-1] for rule in ("gradient", "guided")}
    assert all(abs(row.rank) < 0.5 for row in last.values())


def test_dead_units_and_weightless_networks() -> None:
    dead = nn.Conv2d(3, 1, 1)
    nn.init.zeros_(dead.weight)
    row = sanity_check(wrap(nn.Sequential(dead), input_size=8), photos(1, 8), "0:0", ["gradient"]).rows[0]
    assert row.alive == 0
    assert math.isnan(row.rank)
    with pytest.raises(BadInputError, match="nothing to re-initialise"):
        sanity_check(wrap(nn.Sequential(nn.AvgPool2d(2)), input_size=8), photos(1, 8), "0:0")
