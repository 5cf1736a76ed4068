"""Objectives: what a picture is asked to excite. All are maximised.

An Objective is a value, never changed: `a - 0.5 * b` is a new one. It reads a Trace and gives one score per image.
Activations are read as the layer gives them; on a layer before its ReLU a score can be negative [olah2017].
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.base.errors import BadInputError, BadUnitError
from retinoscope.base.units import Unit, parse_unit
from retinoscope.network.model import Model
from retinoscope.network.record import Trace
from retinoscope.tensor.axes import Maps, Scores

Evaluate = Callable[[Trace], Tensor]


@dataclass(frozen=True, repr=False)
class Objective:
    """What to maximise: `evaluate(trace)` gives scores (b,); `layers` are what it must find in the trace.

    Objectives add, subtract, multiply and scale: `2 * a + b - c`, `a * b`, `-a`, `sum([a, b])`. The repr is the
    formula. `span` is how many pictures it judges together, such as the facets of one unit: in a list of objectives
    it stands for so many pictures, and its trace holds those alone.
    """

    formula: str
    layers: frozenset[str]
    evaluate: Evaluate = field(compare=False)
    units: tuple[Unit, ...] = ()
    simple: bool = True  # whether the formula needs no brackets inside a product
    span: int = 1

    def __call__(self, trace: Trace) -> Scores:
        return self.evaluate(trace)

    def __repr__(self) -> str:
        return self.formula

    def _with(
        self, other: "Objective | float", sign: str, combine: Callable[[Tensor, Tensor | float], Tensor]
    ) -> "Objective":
        if not isinstance(other, Objective | int | float):
            return NotImplemented
        right = other if isinstance(other, Objective) else constant(other)
        product = sign == "*"
        texts = [item.formula if item.simple or not product else f"({item.formula})" for item in (self, right)]
        if sign == "-" and not right.simple:
            texts[1] = f"({right.formula})"
        return Objective(
            f"{texts[0]} {sign} {texts[1]}",
            self.layers | right.layers,
            lambda trace: combine(self(trace), right(trace)),
            self.units + right.units,
            simple=product,
            span=self._span_with(right),
        )

    def _span_with(self, other: "Objective") -> int:
        if 1 not in (self.span, other.span) and self.span != other.span:
            raise BadInputError(
                f"{self} judges {self.span} pictures together, {other} {other.span}; make them the same"
            )
        return max(self.span, other.span)

    def __add__(self, other: "Objective | float") -> "Objective":
        return self._with(other, "+", torch.add)

    def __sub__(self, other: "Objective | float") -> "Objective":
        return self._with(other, "-", torch.sub)

    def __mul__(self, other: "Objective | float") -> "Objective":
        return self._with(other, "*", torch.mul)

    def __radd__(self, other: float) -> "Objective":
        return self if other == 0 else constant(other) + self  # 0 is where sum() starts

    def __rsub__(self, other: float) -> "Objective":
        return constant(other) - self

    def __rmul__(self, other: float) -> "Objective":
        return constant(other) * self

    def __truediv__(self, other: float) -> "Objective":
        return constant(1 / other) * self

    def __neg__(self) -> "Objective":
        return constant(-1) * self


def constant(value: float) -> Objective:
    """The same number for every image."""

    def evaluate(trace: Trace) -> Tensor:
        like = trace.like()
        return torch.full((len(like),), float(value), device=like.device)

    return Objective(f"{value:g}", frozenset(), evaluate)


def channel(layer: str, channel: int) -> Objective:
    """Mean activation of a channel over all positions: what most of the article's figures maximise."""
    unit = Unit(layer, channel)
    return Objective(str(unit), frozenset([layer]), lambda t: _plane(t, unit).mean((1, 2)), (unit,))


def neuron(layer: str, channel: int, y: int | None = None, x: int | None = None) -> Objective:
    """Activation of a channel at one position (y, x) of the map; the centre (rows // 2, columns // 2) by default."""
    position = None if y is None or x is None else (y, x)
    unit = Unit(layer, channel, position)

    def evaluate(trace: Trace) -> Tensor:
        plane = _plane(trace, unit)
        row, column = position or (plane.shape[1] // 2, plane.shape[2] // 2)
        if not (0 <= row < plane.shape[1] and 0 <= column < plane.shape[2]):
            raise BadUnitError(f"'{unit}' is outside the map, which is {plane.shape[1]} x {plane.shape[2]} here")
        return plane[:, row, column]

    return Objective(str(unit) if position else f"{unit}@centre", frozenset([layer]), evaluate, (unit,))


def deepdream(layer: str) -> Objective:
    """Mean squared activation of a whole layer: DeepDream [mordvintsev2015, olah2017]."""
    return Objective(f"deepdream({layer})", frozenset([layer]), lambda t: t[layer].float().square().mean((1, 2, 3)))


def logit(index: int) -> Objective:
    """The score of a class before the softmax; gives better pictures than its probability [olah2017]."""
    unit = Unit("logits", index)
    return Objective(str(unit), frozenset(["logits"]), lambda t: _plane(t, unit)[:, 0, 0], (unit,))


def probability(index: int) -> Objective:
    """The softmax probability of a class, which also grows as the rival classes shrink [olah2017]."""
    unit = Unit("logits", index)

    def evaluate(trace: Trace) -> Tensor:
        _plane(trace, unit)
        return trace["logits"].float().flatten(1).softmax(1)[:, index]

    return Objective(f"probability({index})", frozenset(["logits"]), evaluate, (unit,))


def direction(layer: str, vector: Sequence[float] | Tensor, power: float = 0.0) -> Objective:
    """Mean over positions of <a, v> * max(0.1, cos(a, v)) ** power, for a direction v (c,) in a layer's channel space.

    `power` 0 is the plain dot product, so that `direction(layer, unit vector k)` equals `channel(layer, k)`; Lucid's
    `direction_cossim` corresponds to higher powers. Some ports use the pure cosine instead.
    """
    v = torch.as_tensor(vector, dtype=torch.float32).flatten()

    def evaluate(trace: Trace) -> Tensor:
        maps = trace[layer].float()
        if maps.shape[1] != len(v):
            raise BadUnitError(f"direction for {layer} must have {maps.shape[1]} values; came {len(v)}")
        return projection(maps, v[:, None, None], power).mean((1, 2))

    return Objective(f"direction({layer}, {shown(v, power)})", frozenset([layer]), evaluate)


def projection(maps: Maps, v: Tensor, power: float = 0.0) -> Float[Tensor, "b y x"]:
    """<a, v> * max(0.1, cos(a, v)) ** power at each position, for v (c, y, x) or (c, 1, 1)."""
    v = v.to(maps)
    dot: Tensor = (maps * v).sum(1)
    return dot * cosine(maps, v).clamp(min=0.1) ** power if power else dot


def cosine(maps: Maps, v: Tensor) -> Float[Tensor, "b y x"]:
    """Cosine of the answers and v (c, y, x) or (c, 1, 1) at each position."""
    v = v.to(maps)
    lengths: Tensor = maps.norm(dim=1) * v.norm(dim=-3)
    return (maps * v).sum(1) / (lengths + 1e-4)  # Lucid's epsilon


def shown(v: Tensor, power: float = 0.0) -> str:
    """The first numbers of a vector, for a formula."""
    flat = v.flatten()
    text = ", ".join(f"{value:.3g}" for value in flat[:3].tolist()) + (", ..." if len(flat) > 3 else "")
    return f"[{text}]{f', power={power:g}' if power else ''}"


def _plane(trace: Trace, unit: Unit) -> Tensor:
    maps = trace[unit.layer]
    if unit.channel >= maps.shape[1]:
        raise BadUnitError(f"'{unit}' is out of range: {unit.layer} has channels 0 to {maps.shape[1] - 1}")
    return maps[:, unit.channel].float()


def as_objective(what: "Objective | Unit | str") -> Objective:
    """An objective from a unit or its text: the channel, or the neuron where a position is given; logits by class."""
    if isinstance(what, Objective):
        return what
    unit = parse_unit(what) if isinstance(what, str) else what
    if unit.layer == "logits":
        return logit(unit.channel)
    if unit.position:
        return neuron(unit.layer, unit.channel, *unit.position)
    return channel(unit.layer, unit.channel)


def check(model: Model, objective: Objective) -> None:
    """Raise when the network has no such layer, channel or position."""
    for name in objective.layers:
        model.layers[name]
    for unit in objective.units:
        model.check_unit(unit)
