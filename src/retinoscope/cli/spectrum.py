"""`retinoscope spectrum MODEL PHOTOS UNIT... --out DIR`: from what a unit answers least to what it answers most."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retinoscope.cli.inputs import Device, ModelName, PhotosName, Tiles, Weights, load_model, load_photos
from retinoscope.cli.output import progress
from retinoscope.cli.scan import scan_parts
from retinoscope.store.files import disk_errors, safe

if TYPE_CHECKING:
    from retinoscope.jobs.spectrum import Panel, Spectrum

Units = Annotated[list[str], typer.Argument(metavar="UNIT...", help="layer:channel, layer:0-31, layer:*")]


def spectrum(
    model: ModelName,
    photos: PhotosName,
    units: Units,
    out: Annotated[Path, typer.Option(help="folder for the figures and spectrum.json")],
    size: Annotated[int | None, typer.Option(min=16, help="side in pixels; by default what suits the layer")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="optimisation steps")] = None,
    recipe: Annotated[str, typer.Option(help="of both optimised ends")] = "robust",
    seed: Annotated[int, typer.Option(help="start of the random numbers")] = 0,
    tiles: Tiles = False,
    weights: Weights = "default",
    device: Device = "cpu",
) -> None:
    """Show each unit's range: both optimised ends, and photos of its least, slight and strongest answers."""
    from retinoscope.base.units import parse_units
    from retinoscope.jobs.spectrum import signed_unit
    from retinoscope.jobs.spectrum import spectrum as make

    network, images = load_model(model, weights, device), load_photos(photos, tiles)
    wanted = parse_units(units, lambda name: network.layers[name].channels)
    layers = list(dict.fromkeys(signed_unit(network, unit).layer for unit in wanted))
    found, rows = scan_parts(network, images, layers, k=1), []
    with disk_errors(out), progress() as show:
        out.mkdir(parents=True, exist_ok=True)
        for done, unit in enumerate(wanted):
            show(done / len(wanted), str(unit))
            one = make(network, unit, images, found, size=size, steps=steps, recipe=recipe, seed=seed)
            rows.append(_row(one, one.save(out / f"{safe(str(unit))}.png")))
            print(out / rows[-1]["file"])
        show(1.0, "done")
        settings = {"network": network.name, "weights": network.weights_hash, "images": images.content_hash}
        words = json.dumps({**settings, "seed": seed, "units": rows}, indent=2)
        (out / "spectrum.json").write_text(words + "\n")


def _row(one: "Spectrum", file: Path) -> dict[str, Any]:
    panels = [_panel(panel) for panel in one.panels]
    return {
        "unit": str(one.unit), "layer": one.layer, "file": file.name, "deviation": one.deviation,
        "median": one.median, "panels": panels, "size": one.recipe.size, **one.recipe.describe(),
    }  # fmt: skip


def _panel(panel: "Panel") -> dict[str, Any]:
    shown = {"title": panel.title, "value": panel.value}
    if panel.example is not None:
        shown |= {"item": panel.example.item.id, "y": panel.example.y, "x": panel.example.x}
    return shown | ({"note": panel.note} if panel.note else {})
