"""Of which classes are the photos that excite a unit most, and how much more often than chance would have it?

Photos carry the name of their class folder as label, or none. Plain arithmetic on (label, score) rows, which a scan and
a store share.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

LEVEL = 0.05
"""How rare a share must be under chance to be told."""


@dataclass(frozen=True)
class Census:
    """How many photos were looked at, and how many of each label; `complete` False where photos may be missing."""

    photos: int
    labels: Mapping[str, int]
    complete: bool = True


@dataclass(frozen=True)
class ClassCount:
    """One label among a unit's examples.

    `count` of the examples have it, which is the `share` of them; `base` is its share of all photos, `lift` is share /
    base; `p` the chance that as many photos drawn at random hold the label as often, or more often. `strongest` is the
    largest score of its examples, `place` that example's, from 1. `telling` says that this would be rare even for the
    best of all labels: p times the number of labels is at most LEVEL.
    """

    label: str
    count: int
    share: float
    base: float
    lift: float
    p: float
    strongest: float
    place: int
    telling: bool


@dataclass(frozen=True)
class Classes:
    """The classes of a unit's examples, the commonest first.

    `examples` are those that count: of examples whose score equals the last one's, none does, since which of them are
    kept is their order in the image set; `tied` is their number. `unlabelled` of those that count have no label.
    `purity` is the share of the commonest label, 0 where there is none; `entropy` that of the labels, in bits.
    """

    rows: tuple[ClassCount, ...]
    examples: int
    tied: int
    unlabelled: int
    purity: float
    entropy: float
    photos: int
    complete: bool


def classes(examples: Sequence[tuple[str | None, float]], census: Census) -> Classes:
    """Count the labels of a unit's top examples, (label, score) of different photos, strongest first."""
    tied = _tied([score for _, score in examples]) if len(examples) < census.photos else 0
    kept = examples[: len(examples) - tied]
    counts = Counter(label for label, _ in kept if label is not None)
    rows = sorted((_row(label, kept, census) for label in counts), key=lambda row: (-row.count, row.p, row.place))
    purity = rows[0].share if rows else 0.0
    unlabelled = len(kept) - counts.total()
    return Classes(
        tuple(rows), len(kept), tied, unlabelled, purity, entropy(counts.values()), census.photos, census.complete
    )


def _tied(scores: Sequence[float]) -> int:
    """How many of the last scores are equal, so that others that are not among them may be equal, too."""
    same = sum(score == scores[-1] for score in scores)
    return same if same > 1 else 0


def _row(label: str, kept: Sequence[tuple[str | None, float]], census: Census) -> ClassCount:
    places = [place for place, (found, _) in enumerate(kept, 1) if found == label]
    # What is counted here is there, even if a census taken elsewhere does not know it.
    whole, photos = max(census.labels.get(label, 0), len(places)), max(census.photos, len(kept))
    share, base = len(places) / len(kept), whole / photos
    p = chance(photos, whole, len(kept), len(places))
    strongest = kept[places[0] - 1][1]
    telling = p * max(len(census.labels), 1) <= LEVEL
    return ClassCount(label, len(places), share, base, share / base, p, strongest, places[0], telling)


@lru_cache(maxsize=4096)
def chance(photos: int, whole: int, drawn: int, count: int) -> float:
    """The chance that of `drawn` photos out of `photos`, `whole` of which are of a class, `count` or more are of it.

    The upper tail of the hypergeometric distribution, in whole numbers until the last division.
    """
    most = min(drawn, whole)
    ways = sum(math.comb(whole, n) * math.comb(photos - whole, drawn - n) for n in range(count, most + 1))
    return ways / math.comb(photos, drawn)


def entropy(counts: Iterable[int]) -> float:
    """Bits of information in which of several kinds a thing is, by their counts; 0 for one kind or none."""
    numbers = [count for count in counts if count]
    total = sum(numbers)
    return sum(count / total * math.log2(total / count) for count in numbers)
