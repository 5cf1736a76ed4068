"""Pictures on one grid: each is found again by its box."""

import torch

from retinoscope.image.mosaic import BLOCK, mosaic
from tests.samples import photos


def test_each_picture_is_in_its_box_and_the_rest_is_grey() -> None:
    sizes = [(20, 31), (7, 7), (33, 16), (1, 1), (16, 16)]
    pictures = [photos(1, 40, seed)[0, :, :height, :width] for seed, (height, width) in enumerate(sizes)]
    page, boxes = mosaic(pictures)
    assert page.shape == (3, 2 * 48, 3 * 32)
    left = torch.ones(page.shape[1:], dtype=torch.bool)
    for picture, box in zip(pictures, boxes, strict=True):
        place = (slice(int(box.top), int(box.bottom)), slice(int(box.left), int(box.right)))
        assert torch.equal(page[(slice(None), *place)], picture)
        assert box.top % BLOCK == box.left % BLOCK == 0
        left[place] = False
    assert (page[:, left] == 0.5).all()


def test_one_picture_is_one_cell() -> None:
    page, (box,) = mosaic([photos(1, 16)[0]])
    assert torch.equal(page, photos(1, 16)[0])
    assert (box.bottom, box.right) == (16, 16)
