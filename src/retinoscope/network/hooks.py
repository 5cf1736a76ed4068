"""Hooks around every call of every submodule, for as long as a block lasts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

Note = Callable[..., Any]


@contextmanager
def watched(module: nn.Module, before: Callable[[str], Note], after: Callable[[str], Note]) -> Iterator[None]:
    """Call `before(path)(child, inputs)` and `after(path)(child, inputs, output)` around each call of a submodule.

    `path` is the submodule's dotted name; the network itself, which has none, is left out. The hooks are gone after
    the block, on errors too.
    """
    handles = []
    for path, child in module.named_modules():
        if path:
            handles += [
                child.register_forward_pre_hook(before(path)),
                child.register_forward_hook(after(path)),
            ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
