"""The page of a unit, as plain data: its pictures, what it finds, where it goes, and how all that was made."""

from retinoscope.web import classes, queries, spectrum, stage, urls
from retinoscope.web.pages import (
    MissingPageError,
    Page,
    beside,
    find_layer,
    is_output,
    layer_facts,
    layer_link,
    patch,
)
from retinoscope.web.queries import Row, View


def unit(db: View, network_name: str, layer_name: str, channel: str) -> Page:
    """A unit: its pictures, examples, spectrum, histogram, and how they were made."""
    owner, layers, row = find_layer(db, network_name, layer_name)
    number = _find_channel(row, channel)
    key = (owner["name"], row["name"], number)
    histogram = queries.unit_histogram(db, *key)
    pictures, examples = queries.unit_pictures(db, *key), queries.unit_examples(db, *key)
    shown, sides = [_picture(row) for row in pictures], [_example(row) for row in examples]
    steps = queries.unit_steps(db, *key)
    notes, backward = queries.unit_notes(db, *key), queries.unit_backward(db, *key)
    _join(sides, backward)
    text, path = f"{row['name']}:{number}", urls.unit(*key)
    data = {
        "network": owner["name"],
        "layer": layer_facts(row),
        "channel": number,
        "text": text,
        "url": path,
        "class": owner["labels"][number] if is_output(owner, layers, row) else None,
        "pictures": shown,
        "notes": notes,
        "rules": sorted({row["rule"] for row in backward}, key=_order),
        "spectrum": spectrum.panels(shown, sides, notes),
        "classes": classes.of_unit(db, *key),
        **{_key(side): [row for row in sides if row["side"] == side] for side in _SIDES},
        "stage": stage.strip(db, *key),
        **stage.relatives(db, steps, row["name"]),
        "histogram": histogram and {key: histogram[key] for key in _HISTOGRAM},
        **_unit_neighbours(db, layers, row, number),
        "provenance": _provenances(db, pictures, examples, backward, histogram, steps),
    }
    return Page("unit.html", path, f"{text} · {owner['name']}", data)


_RULES = ("guided", "deconvnet", "gradient")
"""Backward rules in the order in which a page offers them."""


def _join(examples: list[Row], backward: list[Row]) -> None:
    """Put the backward pictures to the top examples they belong to."""
    for example in examples:
        own = [row for row in backward if example["side"] == "top" and row["place"] == example["place"]]
        example["backward"] = [_backward(row) for row in sorted(own, key=lambda row: _order(row["rule"]))]


def _order(rule: str) -> tuple[int, str]:
    return (_RULES.index(rule) if rule in _RULES else len(_RULES), rule)


def _backward(row: Row) -> Row:
    cell = [row["cell_top"], row["cell_left"], row["cell_bottom"], row["cell_right"]]
    shown = {"photo": urls.media(row["file"]), "height": row["height"], "width": row["width"], "box": cell}
    return {"rule": row["rule"], "peak": row["peak"], "provenance": row["provenance"], "patch": shown}


_SIDES = ("top", "slightly positive", "slightly negative", "bottom")


def _key(side: str) -> str:
    return side.replace(" ", "_")


_HISTOGRAM = ("edges", "counts", "quantiles", "minimum", "maximum", "mean")


def _unit_neighbours(db: View, layers: list[Row], row: Row, channel: int) -> Row:
    have = queries.channels(db, row["network"], row["name"])
    before = [other for other in have if other < channel]
    after = [other for other in have if other > channel]
    up, down = beside(layers, row)
    return {
        "previous_unit": layer_link(row, before[-1]) if before else None,
        "next_unit": layer_link(row, after[0]) if after else None,
        "previous_layer": layer_link(up, channel),
        "next_layer": layer_link(down, channel),
    }


def _picture(row: Row) -> Row:
    shown = {key: row[key] for key in ("kind", "height", "width", "score", "provenance")}
    peak = row.get("peak")  # stores of schema 1 have none
    return {"url": urls.media(row["file"])} | shown | {"peak": peak}


def _example(row: Row) -> Row:
    shown = {key: row[key] for key in ("side", "place", "score", "photo", "item", "label", "credit", "provenance")}
    return shown | {"position": [row["y"], row["x"]], "photo_url": urls.photo(row["photo"]), "patch": patch(row)}


def _provenances(
    db: View,
    pictures: list[Row],
    examples: list[Row],
    backward: list[Row],
    histogram: Row | None,
    steps: list[Row],
) -> list[Row]:
    """How the unit's records were made: one entry per provenance, with what it made."""
    made: dict[str, dict[str, None]] = {}
    for picture in pictures:
        made.setdefault(picture["provenance"], {})[f"{picture['kind']} picture"] = None
    for example in examples:
        made.setdefault(example["provenance"], {})["examples"] = None
    for row in backward:
        made.setdefault(row["provenance"], {})[f"{row['rule']} backward pictures"] = None
    if histogram is not None:
        made.setdefault(histogram["provenance"], {})["histogram"] = None
    for step in steps:
        made.setdefault(step["provenance"], {})["steps to other layers"] = None
    return [{"id": id, "made": list(what), "body": queries.provenance(db, id)} for id, what in made.items()]


def _find_channel(row: Row, channel: str) -> int:
    if channel.isascii() and channel.isdigit() and len(channel) < 10 and int(channel) < row["channels"]:
        return int(channel)
    allowed = f"{row['name']} has channels 0 to {row['channels'] - 1}"
    last = layer_link(row, row["channels"] - 1) or {}
    near = [(row["name"], urls.layer(row["network"], row["name"])), (last["text"], last["url"])]
    raise MissingPageError(f"no unit '{row['name']}:{channel}'; {allowed}", near)
