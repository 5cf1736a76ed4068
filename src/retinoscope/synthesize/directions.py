"""Directions of a layer's channel space as objectives: any mixture of channels may mean something, too [olah2017].

Lucid's names: `direction_neuron`, `direction_cossim`, `tensor_direction`. Vectors at random are in `network/bases.py`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from retinoscope.base.errors import BadInputError, BadUnitError
from retinoscope.network.record import Trace
from retinoscope.synthesize.objectives import Objective, cosine, projection, shown
from retinoscope.tensor.axes import Maps


def direction_neuron(
    layer: str, vector: Sequence[float] | Tensor, y: int | None = None, x: int | None = None, power: float = 0.0
) -> Objective:
    """<a, v> * max(0.1, cos(a, v)) ** power at one position (y, x), by default the centre (rows // 2, columns // 2)."""
    v = torch.as_tensor(vector, dtype=torch.float32).flatten()
    place = None if y is None or x is None else (y, x)

    def evaluate(trace: Trace) -> Tensor:
        maps = _maps(trace, layer, len(v))
        row, column = place or (maps.shape[2] // 2, maps.shape[3] // 2)
        if not (0 <= row < maps.shape[2] and 0 <= column < maps.shape[3]):
            raise BadUnitError(f"({row}, {column}) is outside {layer}'s map, which is {_size(maps)} here")
        return projection(maps[:, :, row : row + 1, column : column + 1], v[:, None, None], power)[:, 0, 0]

    at = f"@{y},{x}" if place else "@centre"
    return Objective(f"direction_neuron({layer}{at}, {shown(v, power)})", frozenset([layer]), evaluate)


def tensor_direction(layer: str, block: Tensor, power: float = 0.0) -> Objective:
    """Mean over positions of <a, v> * max(0.1, cos(a, v)) ** power for a v of its own at each position.

    `block` (c, y, x) lies on the centre of the layer's map, which must not be smaller; its corner is at
    ((rows - y) // 2, (columns - x) // 2).
    """
    if block.ndim != 3:
        raise BadInputError(f"a block of directions must be (c, y, x); came {tuple(block.shape)}")
    v = block.detach().float()

    def evaluate(trace: Trace) -> Tensor:
        maps = _maps(trace, layer, len(v))
        top, left = ((have - want) // 2 for have, want in zip(maps.shape[2:], v.shape[1:], strict=True))
        if top < 0 or left < 0:
            raise BadInputError(f"a block of {_size(v)} is larger than {layer}'s map, which is {_size(maps)} here")
        inside = maps[:, :, top : top + v.shape[1], left : left + v.shape[2]]
        return projection(inside, v, power).mean((1, 2))

    return Objective(f"tensor_direction({layer}, {_size(v)}, {shown(v, power)})", frozenset([layer]), evaluate)


def direction_cossim(layer: str, vector: Sequence[float] | Tensor) -> Objective:
    """Mean over positions of the cosine of a and v, in +-1: the direction alone, however weak the answer."""
    v = torch.as_tensor(vector, dtype=torch.float32).flatten()

    def evaluate(trace: Trace) -> Tensor:
        return cosine(_maps(trace, layer, len(v)), v[:, None, None]).mean((1, 2))

    return Objective(f"direction_cossim({layer}, {shown(v)})", frozenset([layer]), evaluate)


def _maps(trace: Trace, layer: str, channels: int) -> Maps:
    maps = trace[layer].float()
    if maps.shape[1] != channels:
        raise BadUnitError(f"direction for {layer} must have {maps.shape[1]} values; came {channels}")
    return maps


def _size(maps: Tensor) -> str:
    return f"{maps.shape[-2]} x {maps.shape[-1]}"
