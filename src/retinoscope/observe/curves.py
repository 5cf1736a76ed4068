"""What tuning curves say: preferred value, selectivity, width, harmonics, and how sure of it their variants make us.

Pure functions on curves (n, m): n units' answers to the m values of an axis. Where a curve has no answer in it, the
numbers are NaN.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.base.axis import Axis
from retinoscope.base.errors import BadInputError

Curves = Float[Tensor, "n m"]
PerUnit = Float[Tensor, " n"]

Reduce = Callable[[Tensor, int], Tensor]
"""`(values, dim) -> values` without that dimension: what becomes of the axes that a curve is not along."""

HARMONICS = 4
"""Harmonics that are told: enough for the article's kinds (1: direction, 2: orientation) and for crosses (4)."""


@dataclass(frozen=True)
class Preference:
    """What curves along one axis say, unit by unit.

    `preferred` is in the axis's own unit; `selectivity` in [0, 1]; `width` in degrees, octaves or the axis's unit;
    `error` is the standard error of the preferred value over the variants, in the width's unit; `reliability` the mean
    correlation of the variants' maps, at most 1. `harmonics` (n, k) are the amplitudes of the first, second and so on,
    for axes that come around, else empty.
    """

    preferred: PerUnit
    selectivity: PerUnit
    width: PerUnit
    harmonics: Float[Tensor, "n k"]
    error: PerUnit
    reliability: PerUnit

    @property
    def directionality(self) -> PerUnit:
        """|F1| / (|F1| + |F2|): 1 where one direction is preferred, 0 where the opposite one is as good."""
        first, second = self.harmonics[:, 0], self.harmonics[:, 1]
        return first / (first + second)


def average(values: Tensor, dim: int) -> Tensor:
    """The mean over other axes: a curve that no single value of them decides."""
    return values.mean(dim)


def largest(values: Tensor, dim: int) -> Tensor:
    """The largest over other axes: a curve at each value's best."""
    return values.amax(dim)


def along(maps: Float[Tensor, "n *axes p"], place: int, reduce: Reduce = average) -> Float[Tensor, "n m p"]:
    """Curves along the axis at `place` for each of p variants, all other axes reduced."""
    moved = maps.movedim(1 + place, 1)
    return reduce(moved.reshape(*moved.shape[:2], -1, moved.shape[-1]), 2)


def evoked(values: Float[Tensor, "n ..."], blank: PerUnit) -> Float[Tensor, "n ..."]:
    """Answers above that to an empty picture; those below count as none: what a ReLU would make of them."""
    return (values - blank.view(-1, *(1,) * (values.ndim - 1))).clamp(min=0)


def vector_sum(curves: Curves, axis: Axis) -> Tensor:
    """Each curve's answers as arrows along their angles, added up: complex, (n,)."""
    turn = torch.tensor(axis.values, dtype=torch.float64) * (2 * math.pi / _period(axis))
    return curves.to(torch.complex128) @ torch.polar(torch.ones_like(turn), turn)


def preferred(curves: Curves, axis: Axis) -> PerUnit:
    """The value that is answered most: the circular mean, in [0, period), or the top of a parabola around the largest.

    The mean weights angles by the answers; the parabola goes through the largest answer and its two neighbours, on the
    axis's own scale.
    """
    if axis.period is not None:
        total = vector_sum(curves, axis)
        angle = torch.rad2deg(total.angle()) * (axis.period / 360) % axis.period
        return torch.where(total.abs() > 1e-9 * curves.abs().sum(1).double(), angle, torch.nan)
    places = torch.tensor([axis.value(float(place)) for place in peak_place(curves, axis)], dtype=torch.float64)
    return torch.where(curves.amax(1) > curves.amin(1), places, torch.nan)


def peak_place(curves: Curves, axis: Axis) -> PerUnit:
    """Where on the axis's ruler a parabola through the largest answer and its neighbours is highest."""
    places, values = torch.tensor(axis.places, dtype=torch.float64), curves.double()
    best = values.argmax(1)
    if len(axis) < 3:
        return places[best]
    middle = best.clamp(1, len(axis) - 2)
    (left, top, right), step = (
        (values.gather(1, (middle + k)[:, None])[:, 0] for k in (-1, 0, 1)),
        places[1] - places[0],
    )
    bend = left - 2 * top + right
    shift = torch.where(bend < 0, 0.5 * (left - right) / bend.where(bend < 0, torch.ones_like(bend)), 0.0)
    inside = (best == middle) & (shift.abs() <= 1)
    return torch.where(inside, places[middle] + shift * step, places[best])


def selectivity(curves: Curves, axis: Axis) -> PerUnit:
    """The vector strength |sum r e^(i a)| / sum r of an axis that comes around; else sparseness.

    Sparseness is (1 - mean(r)^2 / mean(r^2)) / (1 - 1 / m): 0 for a flat curve, 1 for an answer to one value alone
    [vinje2000].
    """
    if axis.period is not None:
        return vector_sum(curves, axis).abs() / curves.double().sum(1)
    values, count = curves.double(), len(axis)
    return (1 - values.mean(1).square() / values.square().mean(1)) / (1 - 1 / max(count, 2))


def width(curves: Curves, axis: Axis) -> PerUnit:
    """Full width at half height around the largest answer, with straight lines between the values.

    In degrees, octaves (log scales) or the axis's unit. A side that never falls to half counts up to the axis's end;
    of an axis that comes around, half a turn.
    """
    places = list(axis.places)
    found = [_width([float(value) for value in row], places, axis.period) for row in curves.double()]
    return torch.tensor(found, dtype=torch.float64)


def _width(values: list[float], places: list[float], period: float | None) -> float:
    top = max(values)
    if top <= 0:
        return math.nan
    at, count = values.index(top), len(values)
    if period is not None:  # lay the curve out from half a turn before the peak to half a turn after
        order = [(at + k) % count for k in range(-(count // 2), count // 2 + 1)]
        values, at = [values[place] for place in order], count // 2
        places = [period / count * k for k in range(len(order))]
    return abs(_fall(values[at::-1], places[at::-1], top / 2)) + abs(_fall(values[at:], places[at:], top / 2))


def _fall(values: list[float], places: list[float], half: float) -> float:
    """How far from the first place the values first reach `half`."""
    for k in range(1, len(values)):
        if values[k] <= half:
            part = (values[k - 1] - half) / (values[k - 1] - values[k])
            return places[k - 1] + part * (places[k] - places[k - 1]) - places[0]
    return places[-1] - places[0]


def harmonics(curves: Curves, axis: Axis, most: int = HARMONICS) -> Float[Tensor, "n k"]:
    """Amplitudes of the first `most` harmonics of evenly spaced angles: a cos(k x) in a curve gives a."""
    _period(axis)
    spectrum = torch.fft.rfft(curves.double(), dim=1).abs() * (2 / len(axis))
    found = spectrum[:, 1 : most + 1]
    return torch.nn.functional.pad(found, (0, most - found.shape[1]))


def angle_error(variants: Float[Tensor, "n m p"], axis: Axis) -> PerUnit:
    """Standard error of the preferred angle, by leaving out each of p variants once (the jackknife [efron1982]).

    In degrees; NaN with fewer than two variants.
    """
    count = variants.shape[2]
    if count < 2:
        return torch.full((len(variants),), torch.nan, dtype=torch.float64)
    sums = torch.stack([vector_sum(variants[:, :, one], axis) for one in range(count)], 1)
    whole = sums.sum(1, keepdim=True)
    turns = ((whole - sums) / whole).angle()
    return (turns.square().sum(1) * (count - 1) / count).sqrt() * (_period(axis) / (2 * math.pi))


def place_error(variants: Float[Tensor, "n m p"], axis: Axis) -> PerUnit:
    """The same for the top of the curve on an axis that does not come around, on its ruler."""
    count = variants.shape[2]
    if count < 2:
        return torch.full((len(variants),), torch.nan, dtype=torch.float64)
    total = variants.sum(2)
    less = torch.stack([peak_place(total - variants[:, :, one], axis) for one in range(count)], 1)
    spread: Tensor = (less - less.mean(1, keepdim=True)).square().sum(1)
    return (spread * (count - 1) / count).sqrt()


def reliability(maps: Float[Tensor, "n m p"]) -> PerUnit:
    """Mean correlation between the maps of any two of p variants; NaN with fewer than two, or for flat maps."""
    count = maps.shape[2]
    centered = maps.double() - maps.double().mean(1, keepdim=True)
    unit = centered / centered.norm(dim=1, keepdim=True)
    if count < 2:
        return torch.full((len(maps),), torch.nan, dtype=torch.float64)
    together: Tensor = unit.sum(2).square().sum(1)
    return (together - count) / (count * (count - 1))


def aligned(curves: Curves, angles: PerUnit, axis: Axis) -> Curves:
    """Curves turned so that each one's angle comes to 0, by their Fourier series."""
    period, count = _period(axis), len(axis)
    spectrum = torch.fft.rfft(curves.double(), dim=1)
    order = torch.arange(spectrum.shape[1], dtype=torch.float64)
    turn = angles.double()[:, None] * (2 * math.pi / period) * order
    turned = spectrum * torch.polar(torch.ones_like(turn), turn)
    if count % 2 == 0:  # Nyquist's wave has no direction: it is only kept as far as it is still real
        turned[:, -1] = turned[:, -1].real.to(turned.dtype)
    back: Tensor = torch.fft.irfft(turned, count, dim=1)
    return back


def likeness(curves: Curves) -> float:
    """Mean correlation of any two curves: with curves `aligned`, how alike a family's members are but for a turn."""
    centered = curves.double() - curves.double().mean(1, keepdim=True)
    unit = centered / centered.norm(dim=1, keepdim=True)
    count = len(unit)
    return float((unit.sum(0).square().sum() - count) / (count * (count - 1))) if count > 1 else math.nan


def largest_gap(angles: PerUnit, period: float = 360.0) -> float:
    """The widest range of angles that none of a family's has: under 90 degrees, a family is said to span the circle."""
    if not len(angles):
        return period
    around = (angles.double() % period).sort().values
    return float(torch.cat((around[1:], around[:1] + period)).sub(around).max())


def _period(axis: Axis) -> float:
    if axis.period is None:
        raise BadInputError("only an axis that comes around (orientation, rotation, hue) has harmonics and directions")
    return axis.period
