"""`retinoscope render MODEL UNIT... --out DIR`: optimised pictures as PNG files."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from retinoscope.base.errors import NoGradientError
from retinoscope.cli.inputs import Device, ModelName, Weights, load_model
from retinoscope.cli.output import progress, say
from retinoscope.store.files import disk_errors

if TYPE_CHECKING:
    from retinoscope.network.model import Model
    from retinoscope.synthesize.render import Rendered

Units = Annotated[
    list[str], typer.Argument(metavar="UNIT...", help="layer:channel, layer:channel@y,x, layer:0-31, layer:*")
]


def render(
    model: ModelName,
    units: Units,
    out: Annotated[Path, typer.Option(help="folder for the pictures and render.json")],
    size: Annotated[int | None, typer.Option(min=16, help="side in pixels; by default what suits the layer")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="optimisation steps")] = None,
    recipe: Annotated[str, typer.Option(help="robust, lucid, article or naive")] = "robust",
    seed: Annotated[int, typer.Option(help="start of the random numbers")] = 0,
    weights: Weights = "default",
    device: Device = "cpu",
) -> None:
    """Optimise a picture of what each unit looks for."""
    from retinoscope.synthesize.render import gather

    network = load_model(model, weights, device)
    try:
        rendered = _run(network, units, size, steps, recipe, seed)
    except NoGradientError as error:
        first = repr(gather(network, units)[0])
        raise NoGradientError(f"{error}. To find out more: {_diagnosis(model, first, weights)}") from error
    with disk_errors(out):
        files = rendered.save(out)
        (out / "render.json").write_text(_settings(network, rendered, files))
    for place, why in rendered.unreached.items():
        say(f"{rendered.objectives[place]!r} shows nothing: {why}")
    _offer(network, rendered, model, weights)
    for file in files:
        print(file)


def _offer(network: "Model", rendered: "Rendered", model: str, weights: str) -> None:
    """One line on stderr where a picture's score did not move."""
    from retinoscope.synthesize.diagnose import unmoved

    if still := unmoved(network, rendered):
        unit = repr(rendered.objectives[still[0]])
        say(f"{len(still)} of {len(rendered)} scores hardly moved. To find out why: {_diagnosis(model, unit, weights)}")


def _diagnosis(model: str, unit: str, weights: str) -> str:
    chosen = "" if weights == "default" else f" --weights {shlex.quote(weights)}"
    return f"retinoscope diagnose {shlex.quote(model)} {shlex.quote(unit)}{chosen}"


def _run(network: "Model", units: list[str], size: int | None, steps: int | None, recipe: str, seed: int) -> "Rendered":
    import time

    from retinoscope.synthesize.render import render_stepwise

    start = time.monotonic()
    run = render_stepwise(network, units, size=size, steps=steps, recipe=recipe, seed=seed)
    with progress() as show:
        while True:
            try:
                step = next(run)
            except StopIteration as end:
                return cast("Rendered", end.value)
            left = (time.monotonic() - start) * (step.total / step.done - 1)
            show(step.done / step.total, f"step {step.done} of {step.total}", left)


def _settings(network: "Model", rendered: "Rendered", files: list[Path]) -> str:
    scores = rendered.scores.tolist()
    pictures = [
        {"unit": repr(objective), "file": file.name, "score": score}
        for objective, file, score in zip(rendered.objectives, files, scores, strict=True)
    ]
    settings = {"network": network.name, "weights": network.weights_hash, "seed": rendered.seed}
    return json.dumps({**settings, **rendered.recipe.describe(), "pictures": pictures}, indent=2) + "\n"
