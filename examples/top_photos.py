"""Which of the sample photos excite a unit most: `python examples/top_photos.py [UNIT]`.

Prints the strongest photos with the place of the patch in each, and how rare such an answer is.
"""

import os
import sys

import retinoscope as rs
from retinoscope.data.files import sample_photos

# The tests keep this small: so many photos are looked at, by default all.
COUNT = 4 if "RETINOSCOPE_EXAMPLE_STEPS" in os.environ else None


def main(unit: str) -> None:
    """Scan the unit's layer once, and print what was found."""
    model = rs.load("efficientnet-lite0")
    photos = rs.ImageSet(sample_photos())[:COUNT]
    scan = rs.scan(model, photos, layers=[unit.split(":")[0]], k=9)
    print(f"{unit}, strongest of {len(photos)} photos:")
    for example in scan.top(unit):
        box = example.box
        place = f"rows {box.top:.0f}-{box.bottom:.0f}, columns {box.left:.0f}-{box.right:.0f}"
        print(f"  {example.score:8.3f}  {example.item.photo}  {place}")
    low, high = scan.extremes(unit)
    print(f"activations {low:.3f} to {high:.3f}; 99 of 100 are below {scan.quantile(unit, 0.99):.3f}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "blocks.4.2:5")
