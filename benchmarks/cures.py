"""High frequencies, scores and robust scores by family of regularization, over units of all depths of one network.

`python benchmarks/cures.py [--units 8] [--steps 128] [--size 96] [--views 32]`: medians over the units.
"""

import argparse

import torch

import retinoscope as rs
from retinoscope.image.spectrum import high_frequency_share
from retinoscope.synthesize.cures import COMPARED, TITLES
from retinoscope.synthesize.render import render, robust_scores
from retinoscope.tensor.random import generator

LAYERS = (
    "blocks.1.1",
    "blocks.2.1",
    "blocks.3.0",
    "blocks.3.2",
    "blocks.4.0",
    "blocks.4.2",
    "blocks.5.2",
    "blocks.6.0",
)


def main() -> None:
    """Render all units under each family, a family at a time, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=8)
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--views", type=int, default=32)
    args = parser.parse_args()
    rs.keep_memory()
    model = rs.load("efficientnet-lite0")
    layers = [LAYERS[place % len(LAYERS)] for place in range(args.units)]
    draws = generator(0, "units of the cures")
    units = [f"{layer}:{int(torch.randint(model.layers[layer].channels, (1,), generator=draws))}" for layer in layers]
    print(f"{len(units)} units, {args.steps} steps at {args.size} pixels: {' '.join(units)}\n")
    print("| regularization | recipe | high frequencies | lowest to highest | score | robust |")
    print("|---|---|---|---|---|---|")
    base: tuple[torch.Tensor, torch.Tensor] | None = None
    for family in COMPARED:
        out = render(model, units, recipe=family, steps=args.steps, size=args.size)
        robust = robust_scores(model, units, out.images, views=args.views)
        shares = high_frequency_share(out.images)
        base = base or (out.scores, robust)
        score, held = (float((now / first).median()) for now, first in zip((out.scores, robust), base, strict=True))
        span = f"{shares.min():.0%} to {shares.max():.0%}"
        row = (TITLES[family], f"`{family}`", f"{shares.median():.0%}", span, f"×{score:.2f}", f"×{held:.2f}")
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
