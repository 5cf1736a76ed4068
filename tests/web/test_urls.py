"""Names to addresses and back to the same page."""

import re
from pathlib import PurePosixPath
from urllib.parse import urljoin

import pytest

from retinoscope.web import urls

NAMES = [
    "blocks.3.0",
    "a/b",
    "a#2",
    "a~2Fb",
    "..",
    ".",
    ".hidden",
    "",
    "search",
    "index",
    "_static",
    "_store",
    "x.json",
]
NAMES += ["index.html", "été", "a b", "100%", "a?b", "x.", "a" * 400, "b" * 400, "a:b", "a\\b", "<b>", '"']


def test_segments_are_distinct_and_safe_everywhere() -> None:
    segments = [urls.segment(name) for name in NAMES]
    assert len(set(segments)) == len(NAMES)
    for segment in segments:
        assert re.fullmatch(r"[A-Za-z0-9,@+=~][A-Za-z0-9.,@+=_~-]*", segment)
        assert len(segment) <= 120
        assert not segment.endswith((".json", ".html", "."))
    assert urls.segment("blocks.3.0") == "blocks.3.0"


def test_names_are_read_back_from_their_segments() -> None:
    for name in NAMES:
        if 0 < len(name) <= 100:
            assert urls.name_of(urls.segment(name)) == name
    assert urls.name_of("100%25") == "100%25"


@pytest.mark.parametrize("page", ["", "search", "net/", "net/layer/", "net/layer/21/"])
@pytest.mark.parametrize("target", ["", "net/", "net/layer/21/", "_static/style.css"])
def test_relative_links_lead_where_a_browser_follows_them(page: str, target: str) -> None:
    for root in ("http://host/", "http://host/below/"):
        assert urljoin(root + page, urls.link(page, target)) == root + target


def test_links_of_an_export_end_in_a_file() -> None:
    assert urls.link("net/layer/", "net/", "index.html") == "../index.html"
    assert urls.link("net/layer/", "net/layer/21/", "index.html") == "21/index.html"
    assert urls.link("net/", "net/", "index.html") == "index.html"
    assert urls.link("", "", "index.html") == "index.html"
    assert urls.link("net/", "_static/style.css", "index.html") == "../_static/style.css"


def test_twins_stand_beside_their_pages() -> None:
    assert urls.twin("") == "index.json"
    assert urls.twin("net/layer/21/") == "net/layer/21.json"
    assert PurePosixPath(urls.twin("net/layer/21/")).parent == PurePosixPath("net/layer")


def test_media_addresses_escape_the_percent_signs_of_file_names() -> None:
    assert urls.media("pictures/a%2Fb/1.png") == "_store/pictures/a%252Fb/1.png"
