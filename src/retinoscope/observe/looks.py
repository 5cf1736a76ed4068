"""What a patch of a photo looks like, without a network: its mean colour and its contrast in eight orientations.

Kinds of such looks stand in for a labelled data set's textures [bau2017].
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from sklearn.cluster import KMeans
from torch import Tensor

from retinoscope.network.model import Layer
from retinoscope.tensor.axes import Images

ORIENTATIONS = 8
FITTED = 20_000
"""Looks that the kinds are made from, at most."""


def sums(images: Images) -> Float[Tensor, "b d p q"]:
    """Sums of the 11 numbers over all pixels above and to the left, one row and column wider than the images."""
    return F.pad(_pixels(images).double().cumsum(2).cumsum(3), (1, 0, 1, 0))


def patches(
    totals: Float[Tensor, "b d p q"], layer: Layer, y: Int[Tensor, "b u"], x: Int[Tensor, "b u"]
) -> Float[Tensor, "b u d"]:
    """The look of what lies under positions (y, x) of a layer's map, from the `sums` of images: 3 colours, 8 contrasts.

    A patch is the receptive field inside the image; of a field larger than half the image, that half about its centre.
    """
    (top, bottom), (left, right) = (
        _ends(layer, axis, at, totals.shape[2 + axis] - 1) for axis, at in enumerate((y, x))
    )
    corners = [_at(totals, row, column) for row in (bottom, top) for column in (right, left)]
    area = ((bottom - top) * (right - left))[..., None]
    return ((corners[0] - corners[1] - corners[2] + corners[3]) / area).float()


def _pixels(images: Images) -> Float[Tensor, "b d h w"]:
    """Each pixel's colour, and the size of its gradient where that has the orientation, of eight."""
    grey = F.pad(images.mean(1, keepdim=True), (1, 1, 1, 1), "replicate")
    dy, dx = grey[:, :, 2:, 1:-1] - grey[:, :, :-2, 1:-1], grey[:, :, 1:-1, 2:] - grey[:, :, 1:-1, :-2]
    turn = (torch.atan2(dy, dx) / torch.pi * ORIENTATIONS).round() % ORIENTATIONS
    bins = torch.arange(ORIENTATIONS, device=images.device).view(1, -1, 1, 1)
    return torch.cat([images, torch.hypot(dy, dx) * (turn == bins)], 1)


def _ends(layer: Layer, axis: int, at: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """First and one past the last pixel of the patches along an axis; at least one pixel inside the image."""
    field, half = layer.field, max(1, side // 2)
    if field.whole:
        first, width = torch.full_like(at, (side - half) // 2), half
    else:
        width = min(field.size[axis], half)
        middle = at * field.stride[axis] - field.padding[axis] + field.size[axis] / 2
        first = (middle - width / 2).floor().long()
    return first.clamp(0, side - 1), (first + width).clamp(1, side)


def _at(totals: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Values (b, u, d) of maps (b, d, h, w) at places (b, u)."""
    places = (y * totals.shape[3] + x)[:, None].expand(-1, totals.shape[1], -1)
    return totals.flatten(2).gather(2, places).transpose(1, 2)


def kinds(looks: Float[Tensor, "m d"], sample: Float[Tensor, "s d"], groups: int, seed: int = 0) -> Int[Tensor, " m"]:
    """The kind, 0 to groups - 1, of each look: the nearest of the k-means centres of a sample, each number at unit
    deviation."""
    mean, deviation = sample.mean(0), sample.std(0).clamp(min=1e-6)
    fitted, asked = (((some - mean) / deviation).numpy() for some in (sample, looks))
    found = KMeans(groups, n_init=3, random_state=seed).fit(fitted[:: -(-len(fitted) // FITTED)])
    return torch.as_tensor(found.predict(asked)).long()
