"""Scores of a batch: which objective judges which pictures, and one forward pass that answers all."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from retinoscope.base.errors import BadInputError
from retinoscope.base.units import Unit
from retinoscope.image.transforms import Resize, Transform
from retinoscope.network.model import Model
from retinoscope.network.record import Trace, forward, record
from retinoscope.synthesize.objectives import Objective, as_objective
from retinoscope.tensor.axes import Images, Scores

Target = Objective | Unit | str


def spread(objective: Target | Sequence[Target], batch: int) -> list[Objective]:
    """The objective of each image of the batch; one that judges several images together stands once for each."""
    if isinstance(objective, Objective | Unit | str):
        one = as_objective(objective)
        if batch % one.span:
            raise BadInputError(f"{one} judges {one.span} pictures together; give a canvas of {one.span}, not {batch}")
        return [one] * batch
    items = [item for target in objective for item in [as_objective(target)] * as_objective(target).span]
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


def observe(
    model: Model, layers: Sequence[str], views: Images, images: Tensor | None = None, alpha: Tensor | None = None
) -> Trace:
    """What `layers` answer to `views`; the trace also holds the pictures they are views of, by default themselves."""
    if not layers:  # an objective on the picture alone needs no network
        return Trace({}, None, views if images is None else images, alpha)
    dtype = next((p.dtype for p in model.module.parameters()), views.dtype)
    inputs = model.normalize(views).to(dtype).contiguous(memory_format=torch.channels_last)
    if views.requires_grad:  # the views' backward pass is slower on channels-last gradients than this copy
        views.register_hook(torch.Tensor.contiguous)  # type: ignore[no-untyped-call]
    with record(model, layers) as trace:
        forward(model.module, inputs)
    trace.images, trace.alpha = views if images is None else images, alpha
    return trace


def judge(items: Sequence[Objective], trace: Trace) -> Scores:
    """Scores (b,) of a trace: each group of pictures by its own objective, all at once where there is only one."""
    first = items[0]
    if first.span in (1, len(items)) and all(item is first for item in items):
        return first(trace)
    together = list(groups(items))
    parts = split(trace, [item.span for item in together])
    return torch.cat([item(part).reshape(item.span) for item, part in zip(together, parts, strict=True)])


def groups(items: Sequence[Objective]) -> Iterator[Objective]:
    """Each objective once for the pictures that it judges together."""
    place = 0
    while place < len(items):
        yield items[place]
        place += items[place].span


def score(model: Model, items: Sequence[Objective], images: Images) -> Scores:
    """Scores (b,) of images (b, 3, h, w) as they are, one objective per image."""
    return judge(items, observe(model, layers_of(items), images))


def layers_of(items: Sequence[Objective]) -> list[str]:
    """The layers that any of the objectives reads, sorted."""
    return sorted({name for item in items for name in item.layers})


def split(trace: Trace, sizes: Sequence[int]) -> list[Trace]:
    """A trace of each group of `sizes` images alone."""
    layers = {name: replace(layer, overwritten=False) for name, layer in trace.layers.items()}
    values = {name: torch.split(trace.raw(name), list(sizes)) for name in trace}
    images, alpha = (
        [None] * len(sizes) if whole is None else torch.split(whole, list(sizes))
        for whole in (trace.images, trace.alpha)
    )
    return [
        Trace(layers, {name: parts[place] for name, parts in values.items()}, images[place], alpha[place])
        for place in range(len(sizes))
    ]
