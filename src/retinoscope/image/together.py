"""Views that several pictures share, so that they can be compared position by position."""

from collections.abc import Sequence
from dataclasses import dataclass

from einops import rearrange
from torch import Tensor

from retinoscope.image.transforms import Transform, apply
from retinoscope.tensor.random import Draws


@dataclass(frozen=True)
class Together:
    """Transforms that show each `count` pictures of a batch, one after the other, the same way.

    The first picture of each group draws for all; what acts on colours, such as noise, must take any number of planes.
    """

    count: int
    transforms: Sequence[Transform]

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(b, 3, h, w) to whatever the transforms give, b a multiple of `count`."""
        joined = rearrange(images, "(g n) c h w -> g (n c) h w", n=self.count)
        seen = apply(self.transforms, joined, draws.every(self.count))
        return rearrange(seen, "g (n c) h w -> (g n) c h w", n=self.count)
