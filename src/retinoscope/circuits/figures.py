"""Weights and factors as pictures: small multiples of kernels, beside pictures of the units that they join.

Pictures of units are handed in: nothing is rendered here.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from retinoscope.circuits.factors import Factors
from retinoscope.circuits.ranking import Link
from retinoscope.image.diverging import kernel_picture
from retinoscope.image.sheet import Cell, sheet, stacked

Pictures = Mapping[str, Float[Tensor, "3 _ _"]]
"""Pictures by the text of the unit that they show."""


FULL = 0.98
"""Quantile of weights' sizes at which colours are full."""


def weight_sheet(
    links: Sequence[Link], heading: str, pictures: Pictures | None = None, columns: int = 8, side: int = 112
) -> Image.Image:
    """Kernels of the strongest links, red where they excite, blue where they inhibit, on one scale.

    Colours are full from the 98th percentile of all sizes on, so that one identity shortcut does not pale the rest.
    Above each stands its unit's picture, where there is one; below, the share of energy that is its own, and the sum
    of its weights over the sum of their sizes. Where links are of several units, the first one's kernels are shown.
    """
    sizes = torch.cat([torch.zeros(1, dtype=torch.float64), *(link.kernels[0].abs().flatten() for link in links)])
    largest = float(sizes.quantile(FULL))
    parts = []
    for start in range(0, len(links), columns):
        row = links[start : start + columns]
        shown = [picture for link in row if (picture := (pictures or {}).get(str(link.unit))) is not None]
        title = heading if start == 0 else ""
        if shown:
            cells = [Cell(_or_white(pictures, link, side), str(link.unit)) for link in row]
            parts.append(sheet(cells, columns, side, title))
        notes = [(f"{link.share:.1%} of energy", f"sign {link.sign:+.2f}") for link in row]
        kernels = [
            Cell(kernel_picture(link.kernels[0], largest, side), "" if shown else str(link.unit), note)
            for link, note in zip(row, notes, strict=True)
        ]
        parts.append(sheet(kernels, columns, side, "" if shown else title))
    return stacked(parts) if parts else sheet([], columns, side, heading)


def _or_white(pictures: Pictures | None, link: Link, side: int) -> Tensor:
    found = (pictures or {}).get(str(link.unit))
    return torch.ones(3, side, side) if found is None else found


def factor_sheet(
    factors: Factors,
    units: Sequence[str],
    source: str,
    pictures: Sequence[Float[Tensor, "3 _ _"]] = (),
    side: int = 96,
) -> Image.Image:
    """A row for each factor: its picture, where one is handed in, its strongest channels, and its kernel for each unit.

    All spatial weights are on one scale, red where the factor excites the unit, blue where it inhibits it; colours as
    of `weight_sheet`. Channels, those of layer `source`, stand below each factor with their weights.
    """
    largest = float(factors.spatial.abs().flatten().quantile(FULL))
    rows = []
    for factor in range(len(factors.channels)):
        strongest = [f"{channel}: {weight:.2f}" for channel, weight in factors.top(factor, 3)]
        blank = torch.ones(3, side, side)
        first = Cell(pictures[factor] if factor < len(pictures) else blank, f"factor {factor + 1}", tuple(strongest))
        kernels = [
            Cell(kernel_picture(factors.spatial[place, factor], largest, side), unit)
            for place, unit in enumerate(units)
        ]
        told = f"channels of {source}; relative error {factors.error:.3f}, at least {factors.bound:.3f}"
        heading = told if factor == 0 else ""
        rows.append(sheet([first, *kernels], len(units) + 1, side, heading))
    return stacked(rows)
