"""Figures: what is on them, and where."""

import numpy as np
import torch

from retinoscope.base.units import Unit
from retinoscope.circuits.factors import factorize
from retinoscope.circuits.figures import factor_sheet, weight_sheet
from retinoscope.circuits.ranking import Link, ranked


def links() -> list[Link]:
    return ranked(torch.randn(5, 1, 3, 3, generator=torch.Generator().manual_seed(0)), "early")


def colours(image: object) -> set[tuple[int, ...]]:
    return {tuple(pixel) for pixel in np.asarray(image).reshape(-1, 3)}


def test_pictures_stand_above_kernels() -> None:
    green = torch.zeros(3, 8, 8)
    green[1] = 1
    bare = weight_sheet(links(), "made of", columns=3)
    shown = weight_sheet(links(), "made of", {str(Unit("early", 2)): green}, columns=3)
    assert (0, 255, 0) in colours(shown)
    assert (0, 255, 0) not in colours(bare)
    assert shown.height > bare.height
    assert (202, 0, 32) in colours(bare) or (5, 113, 176) in colours(bare)


def test_no_links_and_zeros_make_a_sheet() -> None:
    assert weight_sheet([], "nothing").width > 100
    assert weight_sheet(ranked(torch.zeros(1, 1, 2, 5), "early"), "zeros").height > 100


def test_factors_have_a_row_each() -> None:
    found = factorize(torch.randn(4, 6, 3, 3, generator=torch.Generator().manual_seed(1)), 2)
    red = torch.zeros(3, 4, 4)
    red[0] = 1
    units = [f"late:{place}" for place in range(4)]
    page = factor_sheet(found, units, "early", [red, red])
    one = factor_sheet(factorize(torch.randn(4, 6, 3, 3), 1), units, "early")
    assert page.height > 1.7 * one.height
    assert page.width == one.width
    assert (255, 0, 0) in colours(page)
