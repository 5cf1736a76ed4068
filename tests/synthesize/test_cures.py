"""The enemy and its cures: what is measured is what it says, and the cures cure."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from retinoscope.base.errors import BadInputError, NoGradientError
from retinoscope.image.canvas import Pixels
from retinoscope.image.spectrum import high_frequency_share
from retinoscope.network.model import Model
from retinoscope.network.wrap import wrap
from retinoscope.synthesize.cures import COMPARED, Cures, cures
from retinoscope.synthesize.optimize import optimize
from retinoscope.synthesize.recipes import RECIPES
from retinoscope.synthesize.render import final_scores, render, robust_scores


def noisy_grating() -> Model:
    """A strided unit that looks for wide stripes, through a filter with noise on it, as trained filters have."""
    y = torch.arange(25.0) - 12
    stripes = torch.cos(y * 2 * torch.pi / 16)[:, None] * torch.exp(-(y[:, None].square() + y.square()) / 72)
    noise = torch.randn(25, 25, generator=torch.Generator().manual_seed(0)) * stripes.std()
    conv = nn.Conv2d(3, 1, 25, stride=2, padding=12)
    conv.weight.data.copy_((stripes + noise).expand(1, 3, -1, -1))
    nn.init.constant_(conv.bias, 0.5)
    return wrap(nn.Sequential(conv, nn.ReLU()).eval(), name="gratings", input_size=64)


@pytest.fixture(scope="module")
def compared() -> Cures:
    return cures(noisy_grating(), "1:0", size=64, steps=24, views=8)


def test_every_family_is_there_and_measured_on_its_picture(compared: Cures) -> None:
    assert [cure.family for cure in compared.cures] == list(COMPARED)
    model, count = noisy_grating(), len(COMPARED)
    scores = final_scores(model, [compared.objective] * count, compared.images)
    assert torch.allclose(scores, torch.tensor([cure.score for cure in compared.cures]), rtol=1e-4)
    shares = high_frequency_share(compared.images).tolist()
    assert [cure.share for cure in compared.cures] == pytest.approx(shares, abs=1e-6)
    robust = robust_scores(model, ["1:0"], compared.images[3:4], views=8)
    assert compared.cures[3].robust == pytest.approx(robust.item(), rel=1e-4)


def test_a_familys_picture_is_that_of_its_recipe(compared: Cures) -> None:
    for family in ("naive", "blur", "robust"):
        alone = render(noisy_grating(), "1:0", recipe=family, size=64, steps=24)
        assert torch.equal(compared.images[COMPARED.index(family)], alone.images[0])


def test_naive_pictures_have_three_times_the_high_frequencies_at_equal_objective() -> None:
    """methods 1.9: pixels without regularization, stopped where they score what the robust picture scores."""
    model = noisy_grating()
    cured = render(model, "1:0", recipe="robust", size=64, steps=96)
    canvas = Pixels(1, 64)
    for step in optimize(model, "1:0", canvas=canvas, transforms=(), steps=256, rate=0.05):
        images = step.images
        if step.scores[0] >= cured.scores[0]:
            break
    assert step.scores[0] >= cured.scores[0]
    assert high_frequency_share(images) >= 3 * high_frequency_share(cured.images)


def test_it_prints_as_a_table_and_saves_a_figure(compared: Cures, tmp_path: Path) -> None:
    lines = repr(compared).splitlines()
    assert lines[0] == "1:0 of gratings"
    assert lines[1].split() == ["regularization", "recipe", "score", "robust", "high", "frequencies"]
    assert len(lines) == 2 + len(COMPARED)
    with Image.open(compared.save(tmp_path / "new" / "cures.png")) as page:
        assert page.width > 4 * 224
        assert page.height > 3 * 224
    assert compared._repr_png_().startswith(b"\x89PNG")
    plain = compared.plain()
    assert plain["size"] == 64
    assert isinstance(plain["cures"], list)
    assert plain["cures"][1]["penalties"] == [repr(penalty) for penalty in RECIPES["l1"].penalties]


def test_wrong_requests_and_dead_units_are_refused(tiny: Model) -> None:
    with pytest.raises(BadInputError, match="asks for 3 pictures"):
        cures(tiny, "conv3:0-2")
    model = noisy_grating()
    model.module[0].bias.data.fill_(-1e3)
    with pytest.raises(NoGradientError, match="dead ReLU"):
        cures(model, "1:0", size=64, steps=18, families=("naive", "decorrelated"))
