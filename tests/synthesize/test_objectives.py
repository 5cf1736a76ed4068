"""Objectives: their definitions in slow code, their algebra, and their gradients in closed form."""

import pytest
import torch
from torch import Tensor

from retinoscope.base.errors import BadUnitError, UnknownNameError
from retinoscope.base.units import Unit
from retinoscope.network.model import Layer, Model, ReceptiveField
from retinoscope.network.record import Trace, record
from retinoscope.synthesize.objectives import (
    Objective,
    as_objective,
    channel,
    check,
    deepdream,
    direction,
    logit,
    neuron,
    probability,
)
from tests.samples import photos


def trace(values: Tensor | None = None, logits: Tensor | None = None) -> Trace:
    field = ReceptiveField((3, 3), (1, 1), (1, 1))
    layers = {
        "a": Layer("a", "a", 1, 0, "Conv2d", 5, (4, 6), field, 0.5),
        "logits": Layer("logits", "", 1, 1, "Net", 3, (1, 1), field, 1.0, "vector"),
    }
    g = torch.Generator().manual_seed(0)
    values = torch.randn(2, 5, 4, 6, dtype=torch.float64, generator=g) if values is None else values
    logits = torch.randn(2, 3, generator=g) if logits is None else logits
    return Trace(layers, {"a": values, "logits": logits})


def test_channel_is_the_mean_over_positions() -> None:
    t = trace()
    slow = [sum(t["a"][b, 2, y, x] for y in range(4) for x in range(6)) / 24 for b in range(2)]
    assert torch.allclose(channel("a", 2)(t), torch.stack(slow).float(), atol=1e-6)


def test_neuron_is_one_value_the_centre_by_default_and_y_comes_first() -> None:
    t = trace()
    assert torch.equal(neuron("a", 2, 1, 3)(t), t["a"][:, 2, 1, 3].float())
    assert torch.equal(neuron("a", 2)(t), t["a"][:, 2, 2, 3].float())  # rows // 2, columns // 2
    everywhere = torch.stack([neuron("a", 2, y, x)(t) for y in range(4) for x in range(6)]).mean(0)
    assert torch.allclose(everywhere, channel("a", 2)(t), atol=1e-6)


def test_direction_of_a_basis_vector_is_its_channel() -> None:
    t = trace()
    for k in range(5):
        assert torch.allclose(direction("a", torch.eye(5)[k])(t), channel("a", k)(t), atol=1e-6)


def test_direction_with_a_power_weighs_by_the_cosine() -> None:
    t, v = trace(), torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0])
    slow = torch.zeros(2)
    for b in range(2):
        for y in range(4):
            for x in range(6):
                a = t["a"][b, :, y, x].float()
                cosine = a @ v / (a.norm() * v.norm() + 1e-4)
                slow[b] += (a @ v) * max(0.1, float(cosine)) ** 2 / 24
    assert torch.allclose(direction("a", v, power=2)(t), slow, atol=1e-5)


def test_deepdream_is_the_mean_square_with_gradient_twice_the_activation() -> None:
    values = torch.randn(1, 5, 4, 6, dtype=torch.float32, requires_grad=True)
    score = deepdream("a")(trace(values))
    assert score.item() == pytest.approx(values.square().mean().item(), rel=1e-6)
    score.sum().backward()
    assert values.grad is not None
    assert torch.allclose(values.grad * values.numel(), 2 * values.detach(), atol=1e-5)


def test_probability_saturates_where_the_logit_does_not() -> None:
    z = torch.tensor([[30.0, 0.0, 0.0], [0.3, -0.2, 0.5]], requires_grad=True)
    p = z.detach().softmax(1)
    probability(0)(trace(logits=z)).sum().backward()
    assert z.grad is not None
    closed = p[:, :1] * (torch.eye(3)[0] - p)
    assert torch.allclose(z.grad, closed, atol=1e-7)
    assert z.grad[0].norm() < 1e-9
    z.grad = None
    logit(0)(trace(logits=z)).sum().backward()
    assert z.grad.norm(dim=1).tolist() == [1, 1]


ALGEBRA = [
    ("a - b", lambda a, b: a - b),
    ("0.2 a + 0.8 b", lambda a, b: 0.2 * a + 0.8 * b),
    ("a + 3 b", lambda a, b: a + 3 * b),
    ("-(a - 2 b)", lambda a, b: -(a - 2 * b)),
    ("a * b - a", lambda a, b: a * b - a),
    ("(a - b) / 4 + 1", lambda a, b: (a - b) / 4 + 1),
    ("1 - a", lambda a, b: 1 - a),
    ("sum", lambda a, b: sum([a, b, a])),
    ("a - (b - a)", lambda a, b: a - (b - a)),
    ("(a + b) * (a - b)", lambda a, b: (a + b) * (a - b)),
]


@pytest.mark.parametrize(("name", "formula"), ALGEBRA, ids=[name for name, _ in ALGEBRA])
def test_algebra_of_objectives_is_the_algebra_of_their_values(name: str, formula: object) -> None:
    t, a, b = trace(), channel("a", 1), channel("a", 4)
    assert callable(formula)
    combined = formula(a, b)
    expected = formula(a(t), b(t))
    assert torch.allclose(combined(t), expected.expand(2), atol=1e-6)
    # The repr is the formula: evaluated with numbers in place of units it gives the same.
    text = repr(combined).replace("a:1", "(A)").replace("a:4", "(B)")
    assert torch.allclose(eval(text, {"A": a(t), "B": b(t)}), expected, atol=1e-6)
    assert combined.layers == {"a"}


def test_operands_are_never_changed() -> None:
    t, a, b = trace(), channel("a", 1), channel("a", 4)
    before = (a(t), b(t), repr(a), repr(b))
    _ = 3 * (a - b) + a * 2
    after = (a(t), b(t), repr(a), repr(b))
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])
    assert before[2:] == after[2:]


def test_texts_and_units_become_objectives() -> None:
    assert repr(as_objective("a:3")) == "a:3"
    assert repr(as_objective(Unit("a", 3, (1, 2)))) == "a:3@1,2"
    assert as_objective("logits:2")(trace()).tolist() == trace()["logits"][:, 2, 0, 0].tolist()
    objective = channel("a", 1)
    assert as_objective(objective) is objective


@pytest.mark.parametrize(
    ("objective", "error", "said"),
    [
        (channel("conv1", 8), BadUnitError, "0 to 7"),
        (channel("conv9", 0), UnknownNameError, "nearest: conv"),
        (logit(5), BadUnitError, "0 to 4"),
        (channel("conv1", 0) - channel("conv2", 12), BadUnitError, "0 to 11"),
    ],
)
def test_what_a_network_does_not_have_is_refused(tiny: Model, objective: Objective, error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        check(tiny, objective)


def test_wrong_positions_and_lengths_are_refused(tiny: Model) -> None:
    with record(tiny, ["conv1"]) as t:
        tiny(photos(1, 32))
        with pytest.raises(BadUnitError, match="16 x 16"):
            neuron("conv1", 0, 16, 0)(t)
        with pytest.raises(BadUnitError, match="8 values"):
            direction("conv1", [1.0, 2.0])(t)
