"""Search among the top examples of a store: which units a photo excites, which a class, and which photos a unit.

Activations of different units have no common scale: a photo's hits are ordered by its rank within each unit, and then
by its score as a share of the unit's best.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import groupby
from typing import Any, Protocol, runtime_checkable

from retinoscope.base.boxes import Box
from retinoscope.base.classes import Census, ClassCount, Classes, classes
from retinoscope.base.errors import BadInputError, BadUnitError, StoreError, unknown
from retinoscope.base.units import Unit, check_channel
from retinoscope.store import census

_UNIT = "network, layer, channel"
_E_UNIT = "e.network, e.layer, e.channel"


@runtime_checkable
class Source(Protocol):
    """A store that is open, for reading or writing."""

    @property
    def connection(self) -> sqlite3.Connection: ...


@dataclass(frozen=True)
class Hit:
    """A photo among a unit's top examples: its rank (1 is the strongest), score, and score as a share of the best.

    `share` is None where the unit's best answer is not positive. `box` is the patch, in the photo's pixels.
    """

    network: str
    layer: str
    channel: int
    photo: str
    label: str | None
    rank: int
    score: float
    share: float | None
    box: Box

    @property
    def unit(self) -> str:
        """`layer:channel`."""
        return f"{self.layer}:{self.channel}"


@dataclass(frozen=True)
class ClassHit:
    """A unit that has photos of a class among its top examples: what was counted, and of how many examples."""

    network: str
    layer: str
    channel: int
    examples: int
    found: ClassCount

    @property
    def unit(self) -> str:
        """`layer:channel`."""
        return f"{self.layer}:{self.channel}"


def find_photo(store: Source, text: str) -> str:
    """The id of the one photo whose id that is, or else in whose id the text is found, in any case.

    Raises UnknownNameError with the nearest ids, or BadInputError when it may mean several.
    """
    if _rows(store, "SELECT 1 FROM photo WHERE id = ?", text):
        return text
    ids: list[str] = [id for (id,) in _rows(store, "SELECT id FROM photo ORDER BY id")]
    found = [id for id in ids if text and text.lower() in id.lower()]
    whole = [id for id in found if f"/{id}".lower().endswith(f"/{text}".lower())]
    if len(one := whole if len(whole) == 1 else found) == 1:
        return one[0]
    if found:
        some = ", ".join(found[:5]) + (" ..." if len(found) > 5 else "")
        raise BadInputError(f"'{text}' is in the names of {len(found)} photos: {some}; write more of the one you mean")
    raise unknown("photo in this store", text, ids, "It keeps those that are among some unit's examples")


def find_label(store: Source, text: str) -> str:
    """The class label that is that text, in any case; raises UnknownNameError with the nearest ones."""
    query = "SELECT DISTINCT label FROM photo WHERE label IS NOT NULL ORDER BY 1"
    labels: list[str] = [label for (label,) in _rows(store, query)]
    found = [label for label in labels if label == text] or [lab for lab in labels if lab.lower() == text.lower()]
    if not labels:
        raise unknown("class", text, [], "No photo of this store has a label: labels are the names of class folders")
    if not found:
        raise unknown("class of photos in this store", text, labels)
    return found[0]


def find_unit(store: Source, network: str, unit: Unit) -> Unit:
    """The unit itself, if the store has examples of it; raises UnknownNameError or BadUnitError."""
    names = [layer for owner, layer in _places(store) if owner == network]
    if unit.layer not in names:
        raise unknown(f"layer of {network} with examples", unit.layer, names)
    query = "SELECT channels FROM layer WHERE network = ? AND name = ?"
    check_channel(unit, _rows(store, query, network, unit.layer)[0][0])
    if unit.position is not None:
        raise BadUnitError(f"a store keeps examples of whole channels; ask for '{unit.layer}:{unit.channel}'")
    return unit


def of_photo(
    store: Source, photo: str, network: str | None = None, layers: Sequence[str] = (), rank: int | None = None
) -> list[Hit]:
    """Units that have a photo, named by its id, among their top examples, the strongest first.

    Of all networks or one; of the `layers` that any name or pattern (`blocks.*`) means; at most so low a `rank`.
    """
    where, values = _where(store, network, layers)
    # Without being told so, SQLite looks through all examples of the network.
    hits = _HITS.format("INDEXED BY example_by_photo")
    rows = _rows(store, f"{hits} WHERE e.side = 'top' AND e.photo = ? AND {where}", photo, *values)
    found = [_hit(row) for row in rows if rank is None or row["place"] <= rank]
    order = _places(store)
    return sorted(found, key=lambda hit: (hit.rank, -(hit.share or 0), order[hit.network, hit.layer], hit.channel))


_HITS = (
    "SELECT e.*, p.label, (SELECT score FROM example b WHERE b.network = e.network AND b.layer = e.layer AND "
    "b.channel = e.channel AND b.side = 'top' AND b.place = 1) AS best FROM example e {} JOIN photo p ON p.id = e.photo"
)


def _hit(row: sqlite3.Row) -> Hit:
    box = Box(*(row[f"box_{edge}"] for edge in ("top", "left", "bottom", "right")))
    share = row["score"] / row["best"] if row["best"] is not None and row["best"] > 0 else None
    unit = (row["network"], row["layer"], row["channel"])
    return Hit(*unit, row["photo"], row["label"], row["place"], row["score"], share, box)


def of_unit(store: Source, network: str, unit: Unit) -> list[Hit]:
    """A unit's top examples, the strongest first; none for a unit that was not scanned."""
    where = "e.side = 'top' AND e.network = ? AND e.layer = ? AND e.channel = ? ORDER BY e.place"
    rows = _rows(store, f"{_HITS.format('')} WHERE {where}", network, unit.layer, unit.channel)
    return [_hit(row) for row in rows]


def classes_of_unit(store: Source, network: str, unit: Unit) -> Classes:
    """Of which classes a unit's top examples are, and how much more often than chance would have it."""
    query = f"{_TOPS} AND e.network = ? AND e.layer = ? AND e.channel = ? ORDER BY e.place"
    rows = _rows(store, query, network, unit.layer, unit.channel)
    images = _images(store, rows[0]["provenance"]) if rows else None
    return classes([(row["label"], row["score"]) for row in rows], census.read(store.connection, network, images))


def of_class(
    store: Source, label: str, network: str | None = None, layers: Sequence[str] = (), least: int = 1
) -> list[ClassHit]:
    """Units that have at least `least` photos of a class among their top examples, those with most of them first.

    Units with equally many are ordered by how high the class stands in them.
    """
    where, values = _where(store, network, layers)
    having = f"SELECT {_UNIT} FROM example WHERE side = 'top' AND photo IN (SELECT id FROM photo WHERE label = ?)"
    query = f"{_TOPS} AND {where} AND ({_E_UNIT}) IN ({having}) ORDER BY {_E_UNIT}, e.place"
    rows = _rows(store, query, *values, label)
    found = [hit for hit in _class_hits(store, rows, label) if hit.found.count >= least]
    order = _places(store)
    return sorted(
        found, key=lambda hit: (-hit.found.count, hit.found.place, order[hit.network, hit.layer], hit.channel)
    )


_TOPS = (
    "SELECT e.network, e.layer, e.channel, e.score, e.provenance, p.label FROM example e "
    "JOIN photo p ON p.id = e.photo WHERE e.side = 'top'"
)


def _class_hits(store: Source, rows: Iterable[sqlite3.Row], label: str) -> Iterable[ClassHit]:
    known: dict[tuple[str, str], Census] = {}
    for unit, group in groupby(rows, key=lambda row: (row["network"], row["layer"], row["channel"])):
        own = list(group)
        key = (unit[0], own[0]["provenance"])
        if key not in known:
            known[key] = census.read(store.connection, unit[0], _images(store, key[1]))
        counted = classes([(row["label"], row["score"]) for row in own], known[key])
        for found in counted.rows:
            if found.label == label:
                yield ClassHit(*unit, counted.examples, found)


def _images(store: Source, provenance: str) -> str | None:
    (body,) = _rows(store, "SELECT body FROM provenance WHERE id = ?", provenance)[0]
    images: str | None = json.loads(body)["images"]
    return images


def _where(store: Source, network: str | None, layers: Sequence[str]) -> tuple[str, list[str]]:
    """The condition on an example's network and layer, and its values; raises UnknownNameError."""
    names = [name for (name,) in _rows(store, "SELECT name FROM network ORDER BY name")]
    if network is not None and network not in names:
        raise unknown("network in this store", network, names)
    chosen = names if network is None else [network]
    marks = ", ".join("?" for _ in chosen)
    where, values = f"e.network IN ({marks})", list(chosen)
    if layers:
        found = _match(store, chosen, layers)
        where += f" AND e.layer IN ({', '.join('?' for _ in found)})"
        values += found
    return where, values


def _match(store: Source, networks: list[str], patterns: Sequence[str]) -> list[str]:
    """The layers of the networks that any of the patterns means; raises when one means none."""
    names = [layer for network, layer in _places(store) if network in networks]
    found: dict[str, None] = {}
    for pattern in patterns:
        meant = [name for name in names if name == pattern or fnmatchcase(name, pattern)]
        if not meant:
            raise unknown("layer with examples in this store", pattern, dict.fromkeys(names))
        found |= dict.fromkeys(meant)
    return list(found)


def _places(store: Source) -> dict[tuple[str, str], int]:
    """The place of every layer that has examples: networks by name, each one's layers in call order."""
    having = "EXISTS (SELECT 1 FROM example e WHERE e.network = l.network AND e.layer = l.name)"
    rows = _rows(store, f"SELECT network, name FROM layer l WHERE {having} ORDER BY network, place")
    return {(network, name): place for place, (network, name) in enumerate(rows)}


def _rows(store: Source, query: str, *values: Any) -> list[sqlite3.Row]:
    try:
        return store.connection.execute(query, values).fetchall()
    except sqlite3.DatabaseError as error:
        raise StoreError(f"the store cannot be read ({error}); restore it from a copy") from error
