"""Who made a photo: the ATTRIBUTION.csv beside it."""

import csv
from functools import lru_cache
from pathlib import Path

ATTRIBUTION = "ATTRIBUTION.csv"
"""Columns file, width, height, bytes, license, author, source, changes."""


def credit_of(photo: Path) -> str | None:
    """Author, licence, source and changes of a photo as one line, or None when nothing is said of it."""
    row = _rows(photo.parent / ATTRIBUTION).get(photo.name)
    if row is None:
        return None
    parts = [row.get(column) for column in ("author", "license", "source", "changes")]
    return ", ".join(part for part in parts if part) or None


@lru_cache(maxsize=64)
def _rows(table: Path) -> dict[str, dict[str, str]]:
    if not table.is_file():
        return {}
    with table.open(newline="", encoding="utf-8") as stream:
        return {row["file"]: row for row in csv.DictReader(stream) if row.get("file")}
