"""One channel from block to block of a stage: `python examples/follow_channel.py [UNIT]`.

Prints what becomes of it over the sample photos, inside the branches too, and writes follow_channel.png: for each block
a row of the photos that excite it most. Half a minute on two cores.
"""

import os
import sys

import retinoscope as rs
from retinoscope.data.files import sample_photos
from retinoscope.image import codec
from retinoscope.image.sheet import Cell, sheet

COUNT = 12 if "RETINOSCOPE_EXAMPLE_STEPS" in os.environ else None  # the tests look at few photos, by default all
K = 6


def main(unit: str) -> None:
    """Follow, print, and draw."""
    model = rs.load("efficientnet-lite0")
    photos = rs.ImageSet(sample_photos())[:COUNT]
    stops = rs.follow_unit(model, photos, unit, k=K)
    cells = []
    for stop in stops:
        shared = "" if stop.overlap is None else f"{stop.overlap} of {K} shared, rank {stop.rank:.2f}"
        energy = "" if stop.energy is None else f", adds {stop.energy:.2f} of what is there"
        print(f"{stop.role:8} {stop.layer}:{stop.channel:<5} {shared}{energy}")
        if stop.role == "branch" or len(stop.role) == 1:
            for place, photo in enumerate(stop.photos):
                picture = codec.photo(sample_photos() / photo, (112, 112))
                cells.append(Cell(picture, f"{stop.role} {stop.layer}" if place == 0 else ""))
    sheet(cells, K, 112, f"{unit} from block to block").save("follow_channel.png")
    print("wrote follow_channel.png")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "blocks.5.3:162")
