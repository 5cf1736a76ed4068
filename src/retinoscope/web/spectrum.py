"""A unit's spectrum as six panels, from what a store has of it, and its values as pins on the histogram."""

from collections.abc import Callable, Sequence
from typing import Any

Row = dict[str, Any]

PANELS = (
    ("negative optimised", "negative"),
    ("minimum", "bottom"),
    ("slightly negative", "slightly negative"),
    ("slightly positive", "slightly positive"),
    ("maximum", "top"),
    ("positive optimised", "optimised"),
)
"""The panels in the article's order: a title, and the kind of picture or the side of examples it shows."""

APART = 6.0
"""Per cent of the plot between pins of one row, so that their numbers do not touch on a phone."""


def panels(pictures: Sequence[Row], examples: Sequence[Row], notes: Sequence[Row]) -> list[Row]:
    """The six panels, each with a picture, an example, or the reason why there is none; none for an unseen unit.

    The value is the activation at the example's position, or the strongest one anywhere in the picture.
    """
    shown = {picture["kind"]: picture for picture in reversed(pictures)}
    first = {example["side"]: example for example in reversed(examples)}
    why = {note["kind"]: note["text"] for note in notes}
    made = [_panel(title, shown.get(source), first.get(source), why.get(source)) for title, source in PANELS]
    return made if any(panel["value"] is not None for panel in made) else []


def _panel(title: str, picture: Row | None, example: Row | None, note: str | None) -> Row:
    found = picture or example
    value = None if found is None else found["score"]
    if picture is not None and picture["peak"] is not None:
        value = picture["peak"]
    return {"title": title, "value": value, "picture": picture, "example": example, "note": note}


def reach(low: float, high: float, values: Sequence[float]) -> tuple[float, float]:
    """The axis from low to high made wider for values outside, at most by its own length on each side."""
    room = high - low
    return (
        min([low, *(max(value, low - room) for value in values)]),
        max([high, *(min(value, high + room) for value in values)]),
    )


def pins(values: Sequence[float | None], across: Callable[[float], float], low: float, high: float) -> list[Row]:
    """Where each value stands on the axis, by the panel's number; those too close to another stand a row lower."""
    ends = [-APART] * 3
    found: list[Row] = []
    for number, value in sorted(enumerate(values, 1), key=lambda pair: (pair[1] is None, pair[1])):
        if value is None:
            continue
        place = across(value)
        row = next((row for row, end in enumerate(ends) if place - end >= APART), 2)
        ends[row] = place
        found.append({"number": number, "place": place, "row": row, "value": value, "beyond": not low <= value <= high})
    return found
