"""Figures of tuning: what they are made of."""

import math

import numpy as np
import pytest

from retinoscope.base.axis import Axis, ratios_apart, turns
from retinoscope.plots.circle import polar_outline, radial_figure, radial_places
from retinoscope.plots.tuning import (
    Numbers,
    Portrait,
    sheet_figure,
    unit_figure,
)


def portrait(axes: dict[str, Axis], preferred: float = 40.0, error: float = 2.0) -> Portrait:
    numbers = np.random.default_rng(0)
    shape = tuple(len(axis) for axis in axes.values())
    pictures = {name: np.zeros((len(axis), 8, 8, 3), np.uint8) for name, axis in axes.items()}
    return Portrait(
        "layer:1",
        "sweep",
        axes,
        numbers.random(shape),
        0.5,
        pictures,
        numbers.random((shape[0], 4)),
        preferred,
        0.7,
        error,
    )


AXES: list[dict[str, Axis]] = [
    {"orientation": turns(24), "ratio": ratios_apart(1, 16, 8, ":1")},
    {"orientation": turns(60, 180)},
    {"wavelength": ratios_apart(40, 4, 12, "px"), "rotation": turns(8, 90)},
    {"a": turns(4), "b": turns(3), "c": turns(2)},
]


@pytest.mark.parametrize("axes", AXES, ids=lambda axes: " ".join(axes))
@pytest.mark.parametrize("preferred", [40.0, math.nan])
def test_unit_figures_hold_what_they_show(axes: dict[str, Axis], preferred: float) -> None:
    one = portrait(axes, preferred)
    figure = unit_figure(one)
    drawn = figure.axes[0].images[0].get_array()
    assert drawn is not None
    rows = one.map.reshape(*one.map.shape[:2], -1).mean(-1).T if one.map.ndim > 1 else one.map[None]
    assert np.allclose(np.asarray(drawn), rows)
    told = [text.get_text() for text in figure.texts]
    assert told[0] == "layer:1"
    assert ("no answer" in told[1]) == math.isnan(preferred)
    figure.canvas.draw()
    for axes_ in figure.axes:
        box = axes_.get_tightbbox()
        assert box is not None
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1


def test_sheets_have_a_map_for_each_unit() -> None:
    figure = sheet_figure([portrait(AXES[0])] * 7, columns=3)
    assert len(figure.axes) == 7
    assert all(len(axes.images) == 1 for axes in figure.axes)


def area(outline: Numbers) -> float:
    x, y = outline.T
    return 0.5 * abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))


def test_the_area_of_an_outline_grows_as_the_answers() -> None:
    degrees = np.arange(0, 360, 15.0)
    curve = np.random.default_rng(0).random(24)
    assert area(polar_outline(3 * curve, degrees)) == pytest.approx(3 * area(polar_outline(curve, degrees)))
    circle = polar_outline(np.full(360, 4.0), np.arange(360.0))
    assert area(circle) == pytest.approx(4 * math.pi, rel=1e-3)
    assert np.allclose(polar_outline(np.array([4.0]), np.array([90.0])), [[0, 2]]), "90 degrees point down"


def test_units_lie_at_their_angles_in_any_order_and_apart() -> None:
    degrees = np.array([10.0, 200.0, 12.0, 190.0, 11.0, 300.0])
    places = radial_places(degrees, 0.5)
    assert np.allclose(np.degrees(np.arctan2(places[:, 1], places[:, 0])) % 360, degrees)
    order = np.array([3, 1, 5, 0, 2, 4])
    assert np.allclose(radial_places(degrees[order], 0.5), places[order])
    gaps = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1)) + 9 * np.eye(6)
    assert gaps.min() >= 0.5
    assert np.allclose(np.hypot(*places[1]), 1) or np.allclose(np.hypot(*places[3]), 1)


def test_radial_figures_leave_out_units_without_an_answer() -> None:
    figure = radial_figure([portrait(AXES[0], 10), portrait(AXES[0], math.nan), portrait(AXES[0], 200)])
    told = [text.get_text() for text in figure.axes[0].texts]
    assert sum(text == "1\nlayer" for text in told) == 2
    assert any("2 units" in text for text in told)
    radial_figure([portrait(AXES[0], math.nan)])
