"""`retinoscope scan MODEL PHOTOS`: the photos that excite units most."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retinoscope.base.errors import BadInputError
from retinoscope.cli.examples import plain_classes, print_classes
from retinoscope.cli.inputs import (
    AsJson,
    Device,
    LayerNames,
    ModelName,
    PhotosName,
    Tiles,
    Weights,
    load_model,
    load_photos,
    split_names,
)
from retinoscope.cli.output import print_json, print_table, progress, say

if TYPE_CHECKING:
    from retinoscope.base.units import Unit
    from retinoscope.data.imageset import ImageSet
    from retinoscope.network.model import Model
    from retinoscope.observe.scan import Example, Scan


def scan(
    model: ModelName,
    photos: PhotosName,
    layers: LayerNames = "",
    unit: Annotated[list[str] | None, typer.Option(help="print this unit's examples; may come again")] = None,
    k: Annotated[int, typer.Option("--k", min=1, help="examples to keep per unit")] = 9,
    classes: Annotated[bool, typer.Option("--classes", help="print the classes of the examples instead")] = False,
    out: Annotated[Path | None, typer.Option(help="save the scan as an .npz file")] = None,
    tiles: Tiles = False,
    weights: Weights = "default",
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Find the photos, and the place in each, that excite units most."""
    network = load_model(model, weights, device)
    units = _units(network, unit or [])
    chosen, images = _layers(network, split_names(layers), units), load_photos(photos, tiles)
    tell_few(images, k)
    found = scan_parts(network, images, chosen, k)
    if out is not None:
        found.save(out)
    shown = units or [_strongest(found, name) for name in chosen]
    rows = [_row(found, one) for one in shown]
    if as_json:
        print_json({"network": network.name, "items": found.count, "layers": chosen, "units": rows})
    elif classes:
        _print_classes(rows)
    else:
        _print(found, rows, whole=bool(units))


def _units(network: "Model", texts: list[str]) -> "list[Unit]":
    from retinoscope.base.units import parse_units

    return parse_units(texts, lambda name: network.layers[name].channels)


def _layers(network: "Model", patterns: list[str], units: "list[Unit]") -> list[str]:
    """The layers asked for and those of the units asked for, in call order; by default an atlas's."""
    from retinoscope.jobs.layers import atlas_layers
    from retinoscope.jobs.plan import find_layers

    names = [*patterns, *(unit.layer for unit in units)]
    return [layer.name for layer in (find_layers(network.layers, names) or atlas_layers(network.layers))]


def scan_parts(network: "Model", photos: "ImageSet", layers: list[str], k: int) -> "Scan":
    """Scan part by part, saying how far it is."""
    import time
    from functools import reduce

    from retinoscope.jobs.job import SHARD
    from retinoscope.observe.scan import Scan
    from retinoscope.observe.scan import scan as scan_part

    start, parts, skipped = time.monotonic(), [], list(photos.skipped)
    with progress() as show:
        for first in range(0, len(photos), SHARD):
            part = photos.shard(first, first + SHARD)
            parts.append(scan_part(network, part, layers, k))
            skipped += part.skipped
            done = min(first + SHARD, len(photos))
            show(done / len(photos), f"{done} of {len(photos)}", (time.monotonic() - start) * (len(photos) / done - 1))
    tell_skipped(skipped)
    return reduce(Scan.merge, parts)


def tell_skipped(skipped: list[tuple[str, str]]) -> None:
    """Say how many photos could not be read, and why the first could not."""
    unique = dict(skipped)
    if unique:
        name, why = next(iter(unique.items()))
        say(f"skipped {len(unique)} photos that cannot be read; the first: {name}: {why}")


def _strongest(found: "Scan", layer: str) -> "Unit":
    from retinoscope.base.units import Unit

    units = [Unit(layer, channel) for channel in range(found.layers[layer].channels)]
    return max(units, key=lambda unit: found.extremes(unit)[1])


def tell_few(photos: "ImageSet", k: int) -> None:
    """Say when more examples are asked for than there are photos."""
    if k > (count := len(photos.photos)):
        say(f"{k} examples of each unit are asked for, and there are {count} photos: each unit has at most {count}")


def _row(found: "Scan", unit: "Unit") -> dict[str, Any]:
    examples = [_plain(example) for example in found.top(unit)]
    return {"unit": str(unit), "examples": examples, **plain_classes(found.classes(unit))}


def _print_classes(rows: list[dict[str, Any]]) -> None:
    if not any(row["classes"] for row in rows):
        raise BadInputError("these photos have no classes: a photo's class is the name of its first sub-folder")
    print_classes([(row["unit"], row["classes"], row["counted"]) for row in rows])


def _plain(example: "Example") -> dict[str, Any]:
    box = {edge: round(value, 2) for edge, value in asdict(example.box).items()}
    return {
        "photo": example.item.photo,
        "label": example.item.label,
        "item": example.item.id,
        "score": example.score,
        "y": example.y,
        "x": example.x,
        "box": box,
    }


def _print(found: "Scan", rows: list[dict[str, Any]], whole: bool) -> None:
    print(
        f"{found.count} pictures seen; "
        + ("examples, strongest first" if whole else "the strongest unit of each layer")
    )
    lines = [(row["unit"], example) for row in rows for example in row["examples"][: None if whole else 1]]
    cells = [(unit, f"{e['score']:.4g}", f"{e['y']},{e['x']}", _edges(e["box"]), e["photo"]) for unit, e in lines]
    print_table(("unit", "activation", "y,x", "top,left,bottom,right", "photo"), cells)


def _edges(box: dict[str, float]) -> str:
    return ",".join(f"{box[edge]:.0f}" for edge in ("top", "left", "bottom", "right"))
