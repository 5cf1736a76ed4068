"""Imports: which way they go, what they cost, and that each is declared."""

import ast
import importlib
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

import retinoscope

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
HEAVY = ("torch", "torchvision", "timm")


def test_imports_go_one_way(capsys: pytest.CaptureFixture[str]) -> None:
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


@pytest.mark.parametrize(
    "program",
    [
        "import retinoscope",
        "import retinoscope; retinoscope.export, retinoscope.serve, retinoscope.Store, retinoscope.Unit",
        "import retinoscope.web.app, retinoscope.web.export",
        "from typer.testing import CliRunner; from retinoscope.cli.main import app; "
        "assert all(CliRunner().invoke(app, [*c, '--help']).exit_code == 0 for c in ([], ['atlas'], ['serve']))",
    ],
    ids=["package", "store and explorer names", "explorer", "help"],
)
def test_starts_without_torch(program: str) -> None:
    ending = f"; import sys; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program + ending], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.mark.parametrize("name", sorted(retinoscope.__all__))
def test_public_name_is_there(name: str) -> None:
    assert getattr(retinoscope, name) is not None


def test_public_names_are_listed_for_editors_and_type_checkers() -> None:
    tree = ast.parse(Path(retinoscope.__file__).read_text())
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    imported = {
        alias.asname for node in ast.walk(blocks[0]) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert imported | {"__version__"} == set(retinoscope.__all__)
    assert set(retinoscope.__all__) <= set(dir(retinoscope))


def test_a_wrong_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="rendr"):
        retinoscope.rendr  # noqa: B018


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.relative_to(ROOT / "src/retinoscope").as_posix())
def test_every_module_imports(file: Path) -> None:
    parts = file.relative_to(ROOT / "src").with_suffix("").parts
    importlib.import_module(".".join(part for part in parts if part != "__init__").removesuffix(".__main__"))


def test_every_import_is_declared() -> None:
    homes = packages_distributions()
    found = {top for file in SOURCES for top in top_level_imports(file)} - {"retinoscope"} - sys.stdlib_module_names
    undeclared = {top for top in found if not {plain(home) for home in homes.get(top, [top])} & declared()}
    assert undeclared == set()


def top_level_imports(file: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    plainly = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    relative = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.level]
    assert not relative, f"{file} has relative imports"
    named = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {name.split(".")[0] for name in plainly | named}


def declared() -> set[str]:
    """The packages of run time and of its extras; tools of development do not count."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(one for name in extras if name != "dev" for one in extras[name])]
    return {plain(one) for one in wanted}


def plain(requirement: str) -> str:
    """A requirement's package name, as the index compares them."""
    name = requirement
    for mark in "[<>=!~; ":
        name = name.split(mark)[0]
    return name.strip().lower().replace("_", "-")
