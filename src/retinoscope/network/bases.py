"""Directions to compare with a layer's own basis of single channels: unit vectors at random, and rotated bases."""

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.network.model import Model
from retinoscope.tensor.random import generator


def random_directions(model: Model, layer: str, count: int, seed: int = 0) -> Float[Tensor, "n c"]:
    """Unit vectors, uniform on the sphere of a layer's channel space; each depends on its place and the seed alone.

    `[rs.direction(layer, v) for v in vectors]` are objectives to render, beside `rs.channel` of the same layer.
    """
    channels = model.layers[layer].channels
    draws = [torch.randn(channels, generator=generator(seed, "direction", layer, str(i))) for i in range(count)]
    return torch.stack([v / v.norm() for v in draws])


def rotation(channels: int, seed: int = 0) -> Float[Tensor, "c c"]:
    """A random rotation or reflection of a channel space, uniform (Haar); its rows are orthonormal directions."""
    normal = torch.randn(channels, channels, generator=generator(seed, "rotation"), dtype=torch.float64)
    q, r = torch.linalg.qr(normal)
    signs = r.diagonal().sign()  # makes the factorization unique, and so q uniform
    turned: Tensor = (q * signs).float()
    return turned
