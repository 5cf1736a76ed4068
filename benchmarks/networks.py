"""Do real networks work? Load, list, record and render with random torchvision and timm classification networks.

    python benchmarks/networks.py [COUNT]

The choice is fixed by a seed: COUNT (40) networks of at most 100 million parameters and 300 pixels, with random
weights, at most two of a family, among them a ViT, a Swin, a ConvNeXt and a squeeze-and-excitation network. Prints a
Markdown table: parameters, layers, and seconds to load and list, to record one layer, and to render one of its units
for 8 steps.
"""

import random
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import timm
import torch
import torchvision

import retinoscope as rs
from retinoscope.network.model import Model

MUST = ("timm/vit_tiny_patch16_224", "torchvision/swin_t", "torchvision/convnext_tiny", "timm/seresnet33ts")
LARGEST, WIDEST = 100e6, 300


def main(count: int) -> None:
    """Print the table, row by row as the figures come."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print("| network | parameters (M) | layers | load and list (s) | record (s) | render (s) | result |")
    print("|---|---|---|---|---|---|---|")
    results = [row(name) for name in islice(chosen(), count)]
    print(f"\n{sum(results)} of {len(results)} work")


def chosen() -> Iterator[str]:
    """The networks that must be there, then random ones."""
    yield from MUST
    names = [name for name in rs.networks() if "/" in name and name not in MUST]
    random.Random(0).shuffle(names)
    seen = Counter(family(name) for name in MUST)
    for name in names:
        if seen[family(name)] < 2 and fits(name):
            seen[family(name)] += 1
            yield name


def family(name: str) -> str:
    """The letters a network's name begins with: resnet50 and resnet18 are of one family."""
    found = re.match(r"(tf_)?([a-z]+)", name.partition("/")[2])
    return found[2] if found else name


def fits(name: str) -> bool:
    """Whether a network is small enough, found without making its weights."""
    source, _, rest = name.partition("/")
    config = timm.get_pretrained_cfg(rest) if source == "timm" else None
    if config is not None and max(config.input_size) > WIDEST:
        return False
    try:
        with torch.device("meta"):
            module = timm.create_model(rest) if source == "timm" else torchvision.models.get_model(rest)
    except (NotImplementedError, RuntimeError):  # it computes with its weights while it is made
        return False
    return sum(p.numel() for p in module.parameters()) <= LARGEST


def row(name: str) -> bool:
    """Try one network and print its row; True when everything worked."""
    cells, result = [], "ok"
    try:
        torch.manual_seed(0)
        seconds, model = timed(lambda: rs.load(name, weights=None))
        millions = sum(p.numel() for p in model.module.parameters()) / 1e6
        cells = [f"{millions:.1f}", str(len(model.layers)), f"{seconds:.2f}"]
        layer = alive(model)
        cells.append(f"{timed(lambda: record(model, layer))[0]:.2f}")
        seconds, out = timed(lambda: rs.render(model, f"{layer}:0", steps=8, seed=0))
        cells.append(f"{seconds:.2f}")
        if not bool(out.images.isfinite().all()):
            raise ValueError("the picture is not finite")
        result = "ok, but no gradient" if out.unreached else "ok"
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        result = f"{type(error).__name__}: {first}"[:160].replace("|", "/")
    print(f"| {name} | {' | '.join(cells + ['-'] * (5 - len(cells)))} | {result} |", flush=True)
    return result.startswith("ok")


def alive(model: Model) -> str:
    """The first layer from the middle on whose channel 0 answers: random weights often begin with gains of zero."""
    maps = [layer.name for layer in model.layers.values() if max(layer.size) > 1]
    middle = maps[len(maps) // 2 :]
    with torch.no_grad(), rs.record(model, middle) as trace:
        model(torch.rand(1, 3, *model.input_size))
        return next(name for name in middle if trace[name][:, 0].std() > 0)


def record(model: Model, layer: str) -> None:
    """Record one layer, and check that what came has the shape that the layer declares."""
    with torch.no_grad(), rs.record(model, [layer]) as trace:
        model(torch.rand(1, 3, *model.input_size))
    declared = model.layers[layer]
    if trace[layer].shape != (1, declared.channels, *declared.size):
        raise ValueError(f"{layer} gave {tuple(trace[layer].shape)}, declared {declared.channels}, {declared.size}")


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that the work took, and its result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
