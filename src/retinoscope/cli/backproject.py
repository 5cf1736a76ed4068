"""`retinoscope backproject MODEL UNIT... --photos FOLDER --out DIR`: which pixels made a unit answer."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retinoscope.base.errors import BadInputError
from retinoscope.cli.inputs import Device, ModelName, Tiles, Weights, load_model, load_photos
from retinoscope.cli.output import progress
from retinoscope.cli.scan import scan_parts
from retinoscope.store.files import disk_errors, safe

if TYPE_CHECKING:
    from retinoscope.base.units import Unit
    from retinoscope.data.imageset import ImageSet
    from retinoscope.network.model import Model
    from retinoscope.observe.scan import Example

Units = Annotated[
    list[str], typer.Argument(metavar="UNIT...", help="layer:channel, layer:channel@y,x, layer:0-31, layer:*")
]
Row = dict[str, Any]


def backproject(
    model: ModelName,
    units: Units,
    out: Annotated[Path, typer.Option(help="folder for the sheets and backproject.json")],
    photo: Annotated[list[Path] | None, typer.Option(help="a photo to look at; may come again")] = None,
    photos: Annotated[
        str, typer.Option(metavar="FOLDER", help="look at each unit's strongest examples in a folder, or 'sample'")
    ] = "",
    rule: Annotated[str, typer.Option(help="guided, deconvnet or gradient")] = "guided",
    k: Annotated[int, typer.Option("--k", min=1, help="examples of each unit, with --photos")] = 9,
    tiles: Tiles = False,
    weights: Weights = "default",
    device: Device = "cpu",
) -> None:
    """Run units' answers backwards to the pixels, and show patches beside what comes back."""
    from retinoscope.base.units import parse_units
    from retinoscope.network.backward import find_rule

    if bool(photo) == bool(photos):
        raise BadInputError("say what to look at: either --photo FILE, once or more, or --photos FOLDER")
    find_rule(rule)
    network = load_model(model, weights, device)
    wanted = parse_units(units, lambda name: network.layers[name].channels)
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        if photo:
            rows = _of_files(network, wanted, photo, rule, out)
        else:
            rows = _of_examples(network, wanted, load_photos(photos, tiles), rule, k, out)
        settings = {"network": network.name, "weights": network.weights_hash, "rule": rule}
        (out / "backproject.json").write_text(json.dumps({**settings, "units": rows}, indent=2) + "\n")
    for row in rows:
        print(out / row["file"])


def _of_files(model: "Model", units: "list[Unit]", files: list[Path], rule: str, out: Path) -> list[Row]:
    from retinoscope.observe.backproject import backproject as run

    rows: list[Row] = []
    with progress() as show:
        for done, unit in enumerate(units):
            show(done / len(units), str(unit))
            found = run(model, files, unit, rule)
            file = found.save(out / _name(unit, rule))
            numbers = zip(files, found.units, found.activations.tolist(), found.boxes, strict=True)
            entries = [
                {"photo": str(path), "unit": str(one), "activation": value, "box": asdict(box)}
                for path, one, value, box in numbers
            ]
            rows.append({"unit": str(unit), "file": file.name, "pictures": entries})
        show(1.0, "done")
    return rows


def _of_examples(model: "Model", units: "list[Unit]", images: "ImageSet", rule: str, k: int, out: Path) -> list[Row]:
    from retinoscope.jobs.backward import sheet_of_examples
    from retinoscope.observe.backproject import frozen

    layers = list(dict.fromkeys(unit.layer for unit in units))
    found, fixed, rows = scan_parts(model, images, layers, k), frozen(model), list[Row]()
    with progress() as show:
        for done, unit in enumerate(units):
            show(done / len(units), str(unit))
            picture, examples = sheet_of_examples(fixed, images, unit, found.top(unit), rule)
            picture.save(out / _name(unit, rule))
            rows.append({"unit": str(unit), "file": _name(unit, rule), "pictures": [_entry(one) for one in examples]})
        show(1.0, "done")
    return rows


def _entry(example: "Example") -> Row:
    return {"photo": example.item.photo, "item": example.item.id, "activation": example.score,
            "y": example.y, "x": example.x, "box": asdict(example.box)}  # fmt: skip


def _name(unit: "Unit", rule: str) -> str:
    return f"{safe(str(unit))}.{rule}.png"
