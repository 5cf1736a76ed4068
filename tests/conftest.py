"""Fixtures for every test: shapes checked at run time, leaked hooks and stray files are failures."""

from jaxtyping import install_import_hook

# Before anything of the project is imported: public signatures' shape strings are enforced in tests.
install_import_hook("retinoscope", "shapes.check")

from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.modules import module as torch_module  # noqa: E402

from retinoscope.network.model import Model  # noqa: E402
from retinoscope.network.zoo import load, wrap  # noqa: E402

ROOT = Path(__file__).parents[1]
# Folders that tools and tests may write to.
_LEFT_ALONE = {".git", ".venv", ".pytest_cache", ".mypy_cache", ".ruff_cache", "site", "demo"}


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


class Tiny(nn.Module):
    """A small network with what trips tools up: in-place, shared and functional ReLUs, and a residual sum."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.conv2 = nn.Conv2d(8, 12, 3, padding=1)
        self.conv3 = nn.Conv2d(12, 12, 3, padding=1)
        self.head = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, 3, h, w) to (b, 5)."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.depthwise(x))
        x = nn.functional.relu(self.conv2(x), inplace=True)
        y = self.conv3(x)
        y += x
        return self.head(y.relu_().mean((2, 3)))


def tiny_module(seed: int = 0) -> Tiny:
    """A Tiny with random weights and lively batch-norm statistics."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = Tiny().eval()
        for child in (module.conv1, module.depthwise, module.conv2, module.conv3):
            nn.init.kaiming_normal_(child.weight)  # answers that vary, as a trained network's do
        module.bn1.running_mean.normal_(std=0.2)
        module.bn1.running_var.uniform_(0.02, 0.1)
        module.bn1.weight.data.uniform_(0.5, 2)
        return module


@pytest.fixture
def tiny() -> Model:
    """The Tiny network as a Model of 32-pixel images."""
    return wrap(tiny_module(), name="tiny", input_size=32, labels=("a", "b", "c", "d", "e"))


@pytest.fixture(scope="session")
def lite0() -> Model:
    """The embedded network."""
    return load("efficientnet-lite0")


def photos(count: int, size: int, seed: int = 0) -> torch.Tensor:
    """Random images (count, 3, size, size) in [0, 1]."""
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))
