"""Unit texts are read, printed and refused as the vocabulary says."""

import pytest

from retinoscope.base.boxes import Box
from retinoscope.base.errors import BadUnitError, unknown
from retinoscope.base.units import Unit, parse_unit, parse_units


@pytest.mark.parametrize("text", ["blocks.3.0:21", "conv1:0", "layer1.0.relu#2:7", "mixed4a:5@3,4"])
def test_units_read_back_what_they_print(text: str) -> None:
    assert str(parse_unit(text)) == text


def test_positions_are_y_then_x() -> None:
    assert parse_unit("a:1@2,3") == Unit("a", 1, (2, 3))


@pytest.mark.parametrize("text", ["", "a", "a:", "a:-1", "a:x", "a:1@2", "a:1:2", "a b:1", ":3"])
def test_what_is_not_a_unit_is_refused(text: str) -> None:
    with pytest.raises(BadUnitError, match="layer:channel"):
        parse_unit(text)


def test_slices_include_both_ends_and_a_star_means_all() -> None:
    sizes = {"a": 4, "b": 2}.__getitem__
    units = [str(unit) for unit in parse_units(["a:1-3", "b:*", "a:0@1,1"], sizes)]
    assert units == ["a:1", "a:2", "a:3", "b:0", "b:1", "a:0@1,1"]


@pytest.mark.parametrize("text", ["a:4", "a:0-4", "a:3-2"])
def test_channels_out_of_range_say_what_is_allowed(text: str) -> None:
    with pytest.raises(BadUnitError, match=r"0 to 3|empty slice"):
        parse_units([text], lambda _: 4)


def test_unknown_names_list_the_nearest_first() -> None:
    error = unknown("layer", "blocks.3.9", ["head", "blocks.3.0", "blocks.3.1"])
    assert "nearest: blocks.3" in str(error)


def test_a_box_is_carried_into_the_photo_it_was_cut_from() -> None:
    tile = Box(100, 50, 300, 250)  # 200 pixels shown to the network as 100
    assert Box(10, 20, 30, 40).within(tile, 100, 100) == Box(120, 90, 160, 130)
    assert Box(-5, -5, 500, 3).clip(10, 10) == Box(0, 0, 10, 3)
