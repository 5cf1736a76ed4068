"""Every page and its twin, every error, and what must never be served."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from retinoscope.base.errors import StoreError
from retinoscope.web import urls
from retinoscope.web.app import create
from tests.web.planted import EVIL, LAYERS, NETWORK, ODD_NETWORK, database, plant

UNIT = urls.unit(NETWORK, LAYERS[0], 1)
ODD = urls.unit(NETWORK, LAYERS[2], 2)
PAGES = ["", urls.network(NETWORK), urls.network(ODD_NETWORK), urls.layer(NETWORK, LAYERS[0]), UNIT, ODD]
PAGES += [urls.layer(NETWORK, LAYERS[2]), urls.layer(ODD_NETWORK, "conv1"), urls.unit(NETWORK, LAYERS[0], 4)]


@pytest.fixture(scope="module")
def client(store: Path) -> TestClient:
    return TestClient(create(store))


@pytest.mark.parametrize("page", PAGES)
def test_every_page_and_its_twin_answer(client: TestClient, page: str) -> None:
    response = client.get(f"/{page}")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in response.headers["content-security-policy"]
    twin = client.get(f"/{urls.twin(page)}")
    assert twin.status_code == 200
    assert twin.headers["content-type"] == "application/json"
    assert isinstance(twin.json(), dict)


def test_a_network_lists_its_layers_in_call_order(client: TestClient) -> None:
    data = client.get(f"/{urls.twin(urls.network(NETWORK))}").json()
    assert [layer["name"] for layer in data["layers"]] == ["stem", *LAYERS]
    assert [layer["results"] for layer in data["layers"]] == [0, 5, 5, 5]
    assert data["units_with_pictures"] == 14
    assert data["layers"][3]["sees_whole_image"] is True
    assert data["layers"][3]["stride"] is None


def test_a_layer_lists_all_its_units(client: TestClient) -> None:
    units = client.get(f"/{urls.twin(urls.layer(NETWORK, LAYERS[0]))}").json()["units"]
    assert [unit["channel"] for unit in units] == [0, 1, 2, 3, 4, 5]
    assert [unit["has_results"] for unit in units] == [True] * 5 + [False]
    assert units[1]["picture"].endswith("/1.png")
    assert units[4]["picture"] is None
    assert units[4]["patch"]["box"] == [10, 20, 50, 60]
    assert units[0]["maximum"] == 5.0
    assert units[0]["labels"] == ["zebra", "tabby cat", EVIL]


def test_a_unit_says_everything_about_itself(client: TestClient) -> None:
    data = client.get(f"/{urls.twin(UNIT)}").json()
    assert [picture["kind"] for picture in data["pictures"]] == [
        "optimised", "dataset & <b>", "facet 1", "facet 2", "negative",
    ]  # fmt: skip
    assert [row["photo"] for row in data["top"]] == ["cat/two.jpg", "evil.jpg"]
    assert [row["score"] for row in data["bottom"]] == [-3.0, -2.0]
    assert data["top"][0]["patch"] | {"photo": ""} == {
        "photo": "",
        "height": 160,
        "width": 100,
        "box": [-8, -8, 24, 32],
    }
    assert sum(data["histogram"]["counts"]) > 1e5
    made = {what: entry["body"] for entry in data["provenance"] for what in entry["made"]}
    assert made["optimised picture"]["recipe"]["steps"] == 256
    assert made["examples"] == made["histogram"]


def test_a_unit_has_its_spectrum_in_order(client: TestClient) -> None:
    panels = client.get(f"/{urls.twin(UNIT)}").json()["spectrum"]
    assert [panel["title"] for panel in panels] == [
        "negative optimised", "minimum", "slightly negative", "slightly positive", "maximum", "positive optimised",
    ]  # fmt: skip
    values = [panel["value"] for panel in panels]
    assert values == sorted(values)
    assert [bool(panel["picture"]) for panel in panels] == [True, False, False, False, False, True]
    assert values[0] == panels[0]["picture"]["peak"] == -12
    assert [panel["example"]["side"] for panel in panels[1:5]] == [
        "bottom", "slightly negative", "slightly positive", "top",
    ]  # fmt: skip
    page = client.get(f"/{UNIT}").text
    assert page.count('class="panel"') == 6
    assert page.count('class="pin pin6') == 3  # on its panel, on the histogram, in the key


def test_backward_pictures_stand_beside_their_examples(client: TestClient) -> None:
    data = client.get(f"/{urls.twin(UNIT)}").json()
    assert data["rules"] == ["guided", "gradient"]
    found = {row["place"]: [back["rule"] for back in row["backward"]] for row in data["top"]}
    assert found == {2: ["guided", "gradient"], 3: ["guided", "gradient"]}
    assert all(row["backward"] == [] for side in ("bottom", "slightly_positive") for row in data[side])
    back = data["top"][0]["backward"][0]
    assert (back["peak"], back["patch"]["box"]) == (0.25, [0, 0, 24, 80])
    assert client.get(f"/{back['patch']['photo']}").status_code == 200
    assert "guided backward pictures" in [made for entry in data["provenance"] for made in entry["made"]]
    page = client.get(f"/{UNIT}").text
    assert page.count('class="back guided"') == page.count('class="back gradient"') == 2
    assert page.count('type="radio"') == 3


def test_a_unit_without_them_has_no_switch(client: TestClient) -> None:
    page = client.get(f"/{urls.unit(NETWORK, LAYERS[0], 2)}")
    assert 'type="radio"' not in page.text
    assert "traced" not in page.text


def test_panels_that_an_atlas_lacks_are_empty(client: TestClient) -> None:
    unit = urls.unit(NETWORK, LAYERS[1], 2)
    panels = client.get(f"/{urls.twin(unit)}").json()["spectrum"]
    assert [panel["value"] is None for panel in panels] == [True, False, True, True, False, False]
    assert client.get(f"/{unit}").text.count("not in this atlas") == 3
    assert client.get(f"/{urls.twin(urls.unit(NETWORK, LAYERS[0], 5))}").json()["spectrum"] == []


def test_stores_of_the_first_schema_show(tmp_path: Path) -> None:
    store = plant(tmp_path / "store", units=3)
    with sqlite3.connect(database(store)) as connection:
        connection.execute("UPDATE meta SET value = '1' WHERE key = 'schema'")
        connection.execute("ALTER TABLE picture DROP COLUMN peak")
        connection.execute("DELETE FROM example WHERE side LIKE 'slightly%'")
        for table in ("backward", "stage", "step"):
            connection.execute(f"DROP TABLE {table}")
    connection.close()
    client = TestClient(create(store))
    assert client.get(f"/{UNIT}").status_code == 200
    assert client.get(f"/{urls.twin(UNIT)}").json()["stage"] is None
    panels = client.get(f"/{urls.twin(UNIT)}").json()["spectrum"]
    assert panels[5]["value"] == panels[5]["picture"]["score"]


def test_neighbours_skip_units_and_layers_without_results(client: TestClient) -> None:
    first = client.get(f"/{urls.twin(urls.unit(NETWORK, LAYERS[0], 0))}").json()
    assert (first["previous_unit"], first["previous_layer"]) == (None, None)
    assert first["next_unit"]["url"] == UNIT
    assert first["next_layer"]["url"] == urls.unit(NETWORK, LAYERS[1], 0)
    last = client.get(f"/{urls.twin(urls.unit(NETWORK, LAYERS[2], 4))}").json()
    assert (last["next_unit"], last["next_layer"]) == (None, None)


def test_the_last_layers_units_carry_class_names(client: TestClient) -> None:
    assert client.get(f"/{urls.twin(ODD)}").json()["class"] == "class 2"
    assert client.get(f"/{urls.twin(UNIT)}").json()["class"] is None


def test_a_missing_picture_says_why(client: TestClient) -> None:
    assert "dead ReLU" in client.get(f"/{urls.unit(NETWORK, LAYERS[0], 4)}").text


@pytest.mark.parametrize(
    "page",
    [
        UNIT,
        urls.layer(NETWORK, LAYERS[0]),
        "search?q=zebra",
        f"search?q={EVIL}",
        urls.photo("evil.jpg"),
        urls.label(EVIL),
    ],
)
def test_everything_a_store_or_user_says_is_escaped(client: TestClient, page: str) -> None:
    text = client.get(f"/{page}").text
    assert "<script>alert" not in text
    assert "dataset & <b>" not in text


@pytest.mark.parametrize(
    ("query", "channels"),
    [
        (f"{LAYERS[0]}:2", [(LAYERS[0], 2)]),
        ("blocks:1", [(LAYERS[0], 1), (LAYERS[1], 1)]),
        ("ZEBRA blocks.0", [(LAYERS[0], channel) for channel in (0, 2, 4, 1, 3)]),
        ("zebra/one head", [(LAYERS[2], channel) for channel in (0, 2, 4)]),
        ("tabby 3 head", [(LAYERS[2], 3)]),
        ("nothing-like-it", []),
        ("", []),
    ],
)
def test_search_finds_units(client: TestClient, query: str, channels: list[tuple[str, int]]) -> None:
    data = client.get("/search.json", params={"q": query}).json()
    assert data["total"] == len(channels)
    assert [unit["text"] for unit in data["units"]] == [f"{layer}:{channel}" for layer, channel in channels]
    page = client.get("/search", params={"q": query})
    assert page.status_code == 200
    assert all(client.get(f"/{unit['url']}").status_code == 200 for unit in data["units"])


@pytest.mark.parametrize("query", ["a:b", "blocks.0.0:", ":3", "x" * 201])
def test_a_query_that_cannot_be_read_is_refused(client: TestClient, query: str) -> None:
    assert client.get("/search", params={"q": query}).status_code == 400
    response = client.get("/search.json", params={"q": query})
    assert response.status_code == 400
    assert response.json()["error"]


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("tiny-nett/", "tiny-net"),
        ("tiny-net/blocks.0.1/", "blocks.0.0"),
        ("tiny-net/blocks.0.0/6/", "channels 0 to 5"),
        ("tiny-net/blocks.0.0/-1/", "channels 0 to 5"),
        ("tiny-net/blocks.0.0/x/", "channels 0 to 5"),
        ("tiny-net/blocks.0.0/1/2/", "no page"),
        ("%00/", "tiny-net"),
    ],
)
def test_unknown_pages_name_the_nearest(client: TestClient, page: str, words: str) -> None:
    response = client.get(f"/{page}")
    assert response.status_code == 404
    assert words in response.text.replace("<wbr>", "")
    twin = client.get(f"/{urls.twin(page)}")
    assert twin.status_code == 404
    assert words in twin.json()["error"]


def test_other_spellings_lead_to_the_page(client: TestClient) -> None:
    without_slash = client.get("/tiny-net/blocks.0.0")
    assert without_slash.status_code == 200
    assert without_slash.url.path == "/tiny-net/blocks.0.0/"
    (store_odd,) = [client.get("/tiny-net/head%2Fodd%20layer%232/", follow_redirects=False)]
    assert store_odd.status_code == 404  # a slash in a name must be written as its segment is
    escaped = client.get("/tiny%2Dnet/blocks.0.0/")
    assert escaped.status_code == 200


def test_pictures_have_types_and_tags(client: TestClient) -> None:
    url = client.get(f"/{urls.twin(UNIT)}").json()["pictures"][0]["url"]
    response = client.get(f"/{url}")
    assert response.headers["content-type"] == "image/png"
    assert "max-age" in response.headers["cache-control"]
    again = client.get(f"/{url}", headers={"If-None-Match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


SECRETS = ["store.db", "pictures/none.png", "../secret.png", "pictures/../store.db", "%2e%2e/secret.png", "/etc/passwd"]


@pytest.mark.parametrize("path", SECRETS)
def test_only_registered_files_are_served(client: TestClient, path: str) -> None:
    assert client.get(f"/_store/{path}").status_code == 404
    assert client.get(f"/_static/{path}").status_code == 404


@pytest.mark.parametrize("file", ["../secret.png", "store.db", "{outside}"])
def test_a_store_cannot_lead_out_of_its_folder(tmp_path: Path, file: str) -> None:
    store = plant(tmp_path / "store", units=2)
    (tmp_path / "secret.png").write_bytes(b"secret")
    file = file.format(outside=tmp_path / "secret.png")
    with sqlite3.connect(database(store)) as connection:
        connection.execute("UPDATE picture SET file = ?", (file,))
    connection.close()
    data = TestClient(create(store)).get(f"/{urls.twin(urls.unit(NETWORK, LAYERS[0], 0))}").json()
    assert TestClient(create(store)).get(f"/{data['pictures'][0]['url']}").status_code == 404


def test_numbers_that_are_not_finite_do_not_break_the_twin(tmp_path: Path) -> None:
    store = plant(tmp_path / "store", units=2)
    with sqlite3.connect(database(store)) as connection:
        connection.execute("UPDATE histogram SET edges = ?", (json.dumps([-1.0] * 30 + [float("inf")]),))
    connection.close()
    client = TestClient(create(store))
    unit = urls.unit(NETWORK, LAYERS[0], 0)
    assert client.get(f"/{unit}").status_code == 200
    assert client.get(f"/{urls.twin(unit)}").json()["histogram"]["edges"][-1] is None


def test_pages_follow_an_atlas_that_is_being_written(tmp_path: Path) -> None:
    store = plant(tmp_path / "store", units=2)
    client = TestClient(create(store))
    connection = sqlite3.connect(database(store), isolation_level=None)
    assert client.get("/search.json?q=zebra").json()["total"] == 3
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE photo SET label = 'horse', id = 'horse.jpg' WHERE id = 'zebra/one.jpg'")
    connection.execute("UPDATE example SET photo = 'horse.jpg' WHERE photo = 'zebra/one.jpg'")
    assert client.get("/search.json?q=one.jpg").json()["total"] == 3
    connection.execute("COMMIT")
    assert client.get("/search.json?q=horse").json()["total"] == 3
    connection.close()


def test_pictures_follow_an_atlas_that_is_being_written(tmp_path: Path) -> None:
    """The media route keeps one connection open: it must see every commit, and another file in the old one's place."""
    store = plant(tmp_path / "store", units=2)
    client = TestClient(create(store))
    url = client.get(f"/{urls.twin(urls.unit(NETWORK, LAYERS[0], 0))}").json()["pictures"][0]["url"]
    assert client.get(f"/{url}").status_code == 200
    connection = sqlite3.connect(database(store), isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DELETE FROM picture")
    assert client.get(f"/{url}").status_code == 200
    connection.execute("COMMIT")
    assert client.get(f"/{url}").status_code == 404
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # no reader is in the way
    assert not (store / "store.db-wal").stat().st_size
    connection.close()
    (store / "store.db").unlink()
    assert client.get(f"/{url}").status_code == 503
    plant(store, units=2)
    assert client.get(f"/{url}").status_code == 200
    (store / "store.db").write_bytes(b"no database " * 999)
    assert client.get(f"/{url}").status_code == 503


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        create(tmp_path / "none")
    newer = plant(tmp_path / "newer", units=2)
    with sqlite3.connect(database(newer)) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    connection.close()
    with pytest.raises(StoreError, match="update retinoscope"):
        create(newer)


def test_the_explorer_never_imports_torch() -> None:
    code = (
        "import sys, retinoscope.web.app, retinoscope.web.export, retinoscope.web.serve; print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
