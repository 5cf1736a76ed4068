"""Sheets: every picture stands where it belongs, nothing is clipped, and heat maps are in order."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from retinoscope.image.sheet import GAP, TEXT, Cell, heat, indented, shade, sheet, stacked, write


def test_pictures_stand_in_rows_below_their_titles() -> None:
    levels = [0.0, 0.25, 0.5, 0.75]
    cells = [Cell(torch.full((3, 8, 8), level), f"picture {i}", ("a note",)) for i, level in enumerate(levels)]
    page = sheet(cells, 3, side=64)
    tall = 64 + round(1.5 * TEXT) + round(1.35 * TEXT) + GAP
    assert page.size == (3 * (64 + GAP) + GAP, 2 * tall + 2 * GAP - GAP)
    for place, level in enumerate(levels):
        left, top = GAP + place % 3 * (64 + GAP), GAP + place // 3 * tall + round(1.5 * TEXT)
        block = np.asarray(page)[top : top + 64, left : left + 64]
        assert (block == round(level * 255)).all()


def test_texts_become_smaller_rather_than_clipped() -> None:
    page = Image.new("RGB", (400, 40), (255, 255, 255))
    text = "a title that is far too long for its cell"
    write(page, (10, 5), text, 15, (0, 0, 0), 180)
    dark = np.flatnonzero((np.asarray(page) < 200).any((0, 2)))
    assert dark.min() >= 10
    assert dark.max() <= 190
    assert ImageDraw.Draw(page).textlength(text, ImageFont.load_default(15)) > 180


def test_heat_maps_show_each_share_in_its_cell_with_names_beside() -> None:
    shares = torch.tensor([[0.0, 0.2], [1.0, 0.6]])
    page = heat(shares, ["early", "late"], (50, 40), 60)
    assert page.size == (60 + 2 * 50 + GAP, 2 * TEXT + 2 * 40 + GAP)
    for row in range(2):
        for column in range(2):
            block = np.asarray(page)[2 * TEXT + 40 * row : 2 * TEXT + 40 * row + 39, 60 + 50 * column :][:, :49]
            assert (block == shade(float(shares[row, column]))).all()
    margin = np.asarray(page)[2 * TEXT :, :60]
    assert (margin < 200).any()
    assert (margin[:, :2] == 255).all()


def test_an_indented_picture_is_moved_to_the_right() -> None:
    page = indented(Image.new("RGB", (4, 3), (9, 9, 9)), 5)
    assert page.size == (9, 3)
    assert page.getpixel((4, 1)) == (255, 255, 255)
    assert page.getpixel((5, 1)) == (9, 9, 9)


@pytest.mark.parametrize(
    ("share", "color"), [(0, (68, 1, 84)), (1, (253, 231, 37)), (-1, (68, 1, 84)), (0.2, (65, 68, 135))]
)
def test_shades_are_those_of_viridis(share: float, color: tuple[int, int, int]) -> None:
    assert shade(share) == color


def test_parts_stack_on_white() -> None:
    page = stacked([Image.new("RGB", (10, 5), (1, 2, 3)), Image.new("RGB", (20, 7), (4, 5, 6))])
    assert page.size == (20, 12)
    assert page.getpixel((15, 2)) == (255, 255, 255)
    assert page.getpixel((15, 8)) == (4, 5, 6)
