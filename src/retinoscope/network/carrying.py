"""One pass over a grey image: what each layer's output carries, and which operations there were."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from retinoscope.network.hooks import watched
from retinoscope.network.lineage import Line, Lineage, Node, channels_of
from retinoscope.network.model import Model
from retinoscope.network.record import forward


@dataclass(frozen=True)
class Call:
    """One call of a module: its layer, the node whose channels its output carries in full, and which values those are.

    `normed` says that a normalisation lies between; `nodes` is how many nodes there were when the call was done.
    """

    layer: str
    module: str
    container: bool
    node: int | None
    stamp: int
    normed: bool
    nodes: int


@dataclass(frozen=True)
class Run:
    """What one pass showed."""

    nodes: list[Node]
    calls: list[Call]


def origin_of(line: Line, nodes: Sequence[Node]) -> Node | None:
    """The only node that a tensor's channels come from; None when there are several, or none."""
    found = channels_of(line.ids)
    if found is None:
        return None
    ids = found[1][found[1] > 0]
    owner = next(node for node in reversed(nodes) if node.first <= int(ids.min()))
    return owner if int(ids.max()) < owner.first + owner.channels else None


def channel_pairs(line: Line, origin: Node) -> tuple[tuple[int, int], ...]:
    """(Channel of the origin, channel here), for every channel that comes from it."""
    found = channels_of(line.ids)
    assert found is not None
    return tuple((id - origin.first, place) for place, id in enumerate(found[1].tolist()) if id)


def observe(model: Model) -> Run:
    """One pass over a grey image, with its lineage."""
    module = copy.deepcopy(model.module).eval()
    image = model.normalize(torch.full((1, 3, *model.input_size), 0.5, device=model.device))
    parameter = next((p for p in module.parameters() if p.is_floating_point()), image)
    image = image.to(parameter.dtype)
    witness = _Witness(Lineage(image), {(layer.module, layer.call): name for name, layer in model.layers.items()})
    with watched(module, witness.before, witness.after), torch.no_grad(), witness.lineage:
        forward(module, image)
    nodes = witness.lineage.nodes
    return Run(nodes, [replace(call, node=_carries(line, nodes)) for call, line in witness.calls])


@dataclass
class _Witness:
    """Hooks that tell the lineage which module is at work, and keep the line of each layer's output.

    Lines are looked into after the pass: inside it, the lineage would follow that too.
    """

    lineage: Lineage
    names: dict[tuple[str, int], str]
    calls: list[tuple[Call, Line]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def before(self, path: str) -> Any:
        def begin(_module: nn.Module, _inputs: Any) -> None:
            self.lineage.enter(path)

        return begin

    def after(self, path: str) -> Any:
        def end(module: nn.Module, _inputs: Any, output: Any) -> None:
            self.lineage.leave()
            number = self.counts[path] = self.counts.get(path, 0) + 1
            line = self.lineage.line(output) if isinstance(output, Tensor) else None
            if line is not None and (name := self.names.get((path, number))):
                container = next(module.children(), None) is not None
                call = Call(name, path, container, None, line.stamp, line.normed, len(self.lineage.nodes))
                self.calls.append((call, line))

        return end


def _carries(line: Line, nodes: Sequence[Node]) -> int | None:
    """The node whose channels a tensor carries, all and in order."""
    origin = origin_of(line, nodes)
    if origin is None:
        return None
    places = [(place, place) for place in range(origin.channels)]
    return origin.index if list(channel_pairs(line, origin)) == places else None
