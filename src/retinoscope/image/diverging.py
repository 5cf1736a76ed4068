"""Signed values as colours: blue below zero, red above, white at zero."""

import torch
from jaxtyping import Float
from torch import Tensor

# ColorBrewer's RdBu at five places, as in the heat maps of [schubert2021]: equal steps to both sides look equal.
_RAMP = ((5, 113, 176), (146, 197, 222), (247, 247, 247), (244, 165, 130), (202, 0, 32))


def diverging(values: Float[Tensor, "*s h w"], largest: float) -> Float[Tensor, "*s 3 h w"]:
    """Pictures in [0, 1] of values from -largest (blue) over 0 (near white) to largest (red); beyond, colours stay."""
    ramp = values.new_tensor(_RAMP) / 255
    place = ((values / max(largest, torch.finfo(values.dtype).tiny)).clamp(-1, 1) + 1) / 2 * (len(_RAMP) - 1)
    low = place.floor().clamp(max=len(_RAMP) - 2)
    share = (place - low)[..., None]
    colors = ramp[low.long()] * (1 - share) + ramp[low.long() + 1] * share
    return torch.movedim(colors, -1, -3)


def kernel_picture(kernel: Float[Tensor, "kh kw"], largest: float, side: int) -> Float[Tensor, "3 side side"]:
    """A kernel with a square of whole pixels for every weight, as large as fits, in the middle of a white square."""
    scale = max(side // max(kernel.shape), 1)
    picture = diverging(kernel.float(), largest).repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    page = picture.new_ones(3, max(side, picture.shape[1]), max(side, picture.shape[2]))
    top, left = ((room - size) // 2 for room, size in zip(page.shape[1:], picture.shape[1:], strict=True))
    page[:, top : top + picture.shape[1], left : left + picture.shape[2]] = picture
    return page[:, :side, :side]
