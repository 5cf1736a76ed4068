"""`retinoscope families`: a table, JSON, pictures."""

import json
from pathlib import Path

import pytest

from retinoscope.image import stimuli
from retinoscope.observe import families
from tests.cli.test_main import Command, command

__all__ = ["command"]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    row = families.Family(lambda: stimuli.edge(8, 1), (lambda: stimuli.color(1, 1),))
    monkeypatch.setitem(families.FAMILIES, "edge", row)  # type: ignore[arg-type]
    monkeypatch.setattr(families, "CHANCE", 1.0)


def test_json_and_pictures(command: Command, tmp_path: Path) -> None:
    words = ("families", "net.py:tiny", "--family", "edge", "--layers", "0,2", "--draws", "1")
    ran = command(*words, "--out", "kin", "--json")
    assert ran.status == 0
    told = json.loads(ran.out)
    assert [row["unit"] for row in told["units"]] == [*(f"0:{n}" for n in range(6)), *(f"2:{n}" for n in range(4))]
    assert [(row["layer"], row["units"]) for row in told["layers"]] == [("0", 6), ("2", 4)]
    assert told["members"] == sum(row["member"] for row in told["units"]) > 0
    assert {path.name for path in (tmp_path / "kin").iterdir()} == {"members.png", "circle.png"}
    ran = command(*words)
    assert ran.status == 0
    assert len(ran.out.splitlines()) == 1 + told["members"]
    assert f"{told['members']} of 10 units" in ran.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--family", "edges", "--layers", "2"], "no family named 'edges'; nearest: edge"),
        (["--layers", "9"], "no layer named '9'"),
        (["--layers", ","], "--layers needs at least one layer"),
    ],
)
def test_mistakes(command: Command, words: list[str], told: str) -> None:
    ran = command("families", "net.py:tiny", *words)
    assert ran.status == 2
    assert told in ran.err
