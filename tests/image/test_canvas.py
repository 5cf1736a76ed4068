"""The closed forms of the Fourier canvas and of decorrelated colour (Lucid's parameterization)."""

import numpy as np
import pytest
import torch

from retinoscope.image import color, spectrum
from retinoscope.image.canvas import Fourier, Pixels
from retinoscope.tensor.random import Draws

SIZES = [(16, 16), (33, 47), (64, 63), (17, 32)]


@pytest.mark.parametrize("size", SIZES)
def test_spectrum_is_invertible(size: tuple[int, int]) -> None:
    planes = torch.randn(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = spectrum.scale(*size)
    back = spectrum.to_planes(spectrum.from_planes(planes, weights), weights, *size)
    assert (back - planes).abs().max() < 1e-12


def test_scale_has_the_published_range() -> None:
    weights = spectrum.scale(128, 128)
    assert weights.max() == pytest.approx(16384)
    assert weights.min() == pytest.approx(181.0, abs=0.1)


def test_the_mean_colour_has_a_weight_of_its_own() -> None:
    plain, strong = spectrum.scale(32, 48, 1.1), spectrum.scale(32, 48, 1.1, mean=4.0)
    ratio = strong / plain
    assert ratio[0, 0] == 4.0
    ratio[0, 0] = 1.0
    assert (ratio == 1.0).all()
    canvas = Fourier(1, 32, decay=1.1, mean=4.0)
    with torch.no_grad():
        canvas.coefficients[0, 0, 0, 0, 0] = 0.5
    assert torch.allclose(canvas.planes()[0, 0], torch.tensor(0.5 * 4.0 * 32**1.1 / 32 / 4))


def test_frequencies_equal_numpys() -> None:
    fy, fx = np.fft.fftfreq(33)[:, None], np.fft.rfftfreq(47)[None]
    assert np.allclose(spectrum.frequencies(33, 47).numpy(), np.sqrt(fy**2 + fx**2), atol=1e-15)


@pytest.mark.parametrize(("side", "expected"), [(64, 0.0173), (128, 0.0188), (224, 0.0199)])
def test_start_noise_has_the_closed_form_deviation(side: int, expected: float) -> None:
    canvas = Fourier(16, side)
    canvas.start(Draws(0, [str(i) for i in range(16)]))
    weights = spectrum.scale(side, side)
    m = torch.full_like(weights, 4.0)
    m[:, 0] = m[:, -1] = 1.0
    # One real draw moves two mirrored bins: interior columns count four times, k_x = 0 and Nyquist once.
    closed = float((m * weights**2).sum() * 1e-4 / side**4 / 16) ** 0.5
    assert closed == pytest.approx(expected, abs=1e-4)
    assert canvas.planes().std().item() == pytest.approx(closed, rel=0.05)
    images = canvas()
    assert images.mean().item() == pytest.approx(0.5, abs=1e-3)
    assert images.std().item() == pytest.approx(0.0029, abs=5e-4)


def test_a_gradient_step_is_preconditioned_by_the_inverse_square_of_frequency() -> None:
    side = 16
    weights = spectrum.scale(side, side)
    c = torch.zeros(1, 1, side, side // 2 + 1, 2, dtype=torch.float64, requires_grad=True)
    g = torch.randn(1, 1, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (spectrum.to_planes(c, weights, side, side) * g).sum().backward()
    assert c.grad is not None
    moved = spectrum.to_planes(c.grad, weights, side, side)
    ratio = torch.fft.rfft2(moved) / torch.fft.rfft2(g)
    m = torch.full((side, side // 2 + 1), 2.0, dtype=torch.float64)
    m[:, 0] = m[:, -1] = 1.0
    expected = m * spectrum.frequencies(side, side).clamp(min=1 / side) ** -2 / 16
    assert torch.allclose(ratio.real, expected.expand_as(ratio), rtol=1e-9)
    assert ratio.imag.abs().max() < 1e-9 * expected.max()


@pytest.mark.parametrize("size", SIZES)
def test_gradients_of_the_spectrum_equal_autograds(size: tuple[int, int]) -> None:
    height, width = size
    draw = torch.Generator().manual_seed(2)
    c = torch.randn(1, 2, height, width // 2 + 1, 2, dtype=torch.float64, generator=draw).requires_grad_()
    upstream = torch.randn(1, 2, *size, dtype=torch.float64, generator=draw)
    weights = spectrum.scale(*size)
    (ours,) = torch.autograd.grad((spectrum.to_planes(c, weights, *size) * upstream).sum(), c)
    plain = torch.fft.irfft2(torch.view_as_complex(c) * weights / 4, s=size)
    (theirs,) = torch.autograd.grad((plain * upstream).sum(), c)
    assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_colour_matrix_is_lucids() -> None:
    first = color.to_logits(torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64).view(1, 3, 1, 1)).flatten()
    assert torch.allclose(first, torch.tensor([0.5628, 0.5845, 0.5845], dtype=torch.float64), atol=5e-5)
    assert float(color.BASIS.norm(dim=0).max()) == pytest.approx(1, abs=1e-12)
    published = [[0.5628, 0.1948, 0.0433], [0.5845, 0.0, -0.1082], [0.5845, -0.1948, 0.0649]]
    assert torch.allclose(color.BASIS, torch.tensor(published, dtype=torch.float64), atol=5e-5)
    # Horama and xplique list the transpose and multiply rows from the right.
    flat = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mixed = color.to_logits(flat.T.reshape(1, 3, 5, 1)).reshape(3, 5).T
    assert torch.allclose(mixed, flat @ color.BASIS.T)


@pytest.mark.parametrize("canvas", [Pixels, Fourier])
@pytest.mark.parametrize("size", SIZES)
def test_a_painted_canvas_shows_the_images(canvas: type[Pixels] | type[Fourier], size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(3))
    painted = canvas(2, size)
    painted.paint(images)
    assert (painted() - images).abs().max() < 1.1e-3  # pixels are clipped to [0.001, 0.999]


def test_an_items_start_does_not_depend_on_the_batch() -> None:
    many, one = Fourier(3, 32), Fourier(1, 32)
    many.start(Draws(0, ["a", "b", "c"]))
    one.start(Draws(0, ["b"]))
    assert torch.equal(many()[1], one()[0])


def test_a_stretched_picture_reaches_the_end_of_its_range() -> None:
    images = torch.stack([0.5 + 0.01 * torch.tensor([-1.0, 0.0, 0.5]).view(3, 1, 1), torch.full((3, 1, 1), 0.5)])
    assert color.stretched(images)[0].flatten().tolist() == pytest.approx([0, 0.5, 0.75], abs=1e-5)
    assert torch.equal(color.stretched(images)[1], images[1])
