"""The pages of photos and classes, and the classes on a unit's page."""

import sqlite3
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from retinoscope.base.classes import chance
from retinoscope.web import photos, urls
from retinoscope.web.app import create
from tests.web.planted import EVIL, LAYERS, NETWORK, PHOTOS, database, plant

UNIT = urls.unit(NETWORK, LAYERS[0], 2)
ZEBRA = urls.photo("zebra/one.jpg")


@pytest.fixture(scope="module")
def client(store: Path) -> TestClient:
    return TestClient(create(store))


def test_a_photo_names_the_units_it_excites_strongest_first(client: TestClient) -> None:
    page, data = client.get(f"/{ZEBRA}"), client.get(f"/{urls.twin(ZEBRA)}").json()
    assert page.status_code == 200
    assert [unit["text"] for unit in data["units"]] == [
        f"{layer}:{channel}" for layer in LAYERS for channel in (0, 2, 4)
    ]
    assert all((unit["rank"], unit["share"]) == (1, 1.0) for unit in data["units"])
    assert data["units"][0]["patch"] | {"photo": ""} == {
        "photo": "", "height": 120, "width": 160, "box": [10, 20, 50, 60],
    }  # fmt: skip
    assert [(row["layer"], row["units"]) for row in data["layers"]] == [(layer, 3) for layer in LAYERS]
    assert (data["label"], data["credit"], data["label_url"]) == ("zebra", "Author 0, CC0", urls.label("zebra"))
    assert all(client.get(f"/{unit['url']}").status_code == 200 for unit in data["units"])
    assert client.get(f"/{data['picture']}").status_code == client.get(f"/{data['label_url']}").status_code == 200
    assert page.text.count("data-box=") == 9
    assert page.text.count('class="spot"') == 1  # six units see one and the same patch
    second = client.get(f"/{urls.twin(urls.photo('cat/two.jpg'))}").json()["units"]
    assert [(unit["text"], unit["rank"]) for unit in second[:2]] == [(f"{LAYERS[0]}:0", 2), (f"{LAYERS[0]}:2", 2)]
    # The odd units have no example of rank 1 that a share could be of.
    assert [unit["share"] for unit in second] == [0.5] * 9 + [None] * 6


def test_a_class_names_the_units_it_is_frequent_in(client: TestClient) -> None:
    data = client.get(f"/{urls.twin(urls.label('zebra'))}").json()
    assert [unit["text"] for unit in data["units"]] == [
        f"{layer}:{channel}" for layer in LAYERS for channel in (0, 2, 4)
    ]
    first = data["units"][0]
    assert (first["count"], first["examples"], first["place"]) == (1, 3, 1)
    assert (first["base"], first["lift"], first["p"]) == (1 / 300, pytest.approx(100), chance(300, 1, 3, 1))
    assert [photo["photo"] for photo in data["photos"]] == ["zebra/one.jpg"]
    page = client.get(f"/{urls.label('zebra')}").text
    assert "1 of 3, 100 ×" in page
    assert client.get(f"/{urls.label(EVIL)}").status_code == 200


def test_a_units_page_tells_the_classes_that_are_no_chance(client: TestClient) -> None:
    found = client.get(f"/{urls.twin(UNIT)}").json()["classes"]
    assert [(row["label"], row["telling"]) for row in found["rows"]] == [
        ("zebra", True),
        (EVIL, False),
        ("tabby cat", False),
    ]
    assert (found["examples"], found["photos"], found["complete"]) == (3, 300, True)
    page = client.get(f"/{UNIT}").text
    assert page.count('class="measure"') == 1
    assert "among all 300 photos" in page
    assert "1 of 3</td><td>100 ×" in page


def test_every_example_leads_to_its_photo(client: TestClient) -> None:
    data = client.get(f"/{urls.twin(UNIT)}").json()
    page = client.get(f"/{UNIT}").text
    for side in ("top", "slightly_positive", "slightly_negative", "bottom"):
        assert [row["photo_url"] for row in data[side]] == [urls.photo(id) for id, *_ in PHOTOS]
    for id, *_ in PHOTOS:
        # Four sides, and four panels of the spectrum for the first of each side.
        assert page.count(f'href="../../../{urls.photo(id)}"') == (8 if id == "zebra/one.jpg" else 4)
        assert client.get(f"/{urls.photo(id)}").status_code == 200


def test_photos_without_labels_have_no_classes(tmp_path: Path) -> None:
    store = plant(tmp_path / "store", units=3)
    with sqlite3.connect(database(store)) as connection:
        connection.execute("UPDATE photo SET label = NULL")
    connection.close()
    client = TestClient(create(store))
    assert client.get(f"/{urls.twin(urls.unit(NETWORK, LAYERS[0], 0))}").json()["classes"] is None
    assert 'class="classes"' not in client.get(f"/{urls.unit(NETWORK, LAYERS[0], 0)}").text
    data = client.get(f"/{urls.twin(ZEBRA)}").json()
    assert (data["label"], data["label_url"]) == (None, None)
    assert client.get(f"/{ZEBRA}").status_code == 200
    missing = client.get(f"/{urls.label('zebra')}")
    assert (missing.status_code, "No photo of this store has a label" in missing.text) == (404, True)


def test_a_photo_of_bottom_examples_alone_says_so(tmp_path: Path) -> None:
    store = plant(tmp_path / "store", units=2)
    with sqlite3.connect(database(store)) as connection:
        connection.execute("DELETE FROM example WHERE side = 'top' AND photo = 'evil.jpg'")
    connection.close()
    page = TestClient(create(store)).get(f"/{urls.photo('evil.jpg')}")
    assert (page.status_code, "No unit of this store has it" in page.text) == (200, True)
    assert "No unit of this store has a photo" in TestClient(create(store)).get(f"/{urls.label(EVIL)}").text


def test_many_units_of_one_layer_do_not_crowd_out_the_rest(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "EACH", 2)
    for address in (ZEBRA, urls.label("zebra")):
        data = client.get(f"/{urls.twin(address)}").json()
        assert [unit["text"] for unit in data["units"]] == [
            f"{layer}:{channel}" for layer in LAYERS for channel in (0, 2)
        ]
        assert (data["total"], [row["units"] for row in data["layers"]]) == (9, [3, 3, 3])
        assert "9 units, at most 2 of a layer shown" in client.get(f"/{address}").text


@pytest.mark.parametrize("spelling", ["one.jpg", "ZEBRA~2Fone", "zebra~2Fone.jpg", "one"])
def test_part_of_a_name_leads_to_the_photo(client: TestClient, spelling: str) -> None:
    found = client.get(f"/_photos/{spelling}/")
    assert (found.status_code, found.url.path) == (200, f"/{ZEBRA}")


def test_long_and_odd_names_have_pages(tmp_path: Path) -> None:
    store = plant(tmp_path / "store", units=2)
    names = ["x" * 300 + ".jpg", "100% süß?.json", "a~2Fb.jpg"]
    with sqlite3.connect(database(store)) as connection:
        for (old, *_), new in zip(PHOTOS, names, strict=True):
            connection.execute("UPDATE photo SET id = ?, label = ? WHERE id = ?", (new, new, old))
            connection.execute("UPDATE example SET photo = ? WHERE photo = ?", (new, old))
    connection.close()
    client = TestClient(create(store))
    for name in names:
        assert client.get(f"/{urls.twin(urls.photo(name))}").json()["photo"] == name
        assert client.get(f"/{urls.twin(urls.label(name))}").json()["label"] == name


@pytest.mark.parametrize(
    ("page", "words", "near"),
    [
        ("_photos/zebre~2Fone.jpg/", "no photo in this store named", ZEBRA),
        ("_photos/jpg/", "is in the names of 3 photos", ZEBRA),
        ("_photos/nothing/", "no photo in this store named", ZEBRA),
        ("_classes/zebar/", "no class of photos in this store named", urls.label("zebra")),
    ],
)
def test_unknown_photos_and_classes_name_the_nearest(client: TestClient, page: str, words: str, near: str) -> None:
    response = client.get(f"/{page}")
    assert (response.status_code, words in response.text) == (404, True)
    twin = client.get(f"/{urls.twin(page)}")
    assert twin.status_code == 404
    assert near in [link["url"] for link in twin.json()["near"]]


@pytest.mark.parametrize(
    ("query", "shots", "classes"),
    [
        ("zebra", ["evil.jpg", "zebra/one.jpg"], [EVIL, "zebra"]),
        ("zebra/", ["zebra/one.jpg"], []),
        ("JPG", ["cat/two.jpg", "evil.jpg", "zebra/one.jpg"], []),
        ("tabby two", ["cat/two.jpg"], []),
        ("tabby", ["cat/two.jpg"], ["tabby cat"]),
        ("2", [], []),
        (f"{LAYERS[0]}:2", [], []),
        ("", [], []),
    ],
)
def test_search_finds_photos_and_classes(client: TestClient, query: str, shots: list[str], classes: list[str]) -> None:
    data = client.get("/search.json", params={"q": query}).json()
    assert [photo["photo"] for photo in data["photos"]] == shots
    assert [row["label"] for row in data["classes"]] == classes
    page = client.get("/search", params={"q": query}).text
    assert all(photo["url"] in page for photo in data["photos"])
    assert all(row["url"] in page for row in data["classes"])
