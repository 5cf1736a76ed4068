"""A channel's film strip through its stage, and links to the units of neighbouring layers."""

import sqlite3
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from retinoscope.web import urls
from retinoscope.web.app import create
from tests.web.planted import LAYERS, NETWORK, database, plant

FIRST, LAST, HEAD = LAYERS


@pytest.fixture(scope="module")
def client(store: Path) -> TestClient:
    return TestClient(create(store))


def told(client: TestClient, layer: str, channel: int) -> dict[str, object]:
    """The twin of a unit's page."""
    data: dict[str, object] = client.get(f"/{urls.twin(urls.unit(NETWORK, layer, channel))}").json()
    return data


def test_a_channel_is_shown_in_every_layer_of_its_stage(client: TestClient) -> None:
    stage = told(client, FIRST, 2)["stage"]
    assert isinstance(stage, dict)
    assert (stage["name"], stage["letter"], stage["role"]) == ("blocks", "b", "trunk")
    assert [(row["letter"], row["text"], row["here"]) for row in stage["frames"]] == [
        ("a", "stem:2", False), ("b", f"{FIRST}:2", True), ("c", f"{LAST}:2", False),
    ]  # fmt: skip
    absent, here, other = stage["frames"]
    assert absent["url"] is absent["picture"] is absent["step"] is other["step"] is None
    assert here["step"] == {"to": "c", "shared": 5, "of": 9, "rank": 0.9, "p": 0.01}
    assert other["url"] == urls.unit(NETWORK, LAST, 2)
    assert client.get(f"/{other['picture']}").status_code == 200
    assert [row["photo"] for row in other["examples"]] == ["zebra/one.jpg", "cat/two.jpg", "evil.jpg"]
    assert other["common"] == 3
    assert stage["inside"] == [
        {"letter": "c", "role": "branch", "text": f"{HEAD}:2", "url": urls.unit(NETWORK, HEAD, 2), "here": False}
    ]


def test_examples_in_common_are_marked(tmp_path: Path) -> None:
    store = plant(tmp_path / "store", units=3)
    with sqlite3.connect(database(store)) as connection:
        connection.execute("DELETE FROM example WHERE layer = ? AND channel = 0 AND photo = 'evil.jpg'", (FIRST,))
    connection.close()
    client = TestClient(create(store))
    stage = told(client, FIRST, 0)["stage"]
    assert isinstance(stage, dict)
    assert [row["common"] for row in stage["frames"][2]["examples"]] == [True, True, False]
    assert stage["frames"][2]["common"] == 2
    page = client.get(f"/{urls.unit(NETWORK, FIRST, 0)}").text
    assert page.count('class="one common"') == 2


def test_the_page_shows_the_strip_and_marks_the_present_unit(client: TestClient) -> None:
    page = client.get(f"/{urls.unit(NETWORK, LAST, 1)}").text
    assert page.count('<li class="frame') == 3
    assert page.count('class="frame here"') == page.count('class="frame absent"') == 1
    assert "6 of 9 examples shared by b and c, rank correlation 0.90" in page
    assert page.count('class="step') == 1


def test_a_step_that_chance_gives_too_is_weak(tmp_path: Path) -> None:
    store = plant(tmp_path / "store", units=3)
    with sqlite3.connect(database(store)) as connection:
        connection.execute("UPDATE step SET p_on = 0.4 WHERE kind = 'same'")
    connection.close()
    page = TestClient(create(store)).get(f"/{urls.unit(NETWORK, FIRST, 0)}").text
    assert page.count('class="step weak"') == 1


def test_what_a_block_adds_has_the_strip_of_its_channel(client: TestClient) -> None:
    stage = told(client, HEAD, 3)["stage"]
    assert isinstance(stage, dict)
    assert (stage["role"], stage["letter"]) == ("branch", "c")
    assert not any(row["here"] for row in stage["frames"])
    assert [row["here"] for row in stage["inside"]] == [True]


def test_layers_with_channels_of_their_own_have_no_strip(tmp_path: Path) -> None:
    store = plant(tmp_path / "store", units=3)
    with sqlite3.connect(database(store)) as connection:
        connection.execute("UPDATE stage SET role = 'spatial' WHERE role = 'branch'")
    connection.close()
    client = TestClient(create(store))
    assert told(client, HEAD, 0)["stage"] is None
    stage = told(client, FIRST, 0)["stage"]
    assert isinstance(stage, dict)
    assert (stage["inside"][0]["text"], stage["inside"][0]["url"]) == (HEAD, urls.layer(NETWORK, HEAD))


def test_a_single_layer_of_a_stage_has_no_strip(tmp_path: Path) -> None:
    store = plant(tmp_path / "store", units=3)
    with sqlite3.connect(database(store)) as connection:
        connection.execute("DELETE FROM stage WHERE layer = ?", (LAST,))
    connection.close()
    client = TestClient(create(store))
    assert told(client, FIRST, 0)["stage"] is None
    assert 'class="film' not in client.get(f"/{urls.unit(NETWORK, FIRST, 0)}").text


def test_matches_are_links_in_both_directions(client: TestClient) -> None:
    data = told(client, LAST, 0)
    assert data["came_from"] == []
    rows = data["comes_back_in"]
    assert isinstance(rows, list)
    assert [(row["text"], row["shared"], row["of"], row["p"], row["above_chance"]) for row in rows] == [
        (f"{HEAD}:1", 5, 9, 0.005, True), (f"{HEAD}:2", 1, 9, 0.4, False),
    ]  # fmt: skip
    back = told(client, HEAD, 1)["came_from"]
    assert isinstance(back, list)
    assert [(row["text"], row["p"]) for row in back] == [(f"{LAST}:0", 0.01), (f"{LAST}:4", 0.8)]
    assert back[0]["url"] == urls.unit(NETWORK, LAST, 0)
    page = client.get(f"/{urls.unit(NETWORK, LAST, 0)}").text
    assert "Comes back in" in page
    assert "Came from" not in page
    assert page.count("no more than chance") == 1


def test_steps_say_how_they_were_made(client: TestClient) -> None:
    provenance = told(client, LAST, 0)["provenance"]
    assert isinstance(provenance, list)
    made = {what: entry["body"] for entry in provenance for what in entry["made"]}
    assert made["steps to other layers"]["recipe"]["k"] == 9
