"""Panels in order whatever a store has, and pins that do not hide each other."""

from itertools import combinations, pairwise

import pytest

from retinoscope.web.spectrum import APART, PANELS, panels, pins, reach


def picture(kind: str, score: float, peak: float | None) -> dict[str, object]:
    return {"kind": kind, "score": score, "peak": peak}


def example(side: str, place: int, score: float) -> dict[str, object]:
    return {"side": side, "place": place, "score": score}


def test_panels_take_the_first_of_their_kind() -> None:
    pictures = [picture("optimised", 2.0, 9.0), picture("facet 1", 1.0, 8.0), picture("negative", -1.0, None)]
    examples = [example(side, place, 1.0 / place) for side in ("top", "bottom") for place in (1, 2)]
    made = panels(pictures, examples, [{"kind": "negative", "text": "unused"}, {"kind": "facet", "text": "unused"}])
    assert [panel["title"] for panel in made] == [title for title, _ in PANELS]
    assert [panel["value"] for panel in made] == [-1.0, 1.0, None, None, 1.0, 9.0]
    assert made[4]["example"] == examples[0]


def test_a_note_says_why_a_panel_is_empty() -> None:
    made = panels([], [example("top", 1, 3.0)], [{"kind": "negative", "text": "after a ReLU"}])
    assert made[0]["note"] == "after a ReLU"
    assert panels([], [], [{"kind": "negative", "text": "after a ReLU"}]) == []


@pytest.mark.parametrize(
    ("values", "ends"), [([], (0, 10)), ([3], (0, 10)), ([-4, 13], (-4, 13)), ([-90, 900], (-10, 20)), ([15], (0, 15))]
)
def test_the_axis_grows_by_its_own_length_at_most(values: list[float], ends: tuple[float, float]) -> None:
    assert reach(0, 10, values) == ends


def test_pins_of_one_row_stand_apart() -> None:
    values = [-30.0, -9.0, -0.4, 0.4, 20.0, 95.0]
    low, high = -10.0, 90.0
    made = pins(values, lambda value: min(max(value - low, 0), high - low), low, high)
    assert [pin["number"] for pin in made] == [1, 2, 3, 4, 5, 6]
    assert [pin["beyond"] for pin in made] == [True, False, False, False, False, True]
    assert [pin["place"] for pin in made] == [0, 1, pytest.approx(9.6), pytest.approx(10.4), 30, 100]
    for a, b in combinations(made, 2):
        assert a["row"] != b["row"] or abs(a["place"] - b["place"]) >= APART
    assert all(a["place"] <= b["place"] for a, b in pairwise(made))


def test_panels_without_a_value_have_no_pin() -> None:
    made = pins([None, 1.0, None, 2.0, None, None], lambda value: 10 * value, 0, 10)
    assert [(pin["number"], pin["place"]) for pin in made] == [(2, 10), (4, 20)]
