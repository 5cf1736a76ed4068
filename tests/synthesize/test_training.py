"""Through training: equal checkpoints give equal bits, each knows its own picture best, late changes are small."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from retinoscope.base.errors import BadInputError, NoGradientError
from retinoscope.network.checkpoints import checkpoint
from retinoscope.network.model import Model
from retinoscope.network.record import record
from retinoscope.network.wrap import wrap
from retinoscope.synthesize.recipes import RECIPES
from retinoscope.synthesize.render import render
from retinoscope.synthesize.training import Training, through_training
from tests.samples import tiny_module

TIMES = (0.0, 0.5, 0.8, 0.95, 1.0, 1.0)


def learning() -> list[Model]:
    """A filter on its way, ever slower, from a horizontal to a vertical grating."""
    wave = torch.cos(torch.arange(9) * 2 * torch.pi / 4) * torch.hann_window(9, periodic=False)
    envelope = torch.hann_window(9, periodic=False)
    ends = torch.outer(wave, envelope), torch.outer(envelope, wave)
    base = wrap(nn.Sequential(nn.Conv2d(3, 1, 9, bias=False)).eval(), input_size=32)
    models = []
    for place, t in enumerate(TIMES):
        grating = (1 - t) * ends[0] + t * ends[1]
        weights = (grating / grating.norm()).expand(1, 3, -1, -1)
        models.append(checkpoint(base, {"0.weight": weights}, f"step {place}"))
    return models


@pytest.fixture(scope="module")
def followed() -> Training:
    return through_training(learning(), "0:0@0,0", size=9, steps=64, recipe=replace(RECIPES["naive"], rate=0.5))


def test_equal_checkpoints_give_equal_bits(followed: Training) -> None:
    assert torch.equal(followed.images[4], followed.images[5])
    assert followed.changes[4] == 0
    twins = [wrap(tiny_module(), input_size=32) for _ in range(2)]
    images = through_training(twins, "conv3:2", size=32, steps=6).images
    assert torch.equal(images[0], images[1])
    alone = render(twins[0], "conv3:2", size=32, steps=6)
    assert torch.equal(images[0], alone.images[0])


def test_each_checkpoint_answers_most_to_its_own_picture(followed: Training) -> None:
    best = followed.standardized.argmax(0)
    own = [float(followed.standardized[t, t]) == float(followed.standardized[best[t], t]) for t in range(len(TIMES))]
    assert sum(own) >= 0.9 * len(TIMES)


def test_late_changes_are_smaller_than_early_ones(followed: Training) -> None:
    assert followed.changes[2:].mean() < followed.changes[:2].mean()
    assert (followed.images[0] - followed.images[-1]).square().mean().sqrt() > 0.1


def test_the_matrix_is_what_each_checkpoint_answers_to_each_picture() -> None:
    models = [wrap(tiny_module(seed), name=f"seed {seed}", input_size=32) for seed in range(3)]
    result = through_training(models, "conv3:2", size=32, steps=4)
    for column, model in enumerate(models):
        with record(model, ["conv3"]) as trace:
            model(result.images)
        assert torch.allclose(result.matrix[:, column], trace["conv3"][:, 2].mean((1, 2)), atol=1e-5)
    assert torch.equal(result.scores, result.matrix.diagonal())
    assert torch.allclose(result.standardized.mean(0), torch.zeros(3), atol=1e-5)
    assert torch.allclose(result.standardized.square().mean(0), torch.ones(3), atol=1e-5)


def test_it_prints_and_saves_a_figure(followed: Training, tmp_path: Path) -> None:
    lines = repr(followed).splitlines()
    assert len(lines) == 2 + len(TIMES)
    assert lines[1].endswith("changed by")
    assert lines[2].startswith("step 0")
    with Image.open(followed.save(tmp_path / "new" / "training.png")) as page:
        assert page.width > 6 * 160
        assert page.height > 160 + 6 * 36
    assert followed._repr_png_().startswith(b"\x89PNG")


def test_a_checkpoint_that_no_gradient_reaches_keeps_its_noise() -> None:
    modules = [nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU()).eval() for _ in range(2)]
    for module, bias in zip(modules, (-100.0, 100.0), strict=True):
        nn.init.constant_(module[0].bias, bias)
    dead, alive = (wrap(module, input_size=16) for module in modules)
    result = through_training([dead, alive], "1:0", size=16, steps=18)
    assert list(result.unreached) == [0]
    assert result.images[0].std() < 0.05
    assert result.matrix[0, 0] == 0
    with pytest.raises(NoGradientError, match="dead ReLU"):
        through_training([dead, dead], "1:0", size=16, steps=18)


def test_wrong_requests_are_refused(tiny: Model) -> None:
    with pytest.raises(BadInputError, match="two checkpoints or more; came 1"):
        through_training([tiny], "conv3:0")
    with pytest.raises(BadInputError, match="asks for 2 pictures"):
        through_training([tiny, tiny], "conv3:0-1")
    with pytest.raises(BadInputError, match="1 names for 2"):
        through_training([tiny, tiny], "conv3:0", names=["early"])
