"""The pages of photos and of their classes: which units they excite, and where."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

from retinoscope.base.errors import BadInputError, UnknownNameError, nearest
from retinoscope.store import examples
from retinoscope.store.examples import ClassHit, Hit
from retinoscope.web import pages, queries, urls
from retinoscope.web.pages import MissingPageError, Page
from retinoscope.web.queries import View

Row = dict[str, Any]
H = TypeVar("H", Hit, ClassHit)
Pictures = dict[tuple[str, str, int], Row]

EACH = 48
"""Units of a layer that a page shows."""

SHOTS = 24
"""Photos that a class's page shows."""


def photo(db: View, name: str) -> Page:
    """A photo: the units that have it among their top examples, and its patches; `name` is its segment, id, or part."""
    id = _find_photo(db, name)
    row = _rows(db)[id]
    hits = examples.of_photo(db, id)
    shown, layers = _first_of_each(db, hits)
    pictures = _by_unit(db, shown, queries.pictures)
    data = {
        "photo": id,
        "url": urls.photo(id),
        **{key: row[key] for key in ("height", "width", "label", "credit")},
        "label_url": None if row["label"] is None else urls.label(row["label"]),
        "picture": urls.media(row["file"]),
        "total": len(hits),
        "layers": layers,
        "each": EACH,
        "units": [_hit(hit, row, pictures) for hit in shown],
    }
    return Page("photo.html", urls.photo(id), id, data)


def _hit(hit: Hit, photo: Row, pictures: Pictures) -> Row:
    box = [hit.box.top, hit.box.left, hit.box.bottom, hit.box.right]
    patch = {"photo": urls.media(photo["file"]), "height": photo["height"], "width": photo["width"], "box": box}
    numbers = {"rank": hit.rank, "score": hit.score, "share": hit.share}
    row = pictures.get((hit.network, hit.layer, hit.channel))
    return _unit(hit) | numbers | {"picture": row and urls.media(row["file"]), "patch": patch}


def _unit(hit: Hit | ClassHit) -> Row:
    url = urls.unit(hit.network, hit.layer, hit.channel)
    return {"network": hit.network, "layer": hit.layer, "text": hit.unit, "url": url}


def _by_unit(db: View, hits: Sequence[Hit | ClassHit], ask: Callable[[View, str, str], dict[int, Row]]) -> Pictures:
    """What a query of one layer gives by channel, for all layers that come."""
    layers = {(hit.network, hit.layer) for hit in hits}
    rows = {key: db.keep((ask.__name__, *key), partial(ask, db, *key)) for key in layers}
    return {(*key, channel): row for key, found in rows.items() for channel, row in found.items()}


def _first_of_each(db: View, hits: Sequence[H]) -> tuple[list[H], list[Row]]:
    """The first of each layer, in the order of all, and how many units each layer has, in call order."""
    seen: Counter[tuple[str, str]] = Counter()
    shown = []
    for hit in hits:
        seen[hit.network, hit.layer] += 1
        if seen[hit.network, hit.layer] <= EACH:
            shown.append(hit)
    keys = [(row["network"], row["name"]) for own in queries.networks(db) for row in queries.layers(db, own["name"])]
    return shown, [{"network": key[0], "layer": key[1], "units": seen[key]} for key in keys if seen[key]]


def label(db: View, name: str) -> Page:
    """A class of photos: the units whose top examples it is among, and its photos."""
    text = _find_label(db, name)
    hits = examples.of_class(db, text)
    shown, layers = _first_of_each(db, hits)
    shots = [row for row in queries.photos(db) if row["label"] == text]
    thumbs = _by_unit(db, shown, queries.strongest) | _by_unit(db, shown, queries.pictures)
    data = {
        "label": text,
        "url": urls.label(text),
        "photos_total": len(shots),
        "photos": [_shot(row) for row in shots[:SHOTS]],
        "total": len(hits),
        "layers": layers,
        "each": EACH,
        "units": [_class_hit(hit, thumbs[hit.network, hit.layer, hit.channel]) for hit in shown],
    }
    return Page("class.html", urls.label(text), text, data)


def _class_hit(hit: ClassHit, row: Row) -> Row:
    counted = {key: value for key, value in asdict(hit.found).items() if key != "label"}
    thumb = {key: value for key, value in pages.thumb(row).items() if key in ("picture", "patch")}
    return _unit(hit) | {"examples": hit.examples} | counted | thumb


def _shot(row: Row) -> Row:
    return {"photo": row["id"], "url": urls.photo(row["id"]), "picture": urls.media(row["file"])}


def _find_photo(db: View, name: str) -> str:
    """The photo of that segment, id, or part of an id."""
    rows = _rows(db)
    id = next((one for one in (name, urls.name_of(name)) if one in rows), None)
    if id is not None:
        return id
    id = next((one for one in rows if urls.segment(one) == name), urls.name_of(name))
    try:
        return examples.find_photo(db, id)
    except (UnknownNameError, BadInputError) as error:
        near = [one for one in rows if id.lower() in one.lower()][:5] or nearest(id, list(rows))
        raise MissingPageError(str(error), [(one, urls.photo(one)) for one in near]) from error


def _rows(db: View) -> dict[str, Row]:
    return db.keep(("photos by id",), lambda: {row["id"]: row for row in queries.photos(db)})


def _find_label(db: View, name: str) -> str:
    labels = list(queries.labels_of_photos(db))
    text = next((one for one in labels if urls.segment(one) == name), urls.name_of(name))
    try:
        return examples.find_label(db, text)
    except UnknownNameError as error:
        raise MissingPageError(str(error), [(one, urls.label(one)) for one in nearest(text, labels)]) from error
