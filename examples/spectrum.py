"""The spectrum of a unit over the sample photos: `python examples/spectrum.py [UNIT]`.

Writes spectrum.png: six panels, from the picture the unit answers most negatively to the one it answers most, over the
histogram of all its answers. A minute on two cores.
"""

import os
import sys

import retinoscope as rs
from retinoscope.data.files import sample_photos

STEPS = int(os.environ.get("RETINOSCOPE_EXAMPLE_STEPS", "192"))
COUNT = 4 if "RETINOSCOPE_EXAMPLE_STEPS" in os.environ else None  # the tests look at few photos, by default all


def main(unit: str) -> None:
    """Scan, optimise both ends, and draw."""
    model = rs.load("efficientnet-lite0")
    found = rs.spectrum(model, unit, rs.ImageSet(sample_photos(), rs.cuts.tiles())[:COUNT], steps=STEPS)
    for panel in found.panels:
        value = "none" if panel.value is None else f"{panel.value:8.3f}"
        print(f"{panel.title:20} {value}  {panel.example.item.id if panel.example else panel.note}")
    print(f"wrote {found.save('spectrum.png')}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "blocks.3.2:21")
