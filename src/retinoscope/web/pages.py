"""What each page says, as plain data: the JSON twin is this data, the HTML is a template over it.

Addresses in the data are relative to the explorer's root.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from retinoscope.base.errors import UnknownNameError, unknown
from retinoscope.web import queries, urls
from retinoscope.web.queries import Row, View

STRIP = 12
"""Pictures in a layer's strip, and in a network's."""


@dataclass(frozen=True)
class Page:
    """A page: its template, its address relative to the root, its title, and its data."""

    template: str
    path: str
    title: str
    data: dict[str, Any]


class MissingPageError(UnknownNameError):
    """No such page; `near` holds the nearest ones as (text, address)."""

    def __init__(self, message: str, near: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.near = list(near)


def home(db: View) -> Page:
    """The networks of the store."""
    found = [_network_card(db, row) for row in queries.networks(db)]
    return Page("home.html", urls.HOME, "Networks", {"networks": found})


def _network_card(db: View, row: Row) -> Row:
    layers = queries.layers(db, row["name"])
    shown = [layer for layer in layers if layer["pictures"]] or [layer for layer in layers if layer["results"]]
    some = _spread(shown, 6)
    strips = [queries.strip(db, row["name"], layer["name"], -(-STRIP // len(some))) for layer in some]
    return {
        "name": row["name"],
        "url": urls.network(row["name"]),
        "weights": row["weights_hash"],
        "input": [row["input_height"], row["input_width"]],
        "classes": len(row["labels"]),
        "layers": len(layers),
        **_progress(layers),
        "sample": [thumb(unit) for strip in strips for unit in strip][:STRIP],
    }


def _spread(items: list[Row], count: int) -> list[Row]:
    """Up to `count` items, evenly from first to last."""
    if len(items) <= count:
        return items
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def _progress(layers: list[Row]) -> Row:
    started = [layer for layer in layers if layer["results"]]
    return {
        "units": sum(layer["channels"] for layer in layers),
        "layers_with_results": len(started),
        "units_in_those_layers": sum(layer["channels"] for layer in started),
        "units_with_results": sum(layer["results"] for layer in started),
        "units_with_pictures": sum(layer["pictures"] for layer in started),
    }


def network(db: View, name: str) -> Page:
    """A network and its layers in call order; `name` is the network's segment in the URL, or its name."""
    row = _find_network(db, name)
    layers = queries.layers(db, row["name"])
    data = {key: value for key, value in _network_card(db, row).items() if key not in ("sample", "layers")}
    data["layers"] = [_layer_card(db, layer) for layer in layers]
    return Page("network.html", urls.network(row["name"]), row["name"], data)


def _layer_card(db: View, layer: Row) -> Row:
    strip = queries.strip(db, layer["network"], layer["name"], STRIP) if layer["results"] else []
    return layer_facts(layer) | {"strip": [thumb(unit) for unit in strip]}


def layer_facts(layer: Row) -> Row:
    """What is told of a layer wherever it is shown."""
    whole = layer["stride_y"] is None
    return {
        "name": layer["name"],
        "url": urls.layer(layer["network"], layer["name"]),
        "place": layer["place"],
        "kind": layer["kind"],
        "channels": layer["channels"],
        "map": [layer["height"], layer["width"]],
        "stride": None if whole else [layer["stride_y"], layer["stride_x"]],
        "receptive_field": [layer["field_y"], layer["field_x"]],
        "sees_whole_image": whole,
        "depth": layer["depth"],
        "pictures": layer["pictures"],
        "results": layer["results"],
    }


def thumb(row: Row) -> Row:
    """A unit's small picture: a rendered one, or the patch of its strongest example, or none."""
    card = {
        "channel": row["channel"],
        "text": f"{row['layer']}:{row['channel']}",
        "url": urls.unit(row["network"], row["layer"], row["channel"]),
        "score": row.get("score"),
    }
    if "photo" in row:
        return card | {"picture": None, "patch": patch(row)}
    return card | {"picture": urls.media(row["file"]) if "file" in row else None, "patch": None}


def patch(row: Row) -> Row:
    """Where an example's receptive field lies on its photo, in the original photo's pixels."""
    return {
        "photo": urls.media(row["file"]),
        "height": row["photo_height"],
        "width": row["photo_width"],
        "box": [row["box_top"], row["box_left"], row["box_bottom"], row["box_right"]],
    }


def layer(db: View, network_name: str, name: str) -> Page:
    """A layer and all its units."""
    owner, layers, row = find_layer(db, network_name, name)
    facts = layer_facts(row)
    before, after = beside(layers, row)
    data = {
        "network": owner["name"],
        **facts,
        "layers": len(layers),
        "previous_layer": layer_link(before),
        "next_layer": layer_link(after),
        "units": _units(db, owner, row, is_output(owner, layers, row)),
    }
    return Page("layer.html", facts["url"], f"{row['name']} · {owner['name']}", data)


def is_output(owner: Row, layers: list[Row], row: Row) -> bool:
    """Whether a layer gives the classes, one channel for each."""
    return row is layers[-1] and row["channels"] == len(owner["labels"])


def _units(db: View, owner: Row, row: Row, output: bool) -> list[Row]:
    key = (row["network"], row["name"])
    pictures, tops, maxima = queries.pictures(db, *key), queries.strongest(db, *key), queries.maxima(db, *key)
    labels, have = queries.labels(db, *key), set(queries.channels(db, *key))
    found = []
    for channel in range(row["channels"]):
        top = tops.get(channel)
        bare = {"network": key[0], "layer": key[1], "channel": channel}
        found.append(
            thumb(pictures.get(channel) or top or bare)
            | {
                "score": pictures[channel]["score"] if channel in pictures else None,
                "maximum": maxima.get(channel, top["score"] if top else None),
                "labels": labels.get(channel, []),
                "class": owner["labels"][channel] if output else None,
                "has_results": channel in have,
            }
        )
    return found


def layer_link(row: Row | None, channel: int | None = None) -> Row | None:
    """A link to a layer, or to a channel of it that exists."""
    if row is None:
        return None
    if channel is not None and channel < row["channels"]:
        return {"text": f"{row['name']}:{channel}", "url": urls.unit(row["network"], row["name"], channel)}
    return {"text": row["name"], "url": urls.layer(row["network"], row["name"])}


def beside(layers: list[Row], row: Row) -> tuple[Row | None, Row | None]:
    """The nearest layers with results before and after one, in call order."""
    full = [layer for layer in layers if layer["results"]]
    before = [layer for layer in full if layer["place"] < row["place"]]
    after = [layer for layer in full if layer["place"] > row["place"]]
    return (before[-1] if before else None, after[0] if after else None)


def _find_network(db: View, name: str) -> Row:
    rows = queries.networks(db)
    for row in rows:
        if name in (urls.segment(row["name"]), row["name"]):
            return row
    names = [row["name"] for row in rows]
    raise MissingPageError(
        str(unknown("network", name, names)), [(near, urls.network(near)) for near in _near(name, names)]
    )


def find_layer(db: View, network_name: str, name: str) -> tuple[Row, list[Row], Row]:
    """The network, its layers, and the layer of that name or segment; raises MissingPageError."""
    owner = _find_network(db, network_name)
    layers = queries.layers(db, owner["name"])
    for row in layers:
        if name in (urls.segment(row["name"]), row["name"]):
            return owner, layers, row
    names = [row["name"] for row in layers]
    near = [(close, urls.layer(owner["name"], close)) for close in _near(name, names)]
    raise MissingPageError(str(unknown(f"layer of {owner['name']}", name, names)), near)


def _near(name: str, names: list[str]) -> list[str]:
    return difflib.get_close_matches(name, names, n=5, cutoff=0.4) or sorted(names)[:5]
