"""The explorer as files: the same tree, for any web server or none."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from retinoscope.base.errors import StoreError
from retinoscope.web import pages, photos, queries, render, search, unit_page, urls
from retinoscope.web.app import IMAGES, STATIC
from retinoscope.web.pages import Page
from retinoscope.web.queries import View
from retinoscope.web.serve import check

MARKER = "retinoscope-export.json"
"""The file that says a folder is an earlier export, which may be replaced."""

Progress = Iterator[tuple[int, int]]


def export(store: str | Path, out: str | Path) -> Path:
    """Write all pages and pictures of a store into the folder `out`, and give its path.

    The folder appears whole, when the last file is written. Raises StoreError at once when the store cannot be read, or
    when `out` holds anything but an earlier export.
    """
    for _ in export_stepwise(Path(store), Path(out)):
        pass
    return Path(out)


def export_stepwise(store: Path, out: Path) -> Progress:
    """`export` as an iterator: checks at once, then yields (done, total) as it writes."""
    _check(out)
    check(store)
    return _write(store, out)


def _check(out: Path) -> None:
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file()):
        raise StoreError(f"{out} exists and is not an earlier export; name a new or empty folder")


def _write(store: Path, out: Path) -> Progress:
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.partial-", dir=out.parent))
    try:
        with queries.reading(store) as db:
            yield from _fill(db, store, folder)
        folder.chmod(0o755)
        _put_in_place(folder, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put_in_place(folder: Path, out: Path) -> None:
    _check(out)
    if out.is_dir():
        old = folder.with_name(f"{folder.name}-old")
        out.rename(old)
        folder.rename(out)
        shutil.rmtree(old)
    else:
        folder.rename(out)


def _fill(db: View, store: Path, folder: Path) -> Progress:
    makers, files = list(_makers(db)), queries.files(db)
    total = len(makers) + len(files) + 1
    for done, maker in enumerate(makers, 1):
        _write_page(folder, maker())
        yield done, total
    for done, file in enumerate(files, len(makers) + 1):
        _copy(store, folder, file)
        yield done, total
    _write_rest(db, folder)
    yield total, total


def _makers(db: View) -> Iterator[Callable[[], Page]]:
    """Every page that anything links to."""
    yield partial(pages.home, db)
    for network in [row["name"] for row in queries.networks(db)]:
        yield partial(pages.network, db, network)
        for layer in [row["name"] for row in queries.layers(db, network) if row["results"]]:
            yield partial(pages.layer, db, network, layer)
            for channel in queries.channels(db, network, layer):
                yield partial(unit_page.unit, db, network, layer, str(channel))
    for photo in [row["id"] for row in queries.photos(db)]:
        yield partial(photos.photo, db, photo)
    for label in queries.labels_of_photos(db):
        yield partial(photos.label, db, label)


def _write_page(folder: Path, page: Page) -> None:
    path = folder / page.path / urls.INDEX
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render.html(page, urls.INDEX), encoding="utf-8")
    (folder / urls.twin(page.path)).write_text(render.text(page.data), encoding="utf-8")


def _copy(store: Path, folder: Path, file: str) -> None:
    root = store.resolve()
    source, target = (root / file).resolve(), folder / urls.MEDIA / file
    # A store may come from someone else: only images inside its folder are copied, and only into the export.
    if source.suffix.lower() in IMAGES and source.is_relative_to(root) and ".." not in Path(file).parts:
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_file():
            shutil.copyfile(source, target)


def _write_rest(db: View, folder: Path) -> None:
    shutil.copytree(STATIC, folder / urls.STATIC)
    index = search.build(db)
    limits = {"limit": search.LIMIT, "longest": search.LONGEST, "shown": search.PHOTOS}
    # A script rather than a JSON file, because a page opened from a disk may not fetch.
    body = f"window.retinoscopeIndex = {render.text(index | limits)};\n"
    (folder / urls.STATIC / "search-index.js").write_text(body, encoding="utf-8")
    page = Page("search.html", f"{urls.SEARCH}.html", "Search", search.find(index, ""))
    (folder / page.path).write_text(render.html(page, urls.INDEX), encoding="utf-8")
    (folder / MARKER).write_text(json.dumps({"made_by": "retinoscope export"}) + "\n", encoding="utf-8")
