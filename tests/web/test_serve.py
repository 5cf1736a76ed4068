"""Sockets: ports in use, hosts that do not exist."""

from pathlib import Path

import pytest

from retinoscope.base.errors import ServeError, StoreError
from retinoscope.web.serve import address, listen, serve


def test_a_port_in_use_names_another(store: Path) -> None:
    with listen(port=0) as taken:
        port = taken.getsockname()[1]
        assert address(taken) == f"http://127.0.0.1:{port}/"
        with pytest.raises(ServeError, match=f"port {port} .*in use.*--port \\d+"):
            serve(store, port=port)


def test_what_cannot_be_listened_on_is_refused(store: Path, tmp_path: Path) -> None:
    with pytest.raises(ServeError, match="does not exist"):
        listen(port=70000)
    with pytest.raises(ServeError, match=r"cannot listen on 192\.0\.2\.1"):
        listen("192.0.2.1", 0)
    with pytest.raises(StoreError):
        serve(tmp_path / "none")
