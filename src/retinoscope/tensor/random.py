"""The only source of randomness: a generator from the seed and the names of what it is for."""

import hashlib

import torch


def generator(seed: int, *names: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A `torch.Generator` that depends on `seed` and `names` alone.

    Each unit draws from a generator of its own, so that batching, sharding or resuming never changes a result.
    """
    text = "\0".join((str(seed), *names))
    state = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
    return torch.Generator(device=device).manual_seed(state)
