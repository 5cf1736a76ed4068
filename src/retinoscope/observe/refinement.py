"""Refinement: what becomes of a channel from block to block of a stage, and at the border to the next stage.

Residual blocks add to what the shortcut hands on, so that a channel should keep its meaning and sharpen it [chu2017].
Whether it does is measured here: shared examples and rank correlation of the same channel before and after each
block, against random channels; how much the branch adds; and how pure the examples are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from retinoscope.base.errors import BadUnitError
from retinoscope.base.units import Unit, check_channel, parse_unit
from retinoscope.network.model import Model
from retinoscope.network.streams import Member, Stream, stream_of, streams
from retinoscope.observe.correspondence import (
    Chance,
    against_random,
    alive,
    overlaps,
    pairing,
    rank_correlations,
    same_index,
)
from retinoscope.observe.peaks import Peaks, peaks
from retinoscope.observe.purity import purity
from retinoscope.observe.scan import Photos
from retinoscope.tensor.random import generator


@dataclass(frozen=True)
class Step:
    """From one layer to the next: channels of the same number, or that a padded shortcut joins, against random ones.

    `kind` is "block" inside a stage, "padded" where a border's shortcut hands channels on, "border" where it does not
    and equal numbers mean nothing. `shared` (m,) are the pairs' shares of common examples, `rank` (m,) their rank
    correlations, `pairs` (2, m) the channels. `own` is the share of pairs that are each other's best correlated.
    `energy` is the median over channels of E|branch| / E|shortcut|, None where no layer gives both: small where a
    block refines what is there.
    """

    before: str
    after: str
    kind: str
    overlap: Chance
    ranks: Chance
    own: float
    energy: float | None
    pairs: Int[Tensor, "2 m"]
    shared: Float[Tensor, " m"]
    rank: Float[Tensor, " m"]


@dataclass(frozen=True)
class Refinement:
    """A stage followed: its stream, a step for each block, and how much of one kind each member's examples are.

    `purities` (members, c) go by photos' classes. `alike` (members, c) is the mean cosine of two examples' logits,
    for which no classes are needed; None for a network without logits. `gain` is the mean rise of `alike` (else of
    purity) from the first member to the last, and `gain_p` how often signs tossed at random give as much; `border` is
    the step into the stage, None for the first.
    """

    stream: Stream
    k: int
    photos: int
    steps: tuple[Step, ...]
    purities: Float[Tensor, "m c"]
    alike: Float[Tensor, "m c"] | None
    gain: float
    gain_p: float
    border: Step | None = None

    @property
    def kinship(self) -> Float[Tensor, "m c"]:
        """What `gain` and `clearest` go by: `alike`, or, without logits, the purities."""
        return self.purities if self.alike is None else self.alike

    def clearest(self, n: int = 5) -> list[int]:
        """Channels whose examples become most of one kind from block to block: what refinement means.

        Only channels that every block leaves with more shared examples than the mean random pair.
        """
        rise = self.kinship[-1] - self.kinship[0]
        kept = torch.ones(len(rise), dtype=torch.bool)
        for step in self.steps:
            above = torch.zeros(len(rise), dtype=torch.bool)
            above[step.pairs[0]] = step.shared > step.overlap.random
            kept &= above
        order = rise.masked_fill(~kept, -torch.inf).sort(descending=True, stable=True)
        return [int(i) for value, i in zip(order.values, order.indices, strict=True) if value > 0][:n]


def follow(
    model: Model, photos: Photos, stage: str | None = None, k: int = 9, draws: int = 999, seed: int = 0, batch: int = 32
) -> list[Refinement]:
    """Follow the channels of a network's stages from block to block, in one pass over the photos [chu2017].

    `stage` names one stage, or any layer of it; without it all are followed, and the borders between them. An empty
    list for a plain network, unless a stage is asked for: BadNetworkError. Raises BadInputError for k of all photos
    or more.
    """
    found = streams(model)
    chosen = found if stage is None else (stream_of(found, stage),)
    if not chosen:
        return []
    seen = peaks(model, photos, layers_of(model, chosen), batch)
    return refinements(seen, chosen, k, draws, seed)


def layers_of(model: Model, chosen: Sequence[Stream], inner: bool = False) -> list[str]:
    """The layers whose answers `refinements` needs, in call order; with those inside the branches where asked for."""
    names = {"logits"} if "logits" in model.layers else set()
    for member in (member for stream in chosen for member in stream.members):
        names |= {name for name in (member.layer, member.branch, member.shortcut) if name}
        names |= {one.layer for one in member.inner} if inner else set()
    return [name for name in model.layers if name in names]


def refinements(seen: Peaks, chosen: Sequence[Stream], k: int = 9, draws: int = 999, seed: int = 0) -> list[Refinement]:
    """The streams followed on answers already seen."""
    return [
        _refinement(seen, stream, chosen[place - 1] if place else None, k, draws, seed)
        for place, stream in enumerate(chosen)
    ]


def _refinement(seen: Peaks, stream: Stream, last: Stream | None, k: int, draws: int, seed: int) -> Refinement:
    pairs = list(zip(stream.members, stream.members[1:], strict=False))
    steps = tuple(
        _step(seen, a.layer, b.layer, "block", same_index(stream.channels), k, draws, seed, _energy(seen, a, b))
        for a, b in pairs
    )
    classes = seen.classes()
    pure = torch.stack([purity(seen[layer], classes, k) for layer in stream.layers])
    logits = seen.values.get("logits")
    alike = None if logits is None else torch.stack([likeness(seen[layer], logits, k) for layer in stream.layers])
    kinship = pure if alike is None else alike
    gain, gain_p = rising(kinship[-1] - kinship[0], draws, seed)
    border = _border(seen, stream, last, k, draws, seed)
    return Refinement(stream, k, len(seen.photos), steps, pure, alike, gain, gain_p, border)


def likeness(answers: Float[Tensor, "n c"], logits: Float[Tensor, "n d"], k: int = 9) -> Float[Tensor, " c"]:
    """How alike the k photos that excite each channel most are to the network: mean cosine of two photos' logits.

    Each class's logits are first centred over all photos, so that photos taken at random come to about 0; in [-1, 1].
    """
    codes = torch.nn.functional.normalize(logits - logits.mean(0), dim=1)
    order = answers.sort(dim=0, descending=True, stable=True).indices[:k]
    together = codes[order].sum(0).square().sum(1)  # k ones, and every pair twice
    return (together - len(order)) / (len(order) * (len(order) - 1))


def _border(seen: Peaks, stream: Stream, last: Stream | None, k: int, draws: int, seed: int) -> Step | None:
    if last is None:
        return None
    joined = stream.before == last.name and stream.carried
    pairs = pairing(stream.carried) if joined else same_index(min(stream.channels, last.channels))
    kind = "padded" if joined else "border"
    return _step(seen, last.layers[-1], stream.layers[0], kind, pairs, k, draws, seed, None)


def _step(
    seen: Peaks,
    before: str,
    after: str,
    kind: str,
    pairs: Int[Tensor, "2 m"],
    k: int,
    draws: int,
    seed: int,
    energy: float | None,
) -> Step:
    a, b = seen[before], seen[after]
    lively = alive(b)
    pairs = pairs[:, alive(a)[pairs[0]] & lively[pairs[1]]]
    pool = lively.nonzero().flatten()
    shared, rank = overlaps(a, b, k) / k, rank_correlations(a, b)
    here, there = pairs
    own = (rank[here].argmax(1) == there) & (rank[:, there].argmax(0) == here)
    overlap, ranked = (against_random(scores, pairs, pool, draws, seed) for scores in (shared, rank))
    mean = float(own.float().mean()) if len(here) else float("nan")
    return Step(before, after, kind, overlap, ranked, mean, energy, pairs, shared[here, there], rank[here, there])


def _energy(seen: Peaks, before: Member, after: Member) -> float | None:
    """Median over channels of what the branch adds, beside what was there."""
    if after.branch is None:
        return None
    return float(branch_energy(seen, before.layer, after.branch).median())


def branch_energy(seen: Peaks, shortcut: str, branch: str) -> Float[Tensor, " c"]:
    """E|branch| / E|shortcut| of every channel, over all positions of all photos; infinite over a dead shortcut."""
    return seen.sizes[branch] / seen.sizes[shortcut]


def rising(differences: Float[Tensor, " c"], draws: int = 999, seed: int = 0) -> tuple[float, float]:
    """The mean of differences, and how often it is reached when every difference's sign is tossed at random."""
    signs = torch.randint(0, 2, (draws, len(differences)), generator=generator(seed, "signs")) * 2 - 1
    mean = differences.double().mean()
    tossed = (signs * differences.double()).mean(1)
    return float(mean), (1 + int((tossed >= mean - 1e-12).sum())) / (draws + 1)


@dataclass(frozen=True)
class Stop:
    """A channel at one layer on its way: its best photos and how they relate to those of the member before.

    `role` is a member's name (a, b, ...), "branch", "shortcut", or what an inner layer does; inner layers have channels
    of their own, so that `channel` is there the one that correlates best with the member's. `overlap` and `rank`
    compare with the member before (a member) or with the member the layer is part of (all others); None for the first.
    `alike` is the mean cosine of two of the photos' logits, None without logits.
    `energy` is E|branch| / E|shortcut|.
    """

    layer: str
    role: str
    channel: int
    photos: tuple[str, ...]
    purity: float
    alike: float | None = None
    overlap: int | None = None
    rank: float | None = None
    energy: float | None = None


def follow_unit(
    model: Model, photos: Photos, unit: Unit | str, k: int = 9, batch: int = 32, seen: Peaks | None = None
) -> list[Stop]:
    """One channel through its stage, and inside the branches: reduce, spatial, expand, shortcut, sum [chu2017].

    The unit may be named at any member. `seen` saves the pass: peaks of `layers_of(model, streams, inner=True)`.
    Raises BadNetworkError for a plain network, BadUnitError for a unit inside a branch or out of range.
    """
    unit = parse_unit(unit) if isinstance(unit, str) else unit
    stream = stream_of(streams(model), unit.layer)
    if unit.layer not in (stream.name, *stream.layers):
        raise BadUnitError(f"'{unit}' lies inside a branch; follow a channel of the stage: {', '.join(stream.layers)}")
    check_channel(unit, stream.channels)
    seen = peaks(model, photos, layers_of(model, [stream], inner=True), batch) if seen is None else seen
    stops: list[Stop] = []
    for place, member in enumerate(stream.members):
        before = stream.members[place - 1].layer if place else None
        stops += _inside(seen, member, before, unit.channel, k)
        other = None if before is None else (before, unit.channel)
        stops.append(_stop(seen, member.layer, member.name, unit.channel, k, other))
    return stops


def _inside(seen: Peaks, member: Member, before: str | None, channel: int, k: int) -> list[Stop]:
    """The stops inside a member's block: inner layers, then what is added, then a projection's shortcut."""
    whole = (member.layer, channel)
    stops = []
    for inner in member.inner:
        if inner.layer != member.branch:
            closest = int(rank_correlations(seen[member.layer][:, [channel]], seen[inner.layer])[0].argmax())
            stops.append(_stop(seen, inner.layer, inner.role, closest, k, whole))
    if member.branch:
        added, kept = _stop(seen, member.branch, "branch", channel, k, whole), member.shortcut or before
        energy = None if kept is None else float(branch_energy(seen, kept, member.branch)[channel])
        stops.append(replace(added, energy=energy))
    if member.shortcut:
        stops.append(_stop(seen, member.shortcut, "shortcut", channel, k, whole))
    return stops


def _stop(seen: Peaks, layer: str, role: str, channel: int, k: int, other: tuple[str, int] | None) -> Stop:
    answers = seen[layer][:, [channel]]
    order = answers[:, 0].sort(descending=True, stable=True).indices[:k]
    photos = tuple(seen.photos[int(i)] for i in order)
    pure = float(purity(answers, seen.classes(), k))
    logits = seen.values.get("logits")
    alike = None if logits is None else float(likeness(answers, logits, k))
    if other is None:
        return Stop(layer, role, channel, photos, pure, alike)
    beside = seen[other[0]][:, [other[1]]]
    overlap, rank = int(overlaps(answers, beside, k)), float(rank_correlations(answers, beside))
    return Stop(layer, role, channel, photos, pure, alike, overlap, rank)
