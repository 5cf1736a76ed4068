"""What each dimension of a tensor means: channels, image rows (y), image columns (x), or a mixture, as in einops.

A dimension is a tuple of atoms, outermost first: tokens `(y x)` are a `y` atom and an `x` atom, and a window partition
splits `y` into an outer and an inner atom. A dimension of size 1 has no atoms.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

AxisName = Literal["y", "x"]
Label = Literal["y", "x", "c", "e", "n", "?"]
"""y, x: image axes; c: channels and whatever else is not space; e: copies (a broadcast); n: patches behind prefix
tokens; ?: unknown."""


@dataclass(frozen=True)
class Atom:
    """A factor of a dimension. `step` says how far apart its neighbours lie on the map (an outer atom has step > 1).

    An `n` atom cannot be split: `prefix` tokens come first, then the `inner` atoms, then whatever is left of `size`.
    """

    label: Label
    size: int
    step: int = 1
    prefix: int = 0
    inner: tuple["Atom", ...] = ()


Dim = tuple[Atom, ...]
Dims = tuple[Dim, ...]


def plain(label: Label, size: int) -> Dim:
    """A dimension that is one whole axis; empty when its size is 1."""
    return () if size == 1 else (Atom(label, size),)


def unknown_dims(shape: Sequence[int]) -> Dims:
    """Dimensions of which nothing is known."""
    return tuple(plain("?", size) for size in shape)


def labels(dim: Dim) -> set[str]:
    """The labels in a dimension, those behind prefix tokens included."""
    return {label for atom in dim for label in ({atom.label} | labels(atom.inner))}


def spatial(dim: Dim) -> set[str]:
    """Which of the image axes a dimension holds."""
    return labels(dim) & {"y", "x"}


def whole_axis(dim: Dim) -> AxisName | None:
    """`y` or `x` when the dimension is exactly that axis in full, otherwise None."""
    if len(dim) != 1 or dim[0].step != 1:
        return None
    label = dim[0].label
    return label if label == "y" or label == "x" else None


def merge(atoms: Sequence[Atom]) -> Dim:
    """Atoms side by side as one dimension; neighbours that belong together grow into one atom again."""
    merged: list[Atom] = []
    for atom in atoms:
        if merged and (joined := _join(merged[-1], atom)):
            merged[-1] = joined
        else:
            merged.append(atom)
    return tuple(merged)


def _join(outer: Atom, inner: Atom) -> Atom | None:
    if outer.label != inner.label or outer.label == "n":
        return None
    size = outer.size * inner.size
    if outer.label in ("c", "e", "?"):
        return Atom(outer.label, size)
    return replace(inner, size=size) if outer.step == inner.step * inner.size else None


def reshape(dims: Dims, shape: Sequence[int]) -> Dims | None:
    """The dimensions after a view or reshape to `shape`; None when an axis would be cut across."""
    queue = [atom for dim in dims for atom in dim]
    result: list[Dim] = []
    for size in shape:
        taken = _take(queue, size)
        if taken is None:
            return None
        result.append(merge(taken))
    return tuple(result) if not queue else None


def _take(queue: list[Atom], size: int) -> list[Atom] | None:
    """Remove atoms of that total size from the front of the queue, splitting the last one where needed."""
    taken: list[Atom] = []
    while size > 1:
        if not queue:
            return None
        atom = queue.pop(0)
        if size % atom.size == 0:
            size //= atom.size
        elif atom.size % size == 0 and atom.label != "n":
            rest = atom.size // size
            queue.insert(0, replace(atom, size=rest))
            step = atom.step * rest if atom.label in ("y", "x") else 1
            atom, size = replace(atom, size=size, step=step), 1
        else:
            return None
        taken.append(atom)
    return taken


def squash(dim: Dim) -> Dim:
    """The dimension as plain channels."""
    return plain("c", prod(atom.size for atom in dim))
