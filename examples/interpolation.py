"""From one unit to another, and a photo seen by a layer: `python examples/interpolation.py [UNIT UNIT]`.

Writes interpolation.png, six pictures on a shared canvas, and photos.png: a sample photo, its caricature at a layer,
and the photo accentuated for the second unit.
"""

import os
import sys
from pathlib import Path

import torch

import retinoscope as rs
from retinoscope.data.files import sample_photos
from retinoscope.image.codec import encode_png, photo

UNITS = ["blocks.3.2:21", "blocks.3.2:60"]
PHOTO, LAYER = "skimage_chelsea.jpg", "blocks.3.2"
STEPS = int(os.environ.get("RETINOSCOPE_EXAMPLE_STEPS", "128"))
SIDE = 128


def main(first: str, second: str) -> None:
    """Render the strip, then the photo's two pictures."""
    model = rs.load("efficientnet-lite0")
    strip = rs.interpolate(model, first, second, n=6, size=SIDE, steps=STEPS, seed=0)
    print(strip)
    Path("interpolation.png").write_bytes(encode_png(torch.cat(list(strip.images), dim=2)))
    original = photo(sample_photos() / PHOTO, (SIDE, SIDE))
    seen = rs.caricature(model, original, LAYER, steps=STEPS, size=SIDE, seed=0)
    moved = rs.accentuate(model, original, second, steps=STEPS, size=SIDE, seed=0)
    print(seen, moved)
    Path("photos.png").write_bytes(encode_png(torch.cat([original, seen.images[0], moved.images[0]], dim=2)))
    print("wrote interpolation.png and photos.png")


if __name__ == "__main__":
    main(*(sys.argv[1:3] or UNITS))
