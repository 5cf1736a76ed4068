"""Corrections against their laws, and against the loops of their authors written out in NumPy."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from retinoscope.image.corrections import (
    Bilateral,
    Blur,
    ClipSmallAbsoluteBenefit,
    ClipSmallBenefit,
    ClipSmallNorms,
    ClipSmallValues,
    Decay,
    Denoise,
)
from retinoscope.image.regularizers import bilateral, denoised
from tests.samples import photos

IMAGES, GRADIENT = photos(2, 12), photos(2, 12, seed=1) - 0.5


def test_the_distance_to_grey_decays_as_a_power() -> None:
    images, rate = IMAGES, 0.3
    for index in range(5):
        images = Decay(rate)(images, GRADIENT, index)
    norms = (images - 0.5).flatten(1).norm(dim=1)
    assert torch.allclose(norms, (1 - rate) ** 5 * (IMAGES - 0.5).flatten(1).norm(dim=1), rtol=1e-5)
    assert torch.equal(Decay(0.0)(IMAGES, GRADIENT, 0), IMAGES)


def test_a_blur_comes_every_so_many_steps() -> None:
    expected = gaussian_filter(IMAGES.numpy(), (0, 0, 1, 1))
    for index in range(9):
        seen = Blur(1.0, every=4)(IMAGES, GRADIENT, index)
        if index % 4:
            assert torch.equal(seen, IMAGES)
        else:
            assert np.abs(seen.numpy() - expected).max() < 1e-5


def test_the_clips_are_those_of_the_tool() -> None:
    """Against its arithmetic on one image, minus its mean, with the gradient uphill."""
    for item in range(2):
        x, uphill = IMAGES[item].numpy().astype(float) - 0.5, -GRADIENT[item].numpy().astype(float)
        value = np.abs(x)
        norm = np.sqrt((x**2).sum(0, keepdims=True))
        benefit = (uphill * -x).sum(0, keepdims=True)
        for clip, measure in (
            (ClipSmallValues(40), value),
            (ClipSmallNorms(50), norm),
            (ClipSmallBenefit(30), benefit),
            (ClipSmallAbsoluteBenefit(90), np.abs(benefit)),
        ):
            expected = x * (measure >= np.percentile(measure, clip.percent))
            seen = clip(IMAGES, GRADIENT, 0)[item].numpy() - 0.5
            assert np.abs(seen - expected).max() < 1e-6, clip


def test_clipping_nothing_changes_nothing_and_shares_are_kept() -> None:
    for clip in (ClipSmallValues, ClipSmallNorms, ClipSmallBenefit, ClipSmallAbsoluteBenefit):
        assert torch.equal(clip(0)(IMAGES, GRADIENT, 0), IMAGES)
    grey = (ClipSmallNorms(25)(IMAGES, GRADIENT, 0) == 0.5).all(1).float().mean((1, 2))
    assert grey.tolist() == pytest.approx([0.25, 0.25])


def test_greying_what_has_least_absolute_benefit_costs_the_score_little() -> None:
    """On a linear score the guess is exact: the clipped pixels' share of it is the smallest there is."""
    uphill = -GRADIENT
    before = (uphill * IMAGES).flatten(1).sum(1)
    lost = (before - (uphill * ClipSmallAbsoluteBenefit(50)(IMAGES, GRADIENT, 0)).flatten(1).sum(1)).abs()
    rest = (before - (uphill * ClipSmallBenefit(50)(IMAGES, GRADIENT, 0)).flatten(1).sum(1)).abs()
    assert (lost < rest).all()


def test_filters_are_applied_each_time_or_every_so_many() -> None:
    assert torch.equal(Bilateral(1.0, 0.2, 2)(IMAGES, GRADIENT, 2), bilateral(IMAGES, 1.0, 0.2))
    assert torch.equal(Bilateral(1.0, 0.2, 2)(IMAGES, GRADIENT, 3), IMAGES)


def test_denoising_weights_go_from_first_to_last() -> None:
    denoise = Denoise(0.01, 2.0, 150)
    assert [denoise.strength(i) for i in (0, 75, 150, 200)] == pytest.approx(
        [1 / (510 * w) for w in (0.01, 1.005, 2.0, 2.0)]
    )
    assert torch.equal(denoise(IMAGES, GRADIENT, 3), denoised(IMAGES, denoise.strength(3), 20))
    # The weight is scikit-image's for pixels of 0 to 255: the same minimum, scaled.
    strength, weight = denoise.strength(0), 0.01
    u = denoised(IMAGES[:1].double(), strength, 500)
    bytes_ = denoised(255 * IMAGES[:1].double(), 1 / (2 * weight), 500)
    assert torch.allclose(255 * u, bytes_, atol=1e-6)


@pytest.mark.parametrize(
    "correction",
    [Decay(0.1), Blur(0.5), ClipSmallValues(30), ClipSmallNorms(30), ClipSmallBenefit(30), ClipSmallAbsoluteBenefit(30),
     Bilateral(), Denoise(0.1, 0.2, 9)],
)  # fmt: skip
def test_pictures_are_corrected_apart(correction: Decay) -> None:
    together = correction(IMAGES, GRADIENT, 0)
    alone = correction(IMAGES[1:], GRADIENT[1:], 0)
    assert torch.allclose(together[1:], alone, atol=1e-6)
