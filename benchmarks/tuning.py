"""What tuning costs over the bare forward passes: all units of all blocks, over 24 x 8 stimuli with 4 phases.

    python benchmarks/tuning.py [MODEL] [--orientations 24] [--ratios 8] [--phases 4] [--repeats 3] [--threads 2]
    [--cpu]

Three times, alternating: the tuning as it is called (measuring where the neurons look, drawing, several passes where
the layers have no point in common); one pass alone, with the points given and alike for all layers; and the floor, the
same number of grey pictures through the same prepared network (float32, batch norm folded, channels last) up to the
deepest layer, nothing drawn and nothing kept.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch

from retinoscope.image.stimuli import frequency_pair
from retinoscope.image.stimuli.sweep import Sweep
from retinoscope.network.model import Model
from retinoscope.network.prepare import prepare
from retinoscope.network.record import record
from retinoscope.network.zoo import load
from retinoscope.observe.aim import aims, middle
from retinoscope.observe.tuning import tune
from retinoscope.tensor.memory import keep_memory

BATCH = 32


def blocks(model: Model) -> list[str]:
    """The outputs of efficientnet's blocks; of other networks every tenth layer."""
    found = [name for name in model.layers if name.startswith("blocks.") and name.count(".") == 2]
    return found or list(model.layers)[::10]


def bare(fast: Model, names: list[str], count: int) -> None:
    """The floor."""
    images = torch.full((BATCH, 3, *fast.input_size), 0.5)
    with torch.inference_mode(), record(fast, names[-1:]):
        for start in range(0, count, BATCH):
            fast(images[: min(BATCH, count - start)])


def drawing(sweep: Sweep, size: tuple[int, int]) -> None:
    """The pictures alone."""
    for _ in sweep.batches(size, BATCH):
        pass


def seconds(job: Callable[[], object], clock: Callable[[], float]) -> float:
    """How long a job takes."""
    start = clock()
    job()
    return clock() - start


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="efficientnet-lite0")
    parser.add_argument("--orientations", type=int, default=24)
    parser.add_argument("--ratios", type=int, default=8)
    parser.add_argument("--phases", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu", action="store_true", help="count processor time, for a busy machine with --threads 1")
    args = parser.parse_args()
    keep_memory()
    torch.set_num_threads(args.threads)
    model = load(args.model)
    names, sweep = blocks(model), frequency_pair(args.orientations, args.ratios, args.phases)
    fast, layers = prepare(model, names), [model.layers[name] for name in names]
    one, points = middle(fast, layers), aims(fast, layers)
    jobs: dict[str, Callable[[], object]] = {
        "tuning": lambda: tune(model, names, sweep),
        "tuning, points given": lambda: tune(model, names, sweep, aimed=points),
        "tuning, one pass": lambda: tune(model, names, sweep, aimed=[one]),
        "measuring the points": lambda: aims(fast, layers),
        "drawing": lambda: drawing(sweep, model.input_size),
        "bare forward passes": lambda: bare(fast, names, len(sweep)),
    }
    bare(fast, names, BATCH)
    clock = time.process_time if args.cpu else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(args.repeats):
        for name, job in jobs.items():
            times[name].append(seconds(job, clock))
    units = sum(layer.channels for layer in layers)
    print(f"{args.model}: {units} units of {len(names)} layers, {sweep}; {len(points)} passes; {args.threads} threads")
    print("\n| | seconds, median (all) | of the bare passes |\n|---|---|---|")
    for name, some in times.items():
        ratio = median(a / b for a, b in zip(some, times["bare forward passes"], strict=True))
        print(f"| {name} | {median(some):.1f} ({', '.join(f'{value:.1f}' for value in some)}) | {ratio:.2f} |")


if __name__ == "__main__":
    main()
