"""Shares of the spectrum and repeats of maps, against closed forms and slow re-implementations."""

import math

import pytest
import torch

from retinoscope.image.samples import sample_images
from retinoscope.image.spectrum import autocorrelation, high_frequency_share, mirrored, periodicity
from tests.samples import photos


def wave(cycles_y: int, cycles_x: int, size: int = 48) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return torch.cos(2 * math.pi * (cycles_y * y + cycles_x * x) / size).expand(1, 3, -1, -1) / 2 + 0.5


@pytest.mark.parametrize(("cycles", "share"), [((6, 0), 0), ((0, 7), 1), ((4, 4), 0), ((5, 5), 1), ((24, 24), 1)])
def test_a_wave_is_above_or_below_a_quarter_of_nyquist(cycles: tuple[int, int], share: float) -> None:
    """48 pixels: 6 cycles are exactly 0.125 per pixel, which is not above; (5, 5) is 7.07 cycles, (4, 4) 5.66."""
    assert high_frequency_share(wave(*cycles)).item() == pytest.approx(share, abs=1e-6)


def test_powers_add() -> None:
    mixed = 0.5 * wave(2, 3) + 0.25 * wave(12, 0)
    assert high_frequency_share(mixed).item() == pytest.approx(0.25**2 / (0.25**2 + 0.5**2), abs=1e-6)


def test_flat_images_have_no_share_and_white_noise_nearly_all() -> None:
    noise = torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    assert high_frequency_share(torch.full((1, 3, 32, 32), 0.3)).tolist() == [0.0]
    assert high_frequency_share(noise) == pytest.approx(1 - math.pi / 64, abs=0.01)
    assert high_frequency_share(sample_images((128, 128), 4)).max() < 0.25


@pytest.mark.parametrize("size", [(12, 16), (15, 12), (16, 13), (9, 11)])
def test_share_equals_a_sum_over_the_full_plane(size: tuple[int, int]) -> None:
    images = photos(2, 16)[..., : size[0], : size[1]].double()
    power = torch.fft.fft2(images).abs().square()
    low = total = torch.zeros(2, dtype=torch.float64)
    for u in range(size[0]):
        for v in range(size[1]):
            if u or v:
                fy, fx = min(u, size[0] - u) / size[0], min(v, size[1] - v) / size[1]
                total = total + power[:, :, u, v].sum(1)
                low = low + power[:, :, u, v].sum(1) * (math.hypot(fy, fx) <= 0.125)
    assert torch.allclose(high_frequency_share(images), 1 - low / total, atol=1e-12)


def test_mirrored_columns_make_up_the_full_width() -> None:
    assert [mirrored(width).sum().item() for width in (1, 2, 7, 8)] == [1, 2, 7, 8]


def test_autocorrelation_equals_a_slow_sum() -> None:
    maps = photos(1, 9)[:, 0]
    centred = maps[0] - maps[0].mean()
    power = sum(float(v) ** 2 for v in centred.flatten()) / 81
    for lag in (1, 2, 3):
        down = [float(centred[y, x] * centred[y + lag, x]) for y in range(9 - lag) for x in range(9)]
        across = [float(centred[y, x] * centred[y, x + lag]) for y in range(9) for x in range(9 - lag)]
        expected = (sum(down) / len(down) + sum(across) / len(across)) / 2 / power
        assert autocorrelation(maps, lag).item() == pytest.approx(expected, abs=1e-5)


def test_a_grid_repeats_after_its_period_alone() -> None:
    grid = torch.zeros(1, 48, 48)
    grid[:, ::4, ::4] = 1
    found = {period: periodicity(grid, period).item() for period in (2, 3, 4, 5)}
    assert found[4] > 0.9
    assert max(value for period, value in found.items() if period != 4) < 0.05
    assert periodicity(torch.ones(1, 16, 16), 2).item() == 0
