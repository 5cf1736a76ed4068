"""One exception tree: every error a user can cause, said once and clearly.

A message says what came, what is allowed (the nearest name first), and what to do. The command line prints it as one
line and exits with status 2; the explorer answers 404 or 400. Any other exception is a bug and shows its trace.
"""

import difflib
import re
from collections.abc import Iterable, Sequence


class RetinoscopeError(Exception):
    """Something the user can mend; its text is complete without a stack trace."""


class UnknownNameError(RetinoscopeError):
    """A network, layer, unit, class or recipe of that name does not exist."""


class BadUnitError(RetinoscopeError):
    """A unit's text cannot be read, or its channel or position is out of range."""


class BadWeightsError(RetinoscopeError):
    """A weights file is missing, unsafe, or does not fit the network."""


class BadInputError(RetinoscopeError):
    """Images of the wrong size, range, type or number of channels."""


class BadNetworkError(RetinoscopeError):
    """A network that cannot be looked into: no layers, a failing forward pass, a factory that gives no module."""


class BadPhotosError(RetinoscopeError):
    """A folder or list of photos that holds nothing readable."""


class NoGradientError(RetinoscopeError):
    """The gradient of an objective does not reach the image; the text says why."""


class StoreError(RetinoscopeError):
    """A store that is in use, from a newer version, damaged, or on a full disk."""


class ServeError(RetinoscopeError):
    """The explorer cannot start, for example because its port is in use."""


def unknown(kind: str, name: str, known: Iterable[str], hint: str = "") -> UnknownNameError:
    """An UnknownNameError that lists the known names nearest to `name` first."""
    names = list(known)
    near = nearest(name, names)
    tail = f"; nearest: {', '.join(near)}" if near else ""
    count = f" ({len(names)} known)" if len(names) > len(near) else ""
    return UnknownNameError(f"no {kind} named '{name}'{tail}{count}{'. ' + hint if hint else ''}")


def nearest(name: str, names: Sequence[str], count: int = 5) -> list[str]:
    """The names that look most like one, or that have a word like it; the first of all in order where none does."""
    close = difflib.get_close_matches(name, names, n=count, cutoff=0.4)
    return (close or _with_words_like(name, names) or sorted(names))[:count]


def _with_words_like(name: str, names: Sequence[str]) -> list[str]:
    having: dict[str, list[str]] = {}
    for known in names:
        for word in re.split(r"[\W_]+", known.lower()):
            having.setdefault(word, []).append(known)
    close = difflib.get_close_matches(name.lower(), having, n=5, cutoff=0.7)
    return list(dict.fromkeys(known for word in close for known in having[word]))
