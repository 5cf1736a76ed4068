"""What a unit sees of a picture, on a canvas of its receptive field's size; and signed pictures in grey."""

import math

from jaxtyping import Float
from torch import Tensor

from retinoscope.base.boxes import Box
from retinoscope.tensor.axes import Images

GREY = 0.5


def centred(signed: Float[Tensor, "b 3 h w"]) -> Images:
    """Signed pictures in [0, 1] with zero at mid grey, each divided by twice its own largest magnitude [yosinski2015].

    Brightness is not comparable between pictures. A picture that is zero everywhere is grey.
    """
    most = signed.abs().amax((1, 2, 3), keepdim=True)
    return (GREY + signed / (2 * most).where(most > 0, 1)).float()


def whole_pixels(box: Box) -> tuple[int, int, int, int]:
    """The smallest rectangle of whole pixels around a box: top, left, bottom, right."""
    return math.floor(box.top), math.floor(box.left), math.ceil(box.bottom), math.ceil(box.right)


def on_canvas(picture: Float[Tensor, "3 h w"], box: Box, fill: float = GREY) -> Float[Tensor, "3 y x"]:
    """The part of a picture inside `box`, on a canvas of the box's size; `fill` where the box leaves the picture.

    Along an axis on which the box is larger than the picture the canvas is the picture, filled outside the box. So
    patches of one layer have one size, and a patch and its backward picture lie on each other.
    """
    edges, (height, width) = whole_pixels(box), picture.shape[1:]
    top, bottom = _window(edges[0], edges[2], height)
    left, right = _window(edges[1], edges[3], width)
    canvas = picture.new_full((3, bottom - top, right - left), fill)
    inside = box.clip(height, width)
    y0, x0, y1, x1 = whole_pixels(inside)
    canvas[:, y0 - top : y1 - top, x0 - left : x1 - left] = picture[:, y0:y1, x0:x1]
    return canvas


def _window(first: int, last: int, size: int) -> tuple[int, int]:
    return (first, last) if last - first <= size else (0, size)
