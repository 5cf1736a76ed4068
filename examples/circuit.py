"""What a unit is made of, and two factors of a few units: `python examples/circuit.py [UNIT]`.

Writes made_of.png, kernels below pictures of the channels that they read, and factors.png. A minute on two cores.
"""

import os
import sys

import retinoscope as rs
from retinoscope.circuits.figures import factor_sheet, weight_sheet
from retinoscope.jobs.circuits import factor_pictures, unit_pictures

SOURCE, TARGET, UNITS = "blocks.1.1", "blocks.2.0", [4, 6, 18]
STEPS = int(os.environ.get("RETINOSCOPE_EXAMPLE_STEPS", "96"))


def main(unit: str) -> None:
    """Rank, factorize, render, and draw."""
    model = rs.load("efficientnet-lite0")
    links = rs.made_of(model, unit, SOURCE, k=6)
    for link in links:
        print(f"{link.unit!s:16} norm {link.norm:.2f}  {link.share:.0%} of the energy")
    pictures = unit_pictures(model, [str(link.unit) for link in links], steps=STEPS)
    weight_sheet(links, f"{unit} is made of", pictures, columns=6).save("made_of.png")

    factors = rs.factorize(rs.expand(model, SOURCE, TARGET, UNITS), k=2)
    print(f"two factors of {TARGET}: relative error {factors.error:.2f}, at least {factors.bound:.2f}")
    shown = list(factor_pictures(model, SOURCE, factors, steps=STEPS))
    factor_sheet(factors, [f"{TARGET}:{channel}" for channel in UNITS], SOURCE, shown).save("factors.png")
    print("wrote made_of.png and factors.png")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "blocks.2.0:23")
