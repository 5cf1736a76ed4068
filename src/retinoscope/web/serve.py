"""The explorer behind a socket."""

import errno
import socket
from pathlib import Path

from retinoscope.base.errors import ServeError
from retinoscope.web import queries


def listen(host: str = "127.0.0.1", port: int = 8000) -> socket.socket:
    """A listening socket; port 0 takes any free one. Raises ServeError when the address cannot be had."""
    if not 0 <= port <= 65535:
        raise ServeError(f"port {port} does not exist; give one from 1024 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ServeError(f"cannot find host '{host}' ({error}); give 127.0.0.1 for this machine alone") from error
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ServeError(_why(error, host, port)) from error
    return listener


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is in use by another program; try --port {_free(host, port)}"
    if error.errno == errno.EACCES:
        return f"port {port} may not be opened by this user; try --port 8000"
    return f"cannot listen on {host}:{port} ({error.strerror}); give 127.0.0.1 for this machine alone"


def _free(host: str, port: int) -> int:
    """The next free port; 0, which takes any, when there is none near."""
    for candidate in range(port + 1, min(port + 50, 65536)):
        with socket.socket() as probe:
            try:
                probe.bind((host, candidate))
            except OSError:
                continue
            return candidate
    return 0


def address(listener: socket.socket) -> str:
    """The address to open in a browser."""
    host, port = listener.getsockname()[:2]
    host = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{host}:{port}/"


def check(store: Path) -> None:
    """Raise StoreError unless the folder is a store that can be read."""
    with queries.reading(store) as db:
        queries.networks(db)


def run(store: Path, listener: socket.socket) -> None:
    """Answer on a listening socket until interrupted, then close it."""
    import uvicorn

    from retinoscope.web.app import create

    config = uvicorn.Config(create(store), log_level="warning", access_log=False, lifespan="off", server_header=False)
    with listener:
        uvicorn.Server(config).run(sockets=[listener])


def serve(store: str | Path, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve a store until interrupted; raises StoreError or ServeError."""
    folder = Path(store)
    check(folder)
    run(folder, listen(host, port))
