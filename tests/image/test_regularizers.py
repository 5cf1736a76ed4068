"""Closed forms of the regularizers, slow re-implementations of the filters."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from retinoscope.image import regularizers
from retinoscope.image.regularizers import (
    alpha_norm,
    bilateral,
    blur_cost,
    blurred,
    boundary_complexity,
    denoised,
    gaussian,
    l1,
    l2,
    mirrored,
    normalized_pyramid,
    total_variation,
    total_variation_power,
)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def step_edge(height: int, width: int, low: float, high: float) -> Tensor:
    image = torch.full((1, 1, height, width), low, dtype=torch.float64)
    image[..., width // 2 :] = high
    return image


def gradient_of(cost: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    leaf = images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(cost(leaf).sum(), leaf)
    return slope


def numeric_gradient(cost: Callable[[Tensor], Tensor], images: Tensor, places: int = 12) -> list[tuple[int, float]]:
    """Central differences at some places of the flattened batch."""
    found = []
    for place in range(0, images.numel(), max(1, images.numel() // places)):
        up, down = images.flatten().clone(), images.flatten().clone()
        up[place] += 1e-6
        down[place] -= 1e-6
        found.append((place, float((cost(up.view_as(images)) - cost(down.view_as(images))).sum() / 2e-6)))
    return found


def test_total_variation_of_a_step_and_of_a_checkerboard() -> None:
    h, w, c = 7, 10, 0.3
    assert total_variation(step_edge(h, w, 0.1, 0.1 + c)).item() == pytest.approx(h * c)
    board = ((torch.arange(h)[:, None] + torch.arange(w)) % 2).double()[None, None]
    assert total_variation(board).item() == h * (w - 1) + w * (h - 1)
    assert total_variation(torch.full((2, 3, h, w), 0.4)).tolist() == [0, 0]


@pytest.mark.parametrize("cost", [total_variation, l1, l2, alpha_norm, blur_cost, boundary_complexity])
def test_costs_are_per_image(cost: Callable[[Tensor], Tensor]) -> None:
    images = noise(3, 3, 48, 48)
    apart = torch.cat([cost(images[i : i + 1]) for i in range(3)])
    assert torch.allclose(cost(images), apart, rtol=1e-12)
    slope = gradient_of(lambda x: cost(x)[:1], images)
    assert slope[0].abs().max() > 0
    assert slope[1:].abs().max() == 0


def test_total_variation_power_of_a_ramp() -> None:
    h, w, c = 6, 9, 0.07
    ramp = (c * torch.arange(w, dtype=torch.float64)).expand(1, 1, h, w)
    assert total_variation_power(ramp, 2.0).item() == pytest.approx(h * (w - 1) * c**2)
    assert total_variation_power(ramp, 1.0).item() == pytest.approx(h * (w - 1) * c)


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0, 3.0])
def test_gradients_of_total_variation_power_equal_finite_differences(power: float) -> None:
    images = noise(1, 2, 5, 6)
    slope = gradient_of(lambda x: total_variation_power(x, power), images).flatten()
    for place, expected in numeric_gradient(lambda x: total_variation_power(x, power), images):
        assert slope[place].item() == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_a_flat_image_has_no_gradient_of_variation() -> None:
    flat = torch.full((1, 3, 4, 4), 0.5)
    for power in (1.0, 1.5, 2.0):
        assert gradient_of(lambda x, p=power: total_variation_power(x, p), flat).abs().max() == 0  # type: ignore[misc]


@pytest.mark.parametrize("power", [1.5, 2.0, 6.0])
def test_alpha_norm_and_its_gradient(power: float) -> None:
    images = noise(1, 1, 3, 4)
    assert alpha_norm(images, power).item() == pytest.approx(
        sum(abs(float(x) - 0.5) ** power for x in images.flatten())
    )
    slope = gradient_of(lambda x: alpha_norm(x, power), images).flatten()
    for place, expected in numeric_gradient(lambda x: alpha_norm(x, power), images):
        assert slope[place].item() == pytest.approx(expected, rel=1e-4, abs=1e-8)


def test_gradients_of_l1_are_signs_and_l2_is_a_norm() -> None:
    images = noise(2, 3, 4, 4)
    assert torch.equal(gradient_of(lambda x: l1(x, 0.5), images), (images - 0.5).sign())
    assert torch.allclose(l2(images, 0.2, 0.0), (images - 0.2).flatten(1).norm(dim=1))


def slow_blur(image: np.ndarray, width: int) -> np.ndarray:
    """The weighted mean of what of a square lies inside the image."""
    reach = width // 2
    out = np.zeros_like(image)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            total = weight = 0.0
            for dy in range(-reach, reach + 1):
                for dx in range(-reach, reach + 1):
                    if 0 <= y + dy < image.shape[0] and 0 <= x + dx < image.shape[1]:
                        share = 0.5 if reach in (abs(dy), abs(dx)) else 1.0
                        total, weight = total + share * image[y + dy, x + dx], weight + share
            out[y, x] = total / weight
    return out


@pytest.mark.parametrize("width", [3, 5])
def test_the_small_blur_is_lucids(width: int) -> None:
    images = noise(2, 3, 7, 8)
    expected = np.stack([[slow_blur(plane, width) for plane in image] for image in images.numpy()])
    assert np.abs(blurred(images, width).numpy() - expected).max() < 1e-12


def test_a_step_down_the_blur_cost_is_a_blur() -> None:
    images, k = noise(1, 3, 9, 9), 0.3
    moved = images - k * gradient_of(blur_cost, images)
    assert (moved - ((1 - k) * images + k * blurred(images))).abs().max() < 1e-14
    assert blur_cost(torch.full((1, 3, 9, 9), 0.3)).item() == pytest.approx(0, abs=1e-12)


def test_boundary_complexity_looks_at_the_border_alone() -> None:
    images, width = noise(1, 1, 12, 15), 3
    image = images[0, 0].numpy()
    costs = (slow_blur(image, 5) - image) ** 2 + 0.8 * (image - 0.5) ** 2
    costs[width:-width, width:-width] = 0
    assert boundary_complexity(images, width).item() == pytest.approx(costs.sum())
    assert boundary_complexity(torch.full((1, 3, 12, 15), 0.5), width).item() == pytest.approx(0, abs=1e-10)
    everything = boundary_complexity(images, 40).item()
    assert everything == pytest.approx(boundary_complexity(images, 8).item()), "no inside left"
    slope = gradient_of(lambda x: boundary_complexity(x, width), images)[0, 0]
    assert slope[width + 2 : -width - 2, width + 2 : -width - 2].abs().max() == 0


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.0, 4.0])
def test_the_gaussian_is_scipys(sigma: float) -> None:
    images = noise(2, 3, 10, 13)
    expected = gaussian_filter(images.numpy(), (0, 0, sigma, sigma))
    assert np.abs(gaussian(images, sigma).numpy() - expected).max() < 1e-10


def test_a_mirror_wider_than_the_image_goes_back_and_forth() -> None:
    assert mirrored(torch.arange(3.0).view(1, 1, 1, 3), 4)[0, 0, 0].tolist() == [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]


def slow_bilateral(image: np.ndarray, space: float, tone: float, reach: int) -> np.ndarray:
    """Pixel by pixel, on an image (c, h, w) mirrored by hand."""
    around = np.pad(image, ((0, 0), (reach, reach), (reach, reach)), mode="symmetric")
    out = np.zeros_like(image)
    for y in range(image.shape[1]):
        for x in range(image.shape[2]):
            near = around[:, y : y + 2 * reach + 1, x : x + 2 * reach + 1]
            dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
            apart = ((near - image[:, y : y + 1, x : x + 1]) ** 2).sum(0)
            share = np.exp(-(dy**2 + dx**2) / (2 * space**2) - apart / (2 * tone**2))
            out[:, y, x] = (near * share).sum((1, 2)) / share.sum()
    return out


def test_the_bilateral_filter_equals_the_slow_one() -> None:
    images = noise(2, 3, 8, 9)
    expected = np.stack([slow_bilateral(image, 1.5, 0.3, 3) for image in images.numpy()])
    assert np.abs(bilateral(images, 1.5, 0.3).numpy() - expected).max() < 1e-12


def test_the_bilateral_filter_keeps_edges_and_becomes_a_gaussian() -> None:
    assert torch.allclose(bilateral(torch.full((1, 3, 8, 8), 0.3), 2.0, 0.1), torch.full((1, 3, 8, 8), 0.3))
    edge = step_edge(12, 12, 0.2, 0.8)
    kept, lost = bilateral(edge, 2.0, 0.05), gaussian(edge, 2.0, truncate=2.0)
    height = 0.6
    assert (kept - edge).abs().max() < 0.01 * height
    assert (lost - edge)[..., 5:7].abs().min() > 0.2 * height
    images = noise(1, 3, 10, 10)
    assert (bilateral(images, 1.5, 1e6) - gaussian(images, 1.5, truncate=2.0)).abs().max() < 1e-5


def test_denoising_a_step_moves_its_sides_together() -> None:
    # One side is w / 2 wide: the least of |u - x|^2 / 2 + s TV(u) is a step whose sides have moved by s / (w / 2).
    edge, strength = step_edge(6, 16, 0.2, 0.8), 0.4
    expected = step_edge(6, 16, 0.2 + strength / 8, 0.8 - strength / 8)
    assert (denoised(edge, strength, 2000) - expected).abs().max() < 2e-3
    assert torch.equal(denoised(edge, 0.0), edge)


def test_denoising_lowers_its_energy_and_keeps_the_mean() -> None:
    images, strength = noise(2, 3, 12, 14), 0.1

    def energy(u: Tensor) -> float:
        return float(0.5 * (u - images).square().sum() + strength * total_variation_power(u, 1.0).sum())

    energies = [energy(denoised(images, strength, n)) for n in (1, 5, 30, 300)]
    assert energies == sorted(energies, reverse=True)
    assert energies[2] - energies[3] < 0.01 * energies[3], "30 iterations come near"
    best = denoised(images, strength, 300)
    assert energies[3] <= min(energy(best + 0.01 * (noise(2, 3, 12, 14, seed=s) - 0.5)) for s in range(5))
    assert torch.allclose(best.mean((2, 3)), images.mean((2, 3)), atol=1e-12)


def test_a_normalized_pyramid_has_no_scale_and_keeps_zero() -> None:
    gradients = noise(2, 3, 24, 20) - 0.5
    scaled = normalized_pyramid(torch.stack([gradients[0], 1e-4 * gradients[0]]))
    assert torch.allclose(scaled[0], scaled[1], atol=1e-9)
    assert normalized_pyramid(torch.zeros(1, 3, 24, 20)).abs().max() == 0
    assert torch.allclose(normalized_pyramid(gradients)[1:], normalized_pyramid(gradients[1:]))
    alone = normalized_pyramid(gradients, levels=0)
    assert torch.allclose(alone.square().mean((1, 2, 3)), torch.ones(2, dtype=torch.float64))


def test_every_cost_is_zero_on_its_best_picture() -> None:
    grey = torch.full((1, 3, 50, 50), 0.5)
    for cost in (total_variation, l1, alpha_norm, blur_cost, boundary_complexity):
        assert cost(grey).item() == pytest.approx(0, abs=1e-9), cost.__name__
    assert regularizers.l2(grey).item() == pytest.approx(1e-3)
