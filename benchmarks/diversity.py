"""How different are a unit's facets, and what do they cost?

    python benchmarks/diversity.py [--units 40] [--n 4] [--steps 64] [--size 96] [--weights 0 0.75] [--threads 2]
        [--peer]

Random units of EfficientNet-Lite0 (seed 0) over all depths, `--n` pictures of each, per weight of diversity; 0 is none.
Prints a Markdown table: the mean cosine of the pictures' styles at the unit's layer (what is optimised), of their mean
answers at `blocks.6.0` (what is not), and the share of the score that is kept, under 16 fresh views, with a 95%
interval over units. `--peer` adds Lucid's own sum, channel - 1e2 * diversity, in its scale.
"""

import argparse
import random
from collections.abc import Sequence

import torch
from torch import Tensor

import retinoscope as rs
from retinoscope.network.model import Model
from retinoscope.synthesize.diversity import compared_at, cosines, facet_objectives, styles
from retinoscope.synthesize.objectives import Objective, as_objective
from retinoscope.synthesize.render import robust_scores
from retinoscope.tensor.random import generator

DEEP = "blocks.6.0"
LAYERS = [f"blocks.{block}" for block in ("0.0", "1.1", "2.1", "3.2", "4.2", "5.1", "5.3")] + ["logits"]


def main(options: argparse.Namespace) -> None:
    """Print the table, row by row."""
    torch.set_num_threads(options.threads)
    model = rs.load("efficientnet-lite0")
    units = chosen(model, options.units)
    rows = {
        f"{weight:g}": [facet_objectives(model, u, options.n, weight=weight)[0] for u in units]
        for weight in options.weights
    }
    if options.peer:
        n = options.n
        rows["Lucid, 1e2"] = [
            as_objective(u) + 100 * rs.diversity(compared_at(model, as_objective(u)), n) for u in units
        ]
    print("| weight | cosine of styles | cosine at a deep layer | score kept | units that keep 80% |")
    print("|---|---|---|---|---|")
    first: Tensor | None = None
    for name, items in rows.items():
        table = torch.stack([measured(model, u, item, options) for u, item in zip(units, items, strict=True)])
        first = table[:, 2] if first is None else first
        kept = table[:, 2] / first
        share = f"{100 * float((kept >= 0.8).float().mean()):.0f}%"
        print(
            f"| {name} | {interval(table[:, 0])} | {interval(table[:, 1])} | {interval(kept)} | {share} |", flush=True
        )


def chosen(model: Model, count: int) -> list[str]:
    """Units spread over the layers, always the same ones."""
    draw = random.Random(0)
    layers = [LAYERS[i % len(LAYERS)] for i in range(count)]
    return [f"{layer}:{draw.randrange(model.layers[layer].channels)}" for layer in layers]


def measured(model: Model, unit: str, item: Objective, options: argparse.Namespace) -> Tensor:
    """Cosine of styles, cosine of deep answers, and score of one unit's pictures."""
    out = rs.render(model, item, size=options.size, steps=options.steps, seed=0)
    layer = compared_at(model, as_objective(unit))
    with rs.record(model, [layer, DEEP]) as trace, torch.no_grad():
        model(out.images)
    score = robust_scores(model, [unit] * options.n, out.images, views=16).mean()
    return torch.stack([likeness(styles(trace[layer])), likeness(trace[DEEP].mean((2, 3))), score])


def likeness(codes: Tensor) -> Tensor:
    """Mean cosine over pairs of different rows."""
    return cosines(codes)[~torch.eye(len(codes), dtype=torch.bool)].mean()


def interval(values: Tensor) -> str:
    """The mean over units with its 95% bootstrap interval."""
    picks = torch.randint(len(values), (2000, len(values)), generator=generator(0, "bootstrap"))
    low, high = values[picks].mean(1).quantile(torch.tensor([0.025, 0.975])).tolist()
    return f"{float(values.mean()):.2f} ({low:.2f} to {high:.2f})"


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=40)
    parser.add_argument("--n", type=int, default=4)
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--weights", type=float, nargs="+", default=[0.0, 0.75])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer", action="store_true")
    return parser.parse_args(words)


if __name__ == "__main__":
    main(parse())
