"""The only source of randomness: generators from the seed and the names of what they are for."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


def generator(seed: int, *names: str) -> torch.Generator:
    """A `torch.Generator` on the CPU that depends on `seed` and `names` alone."""
    text = "\0".join((str(seed), *names))
    state = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
    return torch.Generator().manual_seed(state)


class Draws:
    """Random numbers for a batch in which every item has a generator of its own.

    An item's numbers depend on the seed and on its own name, not on its neighbours, so that batching, sharding or
    resuming never changes a result. Numbers are drawn on the CPU and moved to `device`: the same on every device.
    """

    def __init__(self, seed: int, names: Sequence[str], device: torch.device | str = "cpu") -> None:
        self.generators = [generator(seed, name) for name in names]
        self.device = torch.device(device)

    def __len__(self) -> int:
        return len(self.generators)

    def every(self, step: int) -> "Draws":
        """The draws of the items 0, step, 2 step, and so on: the same generators, which both advance."""
        some = Draws(0, [], self.device)
        some.generators = self.generators[::step]
        return some

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1), (b, *shape)."""
        return torch.stack([torch.rand(shape, generator=g) for g in self.generators]).to(self.device)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers, (b, *shape)."""
        return torch.stack([torch.randn(shape, generator=g) for g in self.generators]).to(self.device)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Integers 0 to high - 1, (b, *shape)."""
        return torch.stack([torch.randint(high, shape, generator=g) for g in self.generators]).to(self.device)
