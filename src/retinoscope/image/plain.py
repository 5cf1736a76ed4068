"""The plain pixel canvas: sRGB values clipped to their range, as the oldest methods have it."""

import torch
from torch import Tensor, nn

from retinoscope.image.canvas import Canvas
from retinoscope.tensor.axes import Images
from retinoscope.tensor.random import Draws


class Raw(Canvas):
    """One sRGB number per pixel and channel, clipped to [0, 1] whenever it is shown: no sigmoid, no colour basis.

    `center` is the grey it starts around and `deviation` that of its noise: mid-grey and 10 / 255, as in
    [yosinski2015] around the mean image. A gradient passes the clip, since the pixels themselves are moved back into
    range: a pixel at its end can leave it at once.
    """

    to_images = staticmethod(torch.clone)  # a copy: the parameters go on changing

    def __init__(
        self, batch: int, size: int | tuple[int, int], center: float = 0.5, deviation: float = 10 / 255
    ) -> None:
        super().__init__(batch, size)
        self.center, self.deviation = center, deviation
        self.values = nn.Parameter(torch.full((batch, 3, *self.size), center))

    def start(self, draws: Draws) -> None:
        """Normal noise of `deviation` around `center` in every pixel."""
        self.values.data.copy_(self.center + self.deviation * draws.normal(3, *self.size))
        self.blank = False

    def paint(self, images: Images) -> None:
        """Show `images` (b, 3, h, w), clipped to [0, 1]."""
        self.values.data.copy_(images)
        self.blank = False

    def planes(self) -> Tensor:
        """The parameters, after moving them back into [0, 1]."""
        self.values.data.clamp_(0, 1)
        return self.values
