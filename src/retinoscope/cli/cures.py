"""`retinoscope cures MODEL UNIT --out DIR`: a unit under each family of regularization, as a figure and a table."""

import json
from pathlib import Path
from typing import Annotated

import typer

from retinoscope.cli.inputs import AsJson, Device, ModelName, Weights, load_model
from retinoscope.cli.output import print_json
from retinoscope.store.files import disk_errors


def cures(
    model: ModelName,
    unit: Annotated[str, typer.Argument(metavar="UNIT", help="layer:channel, or layer:channel@y,x")],
    out: Annotated[Path, typer.Option(help="folder for cures.png and cures.json")],
    size: Annotated[int | None, typer.Option(min=16, help="side in pixels; by default what suits the layer")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="optimisation steps of every family")] = None,
    seed: Annotated[int, typer.Option(help="start of the random numbers")] = 0,
    weights: Weights = "default",
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Compare families of regularization on a unit: score, score under fresh views, share of high frequencies."""
    from retinoscope.synthesize.cures import cures as compare

    found = compare(load_model(model, weights, device), unit, size=size, steps=steps, seed=seed)
    with disk_errors(out):
        found.save(out / "cures.png")
        (out / "cures.json").write_text(json.dumps(found.plain(), indent=2) + "\n")
    if as_json:
        print_json(found.plain())
    else:
        print(found)
        print(out / "cures.png")
