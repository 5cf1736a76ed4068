"""Operation: one tensor operation of a forward pass, with what each of its inputs has seen of the image."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from retinoscope.network.seen import Seen, everything


@dataclass(frozen=True)
class Operation:
    """One call: its name, arguments by schema name, what each tensor argument has seen, and its output shapes.

    `seen` holds None for tensors that do not depend on the image; `shapes` gives every tensor argument's shape.
    """

    name: str
    arguments: dict[str, Any]
    seen: dict[str, Any]
    shapes: dict[str, Any]
    outputs: tuple[tuple[int, ...], ...]

    @property
    def tracked(self) -> list[Seen]:
        """Everything among the inputs that depends on the image."""
        flat = [s for value in self.seen.values() for s in (value if isinstance(value, list) else [value])]
        return [s for s in flat if isinstance(s, Seen)]

    @property
    def main(self) -> Seen | None:
        """What the first tensor argument has seen."""
        first: Seen | None = next(iter(self.seen.values()), None)
        return first

    @property
    def shape(self) -> tuple[int, ...]:
        """The first output's shape."""
        return self.outputs[0]


Rule = Callable[[Operation], Seen]


def conservative(op: Operation) -> Seen:
    """The whole image; dimensions are kept where the shape is."""
    same = next((s.dims for s in op.tracked if s.shape == op.shape), None)
    return everything(op.shape, same)


def inserted(values: Any, place: int, value: Any) -> Any:
    """A tuple with one value more at that place."""
    return (*values[:place], value, *values[place:])


def put(values: Any, place: int, value: Any) -> Any:
    """A tuple with another value at that place."""
    return (*values[:place], value, *values[place + 1 :])
