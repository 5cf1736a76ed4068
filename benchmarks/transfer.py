"""Do other networks recognise our pictures of classes? Networks that the optimiser never saw classify them.

    python benchmarks/transfer.py [--recipe natural] [--size N] [--steps N ...] [--classes 100]
        [--folder build/transfer] [--squeezenet squeezenet1_0.pt] [--judge file.py:factory ...] [--photos FOLDER]
        [--peer lucent --peer horama-wide ...] [--peer-recipe NAME ...] [--peer-python .venv-peers/bin/python]

Renders the logits of CLASSES classes of EfficientNet-Lite0 at equal distances (of 100: every tenth) and prints how many
pictures each judge puts first and among its first five, with Wilson's 95% intervals, and the seconds that a class took.
Every picture is shown to every judge in the same way: whole, resized to its input size. Several --steps give a row
each: how few seconds suffice. `--peer` (see peer_tools.py) and `--peer-recipe` (of ours) get as many steps as fit into
our seconds at the first --steps, measured on the spot; more than a tool's default steps are not given to it. `--photos`
(file names begin with the class index) adds the judges' accuracy on real photos of those classes.

Everything is kept in --folder, by name, size and steps, in parts: a run that was stopped goes on where it was, and
contact sheets lie beside.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from judges import Judge, add_options, cells, judges, read_photos, save, saved, sheet
from peers import DEFAULT, environment, pictures, step_seconds
from recipes import CANDIDATES, Candidate
from torch import Tensor

from retinoscope.network.model import Model
from retinoscope.network.zoo import load
from retinoscope.synthesize.objectives import logit
from retinoscope.synthesize.optimize import precision
from retinoscope.synthesize.recipes import RECIPES
from retinoscope.synthesize.render import render
from retinoscope.tensor.memory import keep_memory

PART = 10
"""Classes per part, optimised together and kept as one file."""

Make = Callable[[list[int]], tuple[Tensor, float]]
"""Pictures of classes, and the seconds they took."""


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="natural", help="of retinoscope, or a candidate of recipes.py")
    parser.add_argument("--size", type=int)
    parser.add_argument("--steps", type=int, nargs="+", default=[None])
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--folder", type=Path, default=Path("build/transfer"))
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--peer", action="append", default=[])
    parser.add_argument("--peer-recipe", action="append", default=[])
    parser.add_argument("--peer-python", type=Path, default=DEFAULT)
    parser.add_argument("--threads", type=int, default=2)
    add_options(parser)
    options = parser.parse_args()
    keep_memory()
    torch.set_num_threads(options.threads)
    classes = list(range(0, 1000, 1000 // options.classes))[: options.classes]
    model, among = load("efficientnet-lite0"), judges(options)
    print(f"torch {torch.__version__}, {options.threads} threads, {precision(model.device)}, {len(classes)} classes\n")
    print("Share of pictures whose class a judge puts first / among its first five, in %, with 95% intervals\n")
    print(f"| pictures | px | steps | s per class | {' | '.join(judge.name for judge in among)} |")
    print("|---" * (4 + len(among)) + "|")
    if options.photos:
        photos(options.photos, classes, among)
    budget = 0.0
    for steps in options.steps:
        spent = ours(model, options.recipe, steps, options, classes, among)
        budget = budget or spent
    for name in options.peer_recipe:
        per_step = probe(model, name, options.size)
        ours(model, name, fitting(budget, per_step, candidate(name).recipe.steps), options, classes, among)
    python = environment(options.peer_python) if options.peer else ""
    for tool in options.peer:
        peer(python, tool, budget, options, classes, among)


def photos(folder: Path, classes: list[int], among: list[Judge]) -> None:
    """The row of real photos."""
    files = {int(file.name[:3]): file for file in folder.iterdir() if file.name[:3].isdigit()}
    there = [index for index in classes if index in files]
    row(
        f"real photos of {len(there)} of the classes",
        256,
        "",
        0,
        cells(read_photos([files[index] for index in there]), there, among),
    )


def candidate(name: str) -> Candidate:
    """A recipe of ours or a candidate of recipes.py, by name."""
    if name in RECIPES:
        return Candidate(RECIPES[name])
    return CANDIDATES[name]


def ours(
    model: Model, name: str, steps: int | None, options: argparse.Namespace, classes: list[int], among: list[Judge]
) -> float:
    """The row of one of our recipes; gives its seconds per class."""
    chosen = candidate(name)
    side, count = options.size or chosen.recipe.size or 160, steps or chosen.recipe.steps
    recipe = chosen.at(count, side)

    def make(part: list[int]) -> tuple[Tensor, float]:
        began = time.perf_counter()
        images = render(model, [chosen.objective(index) for index in part], recipe=recipe, batch=PART).images
        return images, time.perf_counter() - began

    found, seconds = gather(options.folder / f"ours-{name}-{side}-{count}", classes, make)
    row(f"ours, `{name}`", side, count, seconds, cells(found, classes, among))
    return seconds


def probe(model: Model, name: str, size: int | None) -> float:
    """Seconds that one step takes for one picture of a part."""
    chosen, times = candidate(name), []
    for steps in (2, 8):
        recipe = chosen.at(steps, size or chosen.recipe.size or 160)
        began = time.perf_counter()
        render(model, [logit(index) for index in range(PART)], recipe=recipe, batch=PART)
        times.append(time.perf_counter() - began)
    return (times[1] - times[0]) / 6 / PART


def peer(
    python: str, tool: str, budget: float, options: argparse.Namespace, classes: list[int], among: list[Judge]
) -> None:
    """The row of a peer at our seconds per class, at its own default size."""
    batch = 1 if "maco" in tool or "horama" in tool else 8
    folder = options.folder / f"{tool}-{budget:.2f}s"
    note = folder / "steps"
    if not note.exists():
        per_step = step_seconds(python, tool, "logits:0", size=None, batch=batch, threads=options.threads)
        folder.mkdir(parents=True, exist_ok=True)
        note.write_text(str(fitting(budget, per_step, DEFAULT_STEPS[tool])))
    steps = int(note.read_text())

    def make(part: list[int]) -> tuple[Tensor, float]:
        units = [f"logits:{index}" for index in part]
        images, seconds = pictures(python, tool, units, steps=steps, batch=batch, threads=options.threads)
        return images, sum(seconds)

    found, seconds = gather(folder, classes, make)
    row(tool, found.shape[-1], f"{steps} of {DEFAULT_STEPS[tool]}", seconds, cells(found, classes, among))


DEFAULT_STEPS = {"lucent": 512, "dreamlens": 120, "dreamlens-maco": 256, "horama": 1000, "horama-wide": 1000}


def fitting(budget: float, per_step: float, most: int) -> int:
    """How many steps fit into the seconds of a class."""
    return max(1, min(most, round(budget / per_step)))


def gather(folder: Path, classes: list[int], make: Make) -> tuple[Tensor, float]:
    """Pictures of all classes, part by part, each part kept in the folder; and the seconds per class."""
    found, seconds = [], 0.0
    for part in parts(classes):
        file = folder / f"{part[0]:03d}-{part[-1]:03d}.pt"
        if saved(file) is None:
            save(*make(part), file)
        images, spent = saved(file) or (torch.empty(0), 0.0)
        found.append(images)
        seconds += spent
    whole = torch.cat(found)
    sheet(whole, folder.with_suffix(".png"))
    return whole, seconds / len(classes)


def parts(classes: list[int]) -> Iterator[list[int]]:
    """The classes in parts."""
    for start in range(0, len(classes), PART):
        yield classes[start : start + PART]


def row(name: str, side: int, steps: object, seconds: float, shares: list[str]) -> None:
    """Print one row as soon as it is known."""
    print(f"| {name} | {side} | {steps} | {seconds:.2f} | {' | '.join(shares)} |")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
