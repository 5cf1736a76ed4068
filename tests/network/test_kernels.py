"""First kernels: pictures by their definition; planted Gabor functions are found, noise is told apart."""

import math

import pytest
import torch
from torch import Tensor, nn

from retinoscope.base.errors import BadInputError, BadNetworkError
from retinoscope.network.kernels import Gabor, all_alike, each_alike, first_kernels, gabors, kernel_sheet
from retinoscope.network.model import Model
from retinoscope.network.wrap import wrap
from tests.samples import photos


def network(weight: Tensor, **kind: bool) -> Model:
    conv = nn.Conv2d(weight.shape[1], len(weight), tuple(weight.shape[2:]), bias=False)
    conv.weight.data.copy_(weight)
    return wrap(nn.Sequential(nn.Sequential(conv), nn.ReLU()), input_size=24, **kind)  # type: ignore[arg-type]


def planted(orientation: float, frequency: float, phase: float = 0.7, side: int = 11) -> tuple[Gabor, Tensor]:
    gabor = Gabor(
        orientation, frequency, phase, 0.8, (side / 2 - 0.3, side / 2 - 0.8), (side / 6, side / 5), (0.8, 0.6, 0.0), 1.0
    )
    return gabor, gabor.draw((side, side)).float()


def test_pictures_have_zero_at_mid_grey_and_the_largest_weight_at_an_end() -> None:
    kernels = torch.randn(5, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    kernels[0] *= 9
    kernels[1, :, 0, 0] = 0
    pictures = each_alike(kernels)
    assert torch.equal(pictures[1, :, 0, 0], torch.full((3,), 0.5))
    ends = torch.stack([pictures.amin((1, 2, 3)), 1 - pictures.amax((1, 2, 3))]).amin(0)
    assert torch.equal(ends, torch.zeros(5))
    assert torch.allclose(pictures, 0.5 + 0.5 * kernels / kernels.abs().amax((1, 2, 3), keepdim=True))
    assert torch.allclose(all_alike(kernels), 0.5 + 0.5 * kernels / kernels.abs().max())
    assert torch.equal(each_alike(torch.zeros(1, 3, 2, 2)), torch.full((1, 3, 2, 2), 0.5))


def test_channels_are_red_green_blue_whatever_the_network_takes() -> None:
    weight = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    plain, swapped = first_kernels(network(weight)), first_kernels(network(weight, bgr=True))
    assert torch.equal(plain, weight)
    assert torch.equal(swapped, weight.flip(1))
    assert torch.equal(each_alike(swapped)[:, 0], each_alike(plain)[:, 2])


def test_grey_kernels_are_grey_pictures() -> None:
    pictures = each_alike(first_kernels(network(torch.randn(2, 1, 5, 5), grey=True)))
    assert pictures.shape == (2, 3, 5, 5)
    assert torch.equal(pictures[:, 0], pictures[:, 2])


@pytest.mark.parametrize("orientation", [0.0, 20, 45, 77, 90, 120, 165])
@pytest.mark.parametrize("frequency", [0.12, 0.25])
def test_planted_gabors_are_found(orientation: float, frequency: float) -> None:
    truth, kernel = planted(orientation, frequency)
    (found,) = gabors(kernel[None])
    turned = abs((found.orientation - orientation + 90) % 180 - 90)
    assert turned < 0.5
    assert math.isclose(found.frequency, frequency, abs_tol=0.003)
    assert found.quality > 0.999
    assert torch.allclose(found.draw((11, 11)).float(), kernel, atol=0.02)
    assert torch.allclose(torch.tensor(found.color), torch.tensor(truth.color), atol=1e-3)


def test_orientation_is_the_spectrums() -> None:
    """The peak of the padded spectrum lies within 5 degrees of the fit."""
    for orientation in (10.0, 60, 110, 150):
        _, kernel = planted(orientation, 0.25)
        (found,) = gabors(kernel[None])
        power = torch.fft.fft2(kernel.sum(0).double(), (256, 256)).abs()
        power[128:] = 0
        y, x = divmod(int(power.argmax()), 256)
        peak = math.degrees(math.atan2(y, x if x < 128 else x - 256)) % 180
        assert abs((peak - found.orientation + 90) % 180 - 90) < 5


def test_phase_is_that_at_the_center() -> None:
    _, kernel = planted(30, 0.2, phase=0.0)
    for sign, phase in ((1, 0.0), (-1, math.pi)):
        (found,) = gabors(sign * kernel[None])
        same = [(found.phase, found.color[0]), (found.phase + math.pi, -found.color[0])]
        assert any(abs(math.remainder(p - phase, 2 * math.pi)) < 0.15 and c > 0 for p, c in same) or sign < 0


def test_noise_fits_worse_than_gabors_and_quality_is_explained_energy() -> None:
    noise = torch.randn(4, 3, 11, 11, generator=torch.Generator().manual_seed(2))
    for kernel, found in zip(noise, gabors(noise), strict=True):
        left = (kernel - found.draw((11, 11)).float()).square().sum() / kernel.square().sum()
        assert math.isclose(found.quality, 1 - float(left), abs_tol=1e-4)
        assert found.quality < 0.4


def test_small_kernels_are_not_fitted() -> None:
    with pytest.raises(BadInputError, match="3 x 3 pixels are too small"):
        gabors(torch.randn(2, 3, 3, 3))


def test_sheets() -> None:
    small = kernel_sheet(network(torch.randn(5, 3, 3, 3)), columns=3)
    large = kernel_sheet(network(torch.stack([planted(a, 0.2, side=7)[1] for a in (0, 60, 100)])), columns=3)
    assert small.width > 200
    assert large.height > 100


def test_networks_without_such_kernels() -> None:
    with pytest.raises(BadNetworkError, match="no convolution"):
        first_kernels(wrap(nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 4)), input_size=8))

    class Split(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x.mean(1, keepdim=True))

    with pytest.raises(BadNetworkError, match="does not see the image's own channels"):
        first_kernels(wrap(Split(), input_size=8))


def test_the_networks_own_weights_stay() -> None:
    model = network(torch.randn(2, 3, 5, 5))
    before = model(photos(1, 24))
    first_kernels(model).zero_()
    assert torch.equal(model(photos(1, 24)), before)
