"""Are single channels clearer than directions at random? A measured answer for a network and a folder of photos.

    python benchmarks/directions.py PHOTOS [--layers blocks.2.1 blocks.4.2] [--count 200] [--seed 0] [--threads 2]

For each layer: its channels, COUNT random directions, and the channels of the layer after a random rotation (a check:
they are random directions, too). Each answers to a photo with the largest value on its map. Of the 9 photos that it
answers to most, the table gives the share of the commonest kind, with a 95% bootstrap interval over units: kinds of
*texture* are 32 k-means groups of what the patch under the largest value looks like (colours and oriented contrasts,
no network), kinds of *thing* are coarse groups of ImageNet classes, where file names begin with the class index.
"""

import argparse
import re
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from torch import Tensor

import retinoscope as rs
from retinoscope.network.model import Layer, Model
from retinoscope.observe.purity import bootstrap, purity
from retinoscope.synthesize.directions import rotation

GROUPS = 32
# The first index of runs of ImageNet classes that belong together: fish, birds, amphibians and reptiles, spiders,
# birds, marsupials, sea animals, birds, whales, dogs, wolves and foxes, cats, bears, insects, hoofed animals, apes,
# fish and others, things, scenes, food, landscapes, plants and fungi.
RUNS = (0, 7, 25, 69, 80, 101, 107, 127, 147, 151, 269, 281, 293, 300, 327, 338, 365, 389, 398, 924, 970, 984, 998)


def main(options: argparse.Namespace) -> None:
    """Print the table, layer by layer."""
    torch.set_num_threads(options.threads)
    model = rs.load("efficientnet-lite0")
    photos = rs.ImageSet(options.photos)
    things = torch.tensor([thing(name) for name in photo_names(photos)])
    print("| layer | directions | count | texture, of 9 | thing, of 9 |")
    print("|---|---|---|---|---|")
    for name in options.layers:
        layer = model.layers[name]
        sets = {
            "channels": torch.eye(layer.channels),
            "random": rs.random_directions(model, name, options.count, options.seed),
            "channels, rotated": rotation(layer.channels, options.seed),
        }
        answers, places, looks = measured(model, layer, photos, torch.cat(list(sets.values())))
        textures = group(looks, options.seed).gather(1, places)
        first = 0
        for kind, vectors in sets.items():
            own = slice(first, first := first + len(vectors))
            texture = interval(purity(answers[:, own], textures[:, own]))
            told = interval(purity(answers[:, own], things)) if bool((things >= 0).all()) else "-"
            print(f"| {name} | {kind} | {len(vectors)} | {texture} | {told} |", flush=True)


def photo_names(photos: rs.ImageSet) -> list[str]:
    """The photos' file names, in the order of their items."""
    return [Path(item.photo).name for item in photos.items]


def thing(name: str) -> int:
    """The run of classes that a file's class index lies in; -1 where its name has none."""
    found = re.match(r"(\d+)_", name)
    return bisect_right(RUNS, int(found[1])) if found else -1


@torch.no_grad()
def measured(model: Model, layer: Layer, photos: rs.ImageSet, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Largest answers (n, u), their flat places on the map (n, u), and looks at each place (n, y x, d)."""
    answers, places, looks = [], [], []
    for _, images in photos.batches(model.input_size[0], 16):
        with rs.record(model, [layer.name]) as trace:
            model(images)
        maps = torch.einsum("bcyx,uc->buyx", trace[layer.name].float(), vectors).flatten(2)
        best = maps.max(2)
        answers.append(best.values)
        places.append(best.indices)
        looks.append(look(images, layer))
    return torch.cat(answers), torch.cat(places), torch.cat(looks)


def look(images: Tensor, layer: Layer) -> Tensor:
    """What lies under each position of a layer's map, (b, y x, 11): mean colour, and contrast in eight orientations."""
    grey = images.mean(1, keepdim=True)
    down, across = F.pad(grey, (0, 0, 1, 1), "replicate"), F.pad(grey, (1, 1, 0, 0), "replicate")
    dy, dx = down[:, :, 2:] - down[:, :, :-2], across[..., 2:] - across[..., :-2]
    turn = torch.atan2(dy, dx) % torch.pi / torch.pi * 8
    bins = torch.arange(8).view(1, 8, 1, 1)
    oriented = torch.hypot(dy, dx) * (turn.floor() % 8 == bins)
    window = min(max(layer.field.size), min(images.shape[2:]) // 2)
    pooled = F.avg_pool2d(torch.cat([images, 3 * oriented], 1), window, 1, window // 2, count_include_pad=False)
    return F.interpolate(pooled, layer.size, mode="bilinear", align_corners=False).flatten(2).transpose(1, 2)


def group(looks: Tensor, seed: int) -> Tensor:
    """The group (n, y x) of each look, from k-means on a sample of them."""
    flat = looks.flatten(0, 1)
    scaled = ((flat - flat.mean(0)) / flat.std(0).clamp(min=1e-6)).numpy()
    sample = scaled[:: max(1, len(scaled) // 20000)]
    found = KMeans(GROUPS, n_init=3, random_state=seed).fit(sample)
    return torch.as_tensor(found.predict(scaled)).long().view(looks.shape[:2])


def interval(values: Tensor) -> str:
    """A mean with its interval."""
    mean, low, high = bootstrap(values)
    return f"{mean:.3f} ({low:.3f} to {high:.3f})"


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--layers", nargs="+", default=["blocks.1.1", "blocks.2.1", "blocks.4.2", "blocks.5.3"])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args(words)


if __name__ == "__main__":
    main(parse())
