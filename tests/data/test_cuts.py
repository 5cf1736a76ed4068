"""Cuts cover photos and stay inside them."""

from itertools import pairwise

import numpy as np
import pytest

from retinoscope.base.boxes import Box
from retinoscope.base.errors import BadInputError
from retinoscope.data.cuts import center, tiles


def test_center_is_the_middle_square() -> None:
    assert center()(100, 160) == [Box(0, 30, 100, 130)]
    assert center(0.5)(160, 100) == [Box(55, 25, 105, 75)]


@pytest.mark.parametrize("size", [(256, 256), (256, 384), (385, 256), (97, 801), (1, 1), (3, 2)])
@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.9])
def test_tiles_cover_the_photo_at_each_scale(size: tuple[int, int], overlap: float) -> None:
    for scale in (1.0, 0.6, 0.4):
        seen = np.zeros(size, int)
        boxes = tiles((scale,), overlap)(*size)
        for box in boxes:
            assert box.clip(*size) == box
            assert box.height == box.width == max(1, round(scale * min(size)))
            seen[int(box.top) : int(box.bottom), int(box.left) : int(box.right)] += 1
        assert seen.min() >= 1
        assert len(set(boxes)) == len(boxes)
        assert (min(b.top for b in boxes), max(b.bottom for b in boxes)) == (0, size[0])


def test_tiles_overlap_as_asked() -> None:
    lefts = sorted({box.left for box in tiles((0.5,), 0.5)(200, 333)})
    assert max(b - a for a, b in pairwise(lefts)) <= 55


def test_text_says_all() -> None:
    assert repr(center()) == "center(crop=1.0)"
    assert repr(tiles((1,))) == "tiles(scales=(1.0,), overlap=0.5)"
    assert eval(repr(tiles())) == tiles()


def test_wrong_fractions_are_refused() -> None:
    for wrong in (
        lambda: center(0),
        lambda: center(1.5),
        lambda: tiles(()),
        lambda: tiles((2.0,)),
        lambda: tiles(overlap=1),
    ):
        with pytest.raises(BadInputError):
            wrong()
