"""How fast are the weights of a whole pair of layers, and how good is the NMF?

    python benchmarks/weights.py [--model NAME] [--pairs FROM>TO ...] [--least 3] [--threads 2]

For each pair: seconds for all expanded weights, for positive and negative influence, and for the ranking of one unit's
users; beside them one autograd call per output channel through the same network, at its own image size, with
activations replaced by identities (in float32, as one would write it, and in float64), timed on the first channels and
scaled up. The largest difference to the float64 calls is printed. Then the one-sided NMF beside scikit-learn's on the
same stacked matrix.
"""

import argparse
import copy
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import NMF
from torch import Tensor, nn

import retinoscope as rs
from retinoscope.circuits.expand import route
from retinoscope.circuits.factors import flattened
from retinoscope.circuits.nmf import from_svd, nonnegative, svd_bounds
from retinoscope.network.model import Model

PAIRS = ("blocks.1.1>blocks.2.0", "blocks.2.1>blocks.3.0", "blocks.3.2>blocks.4.0", "blocks.5.2>blocks.5.3")


def main() -> None:
    """Print both tables."""
    options = argparse.ArgumentParser()
    options.add_argument("--model", default="efficientnet-lite0")
    options.add_argument("--pairs", nargs="+", default=PAIRS)
    options.add_argument("--least", type=int, default=3, help="runs, of which the fastest counts")
    options.add_argument("--threads", type=int, default=2)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    model = rs.load(given.model)
    pairs = [tuple(pair.split(">")) for pair in given.pairs]
    print("| from | to | weights | expand (s) | influence (s) | one unit's users (s) | by channel, float32 (s) "
          "| by channel, float64 (s) | largest difference |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    kept = [(source, target, row(model, source, target, given.least)) for source, target in pairs]
    print("\n| weights | k | ours: error | s | scikit-learn nndsvd | s | nndsvda | s | SVD bound |")
    print("|---|---|---|---|---|---|---|---|---|")
    for source, target, weights in kept:
        for k in (2, 6):
            factor_row(f"{source} > {target}", weights, k, given.least)


def row(model: Model, source: str, target: str, runs: int) -> Tensor:
    """Print a pair's row; its weights."""
    seconds, weights = fastest(lambda: rs.expand(model, source, target), runs)
    both, _ = fastest(lambda: rs.influence(model, source, target), runs)
    users, _ = fastest(lambda: rs.used_by(model, f"{source}:0", target), runs)
    single, _ = by_channel(model, source, target, torch.float32)
    double, rows = by_channel(model, source, target, torch.float64)
    way, layer = route(model, source, target), model.layers[target]
    top, left = (int(n // 2 * s + o) for n, s, o in zip(layer.size, way.stride, way.offset, strict=True))
    cut = rows[:, :, top : top + way.size[0], left : left + way.size[1]]
    off = float((cut - weights[: len(cut)]).abs().max())
    shape = " x ".join(str(n) for n in weights.shape)
    print(f"| {source} | {target} | {shape} | {seconds:.2f} | {both:.2f} | {users:.2f} | {single:.2f} | {double:.2f} "
          f"| {off:.1e} |", flush=True)  # fmt: skip
    return weights


SOME = 8
"""Output channels that the slow way is timed on."""


def by_channel(model: Model, source: str, target: str, dtype: torch.dtype) -> tuple[float, Tensor]:
    """Seconds for all output channels, one autograd call each, and some of the gradients (some, i, y, x)."""
    module = copy.deepcopy(model.module).eval().requires_grad_(False).to(dtype)
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.ReLU | nn.ReLU6):
                setattr(parent, name, nn.Identity())
            if isinstance(child, nn.MaxPool2d):
                size = (child.kernel_size, child.stride, child.padding, child.ceil_mode)
                setattr(parent, name, nn.AvgPool2d(*size, count_include_pad=False))
    kept: dict[str, Tensor] = {}

    def plant(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        kept["source"] = output.detach().requires_grad_()
        return kept["source"] * 1

    def note(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        kept["target"] = output

    handles = [module.get_submodule(source).register_forward_hook(plant)]
    handles.append(module.get_submodule(target).register_forward_hook(note))
    start = time.perf_counter()
    module(torch.zeros(1, 3, *model.input_size, dtype=dtype))
    forward = time.perf_counter() - start
    for handle in handles:
        handle.remove()
    maps = kept["target"]
    middle = maps[0, :, maps.shape[2] // 2, maps.shape[3] // 2]
    start = time.perf_counter()
    rows = [torch.autograd.grad(one, kept["source"], retain_graph=True)[0][0] for one in middle[:SOME]]
    each = (time.perf_counter() - start) / len(rows)
    return forward + each * len(middle), torch.stack(rows)


def factor_row(name: str, weights: Tensor, k: int, runs: int) -> None:
    """Print a row: ours and scikit-learn's factors of the same stacked matrix."""
    flat = flattened(weights)
    stacked = np.concatenate([np.maximum(flat, 0), np.maximum(-flat, 0)])
    size = float(np.linalg.norm(stacked))
    seconds, ours = fastest(lambda: nonnegative(stacked, from_svd(stacked, k)), runs)
    cells = [f"{np.sqrt(ours.losses[-1]) / size:.5f}", f"{seconds:.3f}"]
    for init in ("nndsvd", "nndsvda"):
        solver = NMF(k, init=init, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that its 200 steps did not suffice
            seconds, amounts = fastest(lambda solver=solver: solver.fit_transform(stacked), runs)
        cells += [f"{np.linalg.norm(stacked - amounts @ solver.components_) / size:.5f}", f"{seconds:.3f}"]
    bound = np.sqrt(svd_bounds(stacked, k)[-1]) / size
    print(f"| {name} | {k} | {' | '.join(cells)} | {bound:.5f} |", flush=True)


def fastest(work: Callable[[], Any], runs: int) -> tuple[float, Any]:
    """The least seconds of several runs, and the last result."""
    found = []
    for _ in range(runs):
        start = time.perf_counter()
        result = work()
        found.append(time.perf_counter() - start)
    return min(found), result


if __name__ == "__main__":
    main()
