"""Interpolation: weights, ends, alignment in closed form, and what sharing the canvas brings."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from retinoscope.base.errors import BadInputError
from retinoscope.image.canvas import Fourier
from retinoscope.network.model import Layer, Model, ReceptiveField
from retinoscope.network.record import Trace, record
from retinoscope.synthesize.interpolation import alignment, between, channel_interpolate, interpolate
from retinoscope.synthesize.objectives import channel
from retinoscope.synthesize.recipes import RECIPES
from retinoscope.synthesize.render import render


def trace_of(values: Tensor) -> Trace:
    field = ReceptiveField((3, 3), (1, 1), (1, 1))
    return Trace({"a": Layer("a", "a", 1, 0, "Conv2d", values.shape[1], (4, 6), field, 0.5)}, {"a": values})


def maps(count: int) -> Tensor:
    return torch.randn(count, 5, 4, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("count", [2, 5, 6])
def test_the_weights_go_from_one_unit_to_the_other(count: int) -> None:
    values = maps(count)
    scores = channel_interpolate("a", 1, "a", 3, count)(trace_of(values))
    for item in range(count):
        w = item / (count - 1)
        slow = (1 - w) * values[item, 1].mean() + w * values[item, 3].mean()
        assert float(scores[item]) == pytest.approx(float(slow), abs=1e-6)
    if count % 2:
        middle = count // 2
        half = 0.5 * values[middle, 1].mean() + 0.5 * values[middle, 3].mean()
        assert float(scores[middle]) == pytest.approx(float(half), abs=1e-6)


def test_the_ends_have_no_gradient_of_the_other_unit() -> None:
    values = maps(4).requires_grad_()
    channel_interpolate("a", 1, "a", 3, 4)(trace_of(values)).sum().backward()
    assert values.grad is not None
    assert values.grad[0, 3].abs().max() == 0
    assert values.grad[3, 1].abs().max() == 0
    assert values.grad[0, 1].abs().max() > 0
    assert values.grad[3, 3].abs().max() > 0


def test_alignment_of_equal_pictures_is_0_and_of_two_half_their_square_difference() -> None:
    assert alignment("a", 4)(trace_of(maps(1).expand(4, -1, -1, -1))).abs().max() == 0
    values = maps(2)
    total = alignment("a", 2)(trace_of(values)).sum()
    assert float(total) == pytest.approx(-float((values[0] - values[1]).square().mean()) / 2, rel=1e-5)


@pytest.mark.parametrize("count", [3, 7])
def test_alignment_sums_to_lucids(count: int) -> None:
    values = maps(count)
    slow = 0.0
    for d in (1, 2, 3, 4):
        for i in range(count - d):
            slow -= float((values[i] - values[i + d]).square().mean()) / 2.0**d
    scores = alignment("a", count)(trace_of(values))
    assert scores.shape == (count,)
    assert float(scores.sum()) == pytest.approx(slow, rel=1e-5)
    assert float(alignment("a", count, decay=3.0)(trace_of(values)).sum()) > slow


def apart(images: Tensor) -> float:
    """Mean distance of neighbours, in units of the pictures' own contrast."""
    contrast = (images - images.mean((2, 3), keepdim=True)).flatten(1).norm(dim=1).mean()
    return float((images[1:] - images[:-1]).flatten(1).norm(dim=1).mean() / contrast)


def test_neighbours_on_a_shared_canvas_are_nearer(tiny: Model) -> None:
    shared = interpolate(tiny, "conv3:1", "conv3:4", 4, size=32, steps=32)
    own = render(tiny, between("conv3:1", "conv3:4", 4), size=32, steps=32)
    assert apart(shared.images) < 0.8 * apart(own.images)
    aligned = interpolate(tiny, "conv3:1", "conv3:4", 4, align=[3 * alignment("conv1", 4)], size=32, steps=32)
    assert apart(aligned.images) < apart(shared.images)


def test_scores_are_those_of_the_path_without_alignment(tiny: Model) -> None:
    out = interpolate(tiny, "conv3:1", "conv2:4", 3, align=[alignment("conv1", 3)], size=32, steps=3)
    with record(tiny, ["conv2", "conv3"]) as t, torch.no_grad():
        tiny(out.images)
    a, b = channel("conv3", 1)(t), channel("conv2", 4)(t)
    assert torch.allclose(out.scores, torch.stack([a[0], (a[1] + b[1]) / 2, b[2]]), atol=1e-5)
    assert {repr(item) for item in out.objectives} == {"between(conv3:1, conv2:4, 3)"}


def test_a_recipes_own_settings_are_kept(tiny: Model) -> None:
    recipe = replace(RECIPES["naive"], canvas=partial(Fourier, decay=0.5))
    out = interpolate(tiny, "conv3:1", "conv3:4", 2, size=32, steps=2, recipe=recipe)
    assert (out.recipe.steps, out.recipe.size, out.recipe.rate) == (2, 32, 0.05)


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(BadInputError, match="n of 2 or more, came 1"):
        between("a:1", "a:2", 1)
    with pytest.raises(BadInputError, match="two objectives of one picture"):
        between(between("a:1", "a:2", 2), "a:2", 2)
