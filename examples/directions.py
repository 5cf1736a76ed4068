"""Single channels beside directions at random, rendered: `python examples/directions.py [LAYER]`.

Writes directions.png: four channels above four random directions of the same layer. A minute on two cores.
"""

import os
import sys

import retinoscope as rs
from retinoscope.image.sheet import Cell, sheet

COUNT, SIDE = 4, 128
STEPS = int(os.environ.get("RETINOSCOPE_EXAMPLE_STEPS", "128"))


def main(layer: str) -> None:
    """Render both with the same settings and lay them out."""
    model = rs.load("efficientnet-lite0")
    channels = model.layers[layer].channels
    basis = [rs.channel(layer, place * channels // COUNT) for place in range(COUNT)]
    vectors = rs.random_directions(model, layer, COUNT, seed=0)
    out = rs.render(model, [*basis, *(rs.direction(layer, v) for v in vectors)], size=SIDE, steps=STEPS, seed=0)
    print(out)
    titles = [*(f"channel {item.units[0].channel}" for item in basis), *(f"random {n}" for n in range(COUNT))]
    cells = [Cell(image, title) for image, title in zip(out.images, titles, strict=True)]
    sheet(cells, COUNT, 192, f"Channels of {layer}, and directions at random").save("directions.png")
    print("wrote directions.png")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "blocks.4.2")
