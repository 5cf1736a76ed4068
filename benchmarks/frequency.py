"""How much high frequency is in the pictures of each family of regularization?

    python benchmarks/frequency.py [--units 16] [--size 128] [--steps N] [--layer blocks.4.2 ...] [--photos FOLDER]
        [--folder build/frequency]

Renders UNITS random channels (seed 0) of the layers of EfficientNet-Lite0 with every family that the article lists
(FAMILIES) and with the recipes of RECIPES named below, all at the same side and, with --steps, for the same steps. One
table: the share of spectral power above a quarter of Nyquist (mean over units, and how many times less than `naive`),
the objective, and the score under 64 fresh views, each as a share of `robust`'s. Real photos are the last row. Pictures
are kept in --folder: a run that was stopped goes on where it was.
"""

import argparse
import random
import time
from pathlib import Path

import torch
from judges import save, saved, sheet, show
from torch import Tensor

from retinoscope.data.files import sample_photos
from retinoscope.data.imageset import ImageSet
from retinoscope.image.spectrum import high_frequency_share
from retinoscope.network.model import Model
from retinoscope.network.zoo import load
from retinoscope.synthesize.objectives import Objective, channel
from retinoscope.synthesize.recipes import FAMILIES, RECIPES
from retinoscope.synthesize.render import final_scores, render, robust_scores
from retinoscope.tensor.memory import keep_memory

BESIDE = ("lucid", "maco", "natural")


def main() -> None:
    """Parse and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=16)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--views", type=int, default=64)
    parser.add_argument("--layer", nargs="+", default=["blocks.2.1", "blocks.3.2", "blocks.4.2", "blocks.5.3"])
    parser.add_argument("--recipe", nargs="+", default=[*FAMILIES, *BESIDE], choices=list(RECIPES))
    parser.add_argument("--photos", type=Path, default=sample_photos())
    parser.add_argument("--folder", type=Path, default=Path("build/frequency"))
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    keep_memory()
    torch.set_num_threads(options.threads)
    model = load("efficientnet-lite0")
    objectives = chosen(model, options)
    rows = {
        name: made(model, objectives, name, options) for name in dict.fromkeys(["naive", *options.recipe, "robust"])
    }
    table(model, objectives, rows, options)


def chosen(model: Model, options: argparse.Namespace) -> list[Objective]:
    """Random channels, as many of each layer."""
    draw = random.Random(0)
    layers = [options.layer[place % len(options.layer)] for place in range(options.units)]
    return [channel(layer, draw.randrange(model.layers[layer].channels)) for layer in sorted(layers)]


def made(model: Model, objectives: list[Objective], name: str, options: argparse.Namespace) -> tuple[Tensor, float]:
    """A recipe's pictures and seconds, kept in the folder."""
    steps = options.steps or RECIPES[name].steps
    file = options.folder / f"{name}-{len(objectives)}-{options.size}-{steps}.pt"
    if saved(file) is None:
        began = time.perf_counter()
        images = render(model, objectives, recipe=name, size=options.size, steps=steps).images
        save(images, time.perf_counter() - began, file)
        sheet(images, file.with_suffix(".png"), columns=8)
    return saved(file) or (torch.empty(0), 0.0)


def table(
    model: Model, objectives: list[Objective], rows: dict[str, tuple[Tensor, float]], options: argparse.Namespace
) -> None:
    """Print the table."""
    shares = {name: high_frequency_share(images) for name, (images, _) in rows.items()}
    plain = {name: final_scores(model, objectives, images) for name, (images, _) in rows.items()}
    views = {name: robust_scores(model, objectives, rows[name][0], options.views, seed=1) for name in rows}
    print(f"{len(objectives)} units of {', '.join(options.layer)}, {options.size} px\n")
    print(
        "| recipe | steps | share above Nyquist / 4 | naive's is times that | objective | under fresh views | s each |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, (images, seconds) in rows.items():
        share, steps = float(shares[name].mean()), options.steps or RECIPES[name].steps
        parts = [f"{100 * float((scores[name] / scores['robust']).mean()):.0f}%" for scores in (plain, views)]
        times = float(shares["naive"].mean()) / max(share, 1e-9)
        cells = [name, str(steps), f"{share:.3f}", f"{times:.1f}", *parts, f"{seconds / len(images):.2f}"]
        print(f"| {' | '.join(cells)} |")
    photos = torch.cat([images for _, images in ImageSet(options.photos)[:100].batches((256, 256), 32)])
    share = float(high_frequency_share(show(photos, options.size)).mean())
    print(f"| {len(photos)} real photos | | {share:.3f} | {float(shares['naive'].mean()) / share:.1f} | | | |")


if __name__ == "__main__":
    main()
