"""The explorer as a Starlette application over one store."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from retinoscope.base.errors import BadUnitError, RetinoscopeError, StoreError, UnknownNameError
from retinoscope.store.connection import FILE
from retinoscope.web import pages, photos, queries, render, search, unit_page, urls
from retinoscope.web.pages import MissingPageError, Page
from retinoscope.web.queries import View
from retinoscope.web.reader import Reader
from retinoscope.web.serve import check

STATIC = Path(__file__).parent / "static"

IMAGES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif"}
"""Image files that are served, by suffix; anything else that a store names is not."""

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

PICTURE_SECONDS = 300
"""How long a browser shows a picture before it asks whether the atlas has a newer one."""

Answer = Callable[[Request], Response]
Maker = Callable[[View, Request], Page]
Handler = Callable[[Request], Awaitable[Response]]


def create(store: Path) -> Starlette:
    """The application; raises StoreError when the folder is no store that can be read."""
    check(store)
    routes = _page_routes(store)
    application = Starlette(
        routes=[
            *routes,
            Route(f"/{urls.MEDIA}{{file:path}}", _answering(_picture(store))),
            Mount(f"/{urls.STATIC.rstrip('/')}", StaticFiles(directory=STATIC)),
        ],
        exception_handlers={RetinoscopeError: _refuse, HTTPException: _refuse_http},
    )
    application.state.store = store
    return application


def _page_routes(store: Path) -> list[Route]:
    finder = _Finder(store)
    makers: dict[str, Maker] = {
        "/": lambda db, request: pages.home(db),
        "/search": lambda db, request: finder.page(db, request.query_params.get("q", "")),
        "/_photos/{photo}/": lambda db, request: photos.photo(db, *_names(request)),
        "/_classes/{label}/": lambda db, request: photos.label(db, *_names(request)),
        "/{network}/": lambda db, request: pages.network(db, *_names(request)),
        "/{network}/{layer}/": lambda db, request: pages.layer(db, *_names(request)),
        "/{network}/{layer}/{channel}/": lambda db, request: unit_page.unit(db, *_names(request)),
    }
    squeeze = [Middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)]
    routes = []
    for path, maker in makers.items():
        twin = "/index.json" if path == "/" else f"{path.rstrip('/')}.json"
        for address, form in ((twin, _json), (path, _html)):
            routes.append(Route(address, _answering(_page(store, maker, form)), middleware=squeeze))
    return routes


def _names(request: Request) -> list[str]:
    return [str(value) for value in request.path_params.values()]


def _answering(answer: Answer) -> Handler:
    async def handle(request: Request) -> Response:
        response = await run_in_threadpool(answer, request)
        response.headers.update(HEADERS)
        return response

    return handle


def _page(store: Path, maker: Callable[[View, Request], Page], form: Callable[[Page], Response]) -> Answer:
    def answer(request: Request) -> Response:
        with queries.reading(store) as db:
            page = maker(db, request)
        is_page = form is _html and request.url.path.endswith("/")
        if is_page and request.scope["path"] != f"{request.scope.get('root_path', '')}/{page.path}":
            return RedirectResponse(f"{request.scope.get('root_path', '')}/{quote(page.path)}")
        return form(page)

    return answer


def _html(page: Page) -> Response:
    return Response(render.html(page), media_type="text/html", headers={"Cache-Control": "no-cache"})


def _json(page: Page, status: int = 200) -> Response:
    headers = {"Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"}
    return Response(render.text(page.data), status, media_type="application/json", headers=headers)


class _Finder:
    """The search index, made again when the store has changed."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.made: tuple[object, search.Index] | None = None

    def page(self, db: View, query: str) -> Page:
        state = tuple(_stamp(self.store / name) for name in (FILE, f"{FILE}-wal"))
        if self.made is None or self.made[0] != state:
            self.made = (state, search.build(db))
        return Page("search.html", urls.SEARCH, f"Search: {query}", search.find(self.made[1], query))


def _stamp(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except FileNotFoundError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)


def _picture(store: Path) -> Answer:
    root, reader = store.resolve(), Reader(store)

    def answer(request: Request) -> Response:
        name: str = request.path_params["file"]
        path = (root / name).resolve()
        known = reader.has_file(name)
        # A store may come from someone else: what its tables name must still be an image inside its folder.
        if not known or not path.is_relative_to(root) or path.suffix.lower() not in IMAGES or not path.is_file():
            raise MissingPageError(f"no picture '{name}' in this store")
        written = path.stat()
        tag = f'"{written.st_mtime_ns:x}-{written.st_size:x}"'
        headers = {"Cache-Control": f"max-age={PICTURE_SECONDS}", "ETag": tag}
        if tag in (known.strip() for known in request.headers.get("if-none-match", "").split(",")):
            return Response(status_code=304, headers=headers)
        # Pictures are small: one read takes half the time of a file response, which opens a thread for each part.
        return Response(path.read_bytes(), media_type=IMAGES[path.suffix.lower()], headers=headers)

    return answer


async def _refuse(request: Request, error: Exception) -> Response:
    """A user's mistake: 404 for a name that does not exist, 400 for a question that cannot be read."""
    missing, bad = isinstance(error, UnknownNameError), isinstance(error, BadUnitError)
    status = 404 if missing else 400 if bad else 503 if isinstance(error, StoreError) else 500
    return _error(request, status, str(error), error.near if isinstance(error, MissingPageError) else [])


async def _refuse_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"no page at {request.url.path}" if error.status_code == 404 else error.detail
    return _error(request, error.status_code, message, [("all networks", urls.HOME)])


def _error(request: Request, status: int, message: str, near: list[tuple[str, str]]) -> Response:
    data = {"status": status, "error": message, "near": [{"text": text, "url": url} for text, url in near]}
    # The path as it was sent: an escaped slash is no folder to the browser, so no step up in a relative link.
    path = request.scope["raw_path"].decode("ascii", "replace").split("?")[0].lstrip("/")
    page = Page("error.html", path, "Not found" if status == 404 else "Error", data)
    response = _json(page) if path.endswith(".json") else _html(page)
    response.status_code = status
    response.headers.update(HEADERS)
    return response
