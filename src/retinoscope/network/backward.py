"""Backward rules: a network's backward pass with another arithmetic at its rectifiers.

A rule says what goes on downwards when a signal has come to a rectifier. Everything else keeps the chain rule:
convolutions become transposed ones, batch norms scale, sums copy, max pools send the signal to what was largest.

The rules are put on the graph that PyTorch keeps for the backward pass, not on modules. So a ReLU is a ReLU whether it
is a module, a function or a method, in place or not, shared or not; and what cannot be told is refused by name.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from retinoscope.base.errors import BadNetworkError, unknown
from retinoscope.network.model import Model
from retinoscope.network.nodes import LEAVES, Node, gates, kind_of, operation, tensors

Arithmetic = Callable[[Tensor, Tensor], Tensor]
"""`(plain, signal) -> signal below`: what the chain rule would send down, and what has come from above."""


@dataclass(frozen=True)
class Rule:
    """How a signal passes rectifiers on its way down; `rectifier` None leaves all to the chain rule."""

    name: str
    rectifier: Arithmetic | None
    source: str


def guided(plain: Tensor, signal: Tensor) -> Tensor:
    """Where both the input and the signal are positive: 1[x > 0] max(g, 0), for other slopes max(f', 0) max(g, 0)."""
    return plain.clamp(min=0) * (signal > 0)


def deconvnet(plain: Tensor, signal: Tensor) -> Tensor:
    """max(g, 0): the signal is rectified, whatever went through on the way up."""
    return signal.clamp(min=0)


RULES = {
    "gradient": Rule("gradient", None, "[simonyan2014]"),
    "deconvnet": Rule("deconvnet", deconvnet, "[zeiler2014]"),
    "guided": Rule("guided", guided, "[springenberg2015]"),
}


def find_rule(rule: str | Rule) -> Rule:
    """A rule by name; raises UnknownNameError."""
    if isinstance(rule, Rule):
        return rule
    if rule not in RULES:
        raise unknown("backward rule", rule, RULES)
    return RULES[rule]


@contextmanager
def rewrite(model: Model, rule: str | Rule) -> Iterator[None]:
    """Let the backward passes of `model` follow a rule: "gradient", "deconvnet", "guided", or one's own Rule.

    Forward and backward pass both belong inside the block; forward values do not change, and after the block the
    chain rule holds again. A backward pass raises BadNetworkError, naming the module, where its signal comes to
    something that the rule says nothing about: a squashing activation (a sigmoid or tanh that is no gate), a mask that
    may be a ReLU in disguise, an operation in place on a part of a tensor, or an operation unknown here.
    """
    chosen = find_rule(rule)
    handles: list[RemovableHandle] = []
    watch = _Watch(chosen, model.name)
    try:
        for path, module in model.module.named_modules() if chosen.rectifier else ():
            handles.append(module.register_forward_pre_hook(watch.enter(path), prepend=True, with_kwargs=True))
            # Before other hooks: a recorder among them may end the pass.
            handles.append(module.register_forward_hook(watch.leave(path), prepend=True))
        yield
    finally:
        for handle in [*handles, *watch.handles]:
            handle.remove()


@dataclass
class _Watch:
    """Follows a forward pass module by module, and puts the rule on each node of the graph as it appears."""

    rule: Rule
    network: str
    handles: list[RemovableHandle] = field(default_factory=list)
    seen: set[Node] = field(default_factory=set)
    readers: dict[Node, list[Node]] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)

    def enter(self, path: str) -> Any:
        """The hook before a module: what is new by now was made by the module around it."""

        def hook(_module: nn.Module, args: Any, kwargs: Any) -> None:
            if path:
                self._claim((args, kwargs), self.open[-1] if self.open else "")
                self.open.append(path)
            else:  # what the picture itself was made by is no business of the network's rule
                self.seen = {tensor.grad_fn for tensor in tensors((args, kwargs))} - {None}
                self.readers, self.open = {}, [path]

        return hook

    def leave(self, path: str) -> Any:
        """The hook after a module: what is new by now was made by itself."""

        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            self._claim(output, path)
            if self.open and self.open[-1] == path:
                self.open.pop()

        return hook

    def _claim(self, values: Any, path: str) -> None:
        todo = [tensor.grad_fn for tensor in tensors(values) if tensor.grad_fn is not None]
        while todo:
            node = todo.pop()
            if node in self.seen:
                continue
            self.seen.add(node)
            self._treat(node, path)
            for below, _ in node.next_functions:
                if below is not None and operation(below) not in LEAVES:
                    self.readers.setdefault(below, []).append(node)
                    todo.append(below)

    def _treat(self, node: Node, path: str) -> None:
        kind = kind_of(node)
        if kind == "rectifier" and self.rule.rectifier is not None:
            self.handles.append(node.register_hook(partial(_passed, self.rule.rectifier)))
        elif kind in _WHY:
            check = _Check(self.rule.name, self.network, path, node, kind, self.readers)
            self.handles.append(node.register_hook(check))


def _passed(rectifier: Arithmetic, below: tuple[Tensor | None, ...], above: tuple[Tensor, ...]) -> Any:
    """The signals below a rectifier, where `above` has come to it; its weights, if it has any, keep theirs."""
    first = next(((place, signal) for place, signal in enumerate(below) if signal is not None), None)
    if first is None or above[0] is None:
        return None
    place, signal = first
    return (*below[:place], rectifier(signal, above[0]), *below[place + 1 :])


@dataclass(frozen=True)
class _Check:
    """Stands where a rule says nothing, and refuses the signal that comes there, unless it is a gate's."""

    rule: str
    network: str
    path: str
    node: Node
    kind: str
    readers: dict[Node, list[Node]]

    def __call__(self, *_: Any) -> None:
        if self.kind == "squash" and gates(self.node, self.readers):
            return
        where = f"module '{self.path}'" if self.path else "forward of the network itself"
        raise BadNetworkError(
            f"the {self.rule} rule says nothing about the {where} of {self.network}: {_WHY[self.kind]} "
            f"({operation(self.node)}). Choose a unit before it, the rule 'gradient', or write it otherwise"
        )


_WHY = {
    "squash": "an activation there is no rectifier, and gates nothing",
    "unclear": "nobody can tell what an operation there does, it may be a ReLU in disguise",
}
