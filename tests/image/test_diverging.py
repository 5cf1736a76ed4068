"""Signed values as colours."""

import torch

from retinoscope.image.diverging import diverging, kernel_picture


def test_the_ends_and_the_middle_have_the_ramps_colours() -> None:
    picture = diverging(torch.tensor([[-2.0, -1, 0, 1, 2, 9]]), 2.0)
    expected = [(5, 113, 176), (146, 197, 222), (247, 247, 247), (244, 165, 130), (202, 0, 32), (202, 0, 32)]
    assert torch.allclose(picture[:, 0].T * 255, torch.tensor(expected, dtype=torch.float32))


def test_halves_lie_between() -> None:
    picture = diverging(torch.tensor([[[0.5]]]), 2.0)
    assert picture.shape == (1, 3, 1, 1)
    assert torch.allclose(
        picture[0, :, 0, 0] * 255, (torch.tensor([247.0, 247, 247]) + torch.tensor([244, 165, 130])) / 2
    )


def test_nothing_is_white_all_over() -> None:
    assert torch.allclose(diverging(torch.zeros(2, 2), 0.0), torch.tensor(247 / 255))


def test_kernels_have_whole_pixels_in_the_middle() -> None:
    page = kernel_picture(torch.tensor([[1.0, -1.0, 0.0]]), 1.0, 20)
    assert page.shape == (3, 20, 20)
    assert torch.equal(page[:, 0, 0], torch.ones(3))
    assert torch.allclose(page[0, 7:13, 1:7] * 255, torch.tensor(202.0))
    assert kernel_picture(torch.ones(30, 30), 1.0, 20).shape == (3, 20, 20)
