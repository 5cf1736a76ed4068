"""Refinement to look at: `python examples/refinement.py [STAGE]` (a minute on two cores).

Follows all channels of a stage of the embedded network over the sample photos, and draws two of them into
refinement.png: the one whose examples become most alike from block to block, and the one that keeps its examples and
loses most. A row for each block: the photos that excite the channel most, beside what guided backpropagation brings
back from them. Prints how the stage does as a whole, beside chance.
"""

import os
import sys

import torch
from torch import Tensor

import retinoscope as rs
from retinoscope.data.files import sample_photos
from retinoscope.image.sheet import Cell, sheet, stacked
from retinoscope.observe.peaks import Peaks, peaks
from retinoscope.observe.refinement import Refinement, layers_of, refinements

COUNT = 12 if "RETINOSCOPE_EXAMPLE_STEPS" in os.environ else None  # the tests look at few photos, by default all
K, SHOWN = 5, 4


def main(stage: str) -> None:
    """Follow, tell, draw."""
    model = rs.load("efficientnet-lite0")
    photos = rs.ImageSet(sample_photos())[:COUNT]
    stream = next(one for one in rs.streams(model) if one.name == stage)
    seen = peaks(model, photos, layers_of(model, [stream]))
    (found,) = refinements(seen, [stream], K)
    for step in found.steps:
        print(
            f"{step.before} > {step.after}: a channel keeps {step.overlap.observed:.0%} of its {K} photos, "
            f"a random one has {step.overlap.random:.0%} of them (p {step.overlap.p:.3f})"
        )
    print(f"examples grow alike by {found.gain:.3f} (p {found.gain_p:.3f})")
    channels = [("clearest", (found.clearest(1) or [0])[0]), ("not refined", least(found))]
    sheets = []
    for word, channel in channels:
        cells = [
            cell for place in range(len(stream.members)) for cell in row(model, photos, seen, found, place, channel)
        ]
        sheets.append(sheet(cells, 2 * SHOWN, 112, f"{stage}:{channel} ({word})"))
        print(f"{word}: channel {channel}, alike {[round(float(value), 2) for value in found.kinship[:, channel]]}")
    stacked(sheets).save("refinement.png")
    print("wrote refinement.png")


def least(found: Refinement) -> int:
    """Of the channels that every block leaves most of their photos, the one whose examples lose most in common."""
    kept = torch.stack([step.shared for step in found.steps if len(step.shared) == found.stream.channels]).amin(0)
    fall = (found.kinship[-1] - found.kinship[0]).masked_fill(kept < kept.median(), torch.inf)
    return int(fall.argmin())


def row(model: rs.Model, photos: rs.ImageSet, seen: Peaks, found: Refinement, place: int, channel: int) -> list[Cell]:
    """A block's row: photo, backward picture, photo, ..."""
    layer = found.stream.layers[place]
    best = seen[layer][:, channel].sort(descending=True, stable=True).indices[:SHOWN]
    files = [photos.photo(seen.photos[int(item)]).file for item in best]
    back = rs.backproject(model, files, f"{layer}:{channel}", rule="guided")
    pictures: list[Tensor] = [picture for pair in back.patches() for picture in pair]
    titles = [f"{found.stream.members[place].name}: {layer}", f"alike {float(found.kinship[place, channel]):.2f}"]
    return [Cell(picture, title) for picture, title in zip(pictures, titles + [""] * len(pictures), strict=False)]


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "blocks.5")
