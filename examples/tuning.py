"""How units answer to two frequencies side by side: `python examples/tuning.py [UNIT...]`.

Writes tuning.png, the first unit's map and curve, and circle.png, all units around the circle of what they prefer. A
minute on two cores.
"""

import os
import sys

import retinoscope as rs

QUICK = "RETINOSCOPE_EXAMPLE_STEPS" in os.environ


def main(units: list[str]) -> None:
    """Tune, tell and draw."""
    model = rs.load("efficientnet-lite0")
    pairs = rs.stimuli.frequency_pair(orientations=8, ratios=2, phase=1) if QUICK else rs.stimuli.frequency_pair()
    print(pairs)
    tuning = rs.tune(model, units, pairs)
    found = tuning.preference()
    for unit, angle, strength in zip(tuning.units, found.preferred.tolist(), found.selectivity.tolist(), strict=True):
        print(f"{unit} prefers the high frequency at {angle:.0f} degrees, selectivity {strength:.2f}")
    tuning.figure(tuning.units[0]).savefig("tuning.png")
    tuning.radial().savefig("circle.png")
    print("wrote tuning.png and circle.png")


if __name__ == "__main__":
    main(sys.argv[1:] or ["blocks.2.0:28", "blocks.2.0:0-11"])
