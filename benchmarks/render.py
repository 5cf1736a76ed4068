"""How fast are pictures, beside torch-lucent 0.1.8 and beside the bare forward and backward pass?

    python benchmarks/render.py [--repeats 3] [--steps 12] [--race] [--peer-python .venv-peers/bin/python]

Prints Markdown tables. Times of ours, of the bare passes and of lucent are taken in turn, `--repeats` times, and the
ratios are those of the medians. `--race` also lets lucent finish its 512 steps on 8 channels of each layer and measures
when ours reaches its final score, both scored under the same 64 fresh views. Ours optimises under the recipe of the
same name as the views that score both: `lucid` for Lucid's, `robust` for ours. Peers live in an environment of their
own, made on first use (peers.py).
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
from peers import DEFAULT, environment, pictures
from torch import Tensor

from retinoscope.image.canvas import Fourier
from retinoscope.network.model import Model
from retinoscope.network.prepare import prepare
from retinoscope.network.record import forward, record
from retinoscope.network.zoo import load
from retinoscope.synthesize.objectives import channel
from retinoscope.synthesize.optimize import optimize, precision
from retinoscope.synthesize.recipes import find
from retinoscope.synthesize.render import default_size, robust_scores
from retinoscope.tensor.memory import keep_memory

LAYERS = ("blocks.4.2", "blocks.5.3")
UNITS, SIDE = 32, 160


def ours(model: Model, layer: str, steps: int) -> float:
    """Milliseconds per image and step of our loop, without the set-up before the first step."""
    objectives = [channel(layer, i) for i in range(UNITS)]
    loop = optimize(model, objectives, canvas=Fourier(UNITS, SIDE), steps=steps + 2)
    next(loop), next(loop)
    began = time.perf_counter()
    for _ in loop:
        pass
    return (time.perf_counter() - began) / steps / UNITS * 1000


def bare(model: Model, layer: str, steps: int) -> float:
    """Milliseconds per image of a forward pass from images in [0, 1] to `layer`, and the backward pass to them."""
    dtype = next(model.module.parameters()).dtype
    images = torch.rand(UNITS, 3, SIDE, SIDE)
    times = []
    for _ in range(steps + 2):
        began = time.perf_counter()
        leaf = images.detach().requires_grad_()
        with record(model, [layer]) as trace:
            forward(model.module, model.normalize(leaf).to(dtype).contiguous(memory_format=torch.channels_last))
        trace[layer].float().mean((2, 3)).diagonal().sum().backward()
        times.append(time.perf_counter() - began)
    return statistics.mean(times[2:]) / UNITS * 1000


def lucent(python: str, layer: str, first: int, count: int, steps: int) -> tuple[Tensor, float]:
    """Lucent's pictures (n, 3, h, w) and its milliseconds per image and step."""
    units = [f"{layer}:{first + item}" for item in range(count)]
    images, seconds = pictures(python, "lucent", units, steps=steps, size=SIDE)
    return images, statistics.median(seconds) / steps / 8 * 1000


def speed(model: Model, python: str, repeats: int, steps: int) -> None:
    """Table of milliseconds per image and step, and ratios."""
    print(f"\nChannels 0-{UNITS - 1} at {SIDE} px, milliseconds per image and step, median of {repeats} (all values)\n")
    print("| layer | ours | bare pass, same prepared network | bare pass, user's float32 network | lucent, batch 8 |")
    print("|---|---|---|---|---|")
    notes = []
    for layer in LAYERS:
        fast = prepare(model, [layer], precision(model.device))
        rows: dict[str, list[float]] = {"ours": [], "bare": [], "user": [], "lucent": []}
        for _ in range(repeats):
            rows["ours"].append(ours(model, layer, steps))
            rows["bare"].append(bare(fast, layer, steps))
            rows["user"].append(bare(model, layer, max(2, steps // 4)))
            rows["lucent"].append(lucent(python, layer, 0, 8, steps)[1])
        cells = [f"{statistics.median(v):.2f} ({', '.join(f'{x:.2f}' for x in v)})" for v in rows.values()]
        print(f"| {layer} | {' | '.join(cells)} |")
        middle = {name: statistics.median(values) for name, values in rows.items()}
        peer, floor, user = (middle["ours"] / middle[name] for name in ("lucent", "bare", "user"))
        notes.append(f"{layer}: ours / lucent {peer:.3f} (1/{1 / peer:.1f}); / bare {floor:.2f}; / user's {user:.2f}")
        sys.stdout.flush()
    print("\n" + "\n".join(notes))


def race(model: Model, python: str) -> None:
    """When does ours reach the score of lucent's finished pictures?"""
    print("\nTime to lucent's final score (512 steps, channels 0-7), both under the same 64 fresh views\n")
    print("| layer | views | lucent: score, seconds | ours gets there | ratio | channels above then, at the end |")
    print("|---|---|---|---|---|---|")
    for layer in LAYERS:
        images, ms = lucent(python, layer, 0, 8, 512)
        objectives = [channel(layer, i) for i in range(8)]
        for name in ("lucid", "robust"):
            target = robust_scores(model, objectives, images, recipe=name)
            seconds, at, above, end = reach(model, objectives, target, name)
            total = ms * 512 * 8 / 1000
            print(
                f"| {layer} | {name} | {target.mean():.1f}, {total:.0f} s | {seconds:.1f} s (step {at}) | "
                f"1/{total / seconds:.1f} | {above}/8, {end}/8 |",
                flush=True,
            )


def reach(model: Model, objectives: list, target: torch.Tensor, views: str) -> tuple[float, int, int, int]:
    """Seconds and steps until the mean score reaches the target's, optimising under the views it is scored by."""
    canvas, spent, began = Fourier(8, SIDE), 0.0, time.perf_counter()
    reached: tuple[float, int, int] | None = None
    scores = target * 0
    for step in optimize(model, objectives, canvas=canvas, transforms=find(views).transforms, steps=256):
        spent += time.perf_counter() - began
        if step.index % 8 == 7:
            scores = robust_scores(model, objectives, step.images.float(), recipe=views)
            if reached is None and scores.mean() >= target.mean():
                reached = spent, step.index + 1, int((scores >= target).sum())
        began = time.perf_counter()
    return *(reached or (float("inf"), 256, 0)), int((scores >= target).sum())


def depth(model: Model) -> None:
    """How much less early layers need: default size and time per picture by depth."""
    print("\nWork per unit by depth: default size, time of 256 steps per picture in a batch of 32\n")
    print("| layer | receptive field | side | ms per image and step | seconds per picture | share of blocks.6.0 |")
    print("|---|---|---|---|---|---|")
    rows = []
    for layer in ("blocks.0.0", "blocks.1.1", "blocks.2.1", "blocks.3.2", "blocks.4.2", "blocks.6.0"):
        side = default_size(model, [channel(layer, 0)])
        units = min(16, model.layers[layer].channels)
        loop = optimize(model, [channel(layer, i) for i in range(units)], canvas=Fourier(units, side), steps=10)
        next(loop), next(loop)
        began = time.perf_counter()
        for _ in loop:
            pass
        rows.append((layer, model.layers[layer].field.size[0], side, (time.perf_counter() - began) / 8 / units * 1000))
    for layer, field, side, ms in rows:
        print(f"| {layer} | {field} | {side} | {ms:.2f} | {ms * 0.256:.2f} | {ms / rows[-1][3]:.2f} |", flush=True)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--race", action="store_true")
    parser.add_argument("--peer-python", type=Path, default=DEFAULT)
    options = parser.parse_args()
    keep_memory()
    torch.set_num_threads(2)
    model, python = load("efficientnet-lite0"), environment(options.peer_python)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {precision(model.device)}")
    speed(model, python, options.repeats, options.steps)
    depth(model)
    if options.race:
        race(model, python)


if __name__ == "__main__":
    main()
