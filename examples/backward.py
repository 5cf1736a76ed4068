"""Which pixels made a unit answer, by three rules: `python examples/backward.py [UNIT]`.

Writes backward.png: the photos that excite the unit most, beside what comes back by guided backpropagation, by the
deconvnet, and by the plain gradient. Then prints how much of each is left when the network forgets what it learned.
"""

import os
import sys

import retinoscope as rs
from retinoscope.data.files import sample_photos
from retinoscope.image.sheet import stacked

QUICK = "RETINOSCOPE_EXAMPLE_STEPS" in os.environ  # the tests look at few photos and stages


def main(unit: str) -> None:
    """Scan, run the strongest answers backwards, and check."""
    model = rs.load("efficientnet-lite0")
    photos = rs.ImageSet(sample_photos())[: 3 if QUICK else None]
    scan = rs.scan(model, photos, layers=[unit.split(":")[0]], k=3)
    found = scan.top(unit)
    files = [photos.photo(example.item.photo).file for example in found]
    neurons = [f"{unit}@{example.y},{example.x}" for example in found]
    sheets = []
    for rule in ("guided", "deconvnet", "gradient"):
        back = rs.backproject(model, files, neurons, rule=rule)
        print(back)
        sheets.append(back.sheet())
    stacked(sheets).save("backward.png")
    print(rs.sanity_check(model, files, unit, stages=1 if QUICK else 4))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "blocks.3.0:21")
