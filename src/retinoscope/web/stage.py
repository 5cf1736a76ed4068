"""A unit among others: its channel's film strip through its stage, and the units of neighbouring layers like it."""

from itertools import pairwise

from retinoscope.web import queries, urls
from retinoscope.web.pages import patch, thumb
from retinoscope.web.queries import Row, View

PATCHES = 3
"""Examples shown of each layer."""

RELATIVES = 3
"""Units shown of each neighbouring layer."""

LEVEL = 0.05
"""How often chance may do as well as a match that counts."""

_SAME_CHANNEL = ("trunk", "branch", "shortcut")
"""Roles of layers whose channels are those of the stage."""


def strip(db: View, network: str, layer: str, channel: int) -> Row | None:
    """The channel in every layer of its stage that has results: a frame for each, and the steps between them.

    None where no stage, or no other layer of it, is in the atlas, and for layers with channels of their own.
    """
    rows = queries.stage(db, network, layer)
    own = next((row for row in rows if row["layer"] == layer), None)
    if own is None or own["role"] not in _SAME_CHANNEL:
        return None
    trunk = [row for row in rows if row["role"] == "trunk"]
    known = [row for row in trunk if _known(db, row, channel)]
    if len({row["layer"] for row in known} | {layer}) < 2:
        return None
    photos = {example["photo"] for example in _tops(db, network, layer, channel)}
    steps = {a["layer"]: _step(db, a, b, channel) for a, b in pairwise(known)}
    return {
        "name": own["name"],
        "role": own["role"],
        "letter": own["letter"],
        "frames": [_frame(db, row, channel, layer, photos) | {"step": steps.get(row["layer"])} for row in trunk],
        "inside": [_inside(db, row, channel, layer) for row in rows if row["role"] != "trunk" and _any(db, row)],
    }


def _any(db: View, row: Row) -> bool:
    return bool(queries.channels(db, row["network"], row["layer"]))


def _known(db: View, row: Row, channel: int) -> bool:
    return channel in queries.channels(db, row["network"], row["layer"])


def _tops(db: View, network: str, layer: str, channel: int) -> list[Row]:
    return [row for row in queries.unit_examples(db, network, layer, channel) if row["side"] == "top"]


def _frame(db: View, row: Row, channel: int, layer: str, photos: set[str]) -> Row:
    """One layer's frame; `common` examples are of photos that the page's own unit has among its examples, too."""
    key = (row["network"], row["layer"], channel)
    tops = _tops(db, *key)
    picture = next(iter(queries.unit_pictures(db, *key)), None)
    return {
        "letter": row["letter"],
        "layer": row["layer"],
        "text": f"{row['layer']}:{channel}",
        "url": urls.unit(*key) if _known(db, row, channel) else None,
        "here": row["layer"] == layer,
        "picture": urls.media(picture["file"]) if picture else None,
        "common": sum(example["photo"] in photos for example in tops),
        "examples": [_example(example, photos) for example in tops[:PATCHES]],
    }


def _example(row: Row, photos: set[str]) -> Row:
    shown = {key: row[key] for key in ("photo", "label", "score")}
    return shown | {"common": row["photo"] in photos, "patch": patch(row)}


def _step(db: View, a: Row, b: Row, channel: int) -> Row | None:
    """From one frame to the next that is known; None where the two were not scanned together."""
    for row in queries.unit_steps(db, a["network"], a["layer"], channel):
        if (row["before"], row["after"], row["kind"]) == (a["layer"], b["layer"], "same"):
            return {"to": b["letter"], **_numbers(row), "p": row["p_on"]}
    return None


def _numbers(row: Row) -> Row:
    return {"shared": row["shared"], "of": row["k"], "rank": row["rank"]}


def _inside(db: View, row: Row, channel: int, layer: str) -> Row:
    """A layer inside a block: the same channel where it adds to it or hands it on, else the layer."""
    same = row["role"] in _SAME_CHANNEL and _known(db, row, channel)
    network, name = row["network"], row["layer"]
    return {
        "letter": row["letter"],
        "role": row["role"],
        "text": f"{name}:{channel}" if same else name,
        "url": urls.unit(network, name, channel) if same else urls.layer(network, name),
        "here": name == layer,
    }


def relatives(db: View, steps: list[Row], layer: str) -> Row:
    """The units of neighbouring layers that share most examples with one, by its steps: `came_from`, `comes_back_in`.

    `above_chance` says that shuffled photos rarely give as good a match.
    """
    matches = [row for row in steps if row["kind"] == "match"]
    return {
        "came_from": _groups(db, [row for row in matches if row["after"] == layer], "before"),
        "comes_back_in": _groups(db, [row for row in matches if row["before"] == layer], "after"),
    }


def _groups(db: View, rows: list[Row], side: str) -> list[Row]:
    """The first few of each layer on that side."""
    layers = dict.fromkeys(row[side] for row in rows)
    return [_relative(db, row, side) for name in layers for row in [r for r in rows if r[side] == name][:RELATIVES]]


def _relative(db: View, row: Row, side: str) -> Row:
    layer = row[side]
    channel, p = (row["channel"], row["p_from"]) if side == "before" else (row["other"], row["p_on"])
    known = channel in queries.channels(db, row["network"], layer)
    card = thumb(queries.face(db, row["network"], layer, channel))
    card |= {"score": None, "url": card["url"] if known else None}
    return {"layer": layer, **card, **_numbers(row), "p": p, "above_chance": p <= LEVEL}
