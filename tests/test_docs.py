"""The docs: their Python runs, their command lines parse, their keys and links lead somewhere."""

import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
import typer
from PIL import Image, ImageOps

import retinoscope
from retinoscope.cli.main import app, run
from retinoscope.data.files import sample_photos
from retinoscope.network import zoo
from retinoscope.store.database import Store
from retinoscope.synthesize.recipes import RECIPES
from tests.web.planted import plant

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
AHEAD = {"design.md"}  # its code says where the project is going, too
BLOCK = re.compile(
    r"(?P<skip><!-- not run -->\s*\n)?^```(?P<language>\w+)\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL
)
"""A fenced block, and whether it is marked as one that is not run."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, with the line it starts on."""

    page: Path
    line: int
    body: str


def blocks(page: Path, *languages: str) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        if match["language"] in languages and not match["skip"]:
            yield Block(page, text.count("\n", 0, match.start("body")), match["body"])


_find = zoo._find


@cache
def loaded(name: str) -> Any:
    """A packaged network, loaded once for all pages."""
    return _find(name, "default")


def find_once(name: str, weights: Any) -> Any:
    return loaded(name) if name in zoo._LITE and weights == "default" else _find(name, weights)


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the pages speak of: a folder of small photos and a store called atlas; recipes are cut to two steps."""
    (tmp_path / "photos").mkdir()
    for place, file in enumerate(sorted(sample_photos().glob("*.jpg"))[:3], 1):
        with Image.open(file) as photo:  # squares, of which there are fewer tiles
            ImageOps.fit(photo, (128, 128)).save(tmp_path / "photos" / f"{place}.jpg")
    plant(tmp_path / "atlas")
    for name, recipe in RECIPES.items():
        monkeypatch.setitem(RECIPES, name, replace(recipe, steps=2))
    monkeypatch.setattr(zoo, "_find", find_once)


RUN = [page for page in PAGES if page.name not in AHEAD and list(blocks(page, "python"))]


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
@pytest.mark.usefixtures("setting")
def test_python_runs(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The blocks of a page one after the other, as a reader would type them."""
    names: dict[str, Any] = {"__name__": page.stem}
    for block in blocks(page, "python"):
        code = compile("\n" * block.line + block.body, str(page), "exec")
        exec(code, names)


def commands(*languages: str) -> list[tuple[Path, str]]:
    found = []
    for page in PAGES:
        for block in blocks(page, *languages):
            found += [(page, line.strip()) for line in block.body.splitlines() if line.strip()]
    return found


SHELL = commands("bash")
COMMANDS = [pytest.param(line, id=f"{page.name}: {line}") for page, line in SHELL if line.startswith("retinoscope ")]


@pytest.mark.parametrize("line", COMMANDS)
def test_command_lines_parse(line: str) -> None:
    """Each command exists and takes these arguments and options; nothing is run."""
    words = shlex.split(line, comments=True)[1:]
    group = typer.main.get_command(app)
    if words == ["--version"]:
        assert "--version" in {name for option in group.params for name in option.opts}
        return
    command = commands_by_name()[words[0]]
    command.make_context(words[0], words[1:])


def commands_by_name() -> dict[str, click.Command]:
    group: Any = typer.main.get_command(app)
    return dict(group.commands)


def test_every_command_and_option_is_in_the_docs() -> None:
    sections = re.split(r"^## ", (ROOT / "docs/cli.md").read_text(), flags=re.MULTILINE)
    told = {section.split("\n")[0]: section for section in sections[1:]}
    assert told.keys() == commands_by_name().keys()
    for name, command in commands_by_name().items():
        options = {max(option.opts, key=len) for option in command.params if option.param_type_name == "option"}
        missing = {option for option in options - {"--help"} if option not in told[name]}
        assert not missing, f"docs/cli.md says nothing of {missing} of {name}"


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for page, line in SHELL:
        if line.startswith("make "):
            words = shlex.split(line, comments=True)[1:]
            for word in words:
                known = re.search(rf"^{word.split('=')[0]} ?(\?=|:)", makefile, re.MULTILINE)
                assert known, f"{page.name}: '{line}': no '{word}' in the Makefile"


def test_benchmarks_and_their_options_exist() -> None:
    lines = [line.split() for _, line in SHELL if line.startswith("python ")]
    for _, script, *words in lines:
        shared = [file.read_text(encoding="utf-8") for file in (ROOT / "benchmarks").glob("judges.py")]
        source = "".join([(ROOT / script).read_text(encoding="utf-8"), *shared])
        assert [word for word in words if word.startswith("--") and f'"{word}"' not in source] == [], script
    told = {script for _, script, *_ in lines}
    files = [file for file in (ROOT / "benchmarks").glob("*.py") if "__main__" in file.read_text(encoding="utf-8")]
    assert {f"benchmarks/{file.name}" for file in files if not file.name.startswith("peer_")} <= told


def test_every_key_is_in_the_bibliography() -> None:
    known = set(re.findall(r"^`\[(\w+)\]`$", (ROOT / "docs/bibliography.md").read_text(), re.MULTILINE))
    texts = [*(ROOT / "src").rglob("*.py"), *(ROOT / "docs").glob("*.md")]
    cited = {key: file.name for file in texts for key in keys(file.read_text(encoding="utf-8"))}
    assert {key: file for key, file in cited.items() if key not in known} == {}


def keys(text: str) -> set[str]:
    """Keys in square brackets, several with commas between, such as `name2017`."""
    groups = re.findall(r"\[((?:[a-z]+\d{4}[a-z]?)(?:, [a-z]+\d{4}[a-z]?)*)\]", text)
    return {key for group in groups for key in group.split(", ")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    local = [target.split("#")[0] for target in targets if not re.match(r"https?:|#", target)]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_every_error_is_in_the_table() -> None:
    table = (ROOT / "docs/errors.md").read_text()
    errors = re.findall(
        r"^class (\w+)\(RetinoscopeError\)", (ROOT / "src/retinoscope/base/errors.py").read_text(), re.M
    )
    assert len(errors) > 5
    assert [error for error in errors if f"`{error}`" not in table] == []


@pytest.mark.usefixtures("setting")
def test_errors_are_told_in_these_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command of the console block ends with status 2 and with the line below it."""
    (block,) = blocks(ROOT / "docs/errors.md", "console")
    lines = block.body.splitlines()
    for command, told in zip(lines[::2], lines[1::2], strict=True):
        monkeypatch.setattr(sys, "argv", shlex.split(command)[1:])
        with pytest.raises(SystemExit) as end:
            run()
        assert (end.value.code, capsys.readouterr().err.strip()) == (2, told), command


def test_every_recipe_is_in_a_table() -> None:
    lines = [line for page in PAGES for line in page.read_text().splitlines()]
    for name, recipe in RECIPES.items():
        rows = [line for line in lines if line.startswith(f"| `{name}`") and f"| {recipe.steps} |" in line]
        assert rows, f"no table has a row for {name} with its {recipe.steps} steps"
        assert all(row.count("|") > 3 for row in rows)


def test_the_changelog_has_this_version() -> None:
    assert f"## [{retinoscope.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
    assert f"version: {retinoscope.__version__}" in (ROOT / "CITATION.cff").read_text()


def test_the_planted_store_opens(tmp_path: Path) -> None:
    plant(tmp_path / "atlas")
    with Store.open(tmp_path / "atlas") as store:
        assert store.networks()
