"""`follow` and `correspond`: tables, JSON, and what they refuse."""

import json
from pathlib import Path

import pytest

from retinoscope.cli.follow import HEAD
from tests.cli.conftest import Command
from tests.jobs.conftest import write_photos

NETWORKS = """
from tests.residual import first_version, padded, plain
"""


@pytest.fixture
def command(run_command: Command, tmp_path: Path) -> Command:
    """Run the command line with arguments; `net.py` and the folder `photos` are there."""
    (tmp_path / "net.py").write_text(NETWORKS)
    write_photos(tmp_path / "photos", 14)
    return run_command


def test_follow_prints_a_row_for_each_block_and_border(command: Command) -> None:
    status, out, err = command("follow", "net.py:first_version", "photos", "--k", "3", "--draws", "19")
    assert (status, err) == (0, "")
    head, *rows = out.splitlines()
    assert head.split() == list(HEAD)
    assert [row.split()[:2] for row in rows] == [
        ["body.1", "a"], ["body.1", "b"], ["body.2", "border"], ["body.2", "a"]
    ]  # fmt: skip


def test_follow_as_json(command: Command) -> None:
    status, out, _ = command(
        "follow", "net.py:padded", "photos", "--stage", "body.4", "--k", "3", "--draws", "19", "--seed", "1", "--json"
    )
    found = json.loads(out)
    assert (status, found["network"], found["photos"], found["k"]) == (0, "padded", 14, 3)
    (stage,) = found["stages"]
    assert [layer["layer"] for layer in stage["layers"]] == ["body.3", "body.4"]
    assert stage["border"] is None
    assert stage["steps"][0]["shared"].keys() == {"observed", "random", "p"}


def test_follow_units(command: Command) -> None:
    arguments = ("follow", "net.py:first_version", "photos", "body.1.0:3", "body.2.1:0-1", "--k", "3")
    status, out, _ = command(*arguments, "--json")
    units = json.loads(out)["units"]
    assert (status, [unit["unit"] for unit in units]) == (0, ["body.1.0:3", "body.2.1:0", "body.2.1:1"])
    assert [stop["role"] for stop in units[0]["stops"] if len(stop["role"]) == 1] == ["a", "b", "c"]
    assert len(units[0]["stops"][0]["photos"]) == 3
    assert "body.1.0:3 through its stage" in command(*arguments)[1]


def test_plain_networks_have_nothing_to_follow(command: Command) -> None:
    status, out, err = command("follow", "net.py:plain", "photos", "--json")
    assert (status, json.loads(out)["stages"]) == (0, [])
    assert "no identity shortcuts" in err
    assert command("follow", "net.py:plain", "photos", "body.0:1")[0] == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("photos", "--k", "14"), "k must be from 1 to 13"),
        (("photos", "--stage", "body.7"), "no stage named 'body.7'"),
        (("photos", "body.1.1.relu#1:0"), "inside a branch"),
        (("photos", "body.1.1:99"), "out of range"),
        (("nowhere",), "nowhere"),
    ],
)
def test_follow_refuses(command: Command, arguments: tuple[str, ...], told: str) -> None:
    status, _, err = command("follow", "net.py:first_version", *arguments)
    assert status == 2
    assert told in err.splitlines()[-1]


def test_correspond_prints_units_and_counts(command: Command) -> None:
    arguments = ("correspond", "net.py:plain", "photos", "body.0", "body.2", "--k", "3", "--draws", "19")
    status, out, err = command(*arguments)
    assert (status, err) == (0, "")
    first, head, *rows = out.splitlines()
    assert "pairs share two of 3 examples or more" in first
    assert head.split()[:4] == ["body.0", "body.2", "shared", "rank"]
    assert len(rows) == 8
    found = json.loads(command(*arguments, "--json")[1])
    assert found["layers"] == ["body.0", "body.2"]
    assert sorted(unit["one_to_one"]["unit"] for unit in found["units"]) == list(range(8))
    counts = [found[f"units_{name}"] for name in ("without_match", "with_one", "with_several")]
    assert sum(counts) == 8


def test_a_layer_corresponds_to_itself(command: Command) -> None:
    _, out, _ = command("correspond", "net.py:plain", "photos", "body.0", "body.0", "--k", "3", "--json")
    units = json.loads(out)["units"]
    assert [unit["one_to_one"]["unit"] for unit in units] == list(range(8))
    assert all(unit["one_to_one"]["shared"] == 3 for unit in units)


def test_correspond_refuses(command: Command) -> None:
    status, _, err = command("correspond", "net.py:plain", "photos", "body.0", "body.9")
    assert (status, "no layer named 'body.9'" in err) == (2, True)
    assert command("correspond", "net.py:plain", "photos", "body.0", "body.2", "--k", "99")[0] == 2
