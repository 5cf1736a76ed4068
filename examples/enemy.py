"""The enemy, high frequencies, and its cures: `python examples/enemy.py [UNIT]`.

Renders a unit under each family of regularization, prints the figures, and writes enemy.png. A minute or two on two
cores.
"""

import os
import sys

import retinoscope as rs

SHORT = "RETINOSCOPE_EXAMPLE_STEPS" in os.environ
STEPS = int(os.environ.get("RETINOSCOPE_EXAMPLE_STEPS", "256"))


def main(unit: str) -> None:
    """Compare the cures on one unit of the embedded network."""
    model = rs.load("efficientnet-lite0")
    compared = rs.cures(model, unit, size=64 if SHORT else 128, steps=STEPS, views=2 if SHORT else 64, seed=0)
    print(compared)
    print("wrote", compared.save("enemy.png"))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "blocks.3.2:21")
