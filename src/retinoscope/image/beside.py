"""Pictures next to the photos they start from, so that both are seen the same way at each step."""

import torch
from einops import rearrange
from torch import Tensor

from retinoscope.image.canvas import Canvas
from retinoscope.tensor.axes import Images
from retinoscope.tensor.random import Draws


class Beside(Canvas):
    """A canvas of b pictures and b fixed photos in turn: photo 0, picture 0, photo 1, picture 1, ... (2 b, 3, h, w)."""

    photos: Tensor

    def __init__(self, canvas: Canvas, photos: Images) -> None:
        super().__init__(2 * canvas.batch, canvas.size)
        self.canvas = canvas
        self.register_buffer("photos", photos)

    def start(self, draws: Draws) -> None:
        """Noise in the pictures."""
        self.canvas.start(draws.every(2))
        self.blank = False

    def paint(self, images: Images) -> None:
        """Show the pictures among `images` (2 b, 3, h, w); the photos stay."""
        self.canvas.paint(images[1::2])
        self.blank = False

    def planes(self) -> Tensor:
        """The pictures' planes (b, 3, h, w)."""
        return self.canvas.planes()

    def forward(self) -> Images:
        """Photos and pictures in turn."""
        return rearrange(torch.stack([self.photos, self.canvas()], 1), "b two c h w -> (b two) c h w")
