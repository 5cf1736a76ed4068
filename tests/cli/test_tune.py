"""`retinoscope tune`: tables, JSON, files, mistakes."""

import json
from pathlib import Path

import pytest

from retinoscope.image import stimuli
from retinoscope.network.zoo import load
from retinoscope.observe.tuning import Tuning, tune
from tests.cli.test_main import Command, command

__all__ = ["command"]


def test_json_and_files(command: Command, tmp_path: Path) -> None:
    words = ("tune", "net.py:tiny", "2:0-1", "0:3", "--stimuli", "grating", "--size", "6x2", "--out", "tuned", "--json")
    ran = command(*words)
    assert ran.status == 0
    told = json.loads(ran.out)
    assert (told["network"], told["stimuli"], told["axis"]) == ("Sequential", "grating", "orientation")
    wanted = tune(load("net.py:tiny"), ["2:0-1", "0:3"], stimuli.grating(6, 2))
    found = wanted.preference()
    assert [row["unit"] for row in told["units"]] == ["2:0", "2:1", "0:3"]
    for place, row in enumerate(told["units"]):
        assert row["blank"] == pytest.approx(float(wanted.blank[place]), abs=1e-5)
        assert row["harmonics"] == pytest.approx(found.harmonics[place].tolist(), abs=1e-4)
    names = {path.name for path in (tmp_path / "tuned").iterdir()}
    assert names == {"tuning.npz", "maps.png", "radial.png", "2%3A0.png", "2%3A1.png", "0%3A3.png"}
    assert Tuning.load(tmp_path / "tuned" / "tuning.npz").units == wanted.units


def test_table(command: Command) -> None:
    ran = command("tune", "net.py:tiny", "2:1", "--stimuli", "brightness", "--reading", "mean")
    assert ran.status == 0
    head, row = ran.out.splitlines()
    assert head.split()[:3] == ["unit", "prefers", "error"]
    assert row.split()[0] == "2:1"
    assert row.split()[-1] == "-"


def test_photos_to_turn(command: Command, tmp_path: Path) -> None:
    photo = str(next((tmp_path / "photos").rglob("*.png")))
    ran = command("tune", "net.py:tiny", "2:1", "--stimuli", "turned", "--photo", photo, "--size", "4", "--json")
    assert ran.status == 0
    assert json.loads(ran.out)["axes"] == {"rotation": [0, 90, 180, 270]}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["2:1", "--stimuli", "gratings"], "no stimuli named 'gratings'; nearest: grating"),
        (["2:1", "--size", "4xx"], "such as 24x8; came '4xx'"),
        (["2:1", "--size", "0"], "such as 24x8"),
        (["2:1", "--axis", "tilt"], "no axis of frequency_pair named 'tilt'"),
        (["2:1", "--stimuli", "edge", "--photo", "a.png"], "--photo goes with --stimuli turned"),
        (["2:1", "--stimuli", "edge", "--wavelength", "9"], "--wavelength goes with --stimuli frequency-pair"),
        (["2:1", "--wavelength", "3"], "cannot show a wavelength"),
        (["2:1", "--stimuli", "turned"], "at least one patch"),
        (["2:9"], "channels 0 to 3"),
        (["2:1", "--reading", "max"], "no reading named 'max'"),
    ],
)
def test_mistakes(command: Command, words: list[str], told: str) -> None:
    ran = command("tune", "net.py:tiny", *words)
    assert ran.status == 2
    assert told in ran.err
