"""Unit names: `layer:channel`, `layer:channel@y,x` for a neuron, slices `layer:0-63` and `layer:*` for many."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from retinoscope.base.errors import BadUnitError

_UNIT = re.compile(r"^(?P<layer>[^:\s]+):(?P<channel>\d+)(?:@(?P<y>\d+),(?P<x>\d+))?$")
_SLICE = re.compile(r"^(?P<layer>[^:\s]+):(?:(?P<first>\d+)-(?P<last>\d+)|\*)$")
_FORMS = "write layer:channel, layer:channel@y,x, layer:first-last (both included) or layer:*"


@dataclass(frozen=True, order=True)
class Unit:
    """One channel of a layer, or one of its neurons when `position` (y, x) on the map is given."""

    layer: str
    channel: int
    position: tuple[int, int] | None = None

    def __str__(self) -> str:
        place = f"@{self.position[0]},{self.position[1]}" if self.position else ""
        return f"{self.layer}:{self.channel}{place}"


def parse_unit(text: str) -> Unit:
    """Read one unit's text; raises BadUnitError when it is not `layer:channel` or `layer:channel@y,x`."""
    match = _UNIT.match(text.strip())
    if match is None:
        raise BadUnitError(f"'{text}' does not name one unit; {_FORMS.split(', layer:first')[0]}")
    position = (int(match["y"]), int(match["x"])) if match["y"] is not None else None
    return Unit(match["layer"], int(match["channel"]), position)


def parse_units(texts: Iterable[str], channels: Callable[[str], int]) -> list[Unit]:
    """Expand unit texts and slices in order; `channels(layer)` gives a layer's number of channels or raises."""
    return [unit for text in texts for unit in _expand(text.strip(), channels)]


def _expand(text: str, channels: Callable[[str], int]) -> list[Unit]:
    if _UNIT.match(text):
        units = [parse_unit(text)]
    elif match := _SLICE.match(text):
        count = channels(match["layer"])
        first, last = (int(match["first"]), int(match["last"])) if match["first"] else (0, count - 1)
        if first > last:
            raise BadUnitError(f"'{text}' is an empty slice; the first channel must not exceed the last")
        units = [Unit(match["layer"], channel) for channel in (first, last)]
        check_channel(units[-1], count)
        units = [Unit(match["layer"], channel) for channel in range(first, last + 1)]
    else:
        raise BadUnitError(f"'{text}' does not name units; {_FORMS}")
    for unit in units:
        check_channel(unit, channels(unit.layer))
    return units


def check_channel(unit: Unit, channels: int) -> None:
    """Raise BadUnitError unless the unit's channel lies in 0..channels-1."""
    if not 0 <= unit.channel < channels:
        raise BadUnitError(f"'{unit}' is out of range: {unit.layer} has channels 0 to {channels - 1}")
