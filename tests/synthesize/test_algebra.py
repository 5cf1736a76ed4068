"""Properties of the algebra of objectives: random formulas against plain numbers, gradients that stay in their item."""

import math
import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from retinoscope.image.canvas import Pixels
from retinoscope.network.model import Layer, Model, ReceptiveField
from retinoscope.network.record import Trace
from retinoscope.network.zoo import wrap
from retinoscope.synthesize.diversity import cosine_diversity, diversity
from retinoscope.synthesize.interpolation import alignment, between
from retinoscope.synthesize.objectives import (
    Objective,
    channel,
    deepdream,
    direction,
    logit,
    neuron,
    probability,
)
from retinoscope.synthesize.optimize import optimize
from retinoscope.synthesize.render import render
from retinoscope.synthesize.score import judge, spread

FIELD = ReceptiveField((3, 3), (1, 1), (1, 1))
LAYERS = {
    "a": Layer("a", "a", 1, 0, "Conv2d", 5, (4, 6), FIELD, 0.5),
    "logits": Layer("logits", "", 1, 1, "Net", 3, (1, 1), FIELD, 1.0, "vector"),
}
LEAVES = [
    channel("a", 1),
    channel("a", 4),
    neuron("a", 2, 1, 3),
    neuron("a", 0),
    deepdream("a"),
    direction("a", [1.0, -1, 0, 2, 0.5]),
    direction("a", [1.0, -1, 0, 2, 0.5], power=2),
    logit(1),
    probability(2),
]
Value = Objective | float


def trace(count: int = 3) -> tuple[Trace, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    a = torch.randn(count, 5, 4, 6, generator=draw, requires_grad=True)
    logits = torch.randn(count, 3, generator=draw, requires_grad=True)
    return Trace(LAYERS, {"a": a, "logits": logits}), a, logits


def grow(draw: random.Random, depth: int, value: Callable[[Objective], object]) -> object:
    """A random formula of + - * and numbers, on whatever `value` makes of the leaves."""
    if depth == 0:
        return value(draw.choice(LEAVES))
    left, right = grow(draw, draw.randrange(depth), value), grow(draw, draw.randrange(depth), value)
    number = draw.choice([-2.0, -0.5, 0.0, 0.3, 1.0, 3.0])
    return draw.choice(
        [
            lambda: left + right,  # type: ignore[operator]
            lambda: left - right,  # type: ignore[operator]
            lambda: left * right,  # type: ignore[operator]
            lambda: -left,  # type: ignore[operator]
            lambda: number * left,  # type: ignore[operator]
            lambda: left * number,  # type: ignore[operator]
            lambda: number - left,  # type: ignore[operator]
            lambda: left + number,  # type: ignore[operator]
            lambda: left / 4,  # type: ignore[operator]
        ]
    )()


@pytest.mark.parametrize("seed", range(60))
def test_a_random_formula_has_the_value_of_its_numbers(seed: int) -> None:
    t, _, _ = trace()
    objective = grow(random.Random(seed), 5, lambda leaf: leaf)
    for item in range(3):
        number = grow(random.Random(seed), 5, lambda leaf, item=item: float(leaf(t)[item].detach()))  # type: ignore[misc]
        assert isinstance(objective, Objective)
        assert math.isclose(float(objective(t)[item].detach()), float(number), rel_tol=1e-4, abs_tol=1e-4)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(60))
def test_the_printed_formula_is_the_formula(seed: int) -> None:
    """Evaluated as Python, with each leaf's number in place of its text, it gives the same."""
    t, _, _ = trace()
    objective = grow(random.Random(seed), 5, lambda leaf: leaf)
    assert isinstance(objective, Objective)
    text = repr(objective)
    for leaf in sorted(LEAVES, key=lambda leaf: -len(leaf.formula)):
        text = text.replace(leaf.formula, f"({float(leaf(t)[0].detach())!r})")
    assert math.isclose(eval(text), float(objective(t)[0].detach()), rel_tol=1e-4, abs_tol=1e-4)


@pytest.mark.parametrize("seed", range(20))
def test_an_items_score_has_no_gradient_in_other_items(seed: int) -> None:
    t, a, logits = trace()
    objective = grow(random.Random(seed), 4, lambda leaf: leaf) + 0 * logit(0) + 0 * channel("a", 0)  # type: ignore[operator]
    for item in range(3):
        for grad in torch.autograd.grad(objective(t)[item], [a, logits], retain_graph=True):
            others = [other for other in range(3) if other != item]
            assert grad[others].abs().max() == 0


@pytest.mark.parametrize("objective", [diversity("a", 2), cosine_diversity("a", 2), alignment("a", 2)])
def test_pictures_judged_together_leave_other_groups_alone(objective: Objective) -> None:
    t, a, _ = trace(4)
    scores = judge(spread([channel("a", 1) + objective, objective], 4), t)
    (grad,) = torch.autograd.grad(scores[:2].sum(), a)
    assert grad[:2].abs().max() > 0
    assert grad[2:].abs().max() == 0


def test_a_sum_of_terms_that_judge_together_is_their_sum() -> None:
    t, _, _ = trace(2)
    a, b, c = diversity("a", 2), between("a:0", "a:3", 2), channel("a", 1)
    assert torch.allclose((2 * a - b * c + 1)(t), 2 * a(t) - b(t) * c(t) + 1)


def linear(seed: int) -> tuple[Model, Tensor]:
    """A network of four linear units on 4 x 4 pictures about mid-grey, and its weights (4, 48)."""
    weights = torch.randn(4, 48, generator=torch.Generator().manual_seed(seed))
    layer = nn.Linear(48, 4, bias=False)
    layer.weight.data.copy_(weights)
    module = nn.Sequential(nn.Flatten(), layer)
    return wrap(module.eval(), input_size=4, mean=(0.5,) * 3, std=(1.0,) * 3, fixed_size=True), weights


def on_sphere(images: Tensor, gradient: Tensor, index: int) -> Tensor:
    """A plain gradient step, back to distance 1 from mid-grey."""
    moved = images - 0.5 - 0.1 * gradient  # of a loss to descend
    return 0.5 + moved / moved.flatten(1).norm(dim=1)[:, None, None, None]


def climbed(model: Model, objective: Objective) -> Tensor:
    canvas = Pixels(1, 4)
    steps = optimize(
        model, objective, canvas=canvas, transforms=(), corrections=(on_sphere,), steps=40, rate=0, dtype=torch.float32
    )
    for _ in steps:
        pass
    return (canvas() - 0.5).flatten().detach()


@pytest.mark.parametrize("seed", range(3))
def test_joint_units_of_a_linear_layer_meet_half_way(seed: int) -> None:
    model, w = linear(seed)
    joint = climbed(model, logit(0) + logit(1))
    assert torch.cosine_similarity(joint, w[0] + w[1], dim=0) > 0.999
    difference = climbed(model, logit(0) - logit(1))
    assert torch.cosine_similarity(difference, w[0] - w[1], dim=0) > 0.999
    solo = [climbed(model, logit(unit)) for unit in (0, 1)]
    assert w[0] @ joint >= w[0] @ solo[1]
    assert w[1] @ joint >= w[1] @ solo[0]


def test_joint_units_of_a_network_excite_both(tiny: Model) -> None:
    first, second = channel("conv3", 0), channel("conv3", 5)
    out = render(tiny, [first + second, first, second, first - second], size=32, steps=48)
    one, two = (render(tiny, "conv3:0", start=out.images[k], steps=1, size=32).scores for k in (0, 2))
    assert one > two  # the joint picture excites the first unit more than the second's own does
    scores = torch.stack([_score(tiny, unit, out.images) for unit in (first, second)])
    assert scores[1, 0] > scores[1, 1]
    assert scores[0, 3] - scores[1, 3] > scores[0, 0] - scores[1, 0]


def _score(model: Model, objective: Objective, images: Tensor) -> Tensor:
    from retinoscope.synthesize.render import final_scores

    return final_scores(model, [objective] * len(images), images)
