"""The classes of a unit's top examples, as its page says them."""

from dataclasses import asdict
from typing import Any

from retinoscope.base.classes import ClassCount, Classes
from retinoscope.base.units import Unit
from retinoscope.store import examples
from retinoscope.web import urls
from retinoscope.web.queries import View

Row = dict[str, Any]


def of_unit(db: View, network: str, layer: str, channel: int) -> Row | None:
    """What the labels of the unit's top photos say; None where no photo has any."""
    found = examples.classes_of_unit(db, network, Unit(layer, channel))
    return plain(found) if found.examples > found.unlabelled else None


def plain(found: Classes) -> Row:
    """The counts as JSON has them."""
    return asdict(found) | {"rows": [_row(row) for row in found.rows]}


def _row(row: ClassCount) -> Row:
    return asdict(row) | {"url": urls.label(row.label)}
