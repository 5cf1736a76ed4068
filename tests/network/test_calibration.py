"""Calibration: what batch norms remember and what answers betray, against slow or closed forms."""

import math

import pytest
import torch
from torch import nn

from retinoscope.network.calibration import RANGES, drift, told_apart, trained, under
from retinoscope.network.model import Model
from retinoscope.network.wrap import wrap
from tests.samples import photos


class Normed(nn.Module):
    """A convolution, a batch norm whose statistics are those of `images`, and a second, untrained one."""

    def __init__(self, images: torch.Tensor) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.norm = nn.BatchNorm2d(6, momentum=None)
        self.act = nn.ReLU()
        self.last = nn.Conv2d(6, 4, 3)
        self.norm(self.conv(images))
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, 3, h, w) to (b, 4, h - 4, w - 4)."""
        return self.last(self.act(self.norm(self.conv(x))))


def test_no_drift_on_what_was_seen_in_training() -> None:
    images = photos(6, 24)
    model = wrap(Normed(images), input_size=24)
    seen = drift(model, images)
    assert seen is not None
    assert seen.shift == pytest.approx(0, abs=1e-4)
    assert seen.spread == pytest.approx(1, abs=1e-3)


def test_drift_is_the_median_over_channels_of_the_norms_input() -> None:
    model = wrap(Normed(photos(6, 24)), input_size=24, mean=0.2, std=0.5)
    others = photos(3, 24, seed=4)
    module = model.module
    assert isinstance(module, Normed)
    maps = module.conv((others - 0.2) / 0.5).detach()
    shifts, spreads = [], []
    for channel in range(6):
        values = maps[:, channel].flatten()
        deviation = math.sqrt(float(module.norm.running_var[channel]) + 1e-5)
        shifts.append(abs(float(values.mean()) - float(module.norm.running_mean[channel])) / deviation)
        spreads.append(float(values.std()) / deviation)
    seen = drift(model, others)
    assert seen is not None
    assert seen.shift == pytest.approx(
        sorted(shifts)[2], rel=1e-3
    )  # torch's median is the lower of the two middle ones
    assert seen.spread == pytest.approx(sorted(spreads)[2], rel=1e-3)


def test_untrained_norms_tell_nothing(tiny: Model) -> None:
    assert not trained(nn.BatchNorm2d(3))
    assert not trained(nn.BatchNorm2d(3, track_running_stats=False))
    assert trained(tiny.module.bn1)
    assert (
        drift(wrap(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval(), input_size=16), photos(2, 16)) is None
    )


class Classes(nn.Module):
    """Class k for images whose red is k / 10, as loud as asked; or by their left half alone."""

    def __init__(self, loud: float, left: bool = False) -> None:
        super().__init__()
        self.keep = nn.Identity()
        self.first = nn.Conv2d(3, 3, 1)
        self.loud, self.left = loud, left

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, 3, h, w) to logits (b, 8)."""
        self.first(x)
        half = x[..., : x.shape[3] // 2] if self.left else x
        return -self.loud * (half[:, :1].mean((2, 3)) * 10 - torch.arange(8.0)).square()


def levels(count: int) -> torch.Tensor:
    return torch.arange(count).view(-1, 1, 1, 1).expand(-1, 3, 16, 16) / 10


@pytest.mark.parametrize(("loud", "bits"), [(1e3, 3.0), (1e6, 3.0), (0.0, 0.0)])
def test_sure_and_different_answers_tell_photos_apart(loud: float, bits: float) -> None:
    assert told_apart(wrap(Classes(loud).eval(), input_size=16), levels(8)) == pytest.approx(bits, abs=1e-4)


def test_answers_that_are_all_alike_tell_nothing() -> None:
    assert told_apart(wrap(Classes(1e3).eval(), input_size=16), levels(1).expand(5, -1, -1, -1)) == 0


def test_answers_that_change_with_the_mirror_image_count_for_less() -> None:
    images = levels(8).clone()
    images[..., 8:] = images.flip(0)[..., 8:]  # the right half of image k is of class 7 - k
    told = told_apart(wrap(Classes(1e3, left=True).eval(), input_size=16), images)
    assert told == pytest.approx(2.0, abs=1e-4)  # eight classes, two answers each


def test_ranges_follow_the_networks_channels() -> None:
    mean, std = RANGES["ImageNet's mean and std"]
    module = nn.Sequential(nn.Conv2d(3, 2, 1)).eval()
    assert under(wrap(module, input_size=8), mean, std).mean == mean
    assert under(wrap(module, input_size=8, bgr=True), mean, std).mean == mean[::-1]
    grey = under(wrap(nn.Sequential(nn.Conv2d(1, 2, 1)).eval(), input_size=8, grey=True), mean, std)
    assert grey.mean == (sum(mean) / 3,)
