"""`diagnose`, `cures`, and the offer that `render` makes: what they print, write and say on stderr."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.jobs.conftest import write_photos

NETWORK = """
import torch
from torch import nn
from retinoscope import wrap

def tiny():
    torch.manual_seed(3)
    first, last = nn.Conv2d(3, 6, 3, 2), nn.Conv2d(6, 4, 3)
    last.weight.data[1] = 0
    last.bias.data[2] = -1e3
    return wrap(nn.Sequential(first, nn.ReLU(), last, nn.ReLU()).eval(), input_size=32)
"""


@pytest.fixture
def command(run_command: Command, tmp_path: Path) -> Command:
    """Run the command line with arguments; `net.py:tiny` and the folder `photos` are there."""
    (tmp_path / "net.py").write_text(NETWORK)
    write_photos(tmp_path / "photos", 4)
    return run_command


def test_diagnose_prints_a_table(command: Command) -> None:
    status, out, err = command("diagnose", "net.py:tiny", "3:2")
    assert (status, err) == (0, "")
    assert out.startswith("3:2 of Sequential\ncheck ")
    assert "living unit: a dead unit here: try 2, the layer before" in out


def test_diagnose_takes_photos_and_prints_json(command: Command) -> None:
    status, out, _ = command("diagnose", "net.py:tiny", "2:0", "photos", "--json")
    found = json.loads(out)
    assert (status, found["network"], found["unit"], len(found["findings"])) == (0, "Sequential", "2:0", 11)
    assert found["findings"][0].keys() == {"check", "figure", "verdict", "advice"}


def test_diagnose_refuses_what_is_not_there(command: Command) -> None:
    assert command("diagnose", "net.py:tiny", "2:9")[0] == 2
    assert command("diagnose", "net.py:tiny", "2:0", "nowhere")[0] == 2


def test_render_offers_a_diagnosis_where_scores_did_not_move(command: Command) -> None:
    _, _, err = command("render", "net.py:tiny", "2:0-1", "--steps", "24", "--size", "32", "--out", "out")
    (line,) = [line for line in err.splitlines() if "hardly moved" in line]
    assert line == "1 of 2 scores hardly moved. To find out why: retinoscope diagnose net.py:tiny 2:1"
    _, _, err = command("render", "net.py:tiny", "2:0", "--steps", "24", "--size", "32", "--out", "out")
    assert "diagnose" not in err


def test_render_points_to_the_diagnosis_of_a_unit_that_no_gradient_reaches(command: Command) -> None:
    status, _, err = command("render", "net.py:tiny", "3:2", "--steps", "18", "--size", "32", "--out", "out")
    assert status == 2
    assert err.splitlines()[-1].endswith("To find out more: retinoscope diagnose net.py:tiny 3:2")
    assert "dead ReLU" in err


def test_cures_prints_a_table_and_writes_a_figure(command: Command, tmp_path: Path) -> None:
    status, out, _ = command("cures", "net.py:tiny", "2:0", "--out", "enemy", "--size", "32", "--steps", "2")
    assert status == 0
    assert out.startswith("2:0 of Sequential\nregularization")
    assert {path.name for path in (tmp_path / "enemy").iterdir()} == {"cures.png", "cures.json"}
    made = json.loads((tmp_path / "enemy" / "cures.json").read_text())
    assert (made["unit"], made["size"], made["cures"][0]["steps"]) == ("2:0", 32, 2)
    assert json.loads(
        command("cures", "net.py:tiny", "2:0", "--out", "enemy", "--size", "32", "--steps", "2", "--json")[1]
    )
