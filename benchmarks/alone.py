"""Does a picture depend on its neighbours? One unit alone and inside a batch of 32, same seed, per precision.

    python benchmarks/alone.py [--layer blocks.5.3] [--steps 256] [--size 160] [--batch 32]

Every item has its own views and its own canvas; what is left is the order in which a network of another batch size adds
its numbers up, and what the ascent makes of that. Prints the largest and the mean difference of the pictures (of 1.0)
and of the scores, after one step and at the end, for the first, a middle and the last place of the batch.
"""

import argparse

import torch
from torch import Tensor

from retinoscope.image.canvas import Fourier
from retinoscope.network.model import Model
from retinoscope.network.zoo import load
from retinoscope.synthesize.objectives import channel
from retinoscope.synthesize.optimize import optimize
from retinoscope.synthesize.render import robust_scores
from retinoscope.tensor.memory import keep_memory


def main() -> None:
    """Parse and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer", default="blocks.5.3")
    parser.add_argument("--steps", type=int, default=256)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", nargs="+", default=["float64", "float32", "bfloat16"])
    options = parser.parse_args()
    keep_memory()
    torch.set_num_threads(options.threads)
    model = load("efficientnet-lite0")
    print(f"{options.layer}, {options.size} px, alone against a batch of {options.batch}, seed 0; of 1.0\n")
    print("| precision | place | steps | largest difference | mean difference | robust score alone, in the batch |")
    print("|---|---|---|---|---|---|")
    for name in options.precision:
        compare(model, options, getattr(torch, name))


def compare(model: Model, options: argparse.Namespace, dtype: torch.dtype) -> None:
    """The rows of one precision."""
    units = [channel(options.layer, index) for index in range(options.batch)]
    together = run(model, units, options, dtype)
    for place in (0, options.batch // 2, options.batch - 1):
        alone = run(model, [units[place]], options, dtype)
        for steps in (1, options.steps):
            a, b = alone[steps][0], together[steps][place]
            gap = (a - b).abs()
            scores = [float(robust_scores(model, [units[place]], one[None].float())) for one in (a, b)]
            print(
                f"| {str(dtype).removeprefix('torch.')} | {place} | {steps} | {gap.max():.1e} | {gap.mean():.1e} | "
                f"{scores[0]:.4g}, {scores[1]:.4g} |",
                flush=True,
            )


def run(model: Model, units: list, options: argparse.Namespace, dtype: torch.dtype) -> dict[int, Tensor]:
    """Pictures after the first step and at the end."""
    canvas = Fourier(len(units), options.size)
    if dtype == torch.float64:
        canvas.double()
    after: dict[int, Tensor] = {}
    for step in optimize(model, units, canvas=canvas, steps=options.steps, dtype=dtype):
        if step.index in (0, options.steps - 1):
            with torch.no_grad():
                after[step.index + 1] = canvas().clone()
    return after


if __name__ == "__main__":
    main()
