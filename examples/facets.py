"""All that a unit answers to: `python examples/facets.py [UNIT...]`.

Writes facets.png: for each unit a row of four pictures without diversity, and beside it four that are kept apart.
"""

import os
import sys
from pathlib import Path

import torch
from torch.nn import functional as F

import retinoscope as rs
from retinoscope.image.codec import encode_png

UNITS = ["blocks.4.2:40", "blocks.5.3:17"]
STEPS = int(os.environ.get("RETINOSCOPE_EXAMPLE_STEPS", "128"))
SIDE = 128


def main(units: list[str]) -> None:
    """Render each unit twice and lay the rows below each other."""
    model = rs.load("efficientnet-lite0")
    halves = []
    for weight in (0.0, 0.75):
        out = rs.facets(model, units, n=4, weight=weight, size=SIDE, steps=STEPS, seed=0)
        for unit, likeness, scores in zip(units, out.likeness.tolist(), out.scores.split(4), strict=True):
            print(f"{unit}, weight {weight}: likeness {likeness:.2f}, mean score {float(scores.mean()):.2f}")
        rows = [torch.cat(list(row), dim=2) for row in out.images.split(4)]
        halves.append(torch.cat(rows, dim=1))
    Path("facets.png").write_bytes(encode_png(torch.cat([F.pad(halves[0], (0, 8), value=1.0), halves[1]], dim=2)))
    print("wrote facets.png")


if __name__ == "__main__":
    main(sys.argv[1:] or UNITS)
