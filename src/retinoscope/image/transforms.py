"""Random views of images, with an independent draw for every item of the batch.

A transform is a frozen value called as `(images, draws) -> images`. Lucid draws once per step for the whole batch; we
draw per item, so that one batch can render many units and every unit sees views of its own. All items of a batch keep
one size: scaling zooms about the centre and keeps the canvas, where Lucid's changes the canvas.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from retinoscope.image.regularizers import gaussian, normalized_pyramid
from retinoscope.tensor.random import Draws

Transform = Callable[[Tensor, Draws], Tensor]


@dataclass(frozen=True)
class Pad:
    """A border of `pixels` on each side, mid-grey as in Lucid."""

    pixels: int
    value: float = 0.5

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(b, 3, h, w) to (b, 3, h + 2 pixels, w + 2 pixels)."""
        return F.pad(images, (self.pixels,) * 4, value=self.value) if self.pixels else images


@dataclass(frozen=True)
class Jitter:
    """A random crop, `pixels` smaller, at a uniform offset of 0 to `pixels`."""

    pixels: int

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(b, 3, h, w) to (b, 3, h - pixels, w - pixels)."""
        if not self.pixels:
            return images
        height, width = (n - self.pixels for n in images.shape[2:])
        offsets = draws.integers(self.pixels + 1, 2).tolist()
        items = zip(images.unbind(), offsets, strict=True)
        return torch.stack([image[:, y : y + height, x : x + width] for image, (y, x) in items])


@dataclass(frozen=True)
class Warp:
    """A zoom by one of `scales` and a turn by one of `angles` (degrees) about the centre, bilinear.

    Outside the images it reads mid-grey. Angle 90 turns as `torch.rot90` does.
    """

    scales: tuple[float, ...] = (1.0,)
    angles: tuple[float, ...] = (0.0,)

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(b, 3, h, w) to the same shape."""
        if self.scales == (1.0,) and self.angles == (0.0,):
            return images
        scale = _choose(self.scales, draws)
        angle = _choose(self.angles, draws) * (math.pi / 180)
        # Mid-grey is what zero padding gives to images moved by one half.
        return 0.5 + resample(images - 0.5, angle, 1 / scale, torch.zeros(len(draws), 2), images.shape[2:], "zeros")


@dataclass(frozen=True)
class Views:
    """A turned square box somewhere on the canvas, resampled to the canvas's size: our robust default.

    The box's side is drawn from `sides` (shares of the canvas, uniform) and its turn from +-`angle` degrees. Its place
    is uniform over where it fits and `overshoot` beyond, pushed back inside: so the canvas's border is seen as often as
    its middle, and does not fade. A turned box's corners outside the canvas see it mirrored, which adds no edge of its
    own. Independent views at several scales make pictures that other networks read too.
    """

    sides: tuple[float, float] = (0.45, 1.0)
    angle: float = 15.0
    overshoot: float = 0.3

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(b, 3, h, w) to the same shape."""
        numbers = draws.uniform(4).cpu()
        side = self.sides[0] + (self.sides[1] - self.sides[0]) * numbers[:, 0]
        angle = (2 * numbers[:, 1] - 1) * (self.angle * math.pi / 180)
        room = 1 - side[:, None]
        center = ((2 * numbers[:, 2:] - 1) * (room + self.overshoot)).clamp(-room, room)
        return resample(images, angle, side, center, images.shape[2:])


@dataclass(frozen=True)
class Resize:
    """A bilinear change of size, antialiased: for networks that take one size only."""

    height: int
    width: int

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(b, 3, h, w) to (b, 3, height, width)."""
        if images.shape[2:] == (self.height, self.width):
            return images
        return F.interpolate(images, (self.height, self.width), mode="bilinear", antialias=True, align_corners=False)


@dataclass(frozen=True)
class CentreBias:
    """A crop of `side` times the canvas, most often from its middle: a bias to one object in the centre [nguyen2016b].

    With the room r that the crop leaves, its offset is normal around r / 2, deviation `window` * r, clipped to 0 to r.
    """

    side: float = 1 / 1.2
    window: float = 0.3

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(b, 3, h, w) to (b, 3, side h, side w)."""
        height, width = (max(1, round(self.side * n)) for n in images.shape[2:])
        room = torch.tensor([images.shape[2] - height, images.shape[3] - width])
        offsets = ((0.5 + self.window * draws.normal(2).cpu()).clamp(0, 1) * room).long().tolist()
        items = zip(images.unbind(), offsets, strict=True)
        return torch.stack([image[:, y : y + height, x : x + width] for image, (y, x) in items])


@dataclass(frozen=True)
class Margin:
    """Nothing is drawn in a border of `pixels`: images as they are, their gradient zero there [nguyen2016b]."""

    pixels: int

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(b, 3, h, w) to the same, bit for bit."""
        inside = torch.zeros(images.shape[2:], dtype=torch.bool, device=images.device)
        inside[self.pixels : -self.pixels or None, self.pixels : -self.pixels or None] = True
        return torch.where(inside, images, images.detach())


@dataclass(frozen=True)
class BlurGradient:
    """Images as they are, their gradient blurred by a Gaussian of `sigma` pixels: a preconditioner [oygard2015].

    It changes the way and not the goal: where a gradient is zero, so is its blur. Put it first, where it sees the
    gradient of the whole picture; gradients of penalties pass it by.
    """

    sigma: float

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(b, 3, h, w) to the same."""
        return preconditioned(images, lambda gradient: gaussian(gradient, self.sigma))


@dataclass(frozen=True)
class NormalizeGradient:
    """Images as they are, the Laplacian bands of their gradient made equally strong [mordvintsev2015].

    A preconditioner, as `BlurGradient`. After it a gradient says nothing of how steep the score is.
    """

    levels: int = 4

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(b, 3, h, w) to the same."""
        return preconditioned(images, lambda gradient: normalized_pyramid(gradient, self.levels))


def preconditioned(images: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """The images themselves, whose gradient is passed through `change` on its way back."""
    same = images.view_as(images)
    if same.requires_grad:
        same.register_hook(change)  # type: ignore[no-untyped-call]
    return same


def resample(
    images: Tensor, angle: Tensor, side: Tensor, center: Tensor, size: Sequence[int], outside: str = "reflection"
) -> Tensor:
    """Read a turned box per item: (b, 3, h, w) to (b, 3, *size).

    `angle` in radians (b,), `side` the box's share of the canvas (b,), `center` (b, 2) as (x, y) in -1 to 1. `outside`
    says what is read there, as `grid_sample`'s padding mode.
    """
    height, width = images.shape[2:]
    cos, sin = torch.cos(angle) * side, torch.sin(angle) * side
    y, x = ((torch.arange(n) * 2 + 1) / n - 1 for n in size)  # pixel centres in -1 to 1
    # grid_sample's axes are normalised per side: turning a non-square image needs the ratio of its sides.
    across = torch.outer(cos, x)[:, None] - torch.outer(sin * (height / width), y)[:, :, None] + center[:, :1, None]
    down = torch.outer(sin * (width / height), x)[:, None] + torch.outer(cos, y)[:, :, None] + center[:, 1:, None]
    grid = torch.stack((across, down), 3).to(images)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=outside, align_corners=False)


def _choose(values: tuple[float, ...], draws: Draws) -> Tensor:
    return torch.tensor(values)[draws.integers(len(values)).cpu()]


def apply(transforms: Sequence[Transform], images: Tensor, draws: Draws) -> Tensor:
    """The transforms one after the other."""
    for transform in transforms:
        images = transform(images, draws)
    return images


SAMPLE: tuple[Transform, ...] = (
    Pad(2),
    Jitter(1),
    Warp(tuple(1.1 ** (n / 10) for n in range(-10, 11)), tuple(map(float, range(-5, 6)))),
)
"""Transformation robustness alone, as in the article's comparison of regularizers [olah2017]."""

LUCID: tuple[Transform, ...] = (
    Pad(12),
    Jitter(8),
    Warp(tuple(1 + (i - 5) / 50 for i in range(11)), (*map(float, range(-10, 11)), *(0.0,) * 5)),
    Jitter(4),
)
"""Lucid's `standard_transforms`, with its 26 angles of which 6 are zero [lucid2018]."""

ARTICLE: tuple[Transform, ...] = (
    Pad(16),
    Jitter(16),
    Warp((0.95, 0.975, 1.0, 1.025, 1.05), tuple(map(float, range(-5, 6)))),
    Jitter(8),
)
"""The set behind the figures of Feature Visualization [olah2017]."""

ROBUST: tuple[Transform, ...] = (Views(),)
"""Our default."""
