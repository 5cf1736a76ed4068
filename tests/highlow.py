"""A planted network of high-low frequency detectors, and of units that only look like them."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from retinoscope.network.model import Model
from retinoscope.network.zoo import wrap

SIDE = 120
"""Side of the pictures; the maps have 15 positions a side, so that one neuron is in the very middle."""

ANGLES = (10.0, 55.0, 100.0, 145.0, 190.0, 235.0, 280.0, 325.0)
"""Where the high frequency is that the eight detectors look for, in degrees."""

HIGH, LOW, BOUNDARY, EDGE = 8, 9, 10, 11
"""Channels behind the detectors: only high frequency, only low, a change of either kind, an edge of brightness."""


class HighLow(nn.Module):
    """|Laplacian| and |blur| of brightness, pooled over 8 pixels, joined by 3 x 3 kernels, through a ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.units = nn.Conv2d(3, 12, 3, padding=1, bias=False)
        y, x = torch.meshgrid(*[torch.arange(-1.0, 2)] * 2, indexing="ij")
        y, x = y * (1 + (x == 0)), x * (1 + (y == 0))  # Sobel's kernels
        weight = torch.zeros(12, 3, 3, 3)
        for unit, degrees in enumerate(ANGLES):
            slope = x * math.cos(math.radians(degrees)) + y * math.sin(math.radians(degrees))
            weight[unit, 0], weight[unit, 1] = slope, -slope
        weight[HIGH, 0], weight[LOW, 1] = 1 / 9, 1 / 9
        weight[EDGE, 2] = x
        self.units.weight.data.copy_(weight)
        self.both = nn.Conv2d(12, 12, 1, groups=12, bias=False)
        nn.init.ones_(self.both.weight)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(b, 3, h, w) to (b, 12, h / 8, w / 8)."""
        grey = image.mean(1, keepdim=True) - 0.5
        laplacian = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).to(grey).view(1, 1, 3, 3) / 4
        high = F.conv2d(F.pad(grey, (1, 1, 1, 1), mode="replicate"), laplacian).abs()
        low = F.avg_pool2d(F.pad(grey, (3, 3, 3, 3), mode="replicate"), 7, 1).abs()
        maps = F.avg_pool2d(torch.cat((high, low, grey), 1), 8)
        answers = self.units(maps)
        change = answers[:, :1].abs()  # the first detector's, whichever side is high
        return self.both(torch.cat((answers[:, :BOUNDARY], change, answers[:, EDGE:]), 1).relu())


def high_low() -> Model:
    """The planted network; its units are those of the layer `both`."""
    return wrap(HighLow().eval(), name="high-low", input_size=SIDE)
