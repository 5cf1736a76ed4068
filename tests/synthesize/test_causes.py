"""What a unit looks for against what its photos show: optimisation parts the cause from what comes along with it."""

import math

import pytest
import torch
from torch import Tensor, nn

from retinoscope.image.samples import sample_images
from retinoscope.network.model import Model
from retinoscope.network.record import record
from retinoscope.network.wrap import wrap
from retinoscope.synthesize.objectives import channel
from retinoscope.synthesize.render import render
from tests.planted import SIDE, gratings


class Stripes(nn.Module):
    """`energy` answers to vertical stripes of 4 pixels' period, in whatever colour has them light and dark."""

    def __init__(self) -> None:
        super().__init__()
        self.waves = nn.Conv2d(3, 2, 8, bias=False)
        self.waves.weight.data.copy_(gratings(True))
        self.energy = nn.Conv2d(2, 1, 1, bias=False)
        nn.init.ones_(self.energy.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 3, h, w) to (b, 1)."""
        return self.energy(self.waves(x - 0.5).square()).mean((2, 3))


def confounded(count: int) -> Tensor:
    """Photos of noise: every other one has the stripes, and is red where the rest are blue."""
    draw = torch.Generator().manual_seed(0)
    striped = (torch.arange(count) % 2 == 0).view(-1, 1, 1, 1)
    phase = 2 * math.pi * torch.rand(count, 1, 1, 1, generator=draw)
    waves = (torch.arange(SIDE) * (math.pi / 2) + phase).cos().expand(-1, 1, SIDE, -1)
    tint = torch.tensor([0.2, 0.0, -0.2]).view(1, 3, 1, 1)
    noise = 0.05 * torch.randn(count, 3, SIDE, SIDE, generator=draw)
    return (0.5 + torch.where(striped, tint + 0.08 * waves, -tint) + noise).clamp(0, 1)


def answers(model: Model, images: Tensor) -> Tensor:
    with record(model, ["energy"]) as trace, torch.no_grad():
        model(images)
    return trace["energy"].mean((1, 2, 3))


def redness(images: Tensor) -> Tensor:
    """How much more red than blue a picture is on the whole, (b,)."""
    return (images[:, 0] - images[:, 2]).mean((1, 2))


@pytest.mark.parametrize("recipe", ["naive", "decorrelated", "robust"])
def test_a_colour_that_only_comes_along_is_in_the_photos_and_not_in_the_picture(recipe: str) -> None:
    model, photos = wrap(Stripes().eval(), input_size=SIDE), confounded(40)
    best = photos[answers(model, photos).topk(9).indices]
    assert (redness(best) > 0.3).all(), "the photos cannot tell stripes from red"
    out = render(model, channel("energy", 0), recipe=recipe, size=SIDE, steps=64)
    assert answers(model, out.images) > 3 * answers(model, best).max(), "the picture has the stripes"
    start = render(model, channel("energy", 0), recipe=recipe, size=SIDE, steps=1)
    assert (redness(out.images) - redness(start.images)).abs() < 0.03, "and its colour stays"


def test_pictures_beat_the_answers_of_photos(lite0: Model) -> None:
    """Mean activations, without views: each picture more than any of the sample photos, by the default recipe."""
    units = [channel("blocks.3.2", index) for index in (3, 21, 60)]
    out = render(lite0, units, size=64, steps=32)
    with record(lite0, ["blocks.3.2"]) as trace, torch.no_grad():
        lite0(sample_images((224, 224), 12))
    photos = torch.stack([unit(trace) for unit in units], 1)
    assert (out.scores > photos.quantile(0.999, 0)).all()
