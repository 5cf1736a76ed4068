"""Diversity: the article's and Lucid's values, what it is blind to, and the two facets of a planted unit."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from retinoscope.base.errors import BadInputError
from retinoscope.image.canvas import Fourier
from retinoscope.image.transforms import Jitter
from retinoscope.network.model import Layer, Model, ReceptiveField
from retinoscope.network.record import Trace, record
from retinoscope.network.zoo import wrap
from retinoscope.synthesize.diversity import (
    compared_at,
    cosine_diversity,
    diversity,
    facet_objectives,
    facets,
    magnitude,
)
from retinoscope.synthesize.objectives import channel, logit
from retinoscope.synthesize.recipes import RECIPES
from retinoscope.synthesize.render import render
from tests.planted import two_patterns


def trace_of(values: Tensor) -> Trace:
    field = ReceptiveField((3, 3), (1, 1), (1, 1))
    return Trace({"a": Layer("a", "a", 1, 0, "Conv2d", values.shape[1], (4, 6), field, 0.5)}, {"a": values})


def maps(count: int, channels: int = 5) -> Tensor:
    return torch.randn(count, channels, 4, 6, generator=torch.Generator().manual_seed(0))


def lucids(values: Tensor) -> float:
    """Lucid's `diversity`, written out."""
    total = 0.0
    grams = [item.flatten(1) @ item.flatten(1).T for item in values.double()]
    grams = [gram / gram.norm() for gram in grams]
    for i in range(len(grams)):
        for j in range(len(grams)):
            total += float((grams[i] * grams[j]).sum()) if i != j else 0.0
    return total / len(grams)


def test_diversity_is_the_articles_sum_and_minus_lucids_mean() -> None:
    values = maps(4)
    scores = diversity("a", 4)(trace_of(values))
    assert scores.shape == (4,)
    assert float(-scores.mean()) == pytest.approx(lucids(values), abs=1e-6)
    assert float(scores.sum()) == pytest.approx(-4 * lucids(values), abs=1e-5)


@pytest.mark.parametrize("count", [2, 4, 7])
@pytest.mark.parametrize("objective", [diversity, cosine_diversity])
def test_equal_pictures_give_lucids_b_minus_1(count: int, objective: object) -> None:
    assert callable(objective)
    scores = objective("a", count)(trace_of(maps(1).expand(count, -1, -1, -1)))
    assert float(-scores.mean()) == pytest.approx(count - 1, abs=1e-5)
    assert float(scores.sum()) == pytest.approx(-count * (count - 1), abs=1e-4)


def test_pictures_without_a_channel_in_common_give_0() -> None:
    values = maps(3, channels=6)
    for item in range(3):
        mine = torch.arange(6) // 2 == item
        values[item, ~mine] = 0
    assert diversity("a", 3)(trace_of(values)).abs().max() < 1e-6
    assert cosine_diversity("a", 3)(trace_of(values)).abs().max() < 1e-6


def test_positions_matter_to_the_cosine_form_alone() -> None:
    values = maps(3).cumsum(3)  # smooth, so that neighbours are alike
    moved = values.clone()
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1))
    moved[1] = moved[1].flatten(1)[:, order].view(5, 4, 6)
    assert torch.allclose(diversity("a", 3)(trace_of(values)), diversity("a", 3)(trace_of(moved)), atol=1e-6)
    before, after = (cosine_diversity("a", 3)(trace_of(some)) for some in (values, moved))
    assert (before - after)[1].abs() > 0.01


def test_cosine_form_in_slow_code() -> None:
    values = maps(3)
    slow = torch.zeros(3)
    for i in range(3):
        for j in range(3):
            if i != j:
                slow[i] -= torch.cosine_similarity(values[i].flatten(), values[j].flatten(), dim=0)
    assert torch.allclose(cosine_diversity("a", 3)(trace_of(values)), slow, atol=1e-6)


def test_blank_maps_give_numbers() -> None:
    values = torch.zeros(2, 5, 4, 6, requires_grad=True)
    diversity("a", 2)(trace_of(values)).sum().backward()
    assert values.grad is not None
    assert values.grad.isfinite().all()


def test_a_magnitude_weighs_and_passes_no_gradient() -> None:
    values = maps(2).requires_grad_()
    a, b = channel("a", 1), channel("a", 3)
    weighed = a + 0.5 * magnitude(a) * b
    scores = weighed(trace_of(values))
    assert torch.allclose(scores, a(trace_of(values)) + 0.5 * a(trace_of(values)).abs() * b(trace_of(values)))
    scores.sum().backward()
    assert values.grad is not None
    assert torch.allclose(values.grad[:, 1] * 24, torch.ones(2, 4, 6))
    expected = 0.5 * a(trace_of(values)).abs().detach()[:, None, None].expand(-1, 4, 6)
    assert torch.allclose(values.grad[:, 3] * 24, expected)


@pytest.mark.parametrize("seed", [2, 3, 5])
def test_a_unit_of_two_patterns_shows_both(seed: int) -> None:
    model = two_patterns()
    recipe = replace(RECIPES["naive"], canvas=Fourier, transforms=(Jitter(4),))
    alike = facets(model, "logits:0", 2, weight=0.0, size=24, steps=64, recipe=recipe, seed=seed)
    apart = facets(model, "logits:0", 2, size=24, steps=64, recipe=recipe, seed=seed)
    assert len(set(features(model, alike.images).argmax(1).tolist())) == 1  # both pictures show the same pattern
    answers = features(model, apart.images)
    winners = answers.argmax(1)
    assert sorted(winners.tolist()) == [0, 1]
    for item, winner in enumerate(winners.tolist()):
        assert answers[item, winner] > 5 * answers[item, 1 - winner]
    assert float(apart.likeness) < 0.1 < 0.9 < float(alike.likeness)
    assert float(apart.scores.mean()) > 0.8 * float(alike.scores.mean())


def features(model: Model, images: Tensor) -> Tensor:
    """The answers (b, 2) of the planted network's two features."""
    with record(model, ["features"]) as t, torch.no_grad():
        model(images)
    return t["features"].mean((2, 3))


def test_weight_lowers_the_likeness_at_little_cost(lite0: Model) -> None:
    unit = "blocks.3.2:21"
    alike, apart = (facets(lite0, unit, 3, weight=weight, size=64, steps=24) for weight in (0.0, 0.75))
    assert float(apart.likeness) < 0.7 * float(alike.likeness)
    assert float(apart.scores.mean()) > 0.8 * float(alike.scores.mean())


def test_facets_of_many_units_are_those_of_each(tiny: Model) -> None:
    both = facets(tiny, ["conv3:1", "conv2:4"], 2, size=32, steps=6, dtype=torch.float32)
    alone = facets(tiny, "conv2:4", 2, size=32, steps=6, dtype=torch.float32)
    assert [repr(item) for item in both.objectives] == ["conv3:1", "conv3:1", "conv2:4", "conv2:4"]
    assert (both.images[2:] - alone.images).abs().max() < 1e-4
    assert both.likeness.shape == (2,)
    with record(tiny, ["conv2"]) as t, torch.no_grad():
        tiny(both.images[2:])
    assert torch.allclose(both.scores[2:], t["conv2"][:, 4].mean((1, 2)), atol=1e-5)
    slow = (4 - diversity("conv2", 2)(t).sum() - 4) / 2
    assert float(both.likeness[1]) == pytest.approx(float(slow), abs=1e-5)


def test_the_formula_says_what_was_done(tiny: Model) -> None:
    (item,) = facet_objectives(tiny, "conv3:1", 3, weight=1.0)
    assert repr(item) == "conv3:1 + 0.5 * magnitude(conv3:1) * diversity(conv3, 3)"
    assert item.span == 3
    (joint,) = facet_objectives(tiny, channel("conv2", 0) + channel("conv3", 1), 2, weight=2.0, apart=cosine_diversity)
    assert repr(joint).endswith("2 * magnitude(conv2:0 + conv3:1) * cosine_diversity(conv3, 2)")


def test_classes_are_compared_at_the_last_map(tiny: Model, lite0: Model) -> None:
    assert compared_at(tiny, logit(2)) == "conv3"
    assert max(lite0.layers[compared_at(lite0, logit(2))].size) == 7
    assert compared_at(tiny, channel("conv2", 0) + channel("conv3", 1)) == "conv3"


def test_wrong_requests_are_refused(tiny: Model) -> None:
    with pytest.raises(BadInputError, match="needs n of 2 or more, came 1"):
        diversity("conv3", 1)
    with pytest.raises(BadInputError, match="judges several pictures already"):
        facets(tiny, channel("conv3", 0) + diversity("conv3", 2), 2)


def test_vectors_have_facets_too() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 8, stride=8), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 3))
    model = wrap(module.eval(), input_size=32, fixed_size=True)
    out = facets(model, "logits:1", 2, size=32, steps=3)
    assert out.images.shape == (2, 3, 32, 32)
    assert render(model, facet_objectives(model, "logits:1", 2), size=32, steps=3).images.shape == (2, 3, 32, 32)
