"""What a diagnosis looks at: a unit's answers and gradients, and each layer's on the way to it, on noise and photos."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor, nn

from retinoscope.image import color, spectrum
from retinoscope.image.canvas import START
from retinoscope.image.transforms import Resize
from retinoscope.network.calibration import told_apart
from retinoscope.network.model import Layer, Model
from retinoscope.network.record import Trace, forward, record
from retinoscope.synthesize.objectives import Objective
from retinoscope.synthesize.score import layers_of, observe
from retinoscope.tensor.axes import Images
from retinoscope.tensor.random import Draws

NOISE = 4
"""How many pictures of starting noise are tried."""


@dataclass(frozen=True)
class Evidence:
    """A network and an objective on `noise` (b, 3, h, w), as a Fourier canvas starts, and on `photos` (n, 3, h, w).

    `exact` is a frozen copy of the network in eval mode and full precision; `model` is the user's own.
    """

    model: Model
    exact: Model
    objective: Objective
    noise: Images
    photos: Float[Tensor, "n 3 h w"]

    @property
    def layer(self) -> Layer:
        """The deepest layer that the objective reads."""
        return max((self.model.layers[name] for name in self.objective.layers), key=lambda layer: layer.index)

    @cached_property
    def noise_values(self) -> Tensor:
        """What the objective's units answer to noise, (b, values)."""
        return self._values(self.noise)

    @cached_property
    def photo_values(self) -> Tensor:
        """What the objective's units answer to photos, (n, values)."""
        return self._values(self.photos)

    @torch.no_grad()
    def _values(self, images: Images) -> Tensor:
        trace = self.trace(images)
        channels = [unit.channel for unit in self.objective.units if unit.layer == self.layer.name]
        maps = trace[self.layer.name].float()
        return (maps[:, channels] if channels else maps).flatten(1)

    def trace(self, images: Images) -> Trace:
        """What the objective's layers answer to images."""
        return observe(self.exact, layers_of([self.objective]), images)

    @cached_property
    def noise_gradient(self) -> Tensor | None:
        """The objective's gradient in noise, (b, 3, h, w); None where the graph is cut."""
        return self._gradient(self.noise)

    @cached_property
    def photo_gradient(self) -> Tensor | None:
        """The objective's gradient in photos, (n, 3, h, w); None where the graph is cut."""
        return self._gradient(self.photos)

    def _gradient(self, images: Images) -> Tensor | None:
        images = images.clone().requires_grad_()
        scores = self.objective(self.trace(images))
        if not scores.requires_grad:
            return None
        return torch.autograd.grad(scores.sum(), images, allow_unused=True)[0]

    @cached_property
    def unsound(self) -> str | None:
        """The first layer in call order whose answer to noise, photos, black or white is not finite."""
        flat = torch.stack([torch.full_like(self.noise[0], value) for value in (0.0, 1.0)])
        finite = {name for name, values in self._survey(torch.cat((self.noise, self.photos, flat))) if _finite(values)}
        return next((layer.name for layer in self.upstream if layer.name not in finite), None)

    @cached_property
    def ceilings(self) -> dict[str, float]:
        """Share of each bounded activation module's values on photos that lie at its bounds, by layer."""
        kinds = {layer.name: type(self.exact.module.get_submodule(layer.module)) for layer in self.upstream}
        return {
            name: at_bounds(values, *BOUNDS[kinds[name]])
            for name, values in self._survey(self.photos)
            if kinds[name] in BOUNDS
        }

    @cached_property
    def bits(self) -> float | None:
        """How well the classes tell the photos apart (`told_apart`); None without classes, or with one photo only."""
        classes = self.model.layers["logits"].channels if "logits" in self.model.layers else 0
        return told_apart(self.exact, self.photos) if classes > 1 and len(self.photos) > 1 else None

    @property
    def upstream(self) -> list[Layer]:
        """The layers up to the objective's deepest, in call order."""
        return [layer for layer in self.model.layers.values() if layer.index <= self.layer.index]

    @torch.no_grad()
    def _survey(self, images: Images) -> Iterator[tuple[str, Tensor]]:
        with record(self.exact, [layer.name for layer in self.upstream]) as trace:
            forward(self.exact.module, self.exact.normalize(images))
            yield from ((name, trace.raw(name).float()) for name in trace)


BOUNDS: dict[type[nn.Module], tuple[float | None, float]] = {
    nn.ReLU6: (None, 6.0),  # its floor of 0 is a ReLU's, which is no saturation
    nn.Hardtanh: (-1.0, 1.0),
    nn.Sigmoid: (0.0, 1.0),
    nn.Hardsigmoid: (0.0, 1.0),
    nn.Tanh: (-1.0, 1.0),
    nn.Softsign: (-1.0, 1.0),
}
"""Activation modules whose gradient dies at a bound: the lower one where that counts, and the upper one."""

NEAR = 0.01
"""A value within so much of the range of a bound counts as being there: a sigmoid's slope is then below 0.01."""


def at_bounds(values: Tensor, low: float | None, high: float) -> float:
    """Share of values within a hundredth of the range of `high`, or of `low` where it is given."""
    margin = NEAR * (high - (low or 0.0))
    there = values >= high - margin
    if low is not None:
        there |= values <= low + margin
    return float(there.float().mean())


def _finite(values: Tensor) -> bool:
    return bool(torch.isfinite(values).all())


def gather(model: Model, objective: Objective, photos: Images, seed: int) -> Evidence:
    """The evidence on an objective; `photos` of any size are brought to the network's input size."""
    module = copy.deepcopy(model.module).eval().requires_grad_(False).float()
    height, width = model.input_size
    draws = Draws(seed, [f"diagnose {place}" for place in range(NOISE)], model.device)
    weights = spectrum.scale(height, width).float().to(model.device)
    start = spectrum.to_planes(START * draws.normal(3, *weights.shape, 2), weights, height, width)
    sized = Resize(height, width)(photos.to(model.device).float(), draws)
    return Evidence(model, replace(model, module=module), objective, color.to_rgb(start), sized)
