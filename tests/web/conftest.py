"""Stores and servers for the tests of the explorer."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from retinoscope.web.app import create
from retinoscope.web.serve import address, listen
from tests.web.planted import plant


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A planted store, not to be changed."""
    return plant(tmp_path_factory.mktemp("explorer") / "store")


@pytest.fixture(scope="session")
def site(store: Path) -> Iterator[str]:
    """The address of an explorer over the planted store."""
    listener = listen(port=0)
    server = uvicorn.Server(uvicorn.Config(create(store), log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield address(listener)
    server.should_exit = True
    thread.join(10)
    listener.close()
