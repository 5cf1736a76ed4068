"""The one optimisation loop, as an iterator of Steps."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from retinoscope.base.errors import NoGradientError
from retinoscope.image.alpha import collapse
from retinoscope.image.canvas import Canvas
from retinoscope.image.transforms import ROBUST, Transform, apply
from retinoscope.network.model import Model
from retinoscope.network.prepare import prepare
from retinoscope.network.redirect import redirected
from retinoscope.network.shaken import STILL, Shake, shaken
from retinoscope.synthesize.ascent import Ascent, adam
from retinoscope.synthesize.objectives import Objective, check
from retinoscope.synthesize.reach import why_unreached
from retinoscope.synthesize.score import Target, judge, layers_of, names, observe, resize, spread
from retinoscope.tensor.axes import Images, Scores
from retinoscope.tensor.random import Draws

Correction = Callable[[Images, Images, int], Images]
"""What is done to the images after each step: `(images, gradient, index) -> images`, all b 3 h w."""

RESCUE_STEPS = 17
"""Steps 1 to 16 redirect the ReLU gradients of items that step 0 could not reach; Lucid's window is 0 to 16."""


@dataclass(frozen=True)
class Step:
    """One iteration: its index from 0, the scores (b,) under its views, and the images (b, 3, h, w) before its update.

    `reached` (b,) tells which items a gradient has reached so far.
    """

    index: int
    scores: Scores
    images: Images
    reached: Tensor


def precision(device: torch.device) -> torch.dtype:
    """The number type to optimise in: bfloat16 where the hardware computes in it, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    native = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if native else torch.float32


def optimize(
    model: Model,
    objective: Target | Sequence[Target],
    *,
    canvas: Canvas,
    transforms: Sequence[Transform] = ROBUST,
    penalties: Sequence[Objective] = (),
    corrections: Sequence[Correction] = (),
    shake: Shake = STILL,
    steps: int = 256,
    rate: float = 0.05,
    ascent: Ascent = adam,
    seed: int = 0,
    dtype: torch.dtype | None = None,
) -> Iterator[Step]:
    """Move a canvas up an objective, one Step at a time; the canvas holds the picture so far.

    One objective scores every image of the batch; a sequence gives each image its own. Each item has its own random
    numbers, from `seed` and its objective's name. `penalties` are objectives that are added to every image's (write
    them negative) and left out of the scores; `corrections` change the images after each step; `shake` scales the
    network's channels at random at each step, per item. The network runs in `dtype`, by default `precision(device)`;
    the user's own module is not touched. A blank canvas is started from noise, a transparent one is shown to the
    network on a new noise at each step. Lucid: Adam, rate 0.05 [lucid2018].

    Raises NoGradientError when no plain gradient reaches any image by step 17.
    """
    items = spread(objective, canvas.batch)
    for item in {*items, *penalties}:
        check(model, item)
    fast = prepare(model, layers_of([*items, *penalties]), dtype or precision(model.device))
    canvas.to(model.device)
    draws = Draws(seed, names(items), model.device)
    if canvas.blank:
        canvas.start(draws)
    views = (*transforms, *resize(model))
    optimizer = ascent(canvas.parameters(), rate)
    return _steps(fast, items, penalties, canvas, views, corrections, shake, steps, optimizer, draws)


def _steps(
    model: Model,
    items: list[Objective],
    penalties: Sequence[Objective],
    canvas: Canvas,
    transforms: Sequence[Transform],
    corrections: Sequence[Correction],
    shake: Shake,
    steps: int,
    optimizer: torch.optim.Optimizer,
    draws: Draws,
) -> Iterator[Step]:
    layers = layers_of([*items, *penalties])
    reached = torch.zeros(canvas.batch, dtype=torch.bool, device=model.device)
    with redirected(model.module) as redirect, shaken(model, shake, draws):
        for index in range(steps):
            starting = not bool(reached.all())
            rescue = starting and 0 < index < RESCUE_STEPS
            redirect.items = ~reached if rescue else None
            optimizer.zero_grad()
            images, alpha = canvas(), canvas.alpha()
            if corrections or starting:
                images.retain_grad()
            views = apply(transforms, images if alpha is None else collapse(images, alpha, draws), draws)
            trace = observe(model, layers, views, images, alpha)
            scores = judge(items, trace)
            _ascend(sum((penalty(trace) for penalty in penalties), scores), items)
            if starting and not rescue:  # a plain gradient counts, a redirected one does not
                reached |= _touched(images)
            optimizer.step()
            if index == min(RESCUE_STEPS, steps - 1) and not reached.any():
                raise NoGradientError(why_unreached(model, items[0], images.detach()[:1]))
            _correct(canvas, corrections, images, index)
            yield Step(index, scores.detach(), images.detach(), reached.clone())


@torch.no_grad()
def _correct(canvas: Canvas, corrections: Sequence[Correction], images: Images, index: int) -> None:
    if not corrections or images.grad is None:
        return
    moved = canvas()
    for correction in corrections:
        moved = correction(moved, images.grad, index)
    canvas.paint(moved)


def _ascend(scores: Scores, items: Sequence[Objective]) -> None:
    if not scores.requires_grad:
        raise NoGradientError(
            f"no gradient from {items[0]} to the image: the network detaches its graph (torch.no_grad, .detach(), "
            "or an integer step) somewhere before that layer"
        )
    (-scores.sum()).backward()  # type: ignore[no-untyped-call]


def _touched(images: Images) -> Tensor:
    if images.grad is None:
        return torch.zeros(len(images), dtype=torch.bool, device=images.device)
    return images.grad.flatten(1).abs().amax(1) > 0
