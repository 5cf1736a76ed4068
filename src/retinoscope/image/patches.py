"""What a unit sees of a picture, on a canvas of its receptive field's size; and signed pictures in grey."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.base.boxes import Box
from retinoscope.tensor.axes import Images

GREY = 0.5


BRIGHT = 0.995
"""Share of a signed picture's non-zero magnitudes that are shown without being cut."""


def centred(signed: Float[Tensor, "b 3 h w"]) -> Images:
    """Signed pictures in [0, 1] with zero at mid grey, each scaled by its own 99.5th percentile of non-zero magnitudes.

    Brightness is not comparable between pictures. A picture that is zero everywhere is grey. Differs from
    [yosinski2015], who divide by the largest magnitude: of a deep unit that leaves a few pixels on grey.
    """
    return (GREY + torch.stack([one / (2 * _bright(one)) for one in signed])).clamp(0, 1).float()


def _bright(signed: Float[Tensor, "3 h w"]) -> Tensor:
    # The sort of numpy's "higher": some pixel always has the value that becomes an end, however few there are.
    found = signed.abs()[signed != 0].sort().values
    return found[math.ceil(BRIGHT * (len(found) - 1))] if len(found) else signed.new_ones(())


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
