"""Boxes and histograms against plain arithmetic."""

import re

import pytest

from retinoscope.web import geometry


def numbers(style: str) -> dict[str, float]:
    return {key: float(value) for key, value in re.findall(r"(\w+):(-?[\d.]+)%", style)}


def patch(*box: float) -> geometry.Patch:
    return {"photo": "p.jpg", "height": 100, "width": 200, "box": list(box)}


def test_a_box_is_laid_in_shares_of_the_original_photo() -> None:
    assert numbers(geometry.box_style(patch(10, 20, 60, 120))) == {"top": 10, "left": 10, "height": 50, "width": 50}


@pytest.mark.parametrize("box", [(10, 20, 60, 120), (-30, -5, 12, 44), (80, 150, 140, 260), (0, 0, 100, 200)])
def test_a_patch_shows_exactly_the_part_of_its_box_inside_the_photo(box: tuple[float, ...]) -> None:
    top, left, bottom, right = max(box[0], 0), max(box[1], 0), min(box[2], 100), min(box[3], 200)
    frame, photo = numbers(geometry.patch_style(patch(*box))), numbers(geometry.photo_style(patch(*box)))
    assert max(frame.values()) == pytest.approx(100)
    assert frame["height"] / frame["width"] == pytest.approx((bottom - top) / (right - left), rel=1e-3)
    # In units of the frame: the box's corner must lie at 0, and its far corner at 100.
    assert photo["top"] + photo["height"] * top / 100 == pytest.approx(0, abs=0.01)
    assert photo["top"] + photo["height"] * bottom / 100 == pytest.approx(100, abs=0.01)
    assert photo["left"] + photo["width"] * left / 200 == pytest.approx(0, abs=0.01)
    assert photo["left"] + photo["width"] * right / 200 == pytest.approx(100, abs=0.01)


def test_a_box_outside_its_photo_shows_the_whole_photo() -> None:
    assert geometry.is_whole(patch(300, 0, 400, 50))
    assert not geometry.is_whole(patch(0, 0, 50, 50))
    assert geometry.is_tiny(patch(0, 0, 7, 7))


def histogram(**changes: object) -> dict[str, object]:
    return {"edges": [0.0, 1.0, 2.0, 3.0, 4.0], "counts": [10, 0, 1000, 0], "quantiles": {"0.5": 2.5}} | changes


def test_a_histogram_spans_its_full_bins_and_its_examples() -> None:
    drawn = geometry.plot(histogram(), top=[5.0], bottom=[])
    assert drawn["linear"] == [(0.0, 99.0, 20.0, 1.0), (40.0, 0.0, 20.0, 100.0)]
    assert drawn["top"] == [(100.0, 5.0)]
    assert drawn["quantiles"] == [(50.0, "50%", 0)]
    heights = [bar[3] for bar in drawn["log"]]
    assert heights[1] == pytest.approx(100)
    assert 0 < heights[0] < 50


@pytest.mark.parametrize("counts", [[0, 0, 0, 0], [1, 0, 0, 0]])
def test_empty_and_single_histograms_are_drawn(counts: list[int]) -> None:
    drawn = geometry.plot(histogram(counts=counts), top=[], bottom=[])
    assert all(0 <= place <= 100 for place, _ in drawn["x_ticks"])


def test_infinite_edges_are_drawn_at_the_border() -> None:
    edges = [float("-inf"), 1.0, 2.0, 3.0, float("inf")]
    drawn = geometry.plot(histogram(edges=edges, counts=[1, 1, 1, 1]), top=[], bottom=[])
    assert all(0 <= value <= 100 for bar in drawn["linear"] for value in bar)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.7, 19), (1e-6, 2e-6), (-1e6, 1e7)])
def test_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    ticks = geometry.ticks(low, high)
    assert 2 <= len(ticks) <= 8
    assert all(low <= tick <= high for tick in ticks)
    assert all(len(f"{tick:g}") <= 7 for tick in ticks)


def test_close_quantiles_lose_their_names_rather_than_overlap() -> None:
    quantiles = {f"{i / 100}": 2 + i / 1000 for i in range(1, 50)}
    marks = geometry.plot(histogram(quantiles=quantiles), top=[], bottom=[])["quantiles"]
    assert len(marks) == 49
    assert sum(bool(name) for _, name, _ in marks) == 2


def test_settings_become_rows() -> None:
    rows = list(geometry.flatten({"a": {"b": 1, "c": [0.5, 1.0]}, "d": None, "e": "x"}))
    assert rows == [("a.b", "1"), ("a.c", "0.5, 1"), ("e", "x")]
