"""Where the pixels of a stimulus lie, and how much of a pixel lies on one side of a line.

Angles are in degrees from the x axis towards the y axis, which runs down: 0 points right, 90 down. Lengths are in
pixels.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Numbers = Float[Tensor, "b 1 1"]
"""One number for each picture of a batch."""

Fields = Float[Tensor, "_ h w"]
"""One number for each pixel of every picture, or of all pictures alike."""


@dataclass(frozen=True)
class Grid:
    """Pixels as their distances from the stimulus's centre: `x` to the right (1, 1, w), `y` down (1, h, 1)."""

    y: Float[Tensor, "1 h 1"]
    x: Float[Tensor, "1 1 w"]

    @classmethod
    def around(
        cls,
        size: tuple[int, int],
        center: tuple[float, float] | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> "Grid":
        """A grid of `size` (h, w) whose `center` (y, x) is in pixels, 0 the first's middle; by default its middle."""
        middle = center or tuple((n - 1) / 2 for n in size)
        y, x = (torch.arange(n, device=device, dtype=dtype) - c for n, c in zip(size, middle, strict=True))
        return cls(y[None, :, None], x[None, None, :])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.y.shape[1], self.x.shape[2]

    def along(self, angle: Numbers) -> Float[Tensor, "b h w"]:
        """u = x cos + y sin: how far a pixel lies from the centre in the direction of `angle`."""
        turn = torch.deg2rad(angle)
        return self.x * turn.cos() + self.y * turn.sin()

    def across(self, angle: Numbers) -> Float[Tensor, "b h w"]:
        """v = y cos - x sin: how far it lies a quarter turn further on."""
        turn = torch.deg2rad(angle)
        return self.y * turn.cos() - self.x * turn.sin()

    @property
    def radius(self) -> Float[Tensor, "1 h w"]:
        """Distance from the centre."""
        return torch.hypot(self.x, self.y)

    def waves(
        self, angle: Float[Tensor, "b k"], wavelength: Float[Tensor, "b k"], phase: Float[Tensor, "b k"]
    ) -> Float[Tensor, "b h w"]:
        """The sum of k plane waves cos(2 pi u / wavelength + phase), each along its `angle`; all angles in degrees.

        Waves of more than two pixels have nothing to be smoothed away: their samples are exact. A plane wave is the
        product of what it is along x and along y, as complex numbers, so that many of them are one matrix product.
        """
        turn, step = torch.deg2rad(angle)[:, None], (2 * math.pi / wavelength)[:, None]
        down = self.y * (step * turn.sin())  # b h k
        right = self.x.transpose(1, 2) * (step * turn.cos()) + torch.deg2rad(phase)[:, None]  # b w k
        rows, columns = torch.cat((down.cos(), -down.sin()), 2), torch.cat((right.cos(), right.sin()), 2)
        return rows @ columns.transpose(1, 2)


def wave(distance: Tensor, wavelength: Tensor, phase: Tensor) -> Tensor:
    """cos(2 pi distance / wavelength + phase) for any distances, the phase in degrees."""
    return torch.cos(2 * math.pi / wavelength * distance + torch.deg2rad(phase))


def plane(grid: Grid, angle: Numbers, wavelength: Numbers, phase: Numbers) -> Float[Tensor, "b h w"]:
    """One wave, along `angle`."""
    return grid.waves(*(one[:, :, 0].expand(len(angle), 1) for one in (angle, wavelength, phase)))


def crossed(grid: Grid, angle: Numbers, wavelength: Numbers, phase: Numbers) -> Float[Tensor, "b h w"]:
    """cos(2 pi u / wavelength + phase) cos(2 pi v / wavelength): half the sum of two waves 45 degrees off."""
    angle, wavelength, phase = (one[:, :, 0] for one in (angle, wavelength, phase))
    sides, size = torch.cat((angle - 45, angle + 45), 1), (wavelength / math.sqrt(2)).expand(-1, 2)
    return 0.5 * grid.waves(sides, size, phase.expand(-1, 2))


def share(distance: Tensor, angle: Numbers) -> Tensor:
    """How much of each pixel, a square of side 1, lies on the far side of a straight line: in [0, 1], exactly.

    `distance` is how far the pixel's middle lies beyond the line, in the direction `angle` that is at right angles to
    it: this is what keeps edges from having steps.
    """
    turn = torch.deg2rad(angle)
    return share_beyond(distance, turn.cos(), turn.sin())


def share_beyond(distance: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The same for a line whose normal has the components (x, y), which may differ from pixel to pixel.

    Seen along the normal, a square is a trapezoid: the share is its distribution function.
    """
    long, short = torch.maximum(x.abs(), y.abs()).clamp(min=0.5), torch.minimum(x.abs(), y.abs()).clamp(min=1e-6)
    away = distance.abs()
    rest = ((long + short) / 2 - away).clamp(min=0)  # what of the trapezoid lies further out
    middle, slope = 0.5 - away / long, rest.square() / (2 * long * short)
    less = torch.where(away <= (long - short) / 2, middle, slope)
    return torch.where(distance > 0, 1 - less, less)


def stroke(distance: Tensor, width: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """How much of each pixel a stroke of `width` covers, `distance` from its middle, normal (x, y)."""
    return share_beyond(distance + width / 2, x, y) - share_beyond(distance - width / 2, x, y)
