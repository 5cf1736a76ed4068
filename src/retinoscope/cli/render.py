"""`retinoscope render MODEL UNIT... --out DIR`: optimised pictures as PNG files."""

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retinoscope.base.errors import NoGradientError
from retinoscope.cli.inputs import Device, ModelName, Weights, load_model
from retinoscope.cli.output import progress, say

if TYPE_CHECKING:
    from collections.abc import Generator

    from retinoscope.jobs.folder import Made

Units = Annotated[
    list[str], typer.Argument(metavar="UNIT...", help="layer:channel, layer:channel@y,x, layer:0-31, layer:*")
]


def render(
    model: ModelName,
    units: Units,
    out: Annotated[Path, typer.Option(help="folder for the pictures and render.json")],
    size: Annotated[int | None, typer.Option(min=16, help="side in pixels; by default what suits the layer")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="optimisation steps")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="robust, natural, lucid, article, naive and others; by default what suits")
    ] = None,
    seed: Annotated[int, typer.Option(help="start of the random numbers")] = 0,
    weights: Weights = "default",
    device: Device = "cpu",
) -> None:
    """Optimise a picture of what each unit looks for; run again, it makes only what is missing."""
    network = load_model(model, weights, device)
    from retinoscope.jobs.folder import render_into
    from retinoscope.synthesize.render import gather

    try:
        entries = _run(render_into(network, units, out, size=size, steps=steps, recipe=recipe, seed=seed))
    except KeyboardInterrupt:
        say(f"stopped; what is made is kept in {out}: run the same command again to go on")
        raise typer.Exit(130) from None
    except NoGradientError as error:
        first = repr(gather(network, units)[0])
        raise NoGradientError(f"{error}. To find out more: {_diagnosis(model, first, weights)}") from error
    for entry in entries:
        if "why" in entry:
            say(f"{entry['unit']} shows nothing: {entry['why']}")
        for file in entry.get("files", ()):
            print(out / file)
    if still := [entry["unit"] for entry in entries if entry.get("still")]:
        hint = _diagnosis(model, still[0], weights)
        say(f"{len(still)} of {len(entries)} scores hardly moved. To find out why: {hint}")


def _diagnosis(model: str, unit: str, weights: str) -> str:
    chosen = "" if weights == "default" else f" --weights {shlex.quote(weights)}"
    return f"retinoscope diagnose {shlex.quote(model)} {shlex.quote(unit)}{chosen}"


def _run(run: "Generator[Made, None, list[dict[str, Any]]]") -> list[dict[str, Any]]:
    start = time.monotonic()
    with progress() as show:
        while True:
            try:
                made = next(run)
            except StopIteration as end:
                entries: list[dict[str, Any]] = end.value
                return entries
            show(made.share, "rendering", (time.monotonic() - start) * (1 / made.share - 1))
