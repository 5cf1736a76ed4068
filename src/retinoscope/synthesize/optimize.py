"""The one optimisation loop, as an iterator of Steps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from retinoscope.base.errors import BadInputError, NoGradientError
from retinoscope.base.units import Unit
from retinoscope.image.canvas import Canvas
from retinoscope.image.transforms import ROBUST, Resize, Transform, apply
from retinoscope.network.model import Model
from retinoscope.network.prepare import prepare
from retinoscope.network.record import Trace, forward, record
from retinoscope.network.redirect import redirected
from retinoscope.synthesize.objectives import Objective, as_objective, check
from retinoscope.tensor.axes import Images, Scores
from retinoscope.tensor.random import Draws

Target = Objective | Unit | str

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
    steps: int = 256,
    rate: float = 0.05,
    seed: int = 0,
    dtype: torch.dtype | None = None,
) -> Iterator[Step]:
    """Move a canvas up an objective by Adam, one Step at a time; the canvas holds the picture so far.

    One objective scores every image of the batch; a sequence gives each image its own. Each item has its own random
    numbers, from `seed` and its objective's name. The network runs in `dtype`, by default `precision(device)`; the
    user's own module is not touched. A blank canvas is started from noise. Lucid: Adam, rate 0.05 [lucid2018].

    Raises NoGradientError when no plain gradient reaches any image by step 17.
    """
    items = spread(objective, canvas.batch)
    for item in items:
        check(model, item)
    layers = sorted({name for item in items for name in item.layers})
    fast = prepare(model, layers, dtype or precision(model.device))
    canvas.to(model.device)
    draws = Draws(seed, names(items), model.device)
    if canvas.blank:
        canvas.start(draws)
    views = (*transforms, *resize(model))
    return _steps(fast, objective, items, canvas, views, steps, rate, draws)


def spread(objective: Target | Sequence[Target], batch: int) -> list[Objective]:
    """One objective per image of the batch."""
    if isinstance(objective, Objective | Unit | str):
        return [as_objective(objective)] * batch
    items = [as_objective(item) for item in objective]
    if len(items) != batch:
        raise BadInputError(f"{len(items)} objectives for a canvas of {batch} images; give one, or one per image")
    return items


def names(items: Sequence[Objective]) -> list[str]:
    """A name per item for its random numbers: the formula, and its count where it comes again."""
    formulas = [item.formula for item in items]
    counts = [formulas[:place].count(formula) for place, formula in enumerate(formulas)]
    return [formula + (f"#{count}" if count else "") for formula, count in zip(formulas, counts, strict=True)]


def resize(model: Model) -> tuple[Transform, ...]:
    """What the images still need for the network: a change of size where it takes one size only."""
    return (Resize(*model.input_size),) if model.fixed_size else ()


def _steps(
    model: Model,
    objective: Target | Sequence[Target],
    items: list[Objective],
    canvas: Canvas,
    views: Sequence[Transform],
    steps: int,
    rate: float,
    draws: Draws,
) -> Iterator[Step]:
    joint = as_objective(objective) if isinstance(objective, Objective | Unit | str) else None
    adam = torch.optim.Adam(canvas.parameters(), lr=rate, fused=model.device.type in ("cpu", "cuda"))
    reached = torch.zeros(canvas.batch, dtype=torch.bool, device=model.device)
    with redirected(model.module) as redirect:
        for index in range(steps):
            rescue = 0 < index < RESCUE_STEPS and not bool(reached.all())
            redirect.items = ~reached if rescue else None
            adam.zero_grad()
            images = canvas()
            scores = score(model, joint or items, apply(views, images, draws))
            _ascend(scores, items)
            if not rescue and not bool(reached.all()):  # a plain gradient counts, a redirected one does not
                reached |= _touched(canvas)
            adam.step()
            if index == min(RESCUE_STEPS, steps - 1) and not reached.any():
                raise NoGradientError(why_unreached(model, items[0], images.detach()[:1]))
            yield Step(index, scores.detach(), images.detach(), reached.clone())


def score(model: Model, objective: Objective | Sequence[Objective], images: Images) -> Scores:
    """Scores (b,) of images (b, 3, h, w): one objective for all of them, or one per image."""
    layers = objective.layers if isinstance(objective, Objective) else {n for item in objective for n in item.layers}
    dtype = next((p.dtype for p in model.module.parameters()), images.dtype)
    inputs = model.normalize(images).to(dtype).contiguous(memory_format=torch.channels_last)
    if images.requires_grad:  # the views' backward pass is slower on channels-last gradients than this copy
        images.register_hook(torch.Tensor.contiguous)  # type: ignore[no-untyped-call]
    with record(model, sorted(layers)) as trace:
        forward(model.module, inputs)
    if isinstance(objective, Objective):
        return objective(trace)
    traces = split(trace, len(images))
    return torch.cat([item(part).reshape(1) for item, part in zip(objective, traces, strict=True)])


def split(trace: Trace, batch: int) -> list[Trace]:
    """A trace of each image alone."""
    values = {name: trace.raw(name).unbind() for name in trace}
    layers = {name: replace(layer, overwritten=False) for name, layer in trace.layers.items()}
    return [Trace(layers, {name: parts[item][None] for name, parts in values.items()}) for item in range(batch)]


def _ascend(scores: Scores, items: Sequence[Objective]) -> None:
    if not scores.requires_grad:
        raise NoGradientError(
            f"no gradient from {items[0]} to the image: the network detaches its graph (torch.no_grad, .detach(), "
            "or an integer step) somewhere before that layer"
        )
    (-scores.sum()).backward()  # type: ignore[no-untyped-call]


def _touched(canvas: Canvas) -> Tensor:
    grads = [p.grad.flatten(1).abs().amax(1) for p in canvas.parameters() if p.grad is not None]
    return torch.stack(grads).amax(0) > 0


@torch.no_grad()
def why_unreached(model: Model, objective: Objective, images: Images) -> str:
    """Why no gradient reaches an image from an objective, in words, from the activations it causes."""
    layer = sorted(objective.layers)[0]
    with record(model, [layer]) as trace:
        forward(model.module, model.normalize(apply(resize(model), images, Draws(0, ["why"]))))
    channels = [unit.channel for unit in objective.units if unit.layer == layer]
    values = (trace[layer][:, channels] if channels else trace[layer]).float()
    low, high = float(values.min()), float(values.max())
    text = f"no gradient reaches the image from {objective}"
    if low == high == 0:
        return f"{text}: a dead ReLU, its activation is 0 everywhere. Take the layer before its activation function"
    if low == high:
        return (
            f"{text}: its activation is {low:.4g} everywhere, saturated or constant. Check mean and std of the network"
        )
    if not (abs(low) < float("inf") and abs(high) < float("inf")):
        return f"{text}: its activation is not finite. Check the weights, and mean and std of the network"
    return f"{text}, though it answers ({low:.4g} to {high:.4g}): the graph is cut before that layer"
