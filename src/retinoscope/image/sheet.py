"""Labelled sheets of pictures: a title above each, notes below, and matrices as heat maps beside them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from retinoscope.image.codec import to_image

INK, FAINT, PAPER = (24, 28, 32), (106, 112, 120), (255, 255, 255)
GAP = 14
"""Pixels between the cells of a sheet, and around them."""

TEXT = 15
"""Height of the letters in pixels; notes are a little smaller."""

# Viridis at six even places (matplotlib's, CC0): equal steps look equal, in grey too.
_RAMP = np.array([(68, 1, 84), (65, 68, 135), (42, 120, 142), (34, 168, 132), (122, 209, 81), (253, 231, 37)], float)


@dataclass(frozen=True)
class Cell:
    """A picture (3, h, w) in [0, 1] with its title and the lines of notes below it."""

    picture: Tensor
    title: str
    notes: tuple[str, ...] = ()


def sheet(cells: Sequence[Cell], columns: int, side: int = 192, heading: str = "") -> Image.Image:
    """Cells in rows of `columns`, pictures enlarged to `side` pixels; texts too wide for a cell are set smaller."""
    top = 2 * TEXT + GAP if heading else 0
    below = max((len(cell.notes) for cell in cells), default=0)
    wide, tall = side + GAP, side + round(1.5 * TEXT) + round(1.35 * TEXT) * below + GAP
    rows = -(-len(cells) // columns)
    page = Image.new("RGB", (columns * wide + GAP, top + rows * tall + GAP), PAPER)
    if heading:
        write(page, (GAP, GAP), heading, TEXT + 4, INK, page.width - 2 * GAP)
    for place, cell in enumerate(cells):
        _cell(page, cell, GAP + place % columns * wide, top + GAP + place // columns * tall, side)
    return page


def _cell(page: Image.Image, cell: Cell, left: int, top: int, side: int) -> None:
    write(page, (left, top), cell.title, TEXT, INK, side)
    top += round(1.5 * TEXT)
    page.paste(enlarged(cell.picture, side), (left, top))
    for line, note in enumerate(cell.notes):
        write(page, (left, top + side + 5 + line * round(1.35 * TEXT)), note, TEXT - 2, FAINT, side)


def enlarged(picture: Tensor, side: int) -> Image.Image:
    """A picture (3, h, w) as a square of `side` pixels: whole pixels repeated where that fits, else smoothly."""
    image = to_image(picture)
    whole = side % image.width == 0 and image.width == image.height
    return image.resize((side, side), Image.Resampling.NEAREST if whole else Image.Resampling.BICUBIC)


def write(
    page: Image.Image, place: tuple[int, int], text: str, height: int, ink: tuple[int, int, int], width: int
) -> None:
    """Text at `place` (x, y), its top left corner, made smaller until it is at most `width` pixels wide."""
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(height)
    while height > 8 and draw.textlength(text, font) > width:
        height -= 1
        font = ImageFont.load_default(height)
    draw.text(place, text, ink, font)


def heat(
    matrix: Tensor, names: Sequence[str], cell: tuple[int, int], margin: int, texts: Sequence[Sequence[str]] = ()
) -> Image.Image:
    """A matrix (rows, columns) of shares in [0, 1] as cells of (width, height) pixels, dark for 0, bright for 1.

    `names` stand above the columns and, in the `margin` pixels to the left, beside the rows; `texts` in the cells.
    """
    (wide, tall), (rows, columns) = cell, matrix.shape
    page = Image.new("RGB", (margin + columns * wide + GAP, 2 * TEXT + rows * tall + GAP), PAPER)
    for row in range(rows):
        right = margin - 8 - text_width(names[row], TEXT - 2)
        write(page, (right, 2 * TEXT + row * tall + tall // 2 - TEXT // 2), names[row], TEXT - 2, FAINT, margin)
        for column in range(columns):
            text = texts[row][column] if texts else ""
            _filled(page, (margin + column * wide, 2 * TEXT + row * tall), cell, float(matrix[row, column]), text)
    for column in range(columns):
        write(page, (margin + column * wide, TEXT // 2), names[column], TEXT - 2, FAINT, wide - 4)
    return page


def _filled(page: Image.Image, corner: tuple[int, int], cell: tuple[int, int], share: float, text: str) -> None:
    color, (left, top) = shade(share), corner
    page.paste(color, (left, top, left + cell[0] - 1, top + cell[1] - 1))
    if text:
        ink = INK if sum(color) > 380 else PAPER
        write(page, (left + 6, top + cell[1] // 2 - TEXT // 2), text, TEXT - 2, ink, cell[0] - 12)


def shade(share: float) -> tuple[int, int, int]:
    """The colour of a share in [0, 1] on the viridis ramp."""
    at = np.clip(share, 0, 1) * (len(_RAMP) - 1)
    low = min(int(at), len(_RAMP) - 2)
    red, green, blue = (_RAMP[low] + (at - low) * (_RAMP[low + 1] - _RAMP[low])).round().astype(int).tolist()
    return red, green, blue


def text_width(text: str, height: int) -> int:
    """Pixels that a text takes in letters of `height` pixels."""
    return round(ImageDraw.Draw(Image.new("RGB", (1, 1))).textlength(text, ImageFont.load_default(height)))


def indented(part: Image.Image, pixels: int) -> Image.Image:
    """A picture with so many white pixels to its left."""
    page = Image.new("RGB", (part.width + pixels, part.height), PAPER)
    page.paste(part, (pixels, 0))
    return page


def stacked(parts: Sequence[Image.Image]) -> Image.Image:
    """Pictures one below the other, on white."""
    page = Image.new("RGB", (max(part.width for part in parts), sum(part.height for part in parts)), PAPER)
    top = 0
    for part in parts:
        page.paste(part, (0, top))
        top += part.height
    return page
