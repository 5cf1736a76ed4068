"""Penalties in the loop: Lucid's names, signs and values, on the picture before its views."""

import pytest
import torch

from retinoscope.base.errors import BadInputError
from retinoscope.image import regularizers
from retinoscope.image.canvas import Pixels
from retinoscope.image.plain import Raw
from retinoscope.image.transforms import Jitter
from retinoscope.image.transparent import Transparent
from retinoscope.network.model import Model
from retinoscope.network.record import Trace, record
from retinoscope.synthesize.ascent import gradient
from retinoscope.synthesize.objectives import Objective, channel, constant
from retinoscope.synthesize.optimize import optimize
from retinoscope.synthesize.penalties import (
    L1,
    L2,
    alpha_norm,
    blur_alpha_each_step,
    blur_input_each_step,
    mean_alpha,
    penalize_boundary_complexity,
    total_variation,
    total_variation_power,
)
from retinoscope.synthesize.recipes import FAMILIES, RECIPES, Recipe
from retinoscope.synthesize.render import render, robust_scores
from tests.samples import photos

COSTS = [L1(constant=0.5), L2(constant=0.5), total_variation(), total_variation_power(1.5), alpha_norm(),
         blur_input_each_step()]  # fmt: skip


def picture(images: torch.Tensor, alpha: torch.Tensor | None = None) -> Trace:
    return Trace({}, None, images, alpha)


def test_values_are_the_regularizers() -> None:
    images, alpha = photos(2, 24), photos(2, 24, seed=1)[:, :1]
    trace = picture(images, alpha)
    assert torch.equal(L1(constant=0.5)(trace), regularizers.l1(images, 0.5))
    assert torch.equal(L1()(trace), images.flatten(1).sum(1)), "Lucid's constant is 0"
    assert torch.equal(L2(constant=0.1)(trace), regularizers.l2(images, 0.1))
    assert torch.equal(total_variation()(trace), regularizers.total_variation(images))
    assert torch.equal(total_variation_power(1.5)(trace), regularizers.total_variation_power(images, 1.5))
    assert torch.equal(alpha_norm(4)(trace), regularizers.alpha_norm(images, 4))
    assert torch.equal(blur_input_each_step()(trace), regularizers.blur_cost(images))
    assert torch.equal(blur_alpha_each_step()(trace), regularizers.blur_cost(alpha))
    assert torch.equal(mean_alpha()(trace), alpha.mean((1, 2, 3)))
    assert torch.equal(penalize_boundary_complexity(5)(trace), -regularizers.boundary_complexity(images, 5))


@pytest.mark.parametrize("cost", COSTS, ids=repr)
def test_costs_are_positive_and_the_boundary_penalty_is_not(cost: Objective) -> None:
    assert (cost(picture(photos(2, 24))) > 0).all()
    assert (penalize_boundary_complexity()(picture(photos(2, 24))) < 0).all()


def test_formulas_are_lucids_calls() -> None:
    weighted = channel("mixed4b", 452) - 0.05 * L1(constant=0.5) - 0.25 * total_variation() - blur_input_each_step()
    assert repr(weighted) == "mixed4b:452 - 0.05 * L1(constant=0.5) - 0.25 * total_variation() - blur_input_each_step()"
    assert repr(total_variation("conv3")) == "total_variation(conv3)"


def test_a_layers_map_can_be_penalized(tiny: Model) -> None:
    with record(tiny, ["conv3"]) as trace:
        tiny(photos(2, 32))
    assert torch.allclose(L1("conv3")(trace), trace["conv3"].abs().flatten(1).sum(1))
    assert total_variation("conv3").layers == {"conv3"}
    with pytest.raises(BadInputError, match="layers alone were recorded"):
        total_variation()(trace)


def test_opacity_is_asked_of_transparent_pictures_only() -> None:
    with pytest.raises(BadInputError, match="no opacity"):
        mean_alpha()(picture(photos(1, 8)))


def test_subtracting_the_blur_k_times_blurs_by_k_each_step(tiny: Model) -> None:
    canvas = Raw(1, 16)
    canvas.paint(photos(1, 16))
    expected = photos(1, 16)
    for _ in optimize(
        tiny, [constant(0) - 0.2 * blur_input_each_step()], canvas=canvas, transforms=(), ascent=gradient, rate=1.0,
        steps=3,
    ):  # fmt: skip
        expected = 0.8 * expected + 0.2 * regularizers.blurred(expected)
    assert torch.allclose(canvas(), expected, atol=1e-6)


def test_penalties_judge_the_picture_and_not_its_views(tiny: Model) -> None:
    canvas = Pixels(2, 24)
    canvas.paint(photos(2, 24))
    (step,) = optimize(tiny, [total_variation()] * 2, canvas=canvas, transforms=(Jitter(8),), steps=1)
    assert torch.allclose(step.scores, regularizers.total_variation(canvas().detach() * 0 + step.images))
    assert step.images.shape == (2, 3, 24, 24)


@pytest.mark.parametrize("name", ["l1", "total-variation", "blur"])
def test_a_penalty_lowers_what_it_penalizes(tiny: Model, name: str) -> None:
    (penalty,) = RECIPES[name].penalties
    plain, held = (render(tiny, "conv3:2", size=24, steps=30, recipe=r, dtype=torch.float32) for r in ("naive", name))
    assert penalty(picture(held.images)) > penalty(picture(plain.images)), "a weighted penalty is negative"


def test_what_a_unit_does_not_need_is_left_out(tiny: Model) -> None:
    clear = Recipe("clear", "a test", lambda batch, size: Transparent(Pixels(batch, size)), (), 60, 0.1, 32)
    asked = channel("conv3", 2) * (1 - mean_alpha())
    without, with_ = (render(tiny, what, recipe=clear, dtype=torch.float32) for what in ("conv3:2", asked))
    assert without.alpha is not None
    assert with_.alpha is not None
    assert with_.alpha.mean() < without.alpha.mean() - 0.05
    assert with_.images.shape == (1, 3, 32, 32)
    (path,) = with_.save("pictures")
    assert path.read_bytes()[25] == 6, "colour type 6: RGBA"


def test_every_family_is_a_recipe_and_runs(tiny: Model) -> None:
    assert set(FAMILIES) <= set(RECIPES)
    assert FAMILIES[0] == "naive"
    assert FAMILIES[-1] == "robust"
    for name, recipe in RECIPES.items():
        assert recipe.name == name
        out = render(tiny, ["conv3:2", "conv3:3"], size=32, steps=3, recipe=recipe)
        assert torch.isfinite(out.images).all(), name
        assert all("object at" not in str(value) for value in recipe.describe().values()), name


def test_robust_pictures_hold_under_fresh_views(tiny: Model) -> None:
    units = [f"conv3:{i}" for i in range(12)]
    name = "transformation-robustness"
    held, naive = (render(tiny, units, recipe=r, steps=60, size=32).images for r in (name, "naive"))
    views = [robust_scores(tiny, units, images, views=64, recipe=name) for images in (held, naive)]
    assert views[0].mean() > views[1].mean()
    assert (views[0] > views[1]).float().mean() >= 0.75
