"""Which settings suit a network's hidden channels? Recipes of recipes.py, on channels of any network, against photos.

    python benchmarks/channels.py PHOTOS [NAME ...] --model NAME_OR_FACTORY [--layers LAYER ...] [--each 8]
        [--steps 100] [--size 128] [--limit 700] [--views 64] [--folder build/channels]

PHOTOS is a folder; its first LIMIT are looked at. Renders EACH channels of each layer (by default
every second block) with each candidate and scores pictures and the 9 photos with the highest channel mean under fresh
views of the robust recipe. Prints, for each candidate: the share of channels whose picture scores more than each of the
9 photos, the median score in standard deviations of the photos' own scores above their mean, and how much pictures
repeat at the distance of a patch (`periodicity`).
"""

import argparse
import time
from pathlib import Path

import torch
from judges import percent, save, saved, sheet
from recipes import CANDIDATES
from torch import Tensor

from retinoscope.data.imageset import ImageSet
from retinoscope.image.spectrum import periodicity
from retinoscope.network.model import Model
from retinoscope.network.record import record
from retinoscope.network.shaken import blocks
from retinoscope.network.zoo import load
from retinoscope.synthesize.objectives import Objective, channel
from retinoscope.synthesize.render import render, robust_scores

BEST = 9


def main(options: argparse.Namespace) -> None:
    """Print the table, row by row."""
    torch.set_num_threads(options.threads)
    model = load(options.model)
    layers = options.layers or blocks(model)[1::2]
    units = [channel(name, index) for name in layers for index in spread(model, name, options.each)]
    photos = ImageSet(options.photos)[: options.limit]
    best, means = strongest(model, units, photos)
    shown = torch.cat(
        [robust_scores(model, [u] * BEST, p, options.views, 1)[None] for u, p in zip(units, best, strict=True)]
    )
    print(f"{model.name}, {len(units)} channels of {', '.join(layers)}, {len(photos)} photos, {options.steps} steps\n")
    print("| candidate | px | s | than each of the 9 best photos | deviations above photos' mean | repeats |")
    print("|---|---|---|---|---|---|")
    for name in options.names or CANDIDATES:
        pictures, seconds = pictured(model, name, units, options)
        scores = robust_scores(model, units, pictures, options.views, 1)
        above = ((scores - means.mean(0)) / means.std(0)).median()
        repeats = periodicity(pictures.mean(1), patch(model, pictures.shape[-1])).mean()
        won = percent(scores > shown.amax(1))
        each = seconds / len(units)
        print(f"| {name} | {pictures.shape[-1]} | {each:.2f} | {won} | {above:.1f} | {repeats:+.3f} |", flush=True)


def spread(model: Model, layer: str, count: int) -> list[int]:
    """Channels at equal distances."""
    channels = model.layers[layer].channels
    return [(2 * place + 1) * channels // (2 * count) for place in range(count)]


def patch(model: Model, side: int) -> int:
    """The side of a patch on pictures that the network sees whole."""
    first = next(layer for layer in model.layers.values() if max(layer.size) > 1)
    return round(side / first.size[1])


@torch.inference_mode()
def strongest(model: Model, units: list[Objective], photos: ImageSet) -> tuple[list[Tensor], Tensor]:
    """Each unit's best photos (9, 3, h, w), and the means of all (photos, units)."""
    layers = sorted({unit.layer for objective in units for unit in objective.units})
    images = torch.cat([batch for _, batch in photos.batches(model.input_size, 32)])
    parts = []
    for part in images.split(32):
        with record(model, layers) as trace:
            model(part)
        parts.append(torch.stack([objective(trace) for objective in units], 1))
    means = torch.cat(parts)
    return [images[places] for places in means.topk(BEST, dim=0).indices.T], means


def pictured(model: Model, name: str, units: list[Objective], options: argparse.Namespace) -> tuple[Tensor, float]:
    """A candidate's pictures and the seconds they took, kept in the folder."""
    size = options.size
    file = options.folder / model.name / f"{name.replace(' ', '-')}-{len(units)}-{size}-{options.steps}.pt"
    if saved(file) is None:
        began = time.perf_counter()
        recipe = CANDIDATES[name].at(options.steps, size)
        images = torch.cat([render(model, units[i : i + 16], recipe=recipe).images for i in range(0, len(units), 16)])
        save(images, time.perf_counter() - began, file)
        sheet(images, file.with_suffix(".png"), columns=options.each)
    return saved(file) or (torch.empty(0), 0.0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--model", required=True)
    parser.add_argument("--layers", nargs="+")
    parser.add_argument("--each", type=int, default=8)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--limit", type=int, default=700)
    parser.add_argument("--views", type=int, default=64)
    parser.add_argument("--folder", type=Path, default=Path("build/channels"))
    parser.add_argument("--threads", type=int, default=2)
    main(parser.parse_args())
