"""Regularizers: what makes a picture look unnatural, as numbers per image; and filters that take it out.

The costs are positive and per image, (b, c, h, w) to (b,), sums over channels and pixels. `synthesize/penalties.py`
makes objectives of them; `image/corrections.py` applies the filters.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from retinoscope.image.pyramid import stretch
from retinoscope.tensor.axes import Maps, Scores

FLAT = 1e-30
"""Squared steps below this count as none: a power below one has no slope there."""


def total_variation(images: Maps) -> Scores:
    """Sum of |down| + |right| differences between neighbours: anisotropic, as `tf.image.total_variation`."""
    down, right = images.diff(dim=2), images.diff(dim=3)
    return down.abs().flatten(1).sum(1) + right.abs().flatten(1).sum(1)


def total_variation_power(images: Maps, power: float) -> Scores:
    """Sum of (down^2 + right^2) ** (power / 2), `power` being the paper's beta; isotropic [mahendran2015].

    Power 1 leaves spikes, power 2 blurs. The last row and column are repeated beyond the border, and add nothing.
    """
    squares = F.pad(images.diff(dim=2).square(), (0, 0, 0, 1)) + F.pad(images.diff(dim=3).square(), (0, 1))
    # Clamped, a flat place gives no gradient, where a power below one has none that is finite.
    return squares.clamp(min=FLAT).pow(power / 2).flatten(1).sum(1)


def l1(images: Maps, constant: float = 0.5) -> Scores:
    """Sum of |x - constant|: pulls pixels to grey, most of them all the way."""
    return (images - constant).abs().flatten(1).sum(1)


def l2(images: Maps, constant: float = 0.5, epsilon: float = 1e-6) -> Scores:
    """sqrt(epsilon + sum of (x - constant)^2), Lucid's form, with its epsilon."""
    return (epsilon + (images - constant).square().flatten(1).sum(1)).sqrt()


def alpha_norm(images: Maps, power: float = 6.0, constant: float = 0.5) -> Scores:
    """Sum of |x - constant| ** power: 6 bounds the range [mahendran2015], 2 is an L2 decay [simonyan2014]."""
    return (images - constant).abs().pow(power).flatten(1).sum(1)


def blurred(images: Maps, width: int = 3) -> Maps:
    """Lucid's small blur: a square of ones with a rim of halves, `width` wide, over its weight inside the image."""
    kernel = images.new_full((1, 1, width, width), 0.5)
    kernel[..., 1:-1, 1:-1] = 1.0
    planes, ones = images.flatten(0, 1)[:, None], torch.ones_like(images[:1, :1])
    weighted = F.conv2d(planes, kernel, padding=width // 2) / F.conv2d(ones, kernel, padding=width // 2)
    return weighted.view_as(images)


def blur_cost(images: Maps) -> Scores:
    """Half the squared distance to the image's own blur, held fixed: a step of k down it is x + k (blur(x) - x)."""
    return 0.5 * (images - blurred(images).detach()).square().flatten(1).sum(1)


def boundary_complexity(images: Maps, width: int = 20, color: float = 0.5) -> Scores:
    """Detail and colour in a border of `width` pixels: (blur5(x) - x)^2 + 0.8 (x - color)^2, summed, as Lucid's.

    An image narrower than two borders is all border.
    """
    costs = (blurred(images, 5) - images).square() + 0.8 * (images - color).square()
    height, across = images.shape[2:]
    inside = costs[:, :, width : max(width, height - width), width : max(width, across - width)]
    return costs.flatten(1).sum(1) - inside.flatten(1).sum(1)


def gaussian(images: Maps, sigma: float, truncate: float = 4.0) -> Maps:
    """Gaussian blur of standard deviation `sigma` pixels, cut off at `truncate` deviations, the image mirrored around.

    The same as `scipy.ndimage.gaussian_filter`, which the code of [yosinski2015] calls.
    """
    radius = int(truncate * sigma + 0.5)
    if not radius:
        return images
    places = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (places / sigma).square())
    weights = (kernel / kernel.sum()).to(images)
    planes = mirrored(images, radius).flatten(0, 1)[:, None]
    planes = F.conv2d(F.conv2d(planes, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))
    return planes.view_as(images)


def bilateral(images: Maps, space: float, tone: float, truncate: float = 2.0) -> Maps:
    """Bilateral filter: a blur that keeps edges [tomasi1998, tyka2016].

    Each pixel is the mean of its neighbours with weights exp(-d^2 / 2 space^2 - |colour difference|^2 / 2 tone^2),
    `space` in pixels, `tone` in the images' own unit over all channels; cut off at `truncate` x `space` pixels.
    """
    radius = int(truncate * space + 0.5)
    height, width = images.shape[2:]
    around = mirrored(images, radius)
    total, weight = torch.zeros_like(images), torch.zeros_like(images[:, :1])
    for y in range(-radius, radius + 1):
        for x in range(-radius, radius + 1):
            near = around[:, :, radius + y : radius + y + height, radius + x : radius + x + width]
            apart = (near - images).square().sum(1, keepdim=True) / (2 * tone**2)
            share = torch.exp(-apart - (y * y + x * x) / (2 * space**2))
            total, weight = total + share * near, weight + share
    return total / weight


def mirrored(images: Maps, border: int) -> Tensor:
    """Images with a `border` that mirrors them, the last pixel twice, any number of times over."""
    rows, columns = (_folded(n, border).to(images.device) for n in images.shape[2:])
    return images[:, :, rows][:, :, :, columns]


def _folded(length: int, border: int) -> Tensor:
    places = torch.arange(-border, length + border) % (2 * length)
    return torch.minimum(places, 2 * length - 1 - places)


def denoised(images: Maps, strength: float, iterations: int = 30) -> Maps:
    """Total-variation denoising: the u of least |u - x|^2 / 2 + strength * TV(u), isotropic, each channel alone.

    Chambolle's dual projection with Nesterov's momentum [rudin1992, chambolle2004]. Means of channels are kept.
    """
    if strength <= 0:
        return images
    field = images.new_zeros(2, *images.shape)
    ahead, momentum = field, 1.0
    for _ in range(iterations):
        slope = _gradient(images + strength * _divergence(ahead))
        # 1 / 8 is one over the largest eigenvalue of divergence and gradient in two dimensions.
        moved = ahead + slope / (8 * strength)
        new = moved / moved.norm(dim=0).clamp(min=1)
        following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + (momentum - 1) / following * (new - field)
        field, momentum = new, following
    return images + strength * _divergence(field)


def _gradient(images: Tensor) -> Tensor:
    """Differences to the next pixel down and right (2, b, c, h, w), zero at the last."""
    return torch.stack((F.pad(images.diff(dim=2), (0, 0, 0, 1)), F.pad(images.diff(dim=3), (0, 1))))


def _divergence(field: Tensor) -> Tensor:
    """The negative adjoint of `_gradient`."""
    down = F.pad(field[0][:, :, :-1], (0, 0, 1, 1)).diff(dim=2)
    right = F.pad(field[1][..., :-1], (1, 1)).diff(dim=3)
    return down + right


def normalized_pyramid(gradients: Maps, levels: int = 4) -> Maps:
    """A gradient whose Laplacian bands each have deviation one, per image: DeepDream's normalisation [mordvintsev2015].

    The residue below the coarsest band counts as a band. A zero gradient stays zero.
    """
    bands: list[Tensor] = []
    rest = gradients
    for _ in range(levels):
        low = F.avg_pool2d(gaussian(rest, 1.0), 2, ceil_mode=True) if min(rest.shape[2:]) > 1 else rest
        bands.append(rest - stretch(low, (rest.shape[2], rest.shape[3])))
        rest = low
    merged = _unit(rest)
    for band in reversed(bands):
        merged = stretch(merged, (band.shape[2], band.shape[3])) + _unit(band)
    return merged


def _unit(band: Tensor) -> Tensor:
    """A band over its root mean square, per image, with DeepDream's floor."""
    return band / band.square().flatten(1).mean(1).sqrt().clamp(min=1e-10).view(-1, 1, 1, 1)
