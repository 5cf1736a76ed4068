"""`retinoscope tune MODEL UNIT...`: how units answer to stimuli made by formula."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retinoscope.base.errors import BadInputError, unknown
from retinoscope.cli.inputs import AsJson, Device, ModelName, Weights, load_model
from retinoscope.cli.output import print_json, print_table, progress, say
from retinoscope.store.files import disk_errors, safe

if TYPE_CHECKING:
    from retinoscope.image.stimuli import Sweep
    from retinoscope.observe.tuning import Tuning

Units = Annotated[
    list[str], typer.Argument(metavar="UNIT...", help="layer:channel, layer:0-31, or a layer for all its units")
]
HEAD = ("unit", "prefers", "error", "selectivity", "width", "reliability", "F1", "F2", "direction")

SMALL = {
    "frequency-pair": "frequency_pair", "frequency": "frequency", "grating": "grating", "texture": "texture",
    "edge": "edge", "line": "line", "curve": "curve", "corner": "corner", "color-contrast": "color_contrast",
    "color": "color", "brightness": "brightness", "turned": "turned",
}  # fmt: skip
"""Stimuli by their names on the command line, and their functions."""

MOST_FIGURES = 64
"""Units that get a figure of their own; more are shown on the sheet alone."""


def tune(
    model: ModelName,
    units: Units,
    stimuli: Annotated[str, typer.Option(help=", ".join(SMALL))] = "frequency-pair",
    out: Annotated[Path | None, typer.Option(help="folder for the answers (tuning.npz) and the figures")] = None,
    size: Annotated[str, typer.Option(metavar="AxB", help="values of both axes, such as 24x8")] = "",
    wavelength: Annotated[
        float | None, typer.Option(help="of frequency-pair: the geometric mean of both wavelengths, in pixels")
    ] = None,
    photo: Annotated[list[Path] | None, typer.Option(help="for turned: a photo to turn; may come again")] = None,
    axis: Annotated[str | None, typer.Option(help="the axis that numbers are told of; by default the first")] = None,
    reading: Annotated[str, typer.Option(help="of a layer's map: center, mean or peak")] = "center",
    weights: Weights = "default",
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Show a network gratings, edges, curves or other stimuli, and tell what units prefer."""
    from retinoscope.observe import tuning

    sweep = _sweep(stimuli, size, wavelength, photo or [])
    if axis is not None:
        sweep.axis(axis)
    network = load_model(model, weights, device)
    wanted = tuning.tuned_units(network, units)
    with progress() as show:
        parts = []
        for part in tuning.answers(network, wanted, sweep, reading):
            parts.append(part)
            show(part.share, sweep.name)
        found = tuning.collect(network, wanted, sweep, reading, parts)
    rows = told(found, axis)
    if out is not None:
        with disk_errors(out):
            _write(found, out)
    if as_json:
        axes = {name: list(one.values) for name, one in found.axes.items()}
        settings = {"network": network.name, "weights": network.weights_hash, "stimuli": found.stimuli, "axes": axes}
        print_json({**settings, "reading": reading, "axis": axis or next(iter(axes)), "units": rows})
    else:
        print_table(HEAD, [_cells(row) for row in rows])


def _sweep(name: str, size: str, wavelength: float | None, photos: list[Path]) -> "Sweep":
    from retinoscope.image import stimuli

    if name not in SMALL:
        raise unknown("stimuli", name, SMALL)
    if photos and name != "turned":
        raise BadInputError("--photo goes with --stimuli turned")
    if wavelength is not None and name != "frequency-pair":
        raise BadInputError("--wavelength goes with --stimuli frequency-pair")
    make: Callable[..., Sweep] = getattr(stimuli, SMALL[name])
    counts = _counts(size)
    if name == "turned":
        return make(photos, *counts[:1])
    return make(*counts, **({} if wavelength is None else {"wavelength": wavelength}))


def _counts(size: str) -> list[int]:
    if not size:
        return []
    parts = size.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise BadInputError(f"--size takes one or two counts, such as 24x8; came '{size}'")
    return [int(part) for part in parts]


def told(found: "Tuning", axis: str | None) -> list[dict[str, Any]]:
    """What the curves say of each unit, as plain numbers; None where there is none."""
    one = found.preference(axis)
    numbers = {
        "preferred": one.preferred, "error": one.error, "selectivity": one.selectivity, "width": one.width,
        "reliability": one.reliability, "blank": found.blank, "largest": found.maps.flatten(1).amax(1),
    }  # fmt: skip
    rows: list[dict[str, Any]] = []
    for place, unit in enumerate(found.units):
        row: dict[str, Any] = {name: number(float(values[place])) for name, values in numbers.items()}
        around = one.harmonics.shape[1] > 1
        row["harmonics"] = [float(value) for value in one.harmonics[place]] if around else []
        row["directionality"] = number(float(one.directionality[place])) if around else None
        rows.append({"unit": unit, **row})
    return rows


def number(value: float) -> float | None:
    """A number for JSON, which has no NaN."""
    return value if abs(value) < float("inf") else None


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    waves = [*row["harmonics"][:2], None, None][:2]
    numbers = [row[name] for name in ("preferred", "error", "selectivity", "width", "reliability")]
    texts = ["-" if value is None else f"{value:.3g}" for value in (*numbers, *waves, row["directionality"])]
    return (row["unit"], *texts)


def _write(found: "Tuning", out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    found.save(out / "tuning.npz")
    if len(found) > 1:
        found.sheet().savefig(out / "maps.png")
        if next(iter(found.axes.values())).period is not None:
            found.radial().savefig(out / "radial.png")
    for unit in found.units[:MOST_FIGURES]:
        found.figure(unit).savefig(out / f"{safe(unit)}.png")
    if len(found) > MOST_FIGURES:
        say(f"figures of the first {MOST_FIGURES} of {len(found)} units; maps.png shows all")
