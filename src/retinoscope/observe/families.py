"""Families: units of one kind, found by their tuning, and told from chance by networks of shuffled weights.

A family is a row of a table: stimuli that its members answer to more than to rival ones, and in one direction. The
score is the same for all; high-low frequency detectors are the article's [schubert2021].
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from retinoscope.base.errors import BadInputError, unknown
from retinoscope.image import stimuli
from retinoscope.image.stimuli.sweep import Sweep
from retinoscope.network.model import Model
from retinoscope.network.prepare import prepare
from retinoscope.network.shuffled import shuffled
from retinoscope.observe import curves
from retinoscope.observe.aim import aims
from retinoscope.observe.curves import PerUnit, largest
from retinoscope.observe.tuning import Tuning, tune, tuned_units

Make = Callable[[], Sweep]

CHANCE = 0.01
"""Share of shuffled units that may score as high as a member: ours."""


@dataclass(frozen=True)
class Family:
    """What a family answers to, and rivals that it answers to less; the stimuli's first axis is its orientation."""

    stimuli: Make
    rivals: tuple[Make, ...]


FAMILIES: Mapping[str, Family] = {
    # Sums of two cosines are the pair's textures turned by 45 degrees, their wavelengths over the square root of 2.
    "high-low-frequency": Family(
        lambda: stimuli.frequency_pair(24, 6), (lambda: stimuli.frequency(10, 4, longest=43.0, shortest=2.7),)
    ),
    "curve": Family(lambda: stimuli.curve(24, 6), (lambda: stimuli.curve(24, 1), lambda: stimuli.edge(24, 2))),
    "edge": Family(lambda: stimuli.edge(24, 3), (lambda: stimuli.line(12, 5), lambda: stimuli.brightness(9))),
    "line": Family(lambda: stimuli.line(24, 5), (lambda: stimuli.edge(24, 2), lambda: stimuli.brightness(9))),
    "color-contrast": Family(lambda: stimuli.color_contrast(24, 6), (lambda: stimuli.color(12, 3),)),
}


def find_family(name: str) -> Family:
    """A family by its name; raises UnknownNameError."""
    if name not in FAMILIES:
        raise unknown("family", name, FAMILIES)
    return FAMILIES[name]


@dataclass(frozen=True)
class Scores:
    """Units' scores for a family (n,): `contrast` times `direction`, and what they are made of.

    `contrast` is (largest answer to the family's stimuli - largest to the rivals') / the standard deviation of all
    these answers; answers are means over the variants. `direction` is |F1| / (|F1| + |F2|) along the orientation, where
    other axes have their best values.
    """

    contrast: PerUnit
    direction: PerUnit

    @property
    def score(self) -> PerUnit:
        """0 where the rivals are answered to as well, or nothing is."""
        return (self.contrast.clamp(min=0) * self.direction).nan_to_num(0.0)


def scores(found: Tuning, rivals: Sequence[Tuning]) -> Scores:
    """How well units fit a family, from their answers to its stimuli and to each of its rivals."""
    ours, theirs = found.maps.flatten(1).double(), [one.maps.flatten(1).double() for one in rivals]
    best = max_of(theirs)
    spread = torch.cat((ours, *theirs), 1).std(1)
    axis = next(iter(found.axes.values()))
    waves = curves.harmonics(found.curves(reduce=largest), axis, 2)
    return Scores((ours.amax(1) - best) / spread, waves[:, 0] / waves.sum(1))


def max_of(parts: Sequence[Float[Tensor, "n _"]]) -> PerUnit:
    """The largest of each row over several tables."""
    return torch.stack([part.amax(1) for part in parts]).amax(0)


@dataclass(frozen=True)
class Found:
    """A family in a network: every unit's score, and which units are its members.

    `p` (n,) is the share of the same layer's units in shuffled networks that score as high, the unit itself counted
    among them; members have a p of CHANCE at most, or, where there are too
    few shuffled units for that, the least p there can be.
    """

    family: str
    tuning: Tuning
    scores: Scores
    p: PerUnit
    null: Mapping[str, Float[Tensor, " _"]]

    @property
    def members(self) -> Bool[Tensor, " n"]:
        """Which units belong to the family."""
        least = {layer: max(CHANCE, 1 / (1 + len(null))) for layer, null in self.null.items()}
        limits = torch.tensor([least[unit.rpartition(":")[0]] for unit in self.tuning.units], dtype=torch.float64)
        return (self.p <= limits) & (self.scores.score > 0)

    def kin(self) -> Tuning:
        """The members' tuning, best score first."""
        order = self.scores.score.argsort(descending=True, stable=True).tolist()
        chosen = self.members.tolist()
        return self.tuning.select([self.tuning.units[row] for row in order if chosen[row]])

    def gap(self) -> float:
        """The widest range of orientations, in degrees, that no member prefers."""
        kin, axis = self.kin(), next(iter(self.tuning.axes.values()))
        period = axis.period or 360.0
        return curves.largest_gap(kin.preference(reduce=largest).preferred, period) if len(kin) else period

    def likeness(self) -> float:
        """How alike the members' curves are, each turned to its own preferred orientation: a mean correlation."""
        kin, axis = self.kin(), next(iter(self.tuning.axes.values()))
        if len(kin) < 2:
            return float("nan")
        found = kin.preference(reduce=largest).preferred
        return curves.likeness(curves.aligned(kin.curves(reduce=largest), found.nan_to_num(0.0), axis))


def find(model: Model, name: str, layers: Sequence[str], draws: int = 2, seed: int = 0) -> Found:
    """Look for a family among all units of some layers; `draws` shuffled networks say what chance finds.

    Raises UnknownNameError for a family or layer that does not exist.
    """
    *_, (_, found) = find_stepwise(model, name, layers, draws, seed)
    assert found is not None
    return found


def find_stepwise(
    model: Model, name: str, layers: Sequence[str], draws: int = 2, seed: int = 0
) -> Iterator[tuple[float, Found | None]]:
    """The same, one network at a time: the share of the work done, and at last what was found."""
    family = find_family(name)
    if draws < 1 or not layers:
        raise BadInputError(f"a family needs layers, and at least one shuffled network; came {list(layers)}, {draws}")
    tuning, real = _scored(model, family, layers)
    yield 1 / (1 + draws), None
    chance: list[PerUnit] = []
    for draw in range(draws):
        chance.append(_scored(shuffled(model, seed + draw), family, layers)[1].score)
        if draw + 1 < draws:
            yield (2 + draw) / (1 + draws), None
    homes = [unit.layer for unit in tuned_units(model, list(layers))]
    null = {layer: torch.cat([one[_rows(homes, layer)] for one in chance]) for layer in dict.fromkeys(homes)}
    p = torch.ones(len(homes), dtype=torch.float64)
    for layer, some in null.items():
        rows = _rows(homes, layer)
        p[rows] = tail(real.score[rows], some)
    yield 1.0, Found(name, tuning, real, p, null)


def _rows(homes: Sequence[str], layer: str) -> Int[Tensor, " m"]:
    return torch.tensor([row for row, home in enumerate(homes) if home == layer])


def _scored(model: Model, family: Family, layers: Sequence[str]) -> tuple[Tuning, Scores]:
    units = tuned_units(model, list(layers))
    points = aims(prepare(model, list(layers)), [model.layers[name] for name in dict.fromkeys(layers)])
    found, *rivals = (tune(model, units, make(), aimed=points) for make in (family.stimuli, *family.rivals))
    return found, scores(found, rivals)


def tail(values: Float[Tensor, " m"], null: Float[Tensor, " k"]) -> Float[Tensor, " m"]:
    """The share of `null` that reaches each value, the value itself counted among them: (1 + count) / (1 + k)."""
    order = null.double().sort().values
    above = len(order) - torch.searchsorted(order, values.double().contiguous())
    return (1 + above).double() / (1 + len(order))


def without_polarity(angles: PerUnit, groups: int = 4) -> Int[Tensor, " n"]:
    """Which of `groups` tilts each orientation of 360 degrees is nearest to, opposite ones alike."""
    step = 180 / groups
    return (angles / step).round().long() % groups
