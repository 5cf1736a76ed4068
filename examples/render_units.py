"""Pictures of what some units look for, on one sheet: `python examples/render_units.py [UNIT...]`.

Writes units.png: a column per layer, from early to late. Two minutes on two cores at most.
"""

import os
import sys
from pathlib import Path

import torch
from torch.nn import functional as F

import retinoscope as rs
from retinoscope.image.codec import encode_png

UNITS = ["blocks.1.1:4", "blocks.1.1:17", "blocks.3.2:21", "blocks.3.2:60", "blocks.4.2:5", "blocks.4.2:40"]
STEPS = int(os.environ.get("RETINOSCOPE_EXAMPLE_STEPS", "192"))
SIDE = 160


def main(units: list[str]) -> None:
    """Render the units layer by layer, since each layer has a size that suits it, and lay them side by side."""
    model = rs.load("efficientnet-lite0")
    columns = []
    for layer in dict.fromkeys(unit.split(":")[0] for unit in units):
        own = [unit for unit in units if unit.split(":")[0] == layer]
        out = rs.render(model, own, steps=STEPS, seed=0)
        print(out)
        columns.append(torch.cat(list(F.interpolate(out.images, (SIDE, SIDE), mode="bilinear", antialias=True)), dim=1))
    height = max(column.shape[1] for column in columns)
    padded = [F.pad(column, (0, 8, 0, height - column.shape[1]), value=1.0) for column in columns]
    Path("units.png").write_bytes(encode_png(torch.cat(padded, dim=2)))
    print("wrote units.png")


if __name__ == "__main__":
    main(sys.argv[1:] or UNITS)
