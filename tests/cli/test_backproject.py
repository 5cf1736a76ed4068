"""`retinoscope backproject`: sheets of patches beside backward pictures, for files and for a folder's examples."""

import json
from pathlib import Path

import pytest
from PIL import Image

from retinoscope.network.zoo import load
from retinoscope.observe.backproject import backproject
from tests.cli.test_main import Command, command

__all__ = ["command"]


def test_of_files(command: Command, tmp_path: Path) -> None:
    files = sorted((tmp_path / "photos").rglob("*.png"))[:2]
    flags = [word for file in files for word in ("--photo", str(file))]
    ran = command("backproject", "net.py:tiny", "2:0-1", "0:3@4,5", *flags, "--out", "back", "--rule", "deconvnet")
    assert (ran.status, ran.err.splitlines()[-1].strip()) == (0, "100%  done")
    assert ran.out.split() == [f"back/{name}.deconvnet.png" for name in ("2%3A0", "2%3A1", "0%3A3@4,5")]
    notes = json.loads((tmp_path / "back" / "backproject.json").read_text())
    assert (notes["network"], notes["rule"], len(notes["units"])) == ("Sequential", "deconvnet", 3)
    wanted = backproject(load("net.py:tiny"), files, "2:1", "deconvnet")
    pictures = notes["units"][1]["pictures"]
    assert [picture["unit"] for picture in pictures] == [str(unit) for unit in wanted.units]
    assert [picture["activation"] for picture in pictures] == pytest.approx(wanted.activations.tolist())
    with Image.open(tmp_path / "back" / notes["units"][1]["file"]) as saved:
        assert saved.tobytes() == wanted.sheet().tobytes()


def test_of_a_folders_strongest_examples(command: Command, tmp_path: Path) -> None:
    ran = command("backproject", "net.py:tiny", "2:1", "--photos", "photos", "--k", "9", "--out", "back")
    assert ran.status == 0
    (unit,) = json.loads((tmp_path / "back" / "backproject.json").read_text())["units"]
    assert len(unit["pictures"]) == 4, "more examples asked for than there are photos"
    scores = [picture["activation"] for picture in unit["pictures"]]
    assert scores == sorted(scores, reverse=True)
    with Image.open(tmp_path / "back" / unit["file"]) as saved:
        assert saved.width > 1000


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["2:1"], "either --photo FILE, once or more, or --photos FOLDER"),
        (["2:1", "--photo", "a.png", "--photos", "photos"], "either --photo FILE"),
        (["2:1", "--photos", "photos", "--rule", "guide"], "no backward rule named 'guide'; nearest: guided"),
        (["2:1@0,0", "--photos", "photos"], "a scan keeps whole channels"),
        (["2:9", "--photos", "photos"], "channels 0 to 3"),
        (["2:1", "--photo", "none.png"], "cannot read photo 'none.png'"),
    ],
)
def test_mistakes(command: Command, words: list[str], told: str) -> None:
    ran = command("backproject", "net.py:tiny", *words, "--out", "back")
    assert ran.status == 2
    assert told in ran.err


SQUASHED = """
from torch import nn
def squashed():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Conv2d(4, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


def test_a_network_that_the_rule_says_nothing_about(command: Command, tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text(SQUASHED)
    words = ["old.py:squashed", "2:1", "--photos", "photos", "--out", "back"]
    ran = command("backproject", *words)
    assert ran.status == 2
    assert "the guided rule says nothing about the module '1' of squashed" in ran.err
    assert command("backproject", *words, "--rule", "gradient").status == 0
