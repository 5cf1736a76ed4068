"""`retinoscope examples STORE`: which units a photo or a class excites most, and which photos a unit."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retinoscope.base.classes import Classes
from retinoscope.base.errors import BadInputError
from retinoscope.cli.inputs import AsJson, LayerNames, split_names
from retinoscope.cli.output import print_json, print_table

if TYPE_CHECKING:
    from retinoscope.base.units import Unit
    from retinoscope.store.database import Store
    from retinoscope.store.examples import ClassHit, Hit


def examples(
    store: Annotated[Path, typer.Argument(help="the store's folder")],
    photo: Annotated[str | None, typer.Option(help="units that this photo (its id, or part of it) excites")] = None,
    label: Annotated[
        str | None, typer.Option("--class", metavar="LABEL", help="units that photos of this class excite")
    ] = None,
    unit: Annotated[str | None, typer.Option(help="photos that excite this unit, and their classes")] = None,
    layers: LayerNames = "",
    network: Annotated[str | None, typer.Option(help="of this network; by default of all")] = None,
    top: Annotated[int | None, typer.Option(min=1, help="at most so many rows")] = None,
    as_json: AsJson = False,
) -> None:
    """Search the examples of an atlas: by photo, by class, or by unit."""
    from retinoscope.store.database import Store

    if [photo, label, unit].count(None) != 2:
        raise BadInputError("examples are found by one of --photo, --class and --unit; give exactly one")
    with Store.open(store) as opened:
        if photo is not None:
            found = _of_photo(opened, photo, network, split_names(layers), top)
        elif label is not None:
            found = _of_class(opened, label, network, split_names(layers), top)
        else:
            found = _of_unit(opened, str(unit), network, top)
    (print_json if as_json else _print)(found)


Found = dict[str, Any]
"""What was asked, how many rows there are, and the first of them."""


def _of_photo(store: "Store", text: str, network: str | None, layers: list[str], top: int | None) -> Found:
    from retinoscope.store import examples as search

    photo = search.find_photo(store, text)
    hits = search.of_photo(store, photo, network, layers)
    return {"photo": photo, "total": len(hits), "units": [_hit(hit) for hit in hits[:top]]}


def _of_class(store: "Store", text: str, network: str | None, layers: list[str], top: int | None) -> Found:
    from retinoscope.store import examples as search

    label = search.find_label(store, text)
    hits = search.of_class(store, label, network, layers)
    return {"class": label, "total": len(hits), "units": [_class_hit(hit) for hit in hits[:top]]}


def _of_unit(store: "Store", text: str, network: str | None, top: int | None) -> Found:
    from retinoscope.base.units import parse_unit
    from retinoscope.store import examples as search

    unit = parse_unit(text)
    name = store.network(network).name if network else _only_network(store, unit)
    hits = search.of_unit(store, name, search.find_unit(store, name, unit))
    counted = search.classes_of_unit(store, name, unit)
    rows = {"total": len(hits), "examples": [_hit(hit) for hit in hits[:top]]}
    return {"network": name, "unit": str(unit), **rows, **plain_classes(counted)}


def _only_network(store: "Store", unit: "Unit") -> str:
    """The one network that has the unit's layer."""
    names = [row.name for row in store.networks()]
    having = [name for name in names if any(layer.name == unit.layer for layer in store.layers(name))]
    if len(having) > 1:
        raise BadInputError(f"several networks have a layer '{unit.layer}': {', '.join(having)}; give --network")
    if not names:
        raise BadInputError(f"the store {store.folder} holds no network yet")
    return (having or names)[0]


def _hit(hit: "Hit") -> dict[str, Any]:
    numbers = {"rank": hit.rank, "score": hit.score, "share_of_best": hit.share}
    photo = {"photo": hit.photo, "label": hit.label}
    return {"network": hit.network, "unit": hit.unit, **numbers, **photo, "box": asdict(hit.box)}


def _class_hit(hit: "ClassHit") -> dict[str, Any]:
    counted = asdict(hit.found)
    del counted["label"]
    return {"network": hit.network, "unit": hit.unit, "examples": hit.examples, **counted}


def plain_classes(found: Classes) -> dict[str, Any]:
    """A unit's classes as JSON has them."""
    body = asdict(found)
    rows = list(body.pop("rows"))
    return {"classes": rows, "counted": body}


def _print(found: Found) -> None:
    key = "examples" if "examples" in found else "units"
    rows, first = found[key], f"; the first {len(found[key])}:"
    print(_head(found) + (first if len(rows) < found["total"] else ":" if rows else ""))
    if rows:
        several = len({row["network"] for row in rows}) > 1
        columns = _class_columns if "class" in found else _unit_columns if key == "examples" else _photo_columns
        cells = [({"network": row["network"]} if several else {}) | columns(row) for row in rows]
        print_table(list(cells[0]), [list(row.values()) for row in cells])
    if found.get("classes"):
        print_classes([(found["unit"], found["classes"], found["counted"])])


def _head(found: Found) -> str:
    total = found["total"]
    if "unit" in found:
        return f"{found['unit']} has {total} strongest photos"
    units = "1 unit has" if total == 1 else f"{total} units have"
    what = found["photo"] if "photo" in found else f"photos of {found['class']}"
    return f"{units} {what} among their strongest"


def _photo_columns(row: dict[str, Any]) -> dict[str, object]:
    share = "-" if row["share_of_best"] is None else f"{row['share_of_best']:.0%}"
    return {"unit": row["unit"], "rank": row["rank"], "activation": f"{row['score']:.4g}", "of its best": share}


def _unit_columns(row: dict[str, Any]) -> dict[str, object]:
    numbers = _photo_columns(row)
    del numbers["unit"]
    return numbers | {"photo": row["photo"]}


def _class_columns(row: dict[str, Any]) -> dict[str, object]:
    return {
        "unit": row["unit"],
        "examples": f"{row['count']} of {row['examples']}",
        "lift": f"{row['lift']:.1f}",
        "p": f"{row['p']:.2g}",
        "strongest": f"{row['strongest']:.4g}",
        "rank": row["place"],
    }


def print_classes(units: list[tuple[str, list[dict[str, Any]], dict[str, Any]]]) -> None:
    """A table of the classes of units' examples: (unit, rows, what was counted)."""
    cells = [
        (
            unit, row["label"], f"{row['count']} of {counted['examples']}", f"{row['base']:.2%}", f"{row['lift']:.1f}",
            f"{row['p']:.2g}{' *' if row['telling'] else ''}", f"{row['strongest']:.4g}",
        )
        for unit, rows, counted in units
        for row in rows
    ]  # fmt: skip
    print_table(("unit", "class", "examples", "of all", "lift", "p", "strongest"), cells)
    if any(row["telling"] for _, rows, _ in units for row in rows):
        print("* rare under chance even for the best of all classes")
