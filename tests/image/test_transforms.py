"""Views are what they say: identity at zero, exact crops, true turns, the published frequencies of draws."""

from collections.abc import Callable

import pytest
import torch

from retinoscope.image.regularizers import gaussian, normalized_pyramid
from retinoscope.image.transforms import (
    ARTICLE,
    LUCID,
    SAMPLE,
    BlurGradient,
    CentreBias,
    Jitter,
    Margin,
    NormalizeGradient,
    Pad,
    Resize,
    Transform,
    Views,
    Warp,
    apply,
    resample,
)
from retinoscope.tensor.random import Draws


def images(count: int = 3, height: int = 21, width: int = 21) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def draws(count: int = 3, seed: int = 0) -> Draws:
    return Draws(seed, [str(i) for i in range(count)])


def test_zero_magnitudes_change_nothing_at_all() -> None:
    x = images()
    assert torch.equal(apply((Pad(0), Jitter(0), Warp(), Resize(21, 21)), x, draws()), x)


def test_an_unturned_whole_view_is_the_image() -> None:
    x = images()
    assert (Views(sides=(1, 1), angle=0)(x, draws()) - x).abs().max() < 1e-5


def test_jitter_is_exactly_some_crop_and_every_item_has_its_own() -> None:
    x = images(8)
    out = Jitter(6)(x, draws(8))
    assert out.shape == (8, 3, 15, 15)
    found = []
    for image, crop in zip(x, out, strict=True):
        places = [(i, j) for i in range(7) for j in range(7) if torch.equal(image[:, i : i + 15, j : j + 15], crop)]
        assert len(places) == 1
        found += places
    assert len(set(found)) > 3


def test_jitter_reaches_both_ends() -> None:
    ramp = torch.arange(5.0).expand(1, 3, 5, 5) / 5
    d = draws(1)
    seen = {round(float(Jitter(4)(ramp, d)[0, 0, 0, 0]) * 5) for _ in range(200)}
    assert seen == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(("height", "width"), [(21, 21), (15, 15)])
def test_turning_by_ninety_degrees_is_rot90(height: int, width: int) -> None:
    x = images(1, height, width)
    assert (Warp(angles=(90.0,))(x, draws(1)) - torch.rot90(x, 1, (2, 3))).abs().max() < 1e-5


def test_turning_keeps_shapes_of_images_that_are_not_square() -> None:
    # A disc stays a disc: second moments along both axes stay equal after the turn.
    y, x = torch.meshgrid(torch.arange(40.0) - 19.5, torch.arange(80.0) - 39.5, indexing="ij")
    disc = ((y**2 + x**2) < 100).float().expand(1, 3, 40, 80)
    turned = Warp(angles=(30.0,))(disc * 0.5 + 0.5, draws(1))[0, 0] - 0.5
    spread_y, spread_x = (turned * y**2).sum() / turned.sum(), (turned * x**2).sum() / turned.sum()
    assert float(spread_y / spread_x) == pytest.approx(1, abs=0.02)


def test_scaling_zooms_about_the_centre() -> None:
    ramp = torch.linspace(-1, 1, 41).expand(1, 3, 41, 41)
    zoomed = resample(ramp, torch.zeros(1), torch.tensor([0.5]), torch.zeros(1, 2), (41, 41))
    assert (zoomed - ramp * 0.5).abs()[..., 1:-1].max() < 1e-5


def test_same_seed_same_views_and_items_are_independent() -> None:
    x = images(4)
    for transforms in (LUCID, ARTICLE, (Views(),)):
        first, second = apply(transforms, x, draws(4)), apply(transforms, x, draws(4))
        assert torch.equal(first, second)
        alone = apply(transforms, x[2:3], Draws(0, ["2"]))
        assert (first[2:3] - alone).abs().max() < 1e-6


def test_lucids_views_have_lucids_size() -> None:
    assert apply(LUCID, images(1, 128, 128), draws(1)).shape[2:] == (140, 140)  # 128 + 24 - 8 - 4


def test_draws_have_lucids_frequencies() -> None:
    warp = LUCID[2]
    assert isinstance(warp, Warp)
    picks = draws(2000)
    scales = torch.bincount(picks.integers(len(warp.scales)), minlength=11) / 2000
    assert (scales - 1 / 11).abs().max() < 0.03
    angles = torch.tensor(warp.angles)[picks.integers(len(warp.angles))]
    assert abs(float((angles == 0).float().mean()) - 6 / 26) < 0.03
    assert warp.scales == pytest.approx([0.9 + 0.02 * i for i in range(11)])


def test_a_warp_takes_each_scale_and_angle_as_often_as_it_lists_it() -> None:
    """Read off the pictures: a tent of light about the centre, with an axis, tells its scale and its turn."""
    warp, count, side = LUCID[2], 2000, 33
    assert isinstance(warp, Warp)
    y, x = torch.meshgrid(torch.arange(side) - side // 2, torch.arange(side) - side // 2, indexing="ij")
    blob = torch.exp(-(x**2 / 18 + y**2 / 6).float())
    seen = warp((0.5 + blob).expand(count, 3, -1, -1), draws(count))[:, 0] - 0.5
    total = seen.sum((1, 2))
    xx, yy, xy = ((seen * part).sum((1, 2)) / total for part in (x * x, y * y, x * y))
    turned = torch.rad2deg(torch.atan2(2 * xy, xx - yy) / 2)
    assert abs(float((turned.abs() < 0.4).float().mean()) - 6 / 26) < 0.03
    assert turned.round().unique().tolist() == list(range(-10, 11))
    size = (xx + yy).sqrt()
    place = torch.bucketize(size / size.min() * 0.9, torch.tensor(warp.scales[1:]) - 0.01)
    assert (torch.bincount(place, minlength=11) / count - 1 / 11).abs().max() < 0.03


def test_views_stay_inside_the_canvas_and_reach_its_border() -> None:
    ones = torch.ones(500, 3, 32, 32)
    assert Views(angle=45)(ones, draws(500)).min() > 0.999, "nothing but the canvas is ever read"
    views = Views(angle=0)
    border = torch.zeros(500, 3, 32, 32)
    border[..., 0] = 1
    seen = (views(border, draws(500)).amax((1, 2, 3)) > 0.4).float().mean()
    assert seen > 0.25


def test_gradients_flow_as_finite_differences() -> None:
    x = images(1).double().requires_grad_()
    transforms = (Pad(2), Jitter(2), Warp((1.1,), (7.0,)), Views())
    weights = torch.rand(1, 3, 23, 23, dtype=torch.float64, generator=torch.Generator().manual_seed(5))

    def value(image: torch.Tensor) -> torch.Tensor:
        return (apply(transforms, image, draws(1)) * weights).sum()

    value(x).backward()
    assert x.grad is not None
    step = torch.zeros_like(x)
    step[0, 1, 10, 11] = 1e-4
    with torch.no_grad():
        numeric = (value(x + step) - value(x - step)).item() / 2e-4
    assert x.grad[0, 1, 10, 11].item() == pytest.approx(numeric, rel=1e-6)


def test_centre_bias_crops_near_the_middle() -> None:
    x = images(1, 60, 60)
    room, found = 10, []
    d = draws(1)
    for _ in range(400):
        crop = CentreBias(50 / 60, 0.1)(x, d)
        assert crop.shape == (1, 3, 50, 50)
        found += [(i, j) for i in range(11) for j in range(11) if torch.equal(x[..., i : i + 50, j : j + 50], crop)]
    places = torch.tensor(found).double()
    assert len(found) == 400
    # A window of 0.1 is a deviation of a tenth of the room; rounding down adds one twelfth and takes one half.
    assert places.std(0).tolist() == pytest.approx([(0.1**2 * room**2 + 1 / 12) ** 0.5] * 2, rel=0.15)
    assert places.mean(0).tolist() == pytest.approx([room / 2 - 0.5] * 2, abs=0.2)


def test_a_margin_has_no_gradient_and_changes_no_value() -> None:
    x = images(2).requires_grad_()
    out = Margin(4)(x, draws(2))
    assert torch.equal(out, x)
    out.square().sum().backward()
    assert x.grad is not None
    inside = x.grad[:, :, 4:-4, 4:-4]
    assert torch.equal(inside, 2 * x.detach()[:, :, 4:-4, 4:-4])
    assert x.grad.abs().sum() == inside.abs().sum()
    assert torch.equal(Margin(0)(x, draws(2)), x)


@pytest.mark.parametrize(
    ("transform", "change"),
    [(BlurGradient(1.5), lambda g: gaussian(g, 1.5)), (NormalizeGradient(3), lambda g: normalized_pyramid(g, 3))],
)
def test_preconditioners_change_the_gradient_alone(transform: Transform, change: Callable[..., torch.Tensor]) -> None:
    x, weights = images(2).requires_grad_(), images(2) - 0.5
    out = transform(x, draws(2))
    assert torch.equal(out, x)
    (out * weights).sum().backward()
    assert x.grad is not None
    assert torch.allclose(x.grad, change(weights), atol=1e-6)
    x.grad = None
    (transform(x, draws(2)) * 0).sum().backward()
    assert x.grad.abs().max() == 0, "no gradient, no move: the stationary points are the same"
    assert torch.equal(transform(x.detach(), draws(2)), x), "and a picture without gradients passes"


def test_the_sample_of_the_articles_notebook_has_its_scales_and_angles() -> None:
    warp = SAMPLE[2]
    assert isinstance(warp, Warp)
    assert len(warp.scales) == 21
    assert (min(warp.scales), max(warp.scales)) == pytest.approx((1 / 1.1, 1.1))
    assert warp.angles == tuple(map(float, range(-5, 6)))
    assert apply(SAMPLE, images(2), draws(2)).shape == (2, 3, 24, 24)
