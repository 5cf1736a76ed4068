"""Streams: which layers share their channels along identity shortcuts, in any network, found on its real graph.

Between two projections, every block of a residual network adds to the same channels: channel k of one block's output is
channel k of the next one's [chu2017]. Such a run of layers is a stream. Its members are named a, b, c as the paper
names the blocks of a stage.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from retinoscope.base.errors import BadNetworkError, unknown
from retinoscope.network.carrying import Call, Run, channel_pairs, observe, origin_of
from retinoscope.network.lineage import Line, Node
from retinoscope.network.model import Model

Role = Literal["reduce", "spatial", "expand", "mix", "gate"]
"""What a branch's inner layer does: 1x1 to fewer or to more channels, a larger kernel, 1x1 to as many, or a gate
computed from the whole map (squeeze and excitation)."""


Kind = Literal["start", "projection", "padded", "identity"]


@dataclass(frozen=True)
class Inner:
    """A layer inside a branch: what its convolution gives after its own normalisation and activation."""

    layer: str
    role: Role
    channels: int


@dataclass(frozen=True)
class Member:
    """A layer of a stream.

    `layer` holds the channels after this block; `branch` is the layer whose answers the block adds to the shortcut,
    signed, and None where no layer gives exactly those (or nothing is added); `shortcut` is the layer of a projection;
    `inner` are the branch's layers in call order. The first member's kind says how the channels came to be: "start" is
    an ordinary layer, "projection" a sum in which neither part was there before; "identity" members only add to them.
    """

    name: str
    layer: str
    kind: Kind
    branch: str | None = None
    shortcut: str | None = None
    inner: tuple[Inner, ...] = ()


@dataclass(frozen=True)
class Stream:
    """Layers that share their channels, in order; `additive` when sums are carried on as they are.

    In an additive stream (pre-activation, linear bottlenecks) a member is the one before plus the branch exactly; else
    an activation follows every sum. `carried` maps channels of the stream before (its name is `before`) to those of
    this one where the shortcut hands them on, displaced (padded shortcuts); it is empty behind a projection.
    """

    name: str
    channels: int
    members: tuple[Member, ...]
    additive: bool
    before: str | None = None
    carried: tuple[tuple[int, int], ...] = ()

    @property
    def layers(self) -> tuple[str, ...]:
        """The members' layers, in order."""
        return tuple(member.layer for member in self.members)


def streams(model: Model) -> tuple[Stream, ...]:
    """The streams of a network in call order; none for plain networks.

    Runs the network once on one grey image. An identity shortcut is a sum of two tensors of which one is computed from
    the other, and of which the other is an earlier tensor, channel by channel: activations, normalisations and
    poolings may lie between, nothing that mixes channels. Members that are no layer's output are left out.
    """
    run = observe(model)
    sums = [_sum(node, run.nodes) for node in run.nodes if len(node.parts) == 2]
    by_index = {one.node.index: one for one in sums}
    roots = {one.whole for one in sums if one.whole is not None} - {
        i for i, one in by_index.items() if one.whole is not None
    }
    found: list[_Found] = []
    for root in sorted(roots):
        chain = _chain(root, sums)
        links = [_Link(run.nodes[root], by_index.get(root)), *(_Link(one.node, one) for one in chain)]
        held = [(link, call) for link in links if (call := _holder(link.node, run.calls, chain[0].shortcut.stamp))]
        if len(held) > 1:
            found.append(_Found(held, run))
    return tuple(_stream(one, name, found) for one, name in zip(found, _names(found), strict=True))


def stream_of(found: Sequence[Stream], name: str) -> Stream:
    """The stream of that name, or that a layer of that name belongs to, inside its branches too.

    Raises UnknownNameError with the nearest names, BadNetworkError where there are no streams at all.
    """
    if not found:
        raise BadNetworkError("the network has no identity shortcuts: no layers share channels. Use correspond")
    for stream in found:
        if name == stream.name or name in stream.layers:
            return stream
    for stream in found:
        if any(name in (m.branch, m.shortcut, *(i.layer for i in m.inner)) for m in stream.members):
            return stream
    raise unknown("stage", name, [known for stream in found for known in (stream.name, *stream.layers)])


@dataclass(frozen=True)
class _Sum:
    """A sum and its parts: the shortcut and the branch; `whole` is the node whose channels it carries on, all in order.

    `carried` are (channel there, channel here) of node `source` where only some are, or in other places.
    """

    node: Node
    shortcut: Line
    branch: Line
    whole: int | None = None
    source: int | None = None
    carried: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class _Link:
    """A node of a stream, and its sum if it is one."""

    node: Node
    sum: _Sum | None


@dataclass(frozen=True)
class _Found:
    """A stream before it has a name: its links with the calls whose layers hold them."""

    held: list[tuple[_Link, Call]]
    run: Run

    @property
    def blocks(self) -> list[str]:
        """The layers of the sums, else of all links."""
        return [call.layer for link, call in self.held if link.sum] or [call.layer for _, call in self.held]

    @property
    def first(self) -> _Sum | None:
        """The sum that the stream begins with."""
        return self.held[0][0].sum


def _sum(node: Node, nodes: Sequence[Node]) -> _Sum:
    for shortcut, branch in (node.parts, node.parts[::-1]):
        origin = origin_of(shortcut, nodes)
        if origin is not None and branch.past >> origin.index & 1:
            carried = channel_pairs(shortcut, origin)
            full = len(carried) == node.channels == origin.channels and all(a == b for a, b in carried)
            return _Sum(node, shortcut, branch, origin.index if full else None, origin.index, carried)
    shortcut, branch = sorted(node.parts, key=lambda line: line.past.bit_count())
    return _Sum(node, shortcut, branch)


def _chain(root: int, sums: Sequence[_Sum]) -> list[_Sum]:
    """All sums that carry the root's channels on, in call order."""
    held = {root}
    found = []
    for one in sums:
        if one.whole in held:
            held.add(one.node.index)
            found.append(one)
    return found


def _holder(node: Node, calls: Sequence[Call], carried: int) -> Call | None:
    """The call that gives a node's channels to what comes next: of the innermost block around the node, if it does.

    `carried` is the stamp of the values that the stream's first shortcut carries on.
    """
    after = [call for call in calls if call.node == node.index and call.nodes == node.index + 1]
    after = [call for call in after if not (call.normed and node.parts)]
    after = [call for call in after if call.stamp == carried] or after
    around = [call for call in after if call.container and f"{node.module}.".startswith(f"{call.module}.")]
    return max(around, key=lambda call: len(call.module)) if around else after[-1] if after else None


def _names(found: Sequence[_Found]) -> list[str]:
    """The modules that hold each stream's blocks; numbered where such names do not tell them apart."""
    paths = [_common(one.blocks) for one in found]
    clear = all(paths) and len(set(paths)) == len(paths)
    return paths if clear else [f"stage{place}" for place in range(1, len(paths) + 1)]


def _common(layers: Sequence[str]) -> str:
    """The dotted path above all of these layers; a single layer's own path above it."""
    parts = [layer.split(".") for layer in layers]
    parts = [parts[0][:-1]] if len(parts) == 1 else parts
    same = [names[0] for names in zip(*parts, strict=False) if len(set(names)) == 1]
    return ".".join(same)


def _stream(one: _Found, name: str, found: Sequence[_Found]) -> Stream:
    members = tuple(_member(place, link, call, one.run) for place, (link, call) in enumerate(one.held))
    source = one.first.source if one.first else None
    names = _names(found)
    before = next(
        (names[i] for i, other in enumerate(found) if any(link.node.index == source for link, _ in other.held)), None
    )
    carried = one.first.carried if one.first and before else ()
    return Stream(name, one.held[0][0].node.channels, members, _additive(one.held), before, carried)


def _additive(held: Sequence[tuple[_Link, Call]]) -> bool:
    """Whether each member is the one before plus its branch, with nothing between."""
    pairs = itertools.pairwise(held)
    return all(
        link.sum is not None and link.sum.shortcut.stamp == before.stamp and call.stamp == link.node.stamp
        for (_, before), (link, call) in pairs
    )


def _member(place: int, link: _Link, call: Call, run: Run) -> Member:
    one = link.sum
    if one is None:
        return Member(letter(place), call.layer, "start")
    kind: Kind = "identity" if one.whole is not None else "padded" if one.carried else "projection"
    shortcut = _exact(one.shortcut, run) if kind == "projection" else None
    return Member(letter(place), call.layer, kind, _exact(one.branch, run), shortcut, _inner(one, run))


def letter(place: int) -> str:
    """a, b, ... z, aa, ab, and so on."""
    return (letter(place // 26 - 1) if place >= 26 else "") + chr(ord("a") + place % 26)


def _exact(line: Line, run: Run) -> str | None:
    """The last layer that gave exactly these values."""
    return next((call.layer for call in reversed(run.calls) if call.stamp == line.stamp), None)


def _inner(one: _Sum, run: Run) -> tuple[Inner, ...]:
    """The layers on the branch's side, each by the last call with its channels: norm and activation included."""
    inside = one.branch.past & ~one.shortcut.past
    last = {
        call.node: call.layer
        for call in run.calls
        if call.node is not None and inside >> call.node & 1 and call.nodes <= one.node.index
    }
    nodes = [run.nodes[index] for index in sorted(last) if run.nodes[index].weight is not None]
    return tuple(Inner(last[node.index], _role(node, one.node.positions), node.channels) for node in nodes)


def _role(node: Node, positions: int) -> Role:
    assert node.weight is not None
    outputs, inputs, *kernel = node.weight
    if any(side > 1 for side in kernel):
        return "spatial"
    if node.positions == 1 < positions:
        return "gate"
    return "expand" if outputs > inputs else "reduce" if outputs < inputs else "mix"
