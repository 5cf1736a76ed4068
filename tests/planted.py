"""Networks whose answers are known beforehand."""

import math

import torch
from torch import nn

from retinoscope.network.model import Model
from retinoscope.network.zoo import wrap

SIDE = 24
"""Side of the pictures that `two_patterns` is made for."""


def gratings(vertical: bool) -> torch.Tensor:
    """Two 8 x 8 filters a quarter period apart, (2, 3, 8, 8): stripes of 4 pixels' period, of norm 1 each."""
    phase = torch.arange(8) * (2 * math.pi / 4)
    waves = torch.stack([phase.cos(), phase.sin()])[:, None, None, :].expand(2, 3, 8, 8)
    waves = waves if vertical else waves.transpose(2, 3)
    return waves / waves.flatten(1).norm(dim=1).view(2, 1, 1, 1)


class TwoPatterns(nn.Module):
    """`features` has the energies of vertical and of horizontal stripes; the logit is the larger of their means."""

    def __init__(self) -> None:
        super().__init__()
        self.stripes = nn.Conv2d(3, 4, 8, stride=2, bias=False)
        self.stripes.weight.data.copy_(torch.cat([gratings(True), gratings(False)]))
        self.features = nn.Conv2d(4, 2, 1, bias=False)
        self.features.weight.data.copy_(torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]]).view(2, 4, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, 3, h, w) to (b, 1)."""
        features = self.features(self.stripes(x - 0.5).square())
        return features.mean((2, 3)).amax(1, keepdim=True)


def two_patterns() -> Model:
    """The network of one unit, `logits:0`, that answers to vertical and to horizontal stripes."""
    return wrap(TwoPatterns().eval(), name="two patterns", input_size=SIDE)
