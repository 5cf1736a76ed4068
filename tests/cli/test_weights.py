"""`weights` and `factors`: tables, JSON, figures, and what they refuse."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from retinoscope.circuits.expand import expand
from tests.cli.conftest import Command
from tests.residual import second_version


@pytest.fixture
def command(run_command: Command, tmp_path: Path) -> Command:
    """Run the command line with arguments; `net.py` is there."""
    (tmp_path / "net.py").write_text("from tests.residual import first_version, second_version\n")
    return run_command


def size(file: str) -> tuple[int, int]:
    with Image.open(file) as image:
        return image.size


def test_weights_prints_what_a_unit_is_made_of_and_used_for(command: Command) -> None:
    arguments = ("weights", "net.py:second_version", "body.1:3", "--from", "body.0", "--to", "body.2", "--k", "4")
    status, out, err = command(*arguments)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "body.1:3 is made of"
    assert lines[1].split() == ["unit", "norm", "energy", "sign"]
    assert lines[6] == "body.1:3 is used by"
    found = json.loads(command(*arguments, "--json")[1])
    weights = expand(second_version(), "body.0", "body.1", [3])[0]
    best = int(weights.flatten(1).norm(dim=1).argmax())
    assert found["made_of"][0]["unit"] == f"body.0:{best}"
    assert torch.allclose(torch.tensor(found["made_of"][0]["kernel"], dtype=torch.float64), weights[best])
    assert len(found["used_by"]) == 4


def test_figures_without_pictures_and_with(command: Command) -> None:
    arguments = ("weights", "net.py:second_version", "body.1:3", "--from", "body.0", "--k", "2")
    assert command(*arguments, "--out", "bare", "--steps", "0")[0] == 0
    assert command(*arguments, "--out", "shown", "--steps", "1")[0] == 0
    assert size("bare/made_of.png")[1] < size("shown/made_of.png")[1]
    assert json.loads(Path("bare/weights.json").read_text())["unit"] == "body.1:3"


def test_factors_are_chosen_by_evidence_unless_told(command: Command) -> None:
    arguments = ("factors", "net.py:second_version", "body.2:0-3", "--from", "body.0")
    status, out, _ = command(*arguments)
    assert status == 0
    assert out.splitlines()[0].split()[:3] == ["k", "error", "bound"]
    status, out, _ = command(*arguments, "-k", "2", "--json", "--seed", "1")
    found = json.loads(out)
    assert (status, len(found["channels"]), found["evidence"]) == (0, 2, [])
    assert torch.tensor(found["spatial"]).shape == (4, 2, 9, 9)
    assert found["error"] >= found["bound"]


def test_factors_as_figures(command: Command) -> None:
    arguments = ("factors", "net.py:second_version", "body.2:0", "body.2:5", "--from", "body.1", "-k", "2")
    status, out, _ = command(*arguments, "--out", "there", "--steps", "1")
    assert status == 0
    assert "2 factors, relative error" in out
    assert size("there/factors.png")[0] > 200
    assert json.loads(Path("there/factors.json").read_text())["units"] == ["body.2:0", "body.2:5"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("weights", "net.py:first_version", "body.1:3"), "--from"),
        (("weights", "net.py:first_version", "body.1:3", "--from", "body.2"), "does not come after"),
        (("weights", "net.py:first_version", "body.1:99", "--from", "body.0"), "out of range"),
        (("factors", "net.py:first_version", "body.1:0", "body.2:0", "--from", "body.0"), "units of one layer"),
        (("factors", "net.py:first_version", "body.1:0", "--from", "body.0", "-k", "99"), "k must be"),
    ],
)
def test_refusals(command: Command, arguments: tuple[str, ...], told: str) -> None:
    status, _, err = command(*arguments)
    assert status == 2
    assert told in err.splitlines()[-1]
