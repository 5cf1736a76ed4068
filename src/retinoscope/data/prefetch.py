"""One step ahead: the next value of an iterator is made in a background thread."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(values: Iterator[T]) -> Iterator[T]:
    """The same values; while the caller works on one, a thread makes the next.

    The thread ends when the iterator is exhausted, closed or fails; an error arises where the value would have come.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="retinoscope-decode") as pool:
        pending = pool.submit(next, values, None)
        while (value := pending.result()) is not None:
            pending = pool.submit(next, values, None)
            yield value
