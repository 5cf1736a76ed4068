"""How many pictures of a whole layer per minute, beside lucent, dreamlens and horama?

    python benchmarks/throughput.py [--layer blocks.5.3] [--units N] [--size 160] [--repeats 3]
        [--folder build/throughput] [--peer-python .venv-peers/bin/python]

Ours renders every unit of the layer (192 in blocks.5.3) with its default recipe and steps. The peers render in the same
run, in turn with parts of ours, at the same side in pixels and with their own default steps: since a layer would take
them hours, each times `--repeats` batches of `--peer-steps` steps and of three times as many, and the slope between the
two, times its default steps, is its time per picture (the table says so). Lucent and dreamlens get batches of 8, horama
makes one picture at a time. Parts of ours are kept in --folder, so that a stopped run goes on, and can be looked at.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch
from judges import save, saved, sheet
from peers import DEFAULT, environment, pictures
from torch import Tensor

from retinoscope.network.model import Model
from retinoscope.network.zoo import load
from retinoscope.synthesize.optimize import precision
from retinoscope.synthesize.recipes import find
from retinoscope.synthesize.render import render
from retinoscope.tensor.memory import keep_memory

PART = 32
PEERS = {"lucent": (512, 8), "dreamlens": (120, 8), "dreamlens-maco": (256, 1), "horama": (1000, 1)}
"""Default steps, and pictures that we let it make together."""


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer", default="blocks.5.3")
    parser.add_argument("--units", type=int)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer-steps", type=int, default=4)
    parser.add_argument("--peer", nargs="*", default=list(PEERS), choices=PEERS)
    parser.add_argument("--peer-python", type=Path, default=DEFAULT)
    parser.add_argument("--folder", type=Path, default=Path("build/throughput"))
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    keep_memory()
    torch.set_num_threads(options.threads)
    model = load("efficientnet-lite0")
    python = environment(options.peer_python) if options.peer else ""
    count = options.units or model.layers[options.layer].channels
    steps = options.steps or find("robust").steps
    slopes: dict[str, list[float]] = {name: [] for name in options.peer}
    seconds = 0.0
    whole = []
    for place, first in enumerate(range(0, count, PART)):
        made, spent = ours(model, options, first, min(PART, count - first), steps)
        whole.append(made)
        seconds += spent
        for name in options.peer if place < options.repeats else ():
            slopes[name].append(slope(python, name, options))
    sheet(torch.cat(whole), options.folder / "ours.png", columns=16)
    table(options, count, steps, seconds, slopes, precision(model.device))


def ours(model: Model, options: argparse.Namespace, first: int, count: int, steps: int) -> tuple[Tensor, float]:
    """A part of the layer with the default recipe, and its seconds, kept in the folder."""
    file = options.folder / f"{options.layer}-{options.size}-{steps}-{first:04d}-{count}.pt"
    if (kept := saved(file)) is not None:
        return kept
    began = time.perf_counter()
    images = render(
        model, [f"{options.layer}:{first + item}" for item in range(count)], size=options.size, steps=steps
    ).images
    save(images, time.perf_counter() - began, file)
    return images, saved(file)[1]  # type: ignore[index]


def slope(python: str, name: str, options: argparse.Namespace) -> float:
    """Seconds of a peer per picture and step."""
    _, batch = PEERS[name]
    units = [f"{options.layer}:{item}" for item in range(batch)]
    few, many = (
        pictures(python, name, units, steps=steps, size=options.size, batch=batch, threads=options.threads)[1][0]
        for steps in (options.peer_steps, 3 * options.peer_steps)
    )
    return (many - few) / (2 * options.peer_steps) / batch


def table(
    options: argparse.Namespace,
    count: int,
    steps: int,
    seconds: float,
    slopes: dict[str, list[float]],
    number: torch.dtype,
) -> None:
    """Print the table and the ratios."""
    print(
        f"{options.layer}, {options.size} px, torch {torch.__version__}, {options.threads} threads, ours in {number}\n"
    )
    print("| tool | steps (its default) | ms per image and step | s per picture | pictures per minute | measured on |")
    print("|---|---|---|---|---|---|")
    mine = seconds / count
    print(
        f"| ours | {steps} | {mine / steps * 1000:.2f} | {mine:.2f} | {60 / mine:.2f} | {count} units, whole renders |"
    )
    notes = []
    for name, values in slopes.items():
        default, batch = PEERS[name]
        middle = statistics.median(values) * 1000
        each = middle / 1000 * default
        spread = ", ".join(f"{value * 1000:.1f}" for value in values)
        print(
            f"| {name} | {default} | {middle:.2f} ({spread}) | {each:.1f} | {60 / each:.2f} | "
            f"{len(values)} x {batch} units, extrapolated |"
        )
        notes.append(
            f"{name}: {each / mine:.1f} times our time per picture, "
            f"{each / default / (mine / steps):.1f} times per image and step"
        )
    print("\n" + "\n".join(notes))


if __name__ == "__main__":
    main()
