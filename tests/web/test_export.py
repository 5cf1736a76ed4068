"""The export holds what the explorer serves, and replaces nothing but an export."""

import sqlite3
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from starlette.testclient import TestClient

from retinoscope.base.errors import StoreError
from retinoscope.web import export, urls
from retinoscope.web.app import create
from tests.web.planted import LAYERS, NETWORK, plant


@pytest.fixture(scope="module")
def tree(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "site"
    steps = list(export.export_stepwise(store, out))
    assert steps == [(done, len(steps)) for done in range(1, len(steps) + 1)]
    return out


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for key, value in attrs if key in ("href", "src", "action") and value]


def test_every_link_of_every_page_leads_to_a_file(tree: Path) -> None:
    pages = list(tree.rglob("*.html"))
    assert (
        len(pages) == 2 + 2 + 3 + 3 * 5 + 3 + 3
    )  # home, search, networks, layers, units with results, photos, classes
    for page in pages:
        parser = Links()
        parser.feed(page.read_text(encoding="utf-8"))
        for link in parser.found:
            target = unquote(urlsplit(urljoin(page.as_uri(), link)).path)
            assert Path(target).is_file(), (page, link)


def test_twins_equal_those_of_the_server(tree: Path, store: Path) -> None:
    client = TestClient(create(store))
    for page in ["", urls.network(NETWORK), urls.layer(NETWORK, LAYERS[2]), urls.unit(NETWORK, LAYERS[2], 3)]:
        assert (tree / urls.twin(page)).read_bytes() == client.get(f"/{urls.twin(page)}").content


def test_pictures_are_copied_whole(tree: Path, store: Path) -> None:
    files = [
        path.relative_to(store) for folder in ("pictures", "photos") for path in (store / folder).rglob("*.[pj]*g")
    ]
    copied = [file for file in files if (tree / "_store" / file).is_file()]
    assert len(copied) == len(files) - 1  # one picture was taken out of the tables
    assert all((tree / "_store" / file).read_bytes() == (store / file).read_bytes() for file in copied)


def test_an_export_replaces_an_export_and_nothing_else(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    out.mkdir()
    (out / "thesis.txt").write_text("precious")
    with pytest.raises(StoreError, match="not an earlier export"):
        export.export(store, out)
    (out / "thesis.txt").unlink()
    export.export(store, out)
    (out / "old.html").write_text("old")
    export.export(store, out)
    assert not (out / "old.html").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_an_export_that_stops_leaves_nothing(store: Path, tmp_path: Path) -> None:
    steps = export.export_stepwise(store, tmp_path / "site")
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []


def test_a_store_cannot_write_outside_the_export(tmp_path: Path) -> None:
    store = plant(tmp_path / "store", units=2)
    (tmp_path / "secret.png").write_bytes(b"secret")
    with sqlite3.connect(store / "store.db") as connection:
        connection.execute("UPDATE picture SET file = '../secret.png'")
    connection.close()
    export.export(store, tmp_path / "site")
    assert not any(path.read_bytes() == b"secret" for path in (tmp_path / "site").rglob("*.png"))
