"""What a job gives: records, files, and how far it is."""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field

from retinoscope.store.records import Record


@dataclass(frozen=True)
class Outcome:
    """What a job made: records for the database, files by name (made one at a time), and names of files not needed now.

    `skipped` are photos that could not be read, with the reason.
    """

    records: list[Record] = field(default_factory=list)
    files: Iterable[tuple[str, bytes]] = ()
    spent: tuple[str, ...] = ()
    skipped: Sequence[tuple[str, str]] = ()


Run = Generator[float, None, Outcome]
"""Yields the share of the job that is done, 0 to 1, and returns the Outcome."""
