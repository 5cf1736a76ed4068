"""The kernels of a network's first convolution: as pictures, and as Gabor functions.

What looks at the pixels can be read as a picture itself [chu2017]; trained, many kernels are Gabor functions, waves
inside a bell.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import least_squares
from torch import Tensor, nn

from retinoscope.base.errors import BadInputError, BadNetworkError
from retinoscope.image.sheet import Cell, sheet
from retinoscope.network.model import Model

Kernels = Float[Tensor, "o i kh kw"]

SMALLEST = 5
"""Side of the smallest kernel that is fitted: a Gabor function has 8 numbers, 3 x 3 weights are 9."""


def first_kernels(model: Model) -> Kernels:
    """The weights of the first convolution in call order, input channels as red, green, blue.

    Networks that take BGR are reversed. Raises BadNetworkError where the first convolution does not see the image's own
    channels, or there is none.
    """
    for layer in model.layers.values():
        module = model.module.get_submodule(layer.module) if layer.module else None
        if isinstance(module, nn.Conv2d):
            weight = module.weight.detach().float().cpu().clone()
            if weight.shape[1] != (1 if model.grey else 3) or module.groups != 1:
                raise BadNetworkError(f"{layer.name}, the first convolution, does not see the image's own channels")
            return weight.flip(1) if model.bgr else weight
    raise BadNetworkError(f"{model.name} has no convolution whose kernels could be shown")


def each_alike(kernels: Kernels) -> Float[Tensor, "o 3 kh kw"]:
    """Pictures in [0, 1] with every kernel's own largest weight at 0 or 1, and zero in mid grey."""
    return _pictures(kernels, kernels.abs().amax((1, 2, 3), keepdim=True))


def all_alike(kernels: Kernels) -> Float[Tensor, "o 3 kh kw"]:
    """Pictures in [0, 1] on one scale, the largest weight of all at 0 or 1: weak kernels look weak."""
    return _pictures(kernels, kernels.abs().amax())


def _pictures(kernels: Kernels, largest: Tensor) -> Tensor:
    pictures = 0.5 + 0.5 * kernels / largest.clamp(min=torch.finfo(torch.float32).tiny)
    return pictures.expand(-1, 3, -1, -1) if kernels.shape[1] == 1 else pictures


def kernel_sheet(model: Model, columns: int = 12, side: int = 77) -> Image.Image:
    """The first convolution's kernels on one sheet, by channel; with their Gabor fits where they are large enough."""
    kernels = first_kernels(model)
    big = min(kernels.shape[2:]) >= SMALLEST
    fits = gabors(kernels) if big else [None] * len(kernels)
    side = max(1, round(side / kernels.shape[3])) * kernels.shape[3]  # whole pixels, repeated
    cells = [
        Cell(picture, str(place), _notes(fit))
        for place, (picture, fit) in enumerate(zip(each_alike(kernels), fits, strict=True))
    ]
    return sheet(cells, columns, side, f"{model.name}: {len(kernels)} kernels")


def _notes(fit: "Gabor | None") -> tuple[str, ...]:
    return () if fit is None else (f"{round(fit.orientation) % 180}°  {fit.frequency:.2f}", f"fit {fit.quality:.2f}")


@dataclass(frozen=True)
class Gabor:
    """A wave inside a bell, fitted to a kernel.

    `orientation` is the direction in which the wave runs, in degrees from the x axis towards the y axis (down), in
    [0, 180): 0 has upright stripes, 90 level ones. `frequency` is in cycles per pixel, `phase` in radians at the
    `center` (y, x), where 0 is a bright stripe; `sigma` are the bell's deviations along the wave and across it, in
    pixels. `color` (i,) of length 1 is the mixture of input channels, its largest part positive; `quality` the share of
    the kernel's energy, all colours, that the fit explains, at most 1.
    """

    orientation: float
    frequency: float
    phase: float
    amplitude: float
    center: tuple[float, float]
    sigma: tuple[float, float]
    color: tuple[float, ...]
    quality: float

    def draw(self, size: tuple[int, int]) -> Float[Tensor, "i kh kw"]:
        """The function on a grid of that size."""
        y, x = _grid(size)
        turn = math.radians(self.orientation)
        bell, along = _bell(y - self.center[0], x - self.center[1], turn, *self.sigma)
        flat = self.amplitude * bell * np.cos(2 * math.pi * self.frequency * along + self.phase)
        return torch.from_numpy(np.multiply.outer(np.array(self.color), flat))


def gabors(kernels: Kernels) -> list[Gabor]:
    """The Gabor function nearest to each kernel, by least squares.

    A kernel's colours are first reduced to the one mixture that holds most of its energy. The fit starts from the
    peak of the kernel's spectrum, and from its neighbours. Few weights are easy to fit: kernels of noise of 7 x 7
    pixels reach a quality too, which docs/kernels.md tells. Raises BadInputError for kernels under 5 x 5.
    """
    if min(kernels.shape[2:]) < SMALLEST:
        tall, wide = kernels.shape[2:]
        raise BadInputError(
            f"kernels of {tall} x {wide} pixels are too small for a Gabor fit of 8 numbers; least 5 x 5"
        )
    return [_fit(kernel.double().numpy()) for kernel in kernels]


Array = NDArray[np.float64]


def _fit(kernel: Array) -> Gabor:
    left, strengths, right = np.linalg.svd(kernel.reshape(len(kernel), -1), full_matrices=False)
    sign = np.sign(left[np.abs(left[:, 0]).argmax(), 0]) or 1.0
    color, flat = left[:, 0] * sign, (right[0] * sign * strengths[0]).reshape(kernel.shape[1:])
    starts = sorted(_starts(flat), key=lambda start: float(((_waves(start, flat)[2] - flat) ** 2).sum()))
    found = min((_descend(flat, start) for start in starts[:3]), key=lambda pair: pair[1])
    return _described(found[0], flat, color, float((kernel**2).sum()))


def _starts(flat: Array) -> list[Array]:
    """Center (y, x), wave (fy, fx) and log deviations (2): the spectrum's strongest waves, two bells each."""
    tall, wide = flat.shape
    size = 32
    power = np.abs(np.fft.fft2(flat, (size, size))) ** 2
    fy, fx = np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size), indexing="ij")
    half = (fy > 0) | ((fy == 0) & (fx >= 0))
    order = np.argsort(-np.where(half, power, -1).ravel())
    waves: list[Array] = []
    for place in order:
        wave = np.array([fy.ravel()[place], fx.ravel()[place]])
        if all(np.hypot(*(wave - other)) > 1.5 / max(tall, wide) for other in waves):
            waves.append(wave)
        if len(waves) == 3:
            break
    energy = flat**2 / max(float((flat**2).sum()), 1e-30)
    y, x = _grid(flat.shape)
    center = [float((energy * y).sum()), float((energy * x).sum())]
    return [np.array([*center, *wave, s, s]) for wave in waves for s in np.log([tall / 6, tall / 3])]


def _descend(flat: Array, start: Array) -> tuple[Array, float]:
    """The nearest minimum of the squared error, and the error; cosine and sine are always at their best."""
    tall, wide = flat.shape
    low = [-1.0, -1.0, -0.5, -0.5, math.log(0.5), math.log(0.5)]
    high = [float(tall), float(wide), 0.5, 0.5, math.log(2.0 * tall), math.log(2.0 * wide)]
    start = np.clip(start, np.array(low) + 1e-6, np.array(high) - 1e-6)
    found = least_squares(lambda p: (_waves(p, flat)[2] - flat).ravel(), start, bounds=(low, high), max_nfev=100)
    return found.x, float(found.cost)


def _waves(p: Array, flat: Array) -> tuple[float, float, Array]:
    """The best amounts of cosine and sine for these parameters, and the picture they make."""
    y, x = _grid(flat.shape)
    y, x = y - p[0], x - p[1]
    bell, _ = _bell(y, x, math.atan2(p[2], p[3]), *np.exp(p[4:]))
    angle = 2 * math.pi * (p[2] * y + p[3] * x)
    basis = np.stack([(bell * np.cos(angle)).ravel(), (bell * np.sin(angle)).ravel()], 1)
    amounts = np.linalg.lstsq(basis, flat.ravel(), rcond=1e-8)[0]
    return float(amounts[0]), float(amounts[1]), (basis @ amounts).reshape(flat.shape)


def _described(p: Array, flat: Array, color: Array, energy: float) -> Gabor:
    cosine, sine, picture = _waves(p, flat)
    turn = math.atan2(p[2], p[3])
    if turn < 0 or turn >= math.pi:  # the same wave run the other way
        turn, sine = turn % math.pi, -sine
    quality = 1 - (energy - float((flat**2).sum()) + float(((picture - flat) ** 2).sum())) / max(energy, 1e-30)
    along, across = (float(value) for value in np.exp(p[4:]))
    return Gabor(
        math.degrees(turn) % 180, math.hypot(p[2], p[3]), math.atan2(-sine, cosine), math.hypot(cosine, sine),
        (float(p[0]), float(p[1])), (along, across), tuple(float(part) for part in color), quality,
    )  # fmt: skip


def _bell(y: Array, x: Array, turn: float, along: float, across: float) -> tuple[Array, Array]:
    """A bell with deviations along and across the direction `turn`, and the distance along it."""
    u, v = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    return np.exp(-0.5 * ((u / along) ** 2 + (v / across) ** 2)), u


def _grid(size: Sequence[int]) -> tuple[Array, Array]:
    y, x = np.meshgrid(np.arange(size[0], dtype=float), np.arange(size[1], dtype=float), indexing="ij")
    return y, x
