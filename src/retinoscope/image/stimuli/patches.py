"""Real patches, turned: does an answer to a photo depend on its tilt?"""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from retinoscope.base.axis import spaced, turns
from retinoscope.base.errors import BadInputError
from retinoscope.image.codec import photo
from retinoscope.image.stimuli.grid import Grid, Numbers
from retinoscope.image.stimuli.sweep import Sweep

Source = str | Path | Image.Image | Tensor
"""A patch: a path, a PIL picture, or (3, h, w) in [0, 1]."""


def turned(patches: Sequence[Source], rotations: int = 24, size: int = 224, zoom: float = 1.0) -> Sweep:
    """Patches turned about their middle, which lies at the stimulus's centre [cammarata2020].

    `rotation`, in degrees of 360, is clockwise as one sees it. Each patch is cut to a square and brought to `size`
    pixels first, then shown `zoom` times as large; what lies outside is mirrored. Patches are the
    variants: answers are averaged over them.
    """
    if not patches:
        raise BadInputError("turned needs at least one patch")
    stack = torch.stack([photo(one, (size, size)) for one in patches])

    def draw(grid: Grid, rotation: Numbers, patch: Numbers) -> Tensor:
        # To turn the picture clockwise, each pixel reads from where it would come.
        x, y = grid.along(rotation) * (2 / size / zoom), grid.across(rotation) * (2 / size / zoom)
        chosen = stack.to(grid.x)[patch.flatten().round().long()]
        read = F.grid_sample(
            chosen, torch.stack((x, y), 3), mode="bicubic", padding_mode="reflection", align_corners=False
        )
        return read.clamp(0, 1)

    axes = {"rotation": turns(rotations)}
    return Sweep("turned", draw, axes, {"patch": spaced(0, max(len(stack) - 1, 0), len(stack))})
