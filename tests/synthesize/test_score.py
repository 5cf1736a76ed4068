"""Which objective judges which pictures; penalties, corrections, starts and transparency in the loop."""

import pytest
import torch
from torch import Tensor

from retinoscope.base.errors import BadInputError
from retinoscope.image.alpha import collapse
from retinoscope.image.canvas import Pixels
from retinoscope.network.model import Model
from retinoscope.network.record import Trace
from retinoscope.synthesize import ascent
from retinoscope.synthesize.objectives import Objective, channel
from retinoscope.synthesize.optimize import optimize
from retinoscope.synthesize.render import chunks, render
from retinoscope.synthesize.score import names, score, spread
from retinoscope.tensor.random import Draws
from tests.samples import photos


def brightness(span: int = 1) -> Objective:
    """Mean of each picture, or of all pictures judged together."""

    def evaluate(trace: Trace) -> Tensor:
        assert trace.images is not None
        means = trace.images.mean((1, 2, 3))
        return means if span == 1 else means.mean().expand(span)

    return Objective("brightness", frozenset(), evaluate, span=span)


def test_an_objective_of_several_pictures_sees_those_alone(tiny: Model) -> None:
    images = photos(5, 32)
    items = spread([brightness(2), channel("conv3", 1), brightness(2)], 5)
    scores = score(tiny, items, images)
    assert torch.allclose(scores[:2], images[:2].mean().expand(2))
    assert torch.allclose(scores[3:], images[3:].mean().expand(2))
    assert torch.allclose(scores[2:3], score(tiny, [channel("conv3", 1)], images[2:3]), atol=1e-5)
    assert names(items) == ["brightness", "brightness#1", "conv3:1", "brightness#2", "brightness#3"]


def test_one_objective_of_two_pictures_fills_a_batch_of_four(tiny: Model) -> None:
    images = photos(4, 32)
    scores = score(tiny, spread(brightness(2), 4), images)
    assert torch.allclose(scores, torch.stack([images[:2].mean(), images[2:].mean()]).repeat_interleave(2))


def test_spans_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadInputError, match="judges 2 pictures together"):
        spread(brightness(2), 3)
    with pytest.raises(BadInputError, match="judges 2 pictures together, brightness 3"):
        brightness(2) + brightness(3)
    assert (brightness(2) + channel("conv3", 0)).span == 2


def test_chunks_never_part_what_is_judged_together() -> None:
    items = spread([brightness(3), channel("conv3", 0), brightness(3), channel("conv3", 1)], 8)
    assert [len(part) for part in chunks(items, 4)] == [4, 4]
    assert [len(part) for part in chunks(items, 2)] == [3, 1, 3, 1]


def test_penalties_move_the_picture_and_are_left_out_of_the_scores(tiny: Model) -> None:
    def last(penalties: tuple[Objective, ...], rate: float = 0.5) -> Pixels:
        canvas = Pixels(2, 32)
        canvas.paint(photos(2, 32))
        kwargs = {"transforms": (), "steps": 1, "rate": rate, "ascent": ascent.gradient, "dtype": torch.float32}
        steps = list(optimize(tiny, "conv3:2", canvas=canvas, penalties=penalties, **kwargs))  # type: ignore[arg-type]
        assert torch.allclose(steps[0].scores, score(tiny, [channel("conv3", 2)] * 2, photos(2, 32)), atol=1e-3)
        return canvas

    start = Pixels(2, 32)
    start.paint(photos(2, 32))
    plain, dark = last(()), last((-1 * brightness(),))
    alone = Pixels(2, 32)
    alone.paint(photos(2, 32))
    (-alone().mean((1, 2, 3)).sum()).backward()
    assert alone.values.grad is not None
    assert torch.allclose(dark.values, plain.values + 0.5 * alone.values.grad, atol=1e-6)


def test_corrections_see_the_image_gradient_and_change_the_canvas(tiny: Model) -> None:
    seen: list[tuple[int, Tensor]] = []

    def halve(images: Tensor, gradient: Tensor, index: int) -> Tensor:
        seen.append((index, gradient))
        return images / 2

    canvas = Pixels(1, 32)
    canvas.paint(photos(1, 32))
    for _ in optimize(
        tiny, "conv3:2", canvas=canvas, transforms=(), corrections=(halve,), steps=2, rate=0.0, dtype=torch.float32
    ):
        pass
    start = photos(1, 32).clamp(1e-3, 1 - 1e-3).requires_grad_()
    score(tiny, [channel("conv3", 2)], start).sum().backward()
    assert [index for index, _ in seen] == [0, 1]
    assert start.grad is not None
    assert torch.allclose(seen[0][1], -start.grad, atol=1e-5)  # of a loss to descend
    assert torch.allclose(canvas(), (start / 2).clamp(min=1e-3).div(2).clamp(min=1e-3), atol=1e-5)


def test_a_render_starts_from_given_pictures(tiny: Model) -> None:
    begin = photos(2, 48)
    out = render(tiny, ["conv3:0", "conv3:1"], size=48, steps=1, recipe="naive", start=begin)
    assert (out.images - begin).abs().max() < 0.05  # one step of Adam's rate from the start
    with pytest.raises(BadInputError, match=r"starting pictures must be \(3, h, w\) or \(2, 3, h, w\)"):
        render(tiny, ["conv3:0", "conv3:1"], size=48, steps=1, start=photos(3, 48))


class Glass(Pixels):
    """Pixels of a fixed opacity."""

    def alpha(self) -> Tensor:
        """Half transparent."""
        return torch.full((self.batch, 1, *self.size), 0.25)


def test_transparent_pictures_are_seen_on_a_new_noise_each_step() -> None:
    draws = Draws(0, ["a", "b"])
    first, second = (collapse(photos(2, 32), torch.full((2, 1, 32, 32), 0.25), draws) for _ in range(2))
    noise = (first - 0.25 * photos(2, 32)) / 0.75
    assert noise.min() > 0
    assert noise.max() < 1
    assert (first - second).abs().mean() > 0.02
    assert (noise[0] - noise[1]).abs().mean() > 0.02


def test_alpha_reaches_the_trace_and_the_scores(tiny: Model) -> None:
    def opacity(trace: Trace) -> Tensor:
        assert trace.alpha is not None
        return trace.alpha.mean((1, 2, 3))

    canvas = Glass(2, 32)
    canvas.paint(photos(2, 32))
    objective = brightness() + Objective("opacity", frozenset(), opacity)
    (step,) = optimize(tiny, [objective] * 2, canvas=canvas, transforms=(), steps=1)
    assert torch.allclose(step.scores, photos(2, 32).mean((1, 2, 3)) + 0.25, atol=1e-3)
