"""Fixtures for every test: shapes checked at run time, leaked hooks and stray files are failures."""

from jaxtyping import install_import_hook

import tests.shapes  # noqa: F401 (the hook looks it up by name)

# Before anything of the project is imported: public signatures' shape strings are enforced in tests.
install_import_hook("retinoscope", "tests.shapes.check")

from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.modules import module as torch_module  # noqa: E402

from retinoscope.network.model import Model  # noqa: E402
from retinoscope.network.zoo import load, wrap  # noqa: E402
from tests.samples import tiny_module  # noqa: E402

ROOT = Path(__file__).parents[1]
# Folders that tools and tests may write to.
_LEFT_ALONE = {".git", ".venv", ".pytest_cache", ".mypy_cache", ".ruff_cache", "site", "demo"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Examples and pages first: the longest tests, which would else end on one core while the other waits."""
    items.sort(key=lambda item: item.path.name not in ("test_examples.py", "test_docs.py"))


@pytest.fixture(autouse=True)
def no_leaked_hooks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test after which a module still carries a hook that was registered during it."""
    touched: list[tuple[nn.Module, str]] = []
    for kind in ("forward_hook", "forward_pre_hook", "full_backward_hook", "full_backward_pre_hook"):
        original = getattr(nn.Module, f"register_{kind}")

        def register(
            self: nn.Module, *args: object, _original: object = original, _kind: str = kind, **kw: object
        ) -> object:
            touched.append((self, f"_{_kind.removeprefix('full_')}s"))
            return _original(self, *args, **kw)  # type: ignore[operator]

        monkeypatch.setattr(nn.Module, f"register_{kind}", register)
    yield
    leaked = [f"{type(module).__name__}.{hooks}" for module, hooks in touched if getattr(module, hooks)]
    assert not leaked, f"hooks left behind: {leaked}"
    assert not torch_module._global_forward_hooks, "a global forward hook was left behind"


@pytest.fixture(autouse=True)
def no_stray_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run each test in its own folder, and fail one that leaves files in the project's folder."""
    monkeypatch.chdir(tmp_path)
    before = _listing()
    yield
    assert _listing() - before == set(), "files left in the project folder"


def _listing() -> set[str]:
    return {path.name for path in ROOT.iterdir() if path.name not in _LEFT_ALONE}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """One thread everywhere: float results do not depend on the machine's cores, and tiny networks run faster."""
    torch.set_num_threads(1)


@pytest.fixture
def tiny() -> Model:
    """The Tiny network as a Model of 32-pixel images."""
    return wrap(tiny_module(), name="tiny", input_size=32, labels=("a", "b", "c", "d", "e"))


@pytest.fixture(scope="session")
def lite0() -> Model:
    """The embedded network."""
    return load("efficientnet-lite0")
