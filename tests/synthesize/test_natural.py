"""The natural prior against an obvious re-implementation, and what it does to a picture."""

import math

import pytest
import torch
from torch import Tensor, nn

from retinoscope.base.errors import BadInputError
from retinoscope.network.model import Model
from retinoscope.network.wrap import wrap
from retinoscope.synthesize.natural import FLOOR, answering, learn, moments, natural, strangeness
from retinoscope.synthesize.objectives import channel
from retinoscope.synthesize.recipes import RECIPES
from retinoscope.synthesize.render import render
from retinoscope.synthesize.score import observe, score


class Block(nn.Module):
    """A convolution, its norm and a ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(inputs, outputs, 3, stride=stride), nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) to the same, smaller."""
        return self.norm(self.conv(x)).relu()


def network() -> Model:
    """Two blocks and a head, seeded."""
    torch.manual_seed(0)
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)]
    return wrap(nn.Sequential(Block(3, 6, 1), Block(6, 4, 2), *head).eval(), input_size=24)


def photos(count: int = 7) -> Tensor:
    """Smooth random pictures (count, 3, 24, 24)."""
    small = torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    return nn.functional.interpolate(small, (24, 24), mode="bilinear")


@torch.no_grad()
def by_hand(model: Model, images: Tensor, layers: list[str], item: int) -> float:
    """The penalty of one image, number by number, at weight 1."""
    total = 0.0
    for name in layers:
        both = (photos(), images[item : item + 1])
        seen, shown = (observe(model, [name], some)[name].detach().double() for some in both)
        for number in (lambda a: a.mean((-2, -1)), lambda a: (a.var((-2, -1), correction=0) + 1e-6).sqrt()):
            middle, spread = number(seen).mean(0), number(seen).std(0)
            z = [
                float((number(shown)[0, c] - middle[c]) / (spread[c] + FLOOR * spread.mean()))
                for c in range(seen.shape[1])
            ]
            total += sum(math.sqrt(1 + value * value) - 1 for value in z) / len(z)
    return -total / len(layers)


def test_it_is_what_it_says_number_by_number() -> None:
    model, images = network(), torch.rand(3, 3, 24, 24, generator=torch.Generator().manual_seed(2))
    layers = list(answering(model))
    got = score(model, [natural(model, photos(), weight=1.0)] * 3, images)
    assert layers == ["0.norm", "1.norm"]
    assert got.tolist() == pytest.approx([by_hand(model, images, layers, item) for item in range(3)], rel=1e-3)


def test_batches_of_photos_give_the_same_habits() -> None:
    model = network()
    whole, parted = (learn(model, some, ["0.norm"])["0.norm"] for some in (photos(), photos().split(3)))
    assert torch.allclose(whole.middle, parted.middle, atol=1e-6)
    assert torch.allclose(whole.spread, parted.spread, atol=1e-6)


def test_photos_are_less_strange_than_noise_and_an_average_photo_is_not_strange_at_all() -> None:
    model = network()
    habits = learn(model, photos(), ["1.norm"])["1.norm"]
    maps = observe(model, ["1.norm"], torch.cat((photos(), torch.rand(7, 3, 24, 24))))["1.norm"].detach()
    strange = strangeness(maps, habits)
    assert float(strange[:7].max()) < float(strange[7:].min())
    middle, deviation = habits.middle.chunk(2)
    shape = torch.tensor([-1.0, 1.0]).repeat(8).view(1, 1, 4, 4)
    average = middle[None, :, None, None] + deviation[None, :, None, None] * shape
    assert float(strangeness(average, habits)) == pytest.approx(0, abs=1e-4)


def test_the_gradient_is_finite_on_a_flat_picture_and_each_item_s_own() -> None:
    model, images = network(), torch.full((2, 3, 24, 24), 0.5, requires_grad=True)
    score(model, [natural(model, photos())] * 2, images)[0].backward()
    assert images.grad is not None
    assert bool(images.grad.isfinite().all())
    assert float(images.grad[1].abs().max()) == 0
    assert float(images.grad[0].abs().max()) > 0


def test_the_recipe_keeps_answers_nearer_to_photos() -> None:
    model = network()
    units = [channel("1.norm", index) for index in range(4)]
    penalty = natural(model, photos())
    plain, kept = (
        score(model, [penalty] * 4, render(model, units, recipe=recipe, size=32, steps=24).images).mean()
        for recipe in ("robust", "natural")
    )
    assert kept > plain
    assert RECIPES["natural"].describe()["prior"] == "sample_habits"


def test_one_photo_has_no_habits() -> None:
    with pytest.raises(BadInputError, match="two photos or more; came 1"):
        natural(network(), photos(1))


def test_moments_are_means_then_deviations() -> None:
    maps = torch.rand(2, 3, 5, 4, generator=torch.Generator().manual_seed(3))
    flat = maps.flatten(2)
    wanted = torch.cat((flat.mean(2), flat.std(2, correction=0)), 1)
    assert torch.allclose(moments(maps), wanted, atol=1e-4)


def test_moments_have_the_gradient_of_the_written_out_formula() -> None:
    maps = torch.randn(2, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.5
    weights = torch.randn(2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    mine, plain = (maps.float().requires_grad_() for _ in range(2))
    (moments(mine) * weights).sum().backward()
    deviation = (plain.square().mean((2, 3)) - plain.mean((2, 3)).square() + 1e-6).sqrt()
    (torch.cat((plain.mean((2, 3)), deviation), 1) * weights).sum().backward()
    assert torch.allclose(mine.grad, plain.grad, atol=1e-6)  # type: ignore[arg-type]
