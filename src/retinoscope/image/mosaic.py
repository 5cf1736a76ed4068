"""Many small pictures in one file: fewer files, and each is still found by its box."""

import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from retinoscope.base.boxes import Box
from retinoscope.image.patches import GREY

BLOCK = 16
"""Cells begin at multiples of this, so that blocks of a JPEG never reach over two of them."""


def mosaic(pictures: Sequence[Float[Tensor, "3 _ _"]], fill: float = GREY) -> tuple[Float[Tensor, "3 h w"], list[Box]]:
    """Pictures (3, y, x), of any sizes, on one grid about as wide as high, and the box of each there."""
    tall, wide = (math.ceil(max(one.shape[axis] for one in pictures) / BLOCK) * BLOCK for axis in (1, 2))
    columns = math.ceil(math.sqrt(len(pictures)))
    page = pictures[0].new_full((3, tall * math.ceil(len(pictures) / columns), wide * columns), fill)
    boxes = []
    for place, one in enumerate(pictures):
        top, left, (height, width) = place // columns * tall, place % columns * wide, one.shape[1:]
        page[:, top : top + height, left : left + width] = one
        boxes.append(Box(top, left, top + height, left + width))
    return page, boxes
