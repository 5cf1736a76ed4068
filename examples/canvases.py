"""One unit on every kind of canvas, on one sheet: `python examples/canvases.py [UNIT]`.

Writes canvases.png: pixels, pyramid, Fourier, CPPN, fixed magnitude, and a transparent one on white. Three minutes on
two cores at most.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

import torch

import retinoscope as rs
from retinoscope.image.codec import encode_png

STEPS = int(os.environ.get("RETINOSCOPE_EXAMPLE_STEPS", "128"))
SIDE = 128


def clear(batch: int, size: int) -> rs.Transparent:
    """A Fourier canvas with an opacity."""
    return rs.Transparent(rs.Fourier(batch, size))


def main(unit: str) -> None:
    """Render the unit on each canvas with the same views, and lay the pictures side by side."""
    model = rs.load("efficientnet-lite0")
    robust = rs.RECIPES["robust"]
    recipes = {
        "pixels": replace(robust, canvas=rs.Pixels),
        "pyramid": replace(robust, canvas=rs.Pyramid),
        "fourier": robust,
        "cppn": replace(robust, canvas=rs.CPPN, rate=0.005),  # Lucid's rate for it
        "fixed magnitude": rs.RECIPES["maco"],
        "transparent": replace(robust, canvas=clear),
    }
    channel = rs.channel(*_parts(unit))
    pictures = []
    for name, recipe in recipes.items():
        what = channel * (1 - rs.mean_alpha()) if name == "transparent" else channel
        out = rs.render(model, what, recipe=recipe, steps=STEPS, size=SIDE)
        print(f"{name}: {out}")
        pictures.append(out.images[0] if out.alpha is None else out.alpha[0] * out.images[0] + 1 - out.alpha[0])
    Path("canvases.png").write_bytes(encode_png(torch.cat(pictures, dim=2)))
    print("wrote canvases.png")


def _parts(unit: str) -> tuple[str, int]:
    layer, channel = unit.split(":")
    return layer, int(channel)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "blocks.3.2:21")
