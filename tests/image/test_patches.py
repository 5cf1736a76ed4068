"""Patches on canvases are slices of a padded picture; signed pictures are centred on grey."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from retinoscope.base.boxes import Box
from retinoscope.image.patches import centred, on_canvas
from tests.samples import photos


@pytest.mark.parametrize("top", [-4, 0, 3, 9])
@pytest.mark.parametrize("left", [-5, 2, 11])
def test_a_canvas_is_a_slice_of_the_padded_picture(top: int, left: int) -> None:
    picture = photos(1, 16)[0, :, :14]
    padded = F.pad(picture, (20, 20, 20, 20), value=0.25)
    found = on_canvas(picture, Box(top, left, top + 9, left + 7), fill=0.25)
    assert torch.equal(found, padded[:, 20 + top : 29 + top, 20 + left : 27 + left])


def test_a_field_larger_than_the_picture_is_shown_as_the_picture() -> None:
    picture = photos(1, 16)[0]
    found = on_canvas(picture, Box(-10, -3, 12, 40))
    assert torch.equal(found[:, :12], picture[:, :12])
    assert (found[:, 12:] == 0.5).all()
    assert found.shape == (3, 16, 16)


def test_fields_between_pixels_are_rounded_outwards() -> None:
    picture = photos(1, 16)[0]
    assert torch.equal(on_canvas(picture, Box(1.5, 2.25, 4.5, 6.0)), picture[:, 1:5, 2:6])


def test_the_strongest_few_are_cut() -> None:
    values = torch.arange(1.0, 301.0).view(1, 3, 10, 10)
    found = centred(values)[0].flatten()
    end = np.quantile(values.numpy(), 0.995, method="higher")
    torch.testing.assert_close(found, (0.5 + values.flatten() / (2 * end)).clamp(max=1))
    assert (found == 1).sum() == 2


def test_zero_is_grey_and_the_largest_magnitude_an_end() -> None:
    signed = torch.zeros(3, 3, 2, 2)
    signed[0, 0, 0, 0], signed[0, 1, 1, 1] = 4.0, -2.0
    signed[1, 2, 0, 1] = -3.0
    found = centred(signed)
    assert (found[0, 0, 0, 0], found[0, 1, 1, 1], found[0, 2, 0, 0]) == (1.0, 0.25, 0.5)
    assert float(found[1].min()) == 0.0
    assert float(found[1].max()) == 0.5
    assert (found[2] == 0.5).all()
