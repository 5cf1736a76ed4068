"""tune: how units answer to pictures made by formula, as a function of what the formula is given [schubert2021].

All units of a layer, and of all layers that can look at one point, are read in one pass over a sweep; what is kept is
one number for each unit and picture.
"""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from torch import Tensor

from retinoscope.base.axis import Axis
from retinoscope.base.errors import BadInputError, BadUnitError, unknown
from retinoscope.base.units import Unit, parse_units
from retinoscope.image.stimuli.sweep import Sweep
from retinoscope.network.model import Model
from retinoscope.network.prepare import prepare
from retinoscope.network.record import record
from retinoscope.observe import curves
from retinoscope.observe.aim import Aim, aims, middle
from retinoscope.observe.curves import Curves, Preference, Reduce, along, average
from retinoscope.observe.reading import find_reading
from retinoscope.plots.circle import radial_figure
from retinoscope.plots.tuning import Portrait, sheet_figure, unit_figure

THUMBNAIL = 96
"""Side in pixels of the small stimuli along the axes of figures: about what an early unit sees."""


@dataclass(frozen=True, repr=False)
class Tuning:
    """Units' answers to a sweep.

    `values` (n, *axes, *over) are in activations, `blank` (n,) the answers to an empty, mid-grey picture. `units` are
    names such as `blocks.3.0:21`; a mixture's are those it was given. `pictures` hold a small stimulus for each value
    of each axis, (m, h, w, 3).
    """

    network: str
    weights: str
    stimuli: str
    reading: str
    axes: Mapping[str, Axis]
    over: Mapping[str, Axis]
    units: tuple[str, ...]
    values: Float[Tensor, "n *stimuli"]
    blank: Float[Tensor, " n"]
    pictures: Mapping[str, UInt8[Tensor, "m h w 3"]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.units)

    def __repr__(self) -> str:
        some = ", ".join(self.units[:3]) + (", ..." if len(self) > 3 else "")
        sizes = " x ".join(f"{len(axis)} {name}" for name, axis in self.axes.items())
        return f"Tuning({len(self)} units of {self.network} to {self.stimuli}, {sizes}: {some})"

    @property
    def variants(self) -> Float[Tensor, "n *axes p"]:
        """The answers with all variants in one last dimension, of length 1 where there are none."""
        return self.values.flatten(1 + len(self.axes)) if self.over else self.values[..., None]

    @property
    def maps(self) -> Float[Tensor, "n *axes"]:
        """Answers to each value of the axes, averaged over the variants."""
        return self.variants.mean(-1)

    def map(self, unit: Unit | str) -> Float[Tensor, "*axes"]:
        """One unit's map."""
        return self.select([unit]).maps[0]

    def curves(self, axis: str | None = None, reduce: Reduce = average) -> Curves:
        """Answers along one axis (by default the first): over the variants averaged, over other axes `reduce`d."""
        return along(self.maps[..., None], self._place(axis), reduce)[..., 0]

    def curve(self, unit: Unit | str, axis: str | None = None, reduce: Reduce = average) -> Float[Tensor, " m"]:
        """One unit's curve."""
        return self.select([unit]).curves(axis, reduce)[0]

    def preference(self, axis: str | None = None, reduce: Reduce = average) -> Preference:
        """What the curves along an axis say of each unit.

        Harmonics are those of the answers as they are; all else is of what exceeds the answer to an empty picture. The
        article's layers end in a ReLU; ours need not.
        """
        place = self._place(axis)
        along_axis, values = list(self.axes.values())[place], curves.evoked(self.variants, self.blank)
        curve = along(values.mean(-1, keepdim=True), place, reduce)[..., 0]
        each, around = along(values, place, reduce), along_axis.period is not None
        waves = curves.harmonics(self.curves(axis, reduce), along_axis) if around else curve.new_zeros(len(curve), 0)
        return Preference(
            preferred=curves.preferred(curve, along_axis),
            selectivity=curves.selectivity(curve, along_axis),
            width=curves.width(curve, along_axis),
            harmonics=waves.double(),
            error=(curves.angle_error if around else curves.place_error)(each, along_axis),
            reliability=curves.reliability(self.variants.flatten(1, -2)),
        )

    def select(self, units: Sequence[Unit | str] | str) -> "Tuning":
        """Some of the units, in that order; a layer's name stands for all of its units. Raises UnknownNameError."""
        wanted = [units] if isinstance(units, str) else list(units)
        rows = [row for one in wanted for row in self._rows(one)]
        chosen = tuple(self.units[row] for row in rows)
        return replace(self, units=chosen, values=self.values[rows], blank=self.blank[rows])

    def mix(self, weights: Float[Tensor, "f n"], names: Sequence[str]) -> "Tuning":
        """Answers of mixtures of the units, such as factors of a factorization: weights (f, n), one name for each.

        Exact where the reading is the centre or the mean, not for peaks.
        """
        if weights.shape != (len(names), len(self)):
            raise BadInputError(f"weights must be ({len(names)}, {len(self)}); came {tuple(weights.shape)}")
        by = weights.to(self.values)
        values, blank = torch.tensordot(by, self.values, 1), by @ self.blank
        return replace(self, units=tuple(names), values=values, blank=blank)

    def _rows(self, unit: Unit | str) -> list[int]:
        text = str(unit)
        rows = [row for row, name in enumerate(self.units) if text in (name, name.rpartition(":")[0])]
        if not rows:
            raise unknown("tuned unit", text, self.units)
        return rows

    def _place(self, axis: str | None) -> int:
        if axis is not None and axis not in self.axes:
            raise unknown(f"axis of {self.stimuli}", axis, self.axes)
        return 0 if axis is None else list(self.axes).index(axis)

    def figure(self, unit: Unit | str) -> Figure:
        """One unit's map over the first two axes, with stimuli along them, and its curve along the first."""
        return unit_figure(self.select([unit])._portraits()[0])

    def sheet(self, columns: int = 6) -> Figure:
        """All units' maps as small multiples."""
        return sheet_figure(self._portraits(), columns)

    def radial(self) -> Figure:
        """Units on a circle at the angle that each prefers along the first axis, each as its polar curve."""
        return radial_figure(self._portraits())

    def _portraits(self) -> list[Portrait]:
        found, maps = self.preference(), self.maps.double()
        each = along(curves.evoked(self.variants, self.blank), 0).double()
        shown = {name: picture.numpy() for name, picture in self.pictures.items()}
        return [
            Portrait(
                unit, self.stimuli, dict(self.axes), maps[row].numpy(), float(self.blank[row]), shown,
                each[row].numpy(),
                float(found.preferred[row]), float(found.selectivity[row]), float(found.error[row]),
            )
            for row, unit in enumerate(self.units)
        ]  # fmt: skip

    def save(self, file: str | Path) -> Path:
        """Write the answers (`.npz`, which `Tuning.load` reads) or their figure (.png, .svg, .pdf); gives the path."""
        from retinoscope.observe.tuningfile import save

        path = Path(file)
        if path.suffix == ".npz":
            save(self, path)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._figure().savefig(path)
        return path

    @classmethod
    def load(cls, file: str | Path) -> "Tuning":
        """Read saved answers; raises StoreError when the file holds none."""
        from retinoscope.observe.tuningfile import load

        return load(Path(file))

    def _figure(self) -> Figure:
        return self.figure(self.units[0]) if len(self) == 1 else self.sheet()

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self._figure().savefig(stream, format="png")
        return stream.getvalue()


def tune(
    model: Model,
    units: Unit | str | Sequence[Unit | str],
    stimuli: Sweep,
    reading: str = "center",
    batch: int = 32,
    aimed: Sequence[Aim] | None = None,
) -> Tuning:
    """Show a network a sweep, and keep what units answered.

    `units` are `layer:channel`, slices, or layers' names for all their units. `reading` says what is read of a layer's
    map: its `center`, one neuron; the `mean` of the map; or its `peak`. The stimuli have the network's input size and
    are centred on what the neurons that are read really see; layers whose neurons have no point in common take a pass
    each. `aimed` are the points of an earlier call of `aims`, which saves measuring them.

    Raises BadUnitError or UnknownNameError for units that do not exist, BadInputError for answers that are not finite.
    """
    wanted = tuned_units(model, units)
    return collect(model, wanted, stimuli, reading, answers(model, wanted, stimuli, reading, batch, aimed))


def tuned_units(model: Model, units: Unit | str | Sequence[Unit | str]) -> list[Unit]:
    """The units that a text names; layers' names stand for all their units."""
    several = [units] if isinstance(units, str | Unit) else list(units)
    texts = [str(one) if ":" in str(one) else f"{model.layers[str(one)].name}:*" for one in several]
    found = list(dict.fromkeys(parse_units(texts, lambda name: model.layers[name].channels)))
    if placed := [unit for unit in found if unit.position is not None]:
        one = placed[0]
        raise BadUnitError(
            f"stimuli are centred on the unit that is read; ask for '{one.layer}:{one.channel}' without a position"
        )
    if not found:
        raise BadUnitError("tuning needs at least one unit")
    return found


@dataclass(frozen=True)
class Part:
    """Answers (b, n) of the units at `rows` to the next pictures; `share` of the work is then done, in (0, 1]."""

    rows: tuple[int, ...]
    values: Float[Tensor, "b n"]
    share: float


def answers(
    model: Model,
    units: Sequence[Unit],
    stimuli: Sweep,
    reading: str = "center",
    batch: int = 32,
    aimed: Sequence[Aim] | None = None,
) -> Iterator[Part]:
    """The units' answers, batch by batch: for each point those to an empty picture, then to the sweep in order."""
    find_reading(reading)
    layers = list(dict.fromkeys(unit.layer for unit in units))
    fast, chosen = prepare(model, layers), [model.layers[name] for name in layers]
    points = aimed or (aims(fast, chosen) if reading == "center" else [middle(fast, chosen)])
    passes = [one for one in points if any(name in one.positions for name in layers)]
    if missing := sorted(set(layers) - {name for one in passes for name in one.positions}):
        raise BadInputError(f"the points given are not for {', '.join(missing)}; measure them with aims")
    for place, one in enumerate(passes):
        for part in _pass(fast, units, stimuli, reading, batch, one):
            yield replace(part, share=(place + part.share) / len(passes))


def _pass(model: Model, units: Sequence[Unit], stimuli: Sweep, reading: str, batch: int, aimed: Aim) -> Iterator[Part]:
    read, size = find_reading(reading), model.input_size
    rows = {name: [row for row, unit in enumerate(units) if unit.layer == name] for name in aimed.positions}
    rows = {name: found for name, found in rows.items() if found}
    channels = {name: torch.tensor([units[row].channel for row in found]) for name, found in rows.items()}
    order, done = tuple(row for found in rows.values() for row in found), 0
    blank = torch.full((1, 3, *size), 0.5, device=model.device)
    with torch.inference_mode(), record(model, list(rows)) as trace:
        for images in chain([blank], stimuli.batches(size, batch, aimed.point, model.device)):
            model(images)
            read_out = [read(trace[name], aimed.positions[name])[:, channels[name]] for name in rows]
            trace.clear()
            done += len(images)
            yield Part(order, torch.cat([one.float().cpu() for one in read_out], 1), done / (1 + len(stimuli)))


def collect(model: Model, units: Sequence[Unit], stimuli: Sweep, reading: str, parts: Iterable[Part]) -> Tuning:
    """Answers as they come from `answers`, as a Tuning; raises BadInputError where one is not finite."""
    found: dict[tuple[int, ...], list[Tensor]] = {}
    for part in parts:
        found.setdefault(part.rows, []).append(part.values)
    values = torch.empty(len(units), 1 + len(stimuli))
    for rows, some in found.items():
        values[list(rows)] = torch.cat(some).T
    if not bool(values.isfinite().all()):
        bad = units[int((~values.isfinite()).any(1).nonzero()[0])]
        raise BadInputError(f"{bad}: activations are NaN or infinite")
    strips = {name: stimuli.strip(name, THUMBNAIL) for name in stimuli.axes}
    return Tuning(
        network=model.name,
        weights=model.weights_hash,
        stimuli=stimuli.name,
        reading=reading,
        axes=dict(stimuli.axes),
        over=dict(stimuli.over),
        units=tuple(str(unit) for unit in units),
        values=values[:, 1:].reshape(len(units), *stimuli.shape).clone(),
        blank=values[:, 0].clone(),
        pictures={name: (255 * strip).round().to(torch.uint8).permute(0, 2, 3, 1) for name, strip in strips.items()},
    )
