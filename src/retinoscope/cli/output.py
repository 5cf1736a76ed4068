"""What all commands share at the edge: tables, JSON, progress bars with time left, and notes on stderr."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol


class Bar(Protocol):
    """Says how far the work is: `share` from 0 to 1, `text` what is being done, `left` seconds to come if known."""

    def __call__(self, share: float, text: str, left: float | None = None) -> None: ...


def say(text: str) -> None:
    """A line for the person at the terminal, out of the way of what is piped on."""
    print(text, file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """A value as JSON on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Left-aligned columns on stdout."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def duration(seconds: float) -> str:
    """Seconds in words: `40 s`, `3 min`, `2 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


@contextmanager
def progress() -> Iterator[Bar]:
    """A bar on stderr while the block runs; where stderr is no terminal, a line for each tenth done instead."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    left_column = TextColumn("{task.fields[left]}")
    with Progress(*columns, left_column, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=1.0, left="")

        def update(share: float, text: str, left: float | None = None) -> None:
            shown.update(task, completed=share, description=text, left=_left(left))

        yield update


class _Lines:
    """Progress for a log file."""

    def __init__(self) -> None:
        self.tenth = -1

    def __call__(self, share: float, text: str, left: float | None = None) -> None:
        if int(share * 10) > self.tenth:
            self.tenth = int(share * 10)
            say(f"{share:4.0%}  {text}  {_left(left)}".rstrip())


def _left(left: float | None) -> str:
    return "" if left is None else f"{duration(left)} left"
