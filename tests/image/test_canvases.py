"""Pyramid, CPPN, fixed magnitude, transparent and plain pixel canvases: closed forms, and items kept apart."""

import io
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from retinoscope.base.errors import BadInputError
from retinoscope.data.cuts import tiles
from retinoscope.data.files import sample_photos
from retinoscope.data.imageset import ImageSet
from retinoscope.image import color, spectrum
from retinoscope.image.canvas import Canvas, Fourier, Pixels
from retinoscope.image.codec import encode_png
from retinoscope.image.cppn import CPPN, composite, coordinates
from retinoscope.image.magnitude import FixedMagnitude, at_size, default_spectrum, mean_spectrum
from retinoscope.image.plain import Raw
from retinoscope.image.pyramid import Pyramid, compose, decompose, sides
from retinoscope.image.transparent import Transparent
from retinoscope.tensor.random import Draws
from tests.samples import photos

SIZES = [(16, 16), (33, 47), (17, 32)]
Maker = Callable[[int, tuple[int, int]], Canvas]


def clear_pixels(batch: int, size: tuple[int, int]) -> Canvas:
    return Transparent(Pixels(batch, size))


def clear_raw(batch: int, size: tuple[int, int]) -> Canvas:
    return Transparent(Raw(batch, size))


MAKERS: list[Maker] = [Pyramid, Raw, CPPN, FixedMagnitude, clear_pixels, clear_raw]
EXACT: list[Maker] = [Pyramid, Raw, clear_pixels, clear_raw]


@pytest.mark.parametrize("maker", EXACT)
@pytest.mark.parametrize("size", SIZES)
def test_a_painted_canvas_shows_the_images(maker: Maker, size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(3))
    canvas = maker(2, size)
    assert canvas.blank
    canvas.paint(images)
    assert not canvas.blank
    assert (canvas() - images).abs().max() < 1.1e-3


@pytest.mark.parametrize("maker", MAKERS)
def test_an_items_start_does_not_depend_on_the_batch(maker: Maker) -> None:
    many, one = maker(3, (32, 30)), maker(1, (32, 30))
    many.start(Draws(0, ["a", "b", "c"]))
    one.start(Draws(0, ["b"]))
    assert many().shape == (3, 3, 32, 30)
    assert torch.allclose(many()[1], one()[0], atol=1e-6)
    for ours, alone in zip(many.parameters(), one.parameters(), strict=True):
        assert torch.equal(ours[1], alone[0])
    assert not many.blank


@pytest.mark.parametrize("maker", MAKERS)
def test_an_items_gradient_stays_in_its_own_parameters(maker: Maker) -> None:
    canvas = maker(2, (16, 16))
    canvas.start(Draws(0, ["a", "b"]))
    canvas()[0].square().sum().backward()
    for parameter in canvas.parameters():
        if parameter.grad is not None:
            assert parameter.grad[1].abs().max() == 0
    assert any(p.grad is not None and p.grad[0].abs().max() > 0 for p in canvas.parameters())


def test_a_pyramid_is_the_sum_of_its_stretched_levels() -> None:
    canvas = Pyramid(1, (16, 24), levels=3)
    assert [tuple(level.shape[2:]) for level in canvas.levels] == [(16, 24), (8, 12), (4, 6)]
    canvas.levels[2].data[0, 0, 1, 2] = 1.0
    planes = canvas.planes()[0]
    # Bilinear stretching by 4 makes a tent of 8 x 8 pixels, of weights 1/8, 3/8, 5/8, 7/8 and back.
    tent = torch.tensor([1, 3, 5, 7, 7, 5, 3, 1]) / 8
    expected = torch.zeros(16, 24)
    expected[2:10, 6:14] = torch.outer(tent, tent)
    assert torch.allclose(planes[0], expected, atol=1e-6)
    assert planes[1:].abs().max() == 0
    assert sides((5, 3), 4) == [(5, 3), (2, 1), (1, 1), (1, 1)]


def test_pyramid_levels_compose_to_the_planes_and_coarse_ones_take_what_they_can() -> None:
    planes = torch.randn(2, 3, 20, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parts = decompose(planes, sides((20, 24), 4))
    assert (compose(parts, (20, 24)) - planes).abs().max() < 1e-12
    flat = decompose(torch.full((1, 3, 20, 24), 0.7), sides((20, 24), 4))
    assert torch.allclose(flat[3], torch.full((1, 3, 2, 3), 0.7))
    assert all(level.abs().max() < 1e-6 for level in flat[:3])


def test_raw_pixels_leave_the_end_of_their_range_at_once() -> None:
    canvas = Raw(1, 4)
    canvas.values.data.fill_(2.0)
    canvas.values.data[..., 0] = -1.0
    images = canvas()
    assert images.unique().tolist() == [0, 1]
    (3 * images).sum().backward()
    assert canvas.values.grad is not None
    assert canvas.values.grad.unique().tolist() == [3]
    assert canvas.values.max() == 1
    before = images.detach().clone()
    canvas.values.data.mul_(0.5)
    assert torch.equal(images, before), "a picture shown is a copy"


def test_raw_noise_has_its_centre_and_deviation() -> None:
    canvas = Raw(2, 64, center=175 / 255, deviation=8 / 255)
    canvas.start(Draws(0, ["a", "b"]))
    assert canvas().mean().item() == pytest.approx(175 / 255, abs=1e-3)
    assert canvas().std().item() == pytest.approx(8 / 255, rel=0.02)


def test_a_cppn_starts_grey_with_unit_activations() -> None:
    canvas = CPPN(2, (24, 32), hidden=16, layers=3)
    canvas.start(Draws(0, ["a", "b"]))
    assert torch.equal(canvas(), torch.full((2, 3, 24, 32), 0.5))
    assert coordinates(200, 200).std(0).tolist() == pytest.approx([1, 1], abs=0.01)
    x = torch.randn(200_000, 1, generator=torch.Generator().manual_seed(0))
    assert composite(x).square().mean(0).tolist() == pytest.approx([1, 1], abs=0.02)


def test_a_cppn_equals_its_network_written_out() -> None:
    canvas = CPPN(2, (5, 6), hidden=4, layers=2)
    canvas.start(Draws(1, ["a", "b"]))
    canvas.weights[-1].data.normal_(generator=torch.Generator().manual_seed(2))
    y, x = 3, 4
    for item in range(2):
        place = [math.sqrt(3) * (2 * y / 4 - 1), math.sqrt(3) * (2 * x / 5 - 1)]
        values = np.array(place)
        for layer in range(3):
            weight, bias = canvas.weights[layer][item].detach().numpy(), canvas.biases[layer][item, 0].detach().numpy()
            values = values @ weight + bias
            if layer < 2:
                values = np.concatenate([np.arctan(values) / 0.67, np.arctan(values) ** 2 / 0.6])
        expected = 1 / (1 + np.exp(-values))
        assert np.allclose(canvas()[item, :, y, x].detach().numpy(), expected, atol=1e-5)


def test_a_cppn_refuses_to_be_painted() -> None:
    with pytest.raises(BadInputError, match="no start and no corrections"):
        CPPN(1, 16).paint(photos(1, 16))


@pytest.mark.parametrize("size", [(64, 64), (33, 47), (48, 31)])
def test_fixed_magnitude_keeps_the_magnitudes_whatever_the_phases(size: tuple[int, int]) -> None:
    canvas = FixedMagnitude(2, size)
    canvas.start(Draws(0, ["a", "b"]))
    assert [name for name, _ in canvas.named_parameters()] == ["phases"]
    ratio = torch.fft.rfft2(canvas.planes(), norm="ortho").abs() / canvas.magnitudes
    inner = ratio[..., 1 : (size[1] + 1) // 2]  # the first and Nyquist's columns are mirrored in themselves
    assert inner.std() / inner.mean() < 1e-3
    assert inner.mean().item() == pytest.approx(1, abs=1e-4)


def test_fixed_magnitude_shows_an_image_whose_spectrum_it_has() -> None:
    images = photos(1, 32)
    own = torch.fft.rfft2(color.from_rgb(images), norm="ortho").abs()[0]
    canvas = FixedMagnitude(1, 32, own)
    canvas.paint(images)
    assert (canvas() - images).abs().max() < 1.2e-3
    other = FixedMagnitude(1, 32)
    other.paint(images)
    turned = torch.fft.rfft2(other.planes()).angle() - torch.fft.rfft2(color.from_rgb(images)).angle()
    assert torch.cos(turned).min() > 0.999


def test_the_periodic_part_has_the_laplacian_of_the_inside() -> None:
    """Its definition: on a torus its Laplacian is that of the picture with its border pixels repeated [moisan2011]."""
    picture = photos(1, 21)[0, 0, :, :16].double().numpy()
    part = spectrum.periodic(torch.from_numpy(picture)[None, None])[0, 0].numpy()
    torus = sum(np.roll(part, shift, axis) for axis in (0, 1) for shift in (1, -1)) - 4 * part
    wide = np.pad(picture, 1, mode="edge")
    inside = wide[2:, 1:-1] + wide[:-2, 1:-1] + wide[1:-1, 2:] + wide[1:-1, :-2] - 4 * picture
    assert np.abs(torus - inside).max() < 1e-10
    assert part.mean() == pytest.approx(picture.mean())
    ramp = torch.arange(24.0, dtype=torch.float64).expand(1, 1, 20, 24)
    assert spectrum.periodic(ramp).std() < 0.1 * ramp.std(), "the step between its ends is gone"


def test_mean_spectrum_is_the_mean_over_all_batches() -> None:
    images = photos(5, 16)
    slow = torch.zeros(3, 16, 9)
    for image in images:
        planes = spectrum.periodic(color.from_rgb(image[None], 0.02))[0]
        slow += torch.from_numpy(np.abs(np.fft.rfft2(planes.numpy(), norm="ortho"))).float() / 5
    assert torch.allclose(mean_spectrum(images), slow, atol=1e-5)
    assert torch.allclose(mean_spectrum(iter([images[:2], images[2:]])), slow, atol=1e-5)
    with pytest.raises(BadInputError, match="even sides"):
        mean_spectrum(photos(1, 15))
    with pytest.raises(BadInputError, match="came none"):
        mean_spectrum([])
    with pytest.raises(BadInputError, match="a spectrum must be"):
        FixedMagnitude(1, 16, torch.ones(1, 16, 9))


def test_the_shipped_spectrum_is_that_of_the_sample_photos() -> None:
    photo_set = ImageSet(sample_photos(), cut=tiles(scales=(1.0, 0.6), overlap=0.0))
    made = mean_spectrum(images for _, images in photo_set.batches((128, 128)))
    assert default_spectrum().shape == (3, 128, 65)
    assert torch.allclose(default_spectrum(), made, rtol=5e-3)


def test_a_spectrum_keeps_its_law_at_other_sizes() -> None:
    law = spectrum.scale(32, 32).float().div(32).expand(3, -1, -1)  # 1 / f, orthonormal
    assert torch.allclose(at_size(law, 32, 32), law, rtol=1e-5)
    for height, width in ((64, 64), (17, 40)):
        f = spectrum.frequencies(height, width).float()
        read = at_size(law, height, width)[0]
        assert torch.allclose(read[f > 1 / 16], 1 / f[f > 1 / 16], rtol=1e-4)
    assert torch.allclose(at_size(default_spectrum(), 128, 128), default_spectrum(), rtol=1e-4)


def test_opacity_starts_at_one_half_and_colours_are_the_canvass_own() -> None:
    plain, clear = Fourier(2, 32), Transparent(Fourier(2, 32))
    plain.start(Draws(0, ["a", "b"]))
    clear.start(Draws(0, ["a", "b"]))
    assert torch.equal(plain(), clear())
    alpha = clear.alpha()
    assert alpha.shape == (2, 1, 32, 32)
    assert alpha.mean().item() == pytest.approx(0.5, abs=0.01)
    assert 0 < alpha.std() < 0.02
    before = alpha.detach().clone()
    clear.paint(photos(2, 32))
    assert torch.equal(clear.alpha(), before), "painting leaves the opacity"
    assert plain.alpha() is None


def test_png_files_hold_the_opacity() -> None:
    image, alpha = photos(1, 8)[0], photos(1, 8, seed=1)[0, :1]
    read = np.asarray(Image.open(io.BytesIO(encode_png(image, alpha))))
    assert read.shape == (8, 8, 4)
    assert np.abs(read[..., 3] / 255 - alpha[0].numpy()).max() <= 0.5 / 255 + 1e-6
    assert np.array_equal(read[..., :3], np.asarray(Image.open(io.BytesIO(encode_png(image)))))


def high_share(step: torch.Tensor) -> float:
    """Share of the power of planes (1, 1, h, w) above a quarter of Nyquist's frequency."""
    power = torch.fft.fft2(step).abs().square()[0, 0]
    f = torch.hypot(torch.fft.fftfreq(step.shape[2])[:, None], torch.fft.fftfreq(step.shape[3]))
    return float(power[f > 0.125].sum() / power.sum())


def test_decorrelated_steps_are_the_smoothest_and_signs_the_roughest() -> None:
    """Steepest ascent in three spaces, all uphill: Fourier weights, L2, and the sign of L infinity [olah2017]."""
    side = 64
    weights = spectrum.scale(side, side)
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 1, side, side // 2 + 1, 2, dtype=torch.float64, generator=draw)
    slope = spectrum.to_planes(noise, weights, side, side)  # a gradient whose spectrum falls, as a network's does
    c = torch.zeros(1, 1, side, side // 2 + 1, 2, dtype=torch.float64, requires_grad=True)
    (spectrum.to_planes(c, weights, side, side) * slope).sum().backward()
    assert c.grad is not None
    steps = [spectrum.to_planes(c.grad, weights, side, side), slope, slope.sign()]
    assert all((step * slope).sum() > 0 for step in steps)
    shares = [high_share(step) for step in steps]
    assert shares == sorted(shares)
    assert shares[0] < 0.2 * shares[1]
    assert shares[1] < 0.9 * shares[2]
