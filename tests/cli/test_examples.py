"""`retinoscope examples`, and the classes that `scan` prints, as a user sees them."""

import json
from pathlib import Path

import pytest

from retinoscope.cli.scan import tell_few
from retinoscope.data.imageset import ImageSet
from tests.cli.conftest import Command
from tests.jobs.conftest import write_photos

NETWORK = """
import torch
from torch import nn
from retinoscope import wrap

def tiny():
    torch.manual_seed(3)
    return wrap(nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.ReLU(), nn.Conv2d(6, 4, 3)), input_size=32)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("examples")
    (root / "net.py").write_text(NETWORK)
    write_photos(root / "photos", 8)
    return root


@pytest.fixture
def command(run_command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run the command line where the store `s` has an atlas of eight photos in two classes."""
    monkeypatch.chdir(folder)
    if not (folder / "s").exists():
        ran = run_command("atlas", "net.py:tiny", "photos", "--store", "s", "--pictures", "0", "--k", "3")
        assert ran[0] == 0, ran[2]
    return run_command


def test_units_of_a_photo(command: Command) -> None:
    status, out, _ = command("examples", "s", "--photo", "6.png", "--json")
    found = json.loads(out)
    assert (status, found["photo"], found["total"]) == (0, "cats/6.png", len(found["units"]))
    assert [unit["rank"] for unit in found["units"]] == sorted(unit["rank"] for unit in found["units"])
    assert found["units"][0].keys() >= {"network", "unit", "rank", "score", "share_of_best", "photo", "label", "box"}
    status, out, _ = command("examples", "s", "--photo", "6.png", "--layers", "2", "--top", "1")
    lines = out.splitlines()
    assert "units have cats/6.png among their strongest; the first 1:" in lines[0] or "1 unit has" in lines[0]
    assert lines[1].split() == ["unit", "rank", "activation", "of", "its", "best"]
    assert len(lines) == 3
    assert lines[2].startswith("2:")


def test_units_of_a_class(command: Command) -> None:
    found = json.loads(command("examples", "s", "--class", "DOGS", "--json")[1])
    assert found["class"] == "dogs"
    counts = [unit["count"] for unit in found["units"]]
    assert counts == sorted(counts, reverse=True)
    assert all(unit["base"] == 0.5 for unit in found["units"])
    lines = command("examples", "s", "--class", "dogs")[1].splitlines()
    assert len(lines) == 2 + found["total"]
    assert " of 3 " in lines[2]


def test_photos_of_a_unit(command: Command) -> None:
    found = json.loads(command("examples", "s", "--unit", "2:1", "--json")[1])
    assert [row["rank"] for row in found["examples"]] == [1, 2, 3]
    assert sum(row["count"] for row in found["classes"]) == 3
    assert found["counted"] | {"purity": 0, "entropy": 0} == {
        "examples": 3, "tied": 0, "unlabelled": 0, "purity": 0, "entropy": 0, "photos": 8, "complete": True,
    }  # fmt: skip
    out = command("examples", "s", "--unit", "2:1")[1]
    assert out.splitlines()[0] == "2:1 has 3 strongest photos:"
    assert "50.00%" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give exactly one"),
        (("--photo", "6", "--unit", "2:1"), "give exactly one"),
        (("--photo", "png"), "is in the names of 8 photos"),
        (("--photo", "cast/6.png"), "nearest: cats/6.png"),
        (("--class", "dgos"), "nearest: dogs"),
        (("--unit", "2:4"), "2 has channels 0 to 3"),
        (("--unit", "1:0"), "no layer of Sequential with examples named '1'; nearest: 0, 2"),
        (("--unit", "2"), "'2' does not name one unit"),
        (("--class", "dogs", "--layers", "x*"), "no layer with examples in this store named 'x*'"),
        (("--class", "dogs", "--network", "Sequentail"), "nearest: Sequential"),
        (("--unit", "2:1", "--network", "Sequentail"), "nearest: Sequential"),
    ],
)
def test_bad_input_is_one_line(command: Command, arguments: tuple[str, ...], message: str) -> None:
    status, out, error = command("examples", "s", *arguments)
    assert (status, out) == (2, "")
    (line,) = error.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_a_store_that_is_none(command: Command) -> None:
    assert "has no store in it" in command("examples", "photos", "--unit", "2:1")[2]


def test_a_scan_counts_classes(command: Command) -> None:
    words = ("scan", "net.py:tiny", "photos", "--unit", "2:1", "--k", "3")
    (unit,) = json.loads(command(*words, "--json")[1])["units"]
    labels = [example["label"] for example in unit["examples"]]
    assert {row["label"]: row["count"] for row in unit["classes"]} == {name: labels.count(name) for name in set(labels)}
    assert unit["counted"]["purity"] == max(labels.count(name) for name in labels) / 3
    lines = command(*words, "--classes")[1].splitlines()
    assert lines[0].split()[:3] == ["unit", "class", "examples"]
    assert len(lines) == 1 + len(set(labels))


def test_a_scan_of_photos_without_classes(command: Command) -> None:
    status, _, error = command("scan", "net.py:tiny", "photos/cats", "--unit", "2:1", "--classes")
    assert (status, error.splitlines()[-1].startswith("error: these photos have no classes")) == (2, True)


def test_more_examples_asked_for_than_photos(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, error = command("scan", "net.py:tiny", "photos", "--unit", "2:1", "--k", "1000000")
    assert (status, len(out.splitlines())) == (0, 10)
    assert error.splitlines()[0].startswith("1000000 examples of each unit are asked for, and there are 8 photos")
    tell_few(ImageSet("photos"), 8)
    assert capsys.readouterr().err == ""
