"""A tour in headless Chromium: no console error, no sideways scrolling, keys, search, and the export from a disk."""

import http.server
import os
import shutil
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from retinoscope.store.files import photo_file
from retinoscope.web import urls
from retinoscope.web.export import export
from tests.web.planted import LAYERS, NETWORK, ODD_NETWORK, plant

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]
UNIT = urls.unit(NETWORK, LAYERS[0], 1)
TOUR = ["", urls.network(NETWORK), urls.network(ODD_NETWORK), urls.layer(NETWORK, LAYERS[0]), UNIT]
TOUR += [urls.layer(NETWORK, LAYERS[2]), urls.unit(NETWORK, LAYERS[2], 2), urls.unit(NETWORK, LAYERS[0], 4)]
TOUR += [urls.photo("zebra/one.jpg"), urls.photo("cat/two.jpg"), urls.label("zebra")]
SIZES = {"phone": (390, 844), "laptop": (1366, 768)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = os.environ.get("RETINOSCOPE_CHROMIUM") or shutil.which("chromium")
    assert path, "these tests need Chromium: install it, or name it in RETINOSCOPE_CHROMIUM"
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def exported(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("browser") / "site"
    export(store, out)
    return out


@pytest.fixture(scope="module")
def plain(exported: Path) -> Iterator[str]:
    """The export behind a plain file server."""

    class Silent(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(exported))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join(10)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A laptop's page; any error in its console fails the test."""
    yield from _open(browser, "light", "laptop")


def _open(browser: Browser, scheme: str, size: str) -> Iterator[Page]:
    width, height = SIZES[size]
    view = {"width": width, "height": height}
    context = browser.new_context(viewport=view, color_scheme=scheme)  # type: ignore[arg-type]
    page, errors = context.new_page(), list[str]()
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    # Leaving a page ends its unfinished requests; that is no error.
    page.on("requestfailed", lambda sent: errors.append(sent.url) if sent.failure != "net::ERR_ABORTED" else None)
    yield page
    context.close()
    assert errors == []


def _check_layout(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url
    broken = "[...document.images].filter(i => i.complete && !i.naturalWidth && i.loading !== 'lazy').map(i => i.src)"
    assert page.evaluate(broken) == []
    assert page.evaluate("[...document.images].every(i => i.alt)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_the_tour(browser: Browser, site: str, scheme: str, size: str) -> None:
    for page in _open(browser, scheme, size):
        for path in [*TOUR, "search?q=zebra"]:
            page.goto(site + path)
            _check_layout(page)
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (int(colour.split("(")[1].split(",")[0]) < 128) == (scheme == "dark")


@pytest.mark.parametrize("kind", ["disk", "server"])
@pytest.mark.parametrize("size", list(SIZES))
def test_the_tour_of_an_export(browser: Browser, exported: Path, plain: str, kind: str, size: str) -> None:
    root = f"{exported.as_uri()}/" if kind == "disk" else plain
    for page in _open(browser, "light", size):
        for path in TOUR:
            page.goto(f"{root}{path}{'index.html' if kind == 'disk' else ''}")
            _check_layout(page)


def test_keys_lead_through_units_and_layers(page: Page, site: str) -> None:
    page.goto(site + UNIT)
    moves = [
        ("ArrowRight", urls.unit(NETWORK, LAYERS[0], 2)),
        ("ArrowDown", urls.unit(NETWORK, LAYERS[1], 2)),
        ("ArrowDown", urls.unit(NETWORK, LAYERS[2], 2)),
        ("ArrowUp", urls.unit(NETWORK, LAYERS[1], 2)),
        ("ArrowLeft", urls.unit(NETWORK, LAYERS[1], 1)),
        ("g", urls.layer(NETWORK, LAYERS[1])),
        ("n", urls.network(NETWORK)),
    ]
    for key, path in moves:
        page.keyboard.press(key)
        page.wait_for_url(site + path)
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#help").is_hidden()
    page.keyboard.press("/")
    page.keyboard.type("zebra g")
    assert page.url == site + urls.network(NETWORK)
    assert page.locator("#search").input_value() == "zebra g"


@pytest.mark.parametrize(
    "query", ["zebra", "cat/two head", f"{LAYERS[0]}:2", "BLOCKS:1", "3", "script", "blocks.0 2", "no"]
)
def test_search_of_an_export_answers_like_the_server(page: Page, site: str, exported: Path, query: str) -> None:
    answers = []
    for root, end in ((site, ""), (f"{exported.as_uri()}/", "index.html")):
        page.goto(f"{root}{end}")
        page.fill("#search", query)
        page.keyboard.press("Enter")
        page.wait_for_url("**/search*")
        page.wait_for_load_state()
        cards = page.locator("#results li a, #classes:not([hidden]) a, #photos:not([hidden]) a")
        links = [(link.get_attribute("href") or "").removesuffix(end) for link in cards.all()]
        images = page.locator("#results img, #photos img").evaluate_all("all => all.map(i => i.getAttribute('src'))")
        answers.append((links, cards.all_inner_texts(), images, page.locator("#found").inner_text()))
    assert answers[0] == answers[1]


def test_a_layer_sorts_and_filters_and_its_address_remembers(page: Page, site: str) -> None:
    order = "[...document.querySelectorAll('#grid li:not([hidden])')].map(c => +c.querySelector('b').textContent)"
    page.goto(site + urls.layer(NETWORK, LAYERS[0]))
    assert page.evaluate(order) == [0, 1, 2, 3, 4, 5]
    page.select_option("#sort", "maximum")
    assert page.evaluate(order) == [4, 3, 2, 1, 0, 5]
    page.fill("#filter", "Tabby")
    assert page.evaluate(order) == [4, 3, 2, 1, 0]
    page.fill("#filter", "0, 3-5")
    assert page.evaluate(order) == [4, 3, 0, 5]
    assert page.locator("#shown").inner_text() == "4 units"
    page.reload()
    assert page.evaluate(order) == [4, 3, 0, 5]


def test_the_theme_switch_is_remembered(page: Page, site: str) -> None:
    page.goto(site)
    page.click("#theme")
    page.goto(site + UNIT)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_kinds_of_picture_are_tabs_and_links_can_be_copied(page: Page, site: str) -> None:
    page.goto(site + UNIT)
    assert page.locator(".picture:visible img").get_attribute("alt") == f"optimised picture of {LAYERS[0]}:1"
    assert page.locator(".tabs img").count() == 5
    page.click("#tab-3")
    assert page.locator(".picture:visible").count() == 1
    assert page.locator(".picture:visible img").get_attribute("alt") == f"facet 1 picture of {LAYERS[0]}:1"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.locator(".picture:visible img").get_attribute("alt") == f"optimised picture of {LAYERS[0]}:1"
    assert page.locator("#permalink").input_value() == site + UNIT
    page.click("#copy")
    page.wait_for_function("document.getElementById('copy').textContent === 'Copied'")


def test_counts_switch_between_logarithmic_and_linear(page: Page, site: str) -> None:
    page.goto(site + UNIT)
    heights = "[...document.querySelectorAll('.plot g.linear rect')].map(r => r.getBoundingClientRect().height)"
    assert max(page.evaluate(heights)) == 0
    page.uncheck("#log")
    assert max(page.evaluate(heights)) > 100


def test_pins_stand_where_their_panels_values_are(page: Page, site: str) -> None:
    page.goto(site + UNIT)
    centre = "all => all.map(p => { const r = p.getBoundingClientRect(); return r.left + r.width / 2 })"
    found = dict(
        zip(
            page.locator(".pins .pin").all_inner_texts(), page.locator(".pins .pin").evaluate_all(centre), strict=True
        )
    )  # fmt: skip
    places = [found[str(number)] for number in range(1, 7)]
    assert places == sorted(places)
    ticks = page.locator(".x-axis span")
    marks = dict(zip(map(float, ticks.all_inner_texts()), ticks.evaluate_all(centre), strict=True))
    (low, left), (high, right) = min(marks.items()), max(marks.items())
    panels = [float(text) for text in page.locator(".panel .score").all_inner_texts()]
    assert [left + (value - low) / (high - low) * (right - left) for value in panels] == pytest.approx(places, abs=1)


def test_a_patch_shows_its_box_of_the_photo(page: Page, site: str) -> None:
    page.goto(site + urls.unit(NETWORK, LAYERS[0], 0))
    frame, photo = (page.locator(f".patch{inner}").first.bounding_box() for inner in ("", " img"))
    assert frame is not None
    assert photo is not None
    # The box is rows 10 to 50 and columns 20 to 60 of a photo of 120 x 160 pixels.
    scale = photo["width"] / 160
    assert photo["height"] / 120 == pytest.approx(scale, rel=0.01)
    assert (frame["y"] - photo["y"]) / scale == pytest.approx(10, abs=0.2)
    assert (frame["x"] - photo["x"]) / scale == pytest.approx(20, abs=0.2)
    assert frame["height"] / scale == pytest.approx(40, abs=0.3)
    box, whole = page.locator(".box").first.bounding_box(), page.locator(".photo").first.bounding_box()
    assert box is not None
    assert whole is not None
    assert (box["y"] - whole["y"]) / whole["height"] == pytest.approx(10 / 120, abs=0.02)
    assert box["width"] / whole["width"] == pytest.approx(40 / 160, abs=0.02)


def test_without_javascript_every_page_still_reads(browser: Browser, site: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site)
    page.click("h2 a")
    page.click(".layer h2 a")
    page.click("#grid li:nth-child(2) a")
    assert page.url == site + UNIT
    context.close()


def test_backward_pictures_stand_beside_patches_and_can_be_chosen(page: Page, site: str) -> None:
    page.goto(f"{site}{UNIT}")
    guided, gradient = (page.locator(f".traced {where}").first for where in (".guided", ".gradient"))
    first = page.locator(".traced > .square").first
    left, right = first.bounding_box(), guided.bounding_box()
    assert left is not None
    assert right is not None
    assert (left["y"], left["width"]) == pytest.approx((right["y"], right["width"]), abs=1)
    assert left["x"] + left["width"] < right["x"]
    assert not gradient.is_visible()
    page.check("#rule-gradient")
    assert gradient.is_visible()
    assert not guided.is_visible()
    page.check("#rule-none")
    assert first.is_visible()
    assert not page.locator(".back:visible").count()


def test_units_of_a_photo_can_be_of_one_layer_and_show_their_patch(page: Page, site: str, exported: Path) -> None:
    for address in (
        f"{site}{urls.photo('zebra/one.jpg')}",
        (exported / urls.photo("zebra/one.jpg")).as_uri() + "/index.html",
    ):
        page.goto(address)
        assert page.locator("#hits > li:visible").count() == 9
        page.select_option("#hit-layer", label=f"{LAYERS[1]} (3)")
        assert page.locator("#hits > li:visible b").all_inner_texts() == [f"{LAYERS[1]}:{n}" for n in (0, 2, 4)]
        assert page.locator("#hit-count").inner_text() == "3 units"
        assert page.locator("#hit-box").is_hidden()
        page.locator("#hits > li:visible a").first.focus()
        box, whole = page.locator("#hit-box").bounding_box(), page.locator(".large").bounding_box()
        assert box is not None
        assert whole is not None
        assert box["width"] / whole["width"] == pytest.approx(40 / 160, abs=0.02)
        assert (box["y"] - whole["y"]) / whole["height"] == pytest.approx(10 / 120, abs=0.02)
    page.goto(f"{site}{urls.label('zebra')}?layer={NETWORK}/{LAYERS[0]}")
    assert page.locator("#hits > li:visible b").all_inner_texts() == [f"{LAYERS[0]}:{n}" for n in (0, 2, 4)]


@pytest.mark.parametrize("late", [False, True])  # whether the script comes after the pictures have failed
def test_a_photo_whose_copy_is_gone_is_named(browser: Browser, tmp_path: Path, late: bool) -> None:
    store = plant(tmp_path / "store", units=3)
    (store / photo_file("zebra/one.jpg")).unlink()
    export(store, tmp_path / "site")
    page = browser.new_page()
    if late:
        page.route("**/explorer.js", lambda route: (time.sleep(0.5), route.continue_()))
    page.goto((tmp_path / "site" / urls.unit(NETWORK, LAYERS[0], 0)).as_uri() + "/index.html")
    note = page.locator(".examples .square.gone").first
    note.wait_for()
    assert note.inner_text() == "photos/zebra/one.jpg.jpg is not in the store"
    page.locator(".examples a.photo.gone").first.click()
    page.locator(".large.gone").wait_for()
    assert page.locator("h1").inner_text() == "zebra/one.jpg"
    page.close()


def test_the_chosen_rule_goes_along_from_unit_to_unit(page: Page, site: str) -> None:
    page.goto(f"{site}{UNIT}")
    page.check("#rule-gradient")
    page.keyboard.press("Escape")
    assert page.url == f"{site}{UNIT}?rule=gradient"
    page.click("a.arrow[data-key=right]")  # which has no backward pictures
    page.wait_for_url(f"{site}{urls.unit(NETWORK, LAYERS[0], 2)}?rule=gradient")
    page.click("a.arrow[data-key=left]")
    page.wait_for_url(f"{site}{UNIT}?rule=gradient")
    assert page.locator("#rule-gradient").is_checked()
    assert page.locator(".traced .gradient").first.is_visible()
    page.goto(f"{site}{UNIT}")
    assert page.locator("#rule-gradient").is_checked()
    page.goto(f"{site}{UNIT}?rule=none")
    assert not page.locator(".back:visible").count()
    page.goto(f"{site}{UNIT}?rule=nonsense")
    assert page.locator("#rule-guided").is_checked()


def test_an_export_on_a_disk_hands_the_rule_on_too(page: Page, exported: Path) -> None:
    page.goto(f"{exported.as_uri()}/{UNIT}index.html")
    page.check("#rule-gradient")
    page.click("a.arrow[data-key=right]")
    page.wait_for_url("**/2/index.html?rule=gradient")
    page.click("a.arrow[data-key=left]")
    page.wait_for_url("**/1/index.html?rule=gradient")
    assert page.locator("#rule-gradient").is_checked()


@pytest.mark.parametrize("size", list(SIZES))
def test_the_film_strip_leads_to_its_frames(browser: Browser, site: str, size: str) -> None:
    for page in _open(browser, "light", size):
        page.goto(site + UNIT)
        boxes = [cell.bounding_box() for cell in page.locator(".film .cell").all()]
        step = page.locator(".film .step").bounding_box()
        assert None not in boxes
        assert step is not None
        axis, length = ("x", "width") if size == "laptop" else ("y", "height")
        here, after = boxes[1], boxes[2]
        assert here is not None
        assert after is not None
        assert here[axis] + here[length] <= step[axis] < step[axis] + step[length] <= after[axis]
        clipped = "[...document.querySelectorAll('.film *')].filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth && !e.closest('.patch, svg')).map(e => e.className)"  # noqa: E501
        assert page.evaluate(clipped) == []
        page.click(".film a.cell:not([aria-current])")
        page.wait_for_url(site + urls.unit(NETWORK, LAYERS[1], 1))
        assert page.locator(".film [aria-current=page]").count() == 1
        page.click(".relatives a")
        page.wait_for_url(f"{site}{urls.unit(NETWORK, LAYERS[2], 2)}")
