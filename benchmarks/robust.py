"""Do our pictures excite their units more than the best photos, and more than lucent's, under fresh views?

    python benchmarks/robust.py PHOTOS [--units 200] [--folder build/robust] [--recipe robust] [--views 64]
        [--no-lucent] [--peer-python .venv-peers/bin/python]

Draws UNITS channels, each of a random layer of EfficientNet-Lite0 that gives maps (seed 0), and renders them with the
recipe's defaults. A forward pass over all photos, at the network's input size, finds the 9 with the highest mean of
each channel over the whole photo: the same objective. Pictures and photos are then scored under `--views` fresh views
of the robust recipe, pictures under Lucid's too, in float32. Lucent renders the same channels at 160 px in groups of
8, with as many steps as fit into our seconds for the group; its pictures are scored as they are and enlarged to 224
px, as it shows them to the network, and the better of the two counts. Prints shares with Wilson's 95% intervals, over
all depths and by thirds. Every group is kept in --folder: a run that was stopped goes on where it was.
"""

import argparse
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from judges import percent, show
from peers import DEFAULT, environment, pictures, step_seconds
from torch import Tensor

from retinoscope.data.imageset import ImageSet
from retinoscope.network.model import Model
from retinoscope.network.prepare import prepare
from retinoscope.network.record import record
from retinoscope.network.zoo import load
from retinoscope.synthesize.objectives import channel
from retinoscope.synthesize.render import default_size, render, robust_scores
from retinoscope.tensor.memory import keep_memory

GROUP, BEST, SHOWN = 8, 9, 224
VIEWS = ("robust", "lucid")
Unit = tuple[str, int]


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--units", type=int, default=200)
    parser.add_argument("--folder", type=Path, default=Path("build/robust"))
    parser.add_argument("--recipe", default="robust")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--views", type=int, default=64)
    parser.add_argument("--limit", type=int, help="look at so many photos only")
    parser.add_argument("--no-lucent", action="store_true")
    parser.add_argument("--peer-python", type=Path, default=DEFAULT)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    keep_memory()
    torch.set_num_threads(options.threads)
    options.folder.mkdir(parents=True, exist_ok=True)
    model = load("efficientnet-lite0")
    python = "" if options.no_lucent else environment(options.peer_python)
    units = chosen(model, options.units)
    photos = ImageSet(options.photos)[: options.limit]
    best = best_photos(model, units, photos, options.folder / f"photos-{len(photos)}-{len(units)}.pt")
    results = []
    for first in range(0, len(units), GROUP):
        group = units[first : first + GROUP]
        file = options.folder / f"{options.recipe}-{options.steps or 0}-{options.views}-{len(units)}-{first:03d}.pt"
        if not file.exists():
            result = compare(model, group, [best[unit] for unit in group], photos, python, options)
            torch.save(result, file.with_suffix(".part"))
            file.with_suffix(".part").replace(file)
        results.append(torch.load(file, weights_only=True))
        print(f"{first + len(group)} of {len(units)}", end="\r", flush=True)
    report(model, units, results, options)


def chosen(model: Model, count: int) -> list[Unit]:
    """Random channels, each of a random layer with maps, sorted by size of picture and depth."""
    draw = random.Random(0)
    layers = [name for name, layer in model.layers.items() if layer.layout == "map" and layer.size != (1, 1)]
    units = [(name := draw.choice(layers), draw.randrange(model.layers[name].channels)) for _ in range(count)]
    return sorted(set(units), key=lambda unit: (side(model, unit), model.layers[unit[0]].index, unit[1]))


def side(model: Model, unit: Unit) -> int:
    """The default side of a unit's picture."""
    return default_size(model, [channel(*unit)])


@torch.inference_mode()
def best_photos(model: Model, units: Sequence[Unit], photos: ImageSet, file: Path) -> dict[Unit, list[int]]:
    """The places of the photos with the highest channel mean, best first, found by one pass over all."""
    if file.exists():
        means = torch.load(file, weights_only=True)
    else:
        fast, layers = prepare(model, sorted({layer for layer, _ in units})), sorted({layer for layer, _ in units})
        parts = []
        for _, images in photos.batches((SHOWN, SHOWN), 16):
            with record(fast, layers) as trace:
                fast(images)
            parts.append(torch.stack([trace[layer][:, index].mean((1, 2)) for layer, index in units], 1))
        means = torch.cat(parts)
        torch.save(means, file)
    order = means.topk(BEST, dim=0).indices
    return {unit: order[:, place].tolist() for place, unit in enumerate(units)}


def compare(
    model: Model,
    group: Sequence[Unit],
    best: Sequence[list[int]],
    photos: ImageSet,
    python: str,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Scores of a group's pictures, photos and lucent's pictures under both kinds of views, and the seconds."""
    objectives, size = [channel(*unit) for unit in group], max(side(model, unit) for unit in group)
    began = time.perf_counter()
    images = render(model, objectives, size=size, steps=options.steps, recipe=options.recipe).images
    result: dict[str, Any] = {"seconds": time.perf_counter() - began, "pictures": images}
    for views in VIEWS:
        result[f"ours {views}"] = scores(model, objectives, images, views, options)
    shown = {place: decoded(photos, place) for places in best for place in places}
    each = [
        scores(model, [one] * BEST, torch.stack([shown[place] for place in places]), "robust", options)
        for one, places in zip(objectives, best, strict=True)
    ]
    result["photos robust"] = torch.stack(each)
    if python:
        result |= lucent(model, group, result["seconds"], python, options)
    return result


def lucent(
    model: Model, group: Sequence[Unit], budget: float, python: str, options: argparse.Namespace
) -> dict[str, Any]:
    """Lucent's pictures in the same seconds and their scores, the better of two sizes."""
    note = options.folder / "lucent-step-seconds"
    if not note.exists():  # it runs the whole network at 224 px whatever the layer and the side
        value = step_seconds(python, "lucent", "blocks.4.2:0", size=160, batch=GROUP, threads=options.threads)
        note.write_text(str(value))
    steps = max(1, min(512, round(budget / len(group) / float(note.read_text()))))
    names = [f"{layer}:{index}" for layer, index in group]
    images, seconds = pictures(python, "lucent", names, steps=steps, size=160, threads=options.threads)
    objectives = [channel(*unit) for unit in group]
    result: dict[str, Any] = {"lucent pictures": images, "lucent seconds": sum(seconds), "lucent steps": steps}
    for views in VIEWS:
        pair = [scores(model, objectives, some, views, options) for some in (images, show(images, SHOWN))]
        result[f"lucent {views}"] = torch.maximum(*pair)
    return result


def scores(model: Model, objectives: list, images: Tensor, views: str, options: argparse.Namespace) -> Tensor:
    """Mean scores under fresh views."""
    return robust_scores(model, objectives, images, views=options.views, seed=1, recipe=views)


def decoded(photos: ImageSet, place: int) -> Tensor:
    """One photo at the network's input size, (3, h, w)."""
    return next(iter(photos[place : place + 1].batches((SHOWN, SHOWN), 1)))[1][0]


def report(model: Model, units: Sequence[Unit], results: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Print the tables."""
    depth = torch.tensor([model.layers[layer].depth for layer, _ in units])
    names = ("all", "first third", "middle third", "last third")
    parts = [torch.ones_like(depth, dtype=torch.bool)] + [((depth * 3).ceil() == third) for third in (1, 2, 3)]
    steps = [result["lucent steps"] for result in results if "lucent steps" in result]
    seconds = sum(result["seconds"] for result in results) / len(units)
    print(
        f"{len(units)} random channels, recipe `{options.recipe}`, {seconds:.2f} s per channel, {options.views} views"
    )
    if steps:
        spent = sum(result["lucent seconds"] for result in results) / len(units)
        print(f"lucent: {min(steps)} to {max(steps)} of its 512 steps, {spent:.2f} s per channel")
    print("\nShare of channels whose picture scores more, in %, with 95% intervals\n")
    print("| views | depth | channels | than each of the 9 best photos | than their mean | than lucent's, equal time |")
    print("|---|---|---|---|---|---|")
    photos = torch.cat([result["photos robust"] for result in results])
    for views in VIEWS:
        mine = torch.cat([result[f"ours {views}"] for result in results])
        peer = torch.cat([result[f"lucent {views}"] for result in results]) if steps else None
        for name, part in zip(names, parts, strict=True):
            if not part.any():
                continue
            beaten = [mine > photos.amax(1), mine > photos.mean(1)] if views == "robust" else [None, None]
            cells = [*beaten, None if peer is None else mine > peer]
            texts = ["-" if cell is None else percent(cell[part]) for cell in cells]
            print(f"| {views} | {name} | {int(part.sum())} | {' | '.join(texts)} |")
    mine = torch.cat([result["ours robust"] for result in results])
    lost = [f"{units[i][0]}:{units[i][1]}" for i in (mine <= photos.amax(1)).nonzero().flatten().tolist()]
    print(f"\nUnder robust views the best photo wins for: {', '.join(lost) or 'none'}")


if __name__ == "__main__":
    main()
