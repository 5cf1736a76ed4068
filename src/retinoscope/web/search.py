"""Search by words: one index, read here by the explorer and by `search.js` in an export, with equal answers.

`layer:channel` finds that unit (of layers whose name contains the text, if none has it as its name). Otherwise every
word must be found: a number is a channel; any other word is part of the layer's name, or of the label or name of one
of the unit's top photos. Units with more such photos come first, then those nearer the network's input.
"""

from typing import Any

from retinoscope.base.errors import BadUnitError
from retinoscope.base.units import parse_unit
from retinoscope.web import pages, queries, urls
from retinoscope.web.queries import View

LIMIT = 120
"""Units shown for one search."""

PHOTOS = 12
"""Photos shown for one search, and classes."""

LONGEST = 200
"""Characters of a query."""

Index = dict[str, Any]


def build(db: View) -> Index:
    """All that search looks through: `layers`, `units`, `photos`, `shots` and `classes` as short rows.

    A unit is [layer, channel, [photos], thumb], where thumb is the address of a picture, or a patch, or null. `photos`
    has each photo's words in lower case, and `shots` [name, address, picture]; a class is [label, address, photos].
    """
    layers: list[dict[str, Any]] = []
    units: dict[tuple[str, str, int], list[Any]] = {}
    for network in queries.networks(db):
        for layer in queries.layers(db, network["name"]):
            if layer["results"]:
                units |= _units(db, layer, len(layers))
                url = urls.layer(network["name"], layer["name"])
                layers.append({"network": network["name"], "name": layer["name"], "url": url})
    _attach_photos(db, units)
    rows = queries.photos(db)
    return {
        "layers": layers,
        "photos": [f"{row['label'] or ''}\n{row['id']}".lower() for row in rows],
        "units": list(units.values()),
        "shots": [[row["id"], urls.photo(row["id"]), urls.media(row["file"])] for row in rows],
        "classes": [[label, urls.label(label), count] for label, count in queries.labels_of_photos(db).items()],
    }


def _units(db: View, layer: dict[str, Any], place: int) -> dict[tuple[str, str, int], list[Any]]:
    key = (layer["network"], layer["name"])
    pictures, tops = queries.pictures(db, *key), queries.strongest(db, *key)
    found: dict[tuple[str, str, int], list[Any]] = {}
    for channel in queries.channels(db, *key):
        row = pictures.get(channel) or tops.get(channel)
        thumb = pages.thumb(row) if row else {"picture": None, "patch": None}
        found[(*key, channel)] = [place, channel, [], thumb["picture"] or thumb["patch"]]
    return found


def _attach_photos(db: View, units: dict[tuple[str, str, int], list[Any]]) -> None:
    places = {row["id"]: place for place, row in enumerate(queries.photos(db))}
    for network, layer, channel, photo, _ in queries.tops(db):
        if (network, layer, channel) in units:
            units[network, layer, channel][2].append(places[photo])


def find(index: Index, query: str) -> dict[str, Any]:
    """Units that match a query, the best first; raises BadUnitError for a query that cannot be read."""
    text = query.strip()
    if len(text) > LONGEST:
        raise BadUnitError(f"a search has at most {LONGEST} characters; came {len(text)}")
    if not text:
        matches: list[tuple[list[Any], int]] = []
    else:
        matches = _named(index, text) if ":" in text else _worded(index, text.lower().split())
    photos, classes = _shots(index, text), _classes(index, text)
    return {
        "query": text,
        "total": len(matches),
        "units": [_card(index, *match) for match in matches[:LIMIT]],
        "photos_total": len(photos),
        "photos": [dict(zip(("photo", "url", "picture"), shot, strict=True)) for shot in photos[:PHOTOS]],
        "classes": [dict(zip(("label", "url", "photos"), row, strict=True)) for row in classes[:PHOTOS]],
    }


def _shots(index: Index, text: str) -> list[list[Any]]:
    """Photos that have all words; a number alone means a channel."""
    return [shot for shot, known in zip(index["shots"], index["photos"], strict=True) if _has(known, text)]


def _classes(index: Index, text: str) -> list[list[Any]]:
    return [row for row in index["classes"] if _has(row[0].lower(), text)]


def _has(known: str, text: str) -> bool:
    words = text.lower().split()
    numbers = all(word.isascii() and word.isdigit() for word in words)
    return not numbers and ":" not in text and all(word in known for word in words)


def _named(index: Index, text: str) -> list[tuple[list[Any], int]]:
    wanted = parse_unit(text)
    name = wanted.layer.lower()
    names = [layer["name"].lower() for layer in index["layers"]]
    layers = {i for i, known in enumerate(names) if known == name} or {
        i for i, known in enumerate(names) if name in known
    }
    return [(unit, 0) for unit in index["units"] if unit[1] == wanted.channel and unit[0] in layers]


def _worded(index: Index, words: list[str]) -> list[tuple[list[Any], int]]:
    names = [layer["name"].lower() for layer in index["layers"]]
    photos = {word: {i for i, text in enumerate(index["photos"]) if word in text} for word in words}
    found = []
    for unit in index["units"]:
        hits = [_hits(unit, word, names[unit[0]], photos[word]) for word in words]
        if all(hit >= 0 for hit in hits):
            found.append((unit, sum(hits)))
    return sorted(found, key=lambda match: -match[1])


def _hits(unit: list[Any], word: str, name: str, photos: set[int]) -> int:
    """How many of the unit's top photos have the word; 0 where it is its channel or in its layer's name; else -1."""
    if word.isascii() and word.isdigit():
        return 0 if unit[1] == int(word) else -1
    return sum(photo in photos for photo in unit[2]) or (0 if word in name else -1)


def _card(index: Index, unit: list[Any], photos: int) -> dict[str, Any]:
    place, channel, _, thumb = unit
    layer = index["layers"][place]
    return {
        "network": layer["network"],
        "text": f"{layer['name']}:{channel}",
        "url": f"{layer['url']}{channel}/",
        "photos": photos,
        "picture": thumb if isinstance(thumb, str) else None,
        "patch": thumb if isinstance(thumb, dict) else None,
    }
