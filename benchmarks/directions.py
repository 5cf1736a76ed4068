"""Are single channels clearer than directions at random? A measured answer for a network and a folder of photos.

    python benchmarks/directions.py PHOTOS [--layers blocks.2.1 blocks.4.2] [--count 200] [--seed 0] [--threads 2]

For each layer: its channels (basis), COUNT random directions, COUNT channels of the layer after rotations at random (a
check: they are random directions, too), and COUNT draws of photos by chance. Of the 9 photos that each answers to most,
the table gives the share of the commonest kind, with a 95% bootstrap interval over directions, and how much more the
basis has. *texture* is one of 32 kinds of what the patch under the largest answer looks like, without a network;
*label* is the class folder or, where file names begin with the number of an ImageNet class, the run it lies in.
"""

import argparse
import re
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

import torch

import retinoscope as rs
from retinoscope.base.boxes import Item

# The first index of runs of ImageNet classes that belong together: fish, birds, amphibians and reptiles, spiders,
# birds, marsupials, sea animals, birds, whales, dogs, wolves and foxes, cats, bears, insects, hoofed animals, apes,
# fish and others, things, food, landscapes, plants and fungi.
RUNS = (0, 7, 25, 69, 80, 101, 107, 127, 147, 151, 269, 281, 293, 300, 327, 338, 365, 389, 398, 924, 970, 984, 998)
THINGS = 398
"""From here on classes are sorted by their letters: half of all photos, of which each class is a group by itself."""


def main(options: argparse.Namespace) -> None:
    """Print the table; nothing is kept, since one pass over the photos is all there is to it."""
    rs.keep_memory()
    torch.set_num_threads(options.threads)
    compared = rs.compare_directions(
        rs.load(options.network),
        rs.ImageSet(options.photos),
        options.layers,
        label=group,
        count=options.count,
        seed=options.seed,
    )
    print(f"Purity of the top {compared.k} of {compared.count} photos, {compared.network}\n")
    head, *rows = compared.table()
    for row in (head, ["---"] * len(head), *rows):
        print(f"| {' | '.join(row)} |")


def group(item: Item) -> str | int | None:
    """The run of ImageNet classes that a number lies in, or the class itself if a thing; else the class folder."""
    found = re.match(r"(\d+)_", Path(item.photo).name)
    if not found:
        return item.label
    run = bisect_right(RUNS, int(found[1]))
    return f"thing {found[1]}" if RUNS[run - 1] == THINGS else run


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--network", default="efficientnet-lite0")
    parser.add_argument("--layers", nargs="+", default=["blocks.1.1", "blocks.2.1", "blocks.4.2", "blocks.5.3"])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args(words)


if __name__ == "__main__":
    main(parse())
