"""How much a scan costs over what it cannot avoid: decoding the photos and running the bare network.

    python benchmarks/scan.py PHOTOS [MODEL] [--repeats 3] [--batch 32] [--threads 2] [--limit N] [--cpu]

The floor decodes the same photos and runs the same prepared network (float32, batch norm folded, channels last) up to
the deepest layer asked for, and keeps nothing. It comes in two kinds: *overlapped*, with the same prefetch thread as
the scan, and *serial*, the sum of decoding alone and the forward pass alone. Repeats alternate between all of them. The
scan's time includes preparing the network.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from statistics import median

import torch
from torch import Tensor

import retinoscope.network.record as recording
from retinoscope.base.boxes import Item
from retinoscope.data.cuts import center
from retinoscope.data.files import sample_photos
from retinoscope.data.imageset import ImageSet
from retinoscope.network.model import Model
from retinoscope.network.prepare import prepare
from retinoscope.network.zoo import load
from retinoscope.observe.scan import Scan, scan
from retinoscope.tensor.memory import keep_memory

K = 9


def blocks(model: Model) -> list[str]:
    """The outputs of efficientnet's blocks; of other networks every tenth layer."""
    found = [name for name in model.layers if name.startswith("blocks.") and name.count(".") == 2]
    return found or list(model.layers)[::10]


def decode_alone(photos: ImageSet, size: tuple[int, int], batch: int) -> None:
    for _ in photos._batches(size, batch):
        pass


def overlapped(fast: Model, photos: ImageSet, batch: int) -> None:
    with torch.inference_mode(), closing(photos.batches(fast.input_size, batch)) as batches:
        for _, images in batches:
            fast(images)


def forward_alone(fast: Model, images: Tensor, count: int, batch: int) -> None:
    with torch.inference_mode():
        for start in range(0, count, batch):
            fast(images[: min(batch, count - start)])


def seconds(action: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    action()
    return clock() - start


class Subset:
    """Some items of an image set, decoded once and kept, so that both sides of the check see the same batches."""

    def __init__(self, photos: ImageSet, size: tuple[int, int], batch: int) -> None:
        self.items, self.start = photos.items, 0
        self.kept = list(photos.batches(size, batch))

    def batches(self, size: tuple[int, int], batch: int) -> Iterator[tuple[list[Item], Tensor]]:
        return iter(self.kept)


def equals_brute_force(model: Model, subset: Subset, names: list[str]) -> int:
    """Compare every unit's top and bottom with a full stable sort; gives the number of units compared."""
    found, fast = scan(model, subset, names, K), prepare(model, names)
    full: dict[str, list[Tensor]] = {name: [] for name in names}
    with torch.inference_mode(), recording.record(fast, names) as trace:
        for _, images in subset.kept:
            fast(images)
            for name in names:
                full[name].append(trace[name].clone())
    return sum(compare(found, name, torch.cat(full[name])) for name in names)


def compare(found: Scan, name: str, maps: Tensor) -> int:
    for channel in range(maps.shape[1]):
        flat = maps[:, channel].flatten(1)
        for examples, values in ((found.top, flat), (found.bottom, -flat)):
            best, spot = values.max(1).values, values.argmax(1)
            order = best.sort(descending=True, stable=True).indices[:K]
            expected = [
                (found.items[int(i)], float(flat[i, spot[i]]), *divmod(int(spot[i]), maps.shape[3])) for i in order
            ]
            came = [(e.item, e.score, e.y, e.x) for e in examples(f"{name}:{channel}")]
            assert came == expected, (name, channel, came, expected)
    return maps.shape[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("model", nargs="?", default="efficientnet-lite0")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--limit", type=int, default=None, help="use the first photos only")
    parser.add_argument(
        "--cpu", action="store_true", help="count processor time: fair on a busy machine with --threads 1"
    )
    parser.add_argument("--check", type=int, default=64)
    args = parser.parse_args()
    keep_memory()  # as the command line does; for the floor too
    torch.set_num_threads(args.threads)
    model = load(args.model)
    folder = sample_photos() if args.photos == "sample" else args.photos
    names, photos = blocks(model), ImageSet(folder, center(model.crop))[: args.limit]
    with torch.inference_mode():
        fast = prepare(model, names)
    size, count = model.input_size, len(photos)
    _, sample = next(iter(photos.batches(size, args.batch)))
    deepest = names[-1:]

    def bare(action: Callable[[], None]) -> None:
        with recording.record(fast, deepest):  # stops the pass after the deepest layer, keeps nothing else
            action()

    jobs: dict[str, Callable[[], object]] = {
        "scan": lambda: scan(model, photos, names, K, args.batch),
        "floor, overlapped": lambda: bare(lambda: overlapped(fast, photos, args.batch)),
        "decode alone": lambda: decode_alone(photos, size, args.batch),
        "forward alone": lambda: bare(lambda: forward_alone(fast, sample, count, args.batch)),
    }
    jobs["forward alone"]()
    clock = time.process_time if args.cpu else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(args.repeats):
        for name, job in jobs.items():
            times[name].append(seconds(job, clock))
    report(times, count, len(names), args)
    units = equals_brute_force(model, Subset(photos[: args.check], size, args.batch), names)
    print(f"\nEqual to brute force: top and bottom {K} of {units} units over {min(args.check, count)} items, exactly.")


def report(times: dict[str, list[float]], count: int, layers: int, args: argparse.Namespace) -> None:
    times["floor, serial"] = [a + b for a, b in zip(times["decode alone"], times["forward alone"], strict=True)]
    settings = f"k = {K}, batch {args.batch}, {args.threads} threads, {args.repeats} repeats"
    settings += ", processor time" if args.cpu else ""
    print(f"{args.model}, {count} items, {layers} layers, {settings}\n")
    print("| | photos per second | ms per photo | best ms per photo | scan / this | best scan / best of this |")
    print("|---|---|---|---|---|---|")
    for name, values in times.items():
        ratio = median(s / v for s, v in zip(times["scan"], values, strict=True))
        cells = [count / median(values), median(values) / count * 1e3, min(values) / count * 1e3]
        best = min(times["scan"]) / min(values)
        print(f"| {name} | " + " | ".join(f"{cell:.1f}" for cell in cells) + f" | {ratio:.2f} | {best:.2f} |")


if __name__ == "__main__":
    main()
