"""Aim: where a stimulus must lie so that it is centred on what the neurons that are read really see.

A neuron's receptive field says what it can see; where within it the weights are is learned. Kernels with a stride often
learn to look beside their middle, so that a border through the field's centre lies off what the neuron looks at: it
then seems to prefer the direction of that offset. What it sees is measured by its gradient [luo2016].
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.image.stimuli.waves import texture
from retinoscope.network.model import Layer, Model
from retinoscope.network.record import record
from retinoscope.tensor.random import generator

Point = tuple[float, float]
"""(y, x) in pixels."""

FINEST = 0.5
"""Pixels to which offsets are rounded: the noise of measuring them lies below that."""

TOLERANCE = 0.1
"""How far off a shared point may be, as a share of what a neuron sees: a border there moves 4% of a bell's area."""


PICTURES = 128
"""Pictures of noise that show where a layer of stride 1 looks; deeper ones need fewer, in inverse proportion."""


@dataclass(frozen=True)
class Seen:
    """What a layer's neurons really see: its centre's `offset` (y, x) from that of the receptive field, and its
    `spread`.

    The spread is the standard deviation along an axis; both in pixels.
    """

    offset: Point
    spread: float


@dataclass(frozen=True)
class Aim:
    """The `point` a sweep is centred on, and for each layer the `positions` (y, x) of the neuron that is read.

    `misses` says by how many pixels, at most along an axis, the point misses what that neuron sees.
    """

    point: Point
    positions: Mapping[str, tuple[int, int]]
    misses: Mapping[str, float]


def aims(model: Model, layers: Iterable[Layer]) -> list[Aim]:
    """Points for all layers: as few as will do, where each layer's nearest neuron is missed by TOLERANCE at most.

    Layers share a point as long as there is one, beginning with the deepest. A layer alone has its neuron next to the
    picture's middle, which is not missed at all. Layers that see the whole picture go with any.
    """
    every = list(layers)
    seen = {layer.name: look(model, layer) for layer in every if not layer.field.whole}
    groups: list[list[Layer]] = []
    for layer in sorted((one for one in every if one.name in seen), key=lambda one: -one.index):
        home = next((group for group in groups if _worst([*group, layer], seen, model.input_size) <= TOLERANCE), None)
        if home is None:
            groups.append([layer])
        else:
            home.append(layer)
    groups = groups or [[]]
    groups[0].extend(one for one in every if one.name not in seen)
    return [_aim(group, seen, model.input_size) for group in groups]


def middle(model: Model, layers: Iterable[Layer]) -> Aim:
    """One point for all: the picture's middle, for readings that take a whole map."""
    return _aim([], {}, model.input_size, {layer.name: (0, 0) for layer in layers})


def look(model: Model, layer: Layer) -> Seen:
    """What a layer's neurons see: where the energy of the gradient of one near the middle lies.

    Over all channels at once, each with a sign at random, and over pictures of noise of four wavelengths. Offsets under
    a tenth of the spread count as none, and so do those of a layer that nothing comes through.
    """
    y, x = (n // 2 for n in layer.size)
    energy, center = _energy(model, layer, (y, x)), layer.field.center(y, x)
    total = float(energy.sum())
    if not 0 < total < math.inf:
        return Seen((0.0, 0.0), 1.0)
    lines = [energy.sum(1 - axis) / total for axis in (0, 1)]
    places = [torch.arange(len(line), dtype=torch.float64) for line in lines]
    means = [float(line @ place) for line, place in zip(lines, places, strict=True)]
    spreads = [float(line @ (at - mean).square()) for line, at, mean in zip(lines, places, means, strict=True)]
    spread = max(FINEST, math.sqrt(sum(spreads) / 2))
    down, right = (_told(mean - c, spread) for mean, c in zip(means, center, strict=True))
    return Seen((down, right), spread)


def _told(offset: float, spread: float) -> float:
    """An offset on the ruler, none where it is too small to matter, or to be told from the noise."""
    return 0.0 if abs(offset) < TOLERANCE * spread else round(offset / FINEST) * FINEST


def _energy(model: Model, layer: Layer, position: tuple[int, int]) -> Float[Tensor, "h w"]:
    # Early layers look at few places, so that more pictures are needed, and are quick to ask.
    samples = max(2, round(PICTURES / 4 / max(1.0, *layer.stride)))
    noise = texture(orientations=1, wavelengths=4, samples=samples, spread=90.0)
    (images,) = noise.batches(model.input_size, len(noise), device=model.device)
    images = images.clone().requires_grad_()
    signs = _signs(len(images), layer.channels, generator(0, "look", layer.name))
    with torch.enable_grad(), record(model, [layer.name]) as trace:
        model(images)
        answers = trace[layer.name][:, :, position[0], position[1]]
        total = (answers * signs.to(answers)).sum()
        if not total.requires_grad:
            return torch.zeros(model.input_size, dtype=torch.float64)
        (gradient,) = torch.autograd.grad(total, images, allow_unused=True)
    zero = torch.zeros(model.input_size, dtype=torch.float64)
    return zero if gradient is None else gradient.square().sum((0, 1)).double().cpu()


def _signs(rows: int, columns: int, numbers: torch.Generator) -> Float[Tensor, "rows columns"]:
    """Signs at random, of which any two columns agree in half of the rows, as far as there are rows enough.

    Columns of Hadamard's matrix: what channels have in common then cancels sooner than with independent signs.
    """
    matrix = torch.ones(1, 1)
    while len(matrix) < rows:
        matrix = torch.cat((torch.cat((matrix, matrix), 1), torch.cat((matrix, -matrix), 1)))
    order = torch.cat([torch.randperm(len(matrix), generator=numbers) for _ in range(-(-columns // len(matrix)))])
    return matrix[:rows, order[:columns]]


def _worst(layers: Sequence[Layer], seen: Mapping[str, Seen], size: tuple[int, int]) -> float:
    """The largest miss, as a share of a layer's spread, at the best point for all."""
    found = _aim(layers, seen, size).misses
    return max(found[layer.name] / seen[layer.name].spread for layer in layers)


def _aim(
    layers: Sequence[Layer], seen: Mapping[str, Seen], size: tuple[int, int],
    positions: Mapping[str, tuple[int, int]] | None = None,
) -> Aim:  # fmt: skip
    local = [layer for layer in layers if layer.name in seen]
    y, x = (
        _shared([(_line(one, seen[one.name], axis), seen[one.name].spread) for one in local], size[axis])
        for axis in (0, 1)
    )
    found = {layer.name: _nearest(layer, seen.get(layer.name), (y, x), size) for layer in layers}
    misses = {
        one.name: max(abs(a - b) for a, b in zip(_center(one, seen, found), (y, x), strict=True)) for one in local
    }
    return Aim((y, x), positions or found, misses)


def _center(layer: Layer, seen: Mapping[str, Seen], positions: Mapping[str, tuple[int, int]]) -> Point:
    down, right = layer.field.center(*positions[layer.name])
    shift = seen[layer.name].offset
    return down + shift[0], right + shift[1]


def _line(layer: Layer, seen: Seen, axis: int) -> list[float]:
    """What the neurons along an axis are centred on."""
    return [layer.field.center(n, n)[axis] + seen.offset[axis] for n in range(layer.size[axis])]


def _shared(lines: list[tuple[list[float], float]], size: int) -> float:
    """The coordinate next to a neuron of every layer: on a fine ruler, the least of the worst miss."""
    half = (size - 1) / 2
    reach = max((abs(line[1] - line[0]) for line, _ in lines if len(line) > 1), default=0.0)
    count = int(2 * reach / FINEST)
    points = [half, *(round(half) + k * FINEST / 2 for k in range(-count, count + 1))]

    def cost(point: float) -> tuple[float, float, float]:
        worst = max((min(abs(point - one) for one in line) / spread for line, spread in lines), default=0.0)
        return round(worst, 9), abs(point - half), point

    return min(points, key=cost)


def _nearest(layer: Layer, seen: Seen | None, point: Point, size: tuple[int, int]) -> tuple[int, int]:
    if seen is None:  # sees the whole picture: the part of the map where the point lies
        y, x = (min(int((p + 0.5) * n / s), n - 1) for p, n, s in zip(point, layer.size, size, strict=True))
        return y, x
    lines = [_line(layer, seen, axis) for axis in (0, 1)]
    y, x = (min(range(len(line)), key=lambda n: abs(line[n] - at)) for line, at in zip(lines, point, strict=True))
    return y, x
