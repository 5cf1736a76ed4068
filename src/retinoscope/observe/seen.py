"""Which photos a scan has seen, and of what class each is: small enough for a million, and mergeable."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from retinoscope.base.classes import Census

NONE = -1
"""The class of a photo without a label."""


@dataclass(frozen=True)
class Seen:
    """Photos' keys in ascending order, each one's place among the names of labels (or NONE), and the sorted names."""

    keys: Int[Tensor, " n"]
    kinds: Int[Tensor, " n"]
    names: tuple[str, ...]

    @classmethod
    def of(cls, labels: Mapping[int, str | None]) -> "Seen":
        """From each photo's label by its key."""
        names = sorted({label for label in labels.values() if label is not None})
        place = {name: place for place, name in enumerate(names)}
        keys = sorted(labels)
        kinds = [NONE if (label := labels[key]) is None else place[label] for key in keys]
        return cls(torch.tensor(keys, dtype=torch.int64), torch.tensor(kinds, dtype=torch.int32), tuple(names))

    def census(self) -> Census:
        """How many photos there are, and how many of each label."""
        counts = torch.bincount(self.kinds[self.kinds != NONE], minlength=len(self.names)).tolist()
        return Census(len(self.keys), dict(zip(self.names, counts, strict=True)))


def merge(a: Seen, b: Seen) -> Seen:
    """The photos of both, each once: two parts may have seen tiles of one photo."""
    names = sorted({*a.names, *b.names})
    keys, kinds = torch.cat([a.keys, b.keys]), torch.cat([_renamed(part, names) for part in (a, b)])
    both, place = torch.unique(keys, return_inverse=True)
    return Seen(both, torch.empty(len(both), dtype=kinds.dtype).index_copy(0, place, kinds), tuple(names))


def _renamed(part: Seen, names: list[str]) -> Int[Tensor, " n"]:
    """Its kinds as places among other names, NONE staying what it is."""
    place = {name: place for place, name in enumerate(names)}
    places = torch.tensor([*(place[name] for name in part.names), NONE], dtype=part.kinds.dtype)
    return places[part.kinds.long()]  # NONE is -1, and so is its place from the end
