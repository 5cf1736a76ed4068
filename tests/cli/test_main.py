"""The command line: what it prints, how it fails, and how little it imports for its help."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import retinoscope
from retinoscope.base.errors import RetinoscopeError
from retinoscope.cli import main
from retinoscope.network.model import Model
from retinoscope.store import connection
from retinoscope.store.database import Store
from retinoscope.synthesize.objectives import Objective
from retinoscope.synthesize.render import render_stepwise
from tests.jobs.conftest import write_photos

NETWORK = """
import torch
from torch import nn
from retinoscope import wrap

def tiny():
    torch.manual_seed(3)
    return wrap(nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.ReLU()), input_size=32)
"""


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


Command = Callable[..., Ran]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Run the command line with arguments; `net.py:tiny` and the folder `photos` are there."""
    (tmp_path / "net.py").write_text(NETWORK)
    write_photos(tmp_path / "photos", 4)

    def ran(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["retinoscope", *arguments])
        with pytest.raises(SystemExit) as end:
            main.run()
        streams = capsys.readouterr()
        return Ran(int(end.value.code or 0), streams.out, streams.err)

    return ran


def test_help_and_explorer_come_without_torch() -> None:
    program = (
        "import sys; import retinoscope, retinoscope.cli.main, retinoscope.web.app, retinoscope.store.database; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'timm', 'torchvision')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    program = (
        "import sys; from retinoscope.cli import main; sys.argv = ['retinoscope', '--help']\n"
        "try: main.run()\n"
        "except SystemExit: sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'rich', 'starlette')))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("layers", "render", "scan", "spectrum", "atlas", "serve", "export"):
        assert re.search(rf"^  {name} ", done.stdout, re.MULTILINE)


def test_module_and_version() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "retinoscope", "--version"], check=True, capture_output=True, text=True
    )
    assert done.stdout == f"retinoscope {retinoscope.__version__}\n"


def test_layers(command: Command) -> None:
    ran = command("layers", "net.py:tiny")
    assert ran.status == 0
    assert ran.out.splitlines()[0].split() == [
        "layer",
        "kind",
        "channels",
        "map",
        "stride",
        "receptive",
        "field",
        "depth",
    ]
    rows = json.loads(command("layers", "net.py:tiny", "--json").out)
    assert rows[0] == {
        "name": "0", "kind": "Conv2d", "channels": 6, "size": [15, 15], "stride": [2, 2], "receptive_field": [3, 3],
        "whole_image": False, "gated": False, "depth": rows[0]["depth"],
    }  # fmt: skip


def test_render(command: Command, tmp_path: Path) -> None:
    ran = command("render", "net.py:tiny", "0:1", "2:0-1", "--out", "made/here", "--size", "32", "--steps", "2")
    assert ran.status == 0
    assert "100%" in ran.err
    settings = json.loads((tmp_path / "made/here/render.json").read_text())
    assert [picture["unit"] for picture in settings["pictures"]] == ["0:1", "2:0", "2:1"]
    assert ran.out.splitlines() == [
        f"made/here/{file}" for picture in settings["pictures"] for file in picture["files"]
    ]
    assert all((tmp_path / line).read_bytes().startswith(b"\x89PNG") for line in ran.out.splitlines())
    assert (settings["steps"], settings["recipe"], settings["seed"], settings["size"]) == (2, "robust", 0, 32)


def test_an_interrupted_render_goes_on(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("retinoscope.jobs.folder.chunk_size", lambda *_: 2)
    real = render_stepwise
    calls: list[list[str]] = []

    def stopping(model: Model, items: list[Objective], **settings: object) -> object:
        calls.append([repr(item) for item in items])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(model, items, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr("retinoscope.jobs.folder.render_stepwise", stopping)
    words = ("render", "net.py:tiny", "2:0-3", "--out", "o", "--size", "32", "--steps", "2")
    ran = command(*words)
    assert ran.status == 130
    assert ran.err.splitlines()[-1] == "stopped; what is made is kept in o: run the same command again to go on"
    assert command(*words).status == 0
    assert calls == [["2:0", "2:1"], ["2:2", "2:3"], ["2:2", "2:3"]]
    assert len(json.loads((tmp_path / "o/render.json").read_text())["pictures"]) == 4
    assert len(command(*words).out.splitlines()) == 4
    assert len(calls) == 3
    command(*words, "--seed", "1")  # other settings: nothing is kept
    assert calls[3:] == [["2:0", "2:1"], ["2:2", "2:3"]]


def test_scan(command: Command, tmp_path: Path) -> None:
    ran = command("scan", "net.py:tiny", "photos", "--unit", "2:3", "--k", "2", "--out", "found.npz", "--json")
    found = json.loads(ran.out)
    assert (found["items"], found["layers"]) == (4, ["2"])
    scan = retinoscope.Scan.load(tmp_path / "found.npz")
    (unit,) = found["units"]
    assert [example["score"] for example in unit["examples"]] == [e.score for e in scan.top("2:3")]
    table = command("scan", "net.py:tiny", "photos").out.splitlines()
    assert table[0].startswith("4 pictures seen")
    assert [line.split(":")[0] for line in table[2:]] == ["0", "2"]


def test_spectrum(command: Command, tmp_path: Path) -> None:
    ran = command("spectrum", "net.py:tiny", "photos", "0:1", "1:2", "--out", "made", "--size", "32", "--steps", "2")
    assert ran.status == 0
    assert ran.out.splitlines() == ["made/0%3A1.png", "made/1%3A2.png"]
    assert all((tmp_path / line).read_bytes().startswith(b"\x89PNG") for line in ran.out.splitlines())
    found = json.loads((tmp_path / "made/spectrum.json").read_text())
    assert [(unit["unit"], unit["layer"], unit["steps"]) for unit in found["units"]] == [
        ("0:1", "0", 2),
        ("1:2", "0", 2),
    ]
    assert [panel["title"] for panel in found["units"][0]["panels"]][1:3] == ["minimum", "slightly negative"]
    assert found["units"][0]["panels"][4]["item"].endswith(".png")


def atlas(*more: str) -> tuple[str, ...]:
    return ("atlas", "net.py:tiny", "photos", "--store", "s", "--size", "32", "--steps", "2", *more)


def test_atlas_and_again(command: Command, tmp_path: Path) -> None:
    ran = command(*atlas("--tiles", "--k", "2"))
    assert ran.status == 0
    assert re.search(
        r"2 layers, 10 units scanned, 10 pictures, in \d+ s\nlook at it with: retinoscope serve s", ran.out
    )
    with Store.open(tmp_path / "s") as store:
        (network,) = store.networks()
        (first, *_) = store.examples(network.name, "0", 0)
        assert "#" in first.item
        picture = store.pictures(network.name, "2")[3]
        assert (tmp_path / "s" / picture.file).is_file()
    assert command(*atlas("--tiles", "--k", "2")).status == 0


def test_atlas_of_all_kinds(command: Command, tmp_path: Path) -> None:
    ran = command(*atlas("--kinds", "optimised,negative,facets", "--facets", "2", "--pictures", "2"))
    assert ran.status == 0
    with Store.open(tmp_path / "s") as store:
        (network,) = store.networks()
        for kind in ("optimised", "negative", "facet 1", "facet 2"):
            assert [picture.channel for picture in store.pictures(network.name, "0", kind)] == [0, 1]


def test_interrupted_atlas_says_how_to_go_on(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("retinoscope.jobs.tasks.make_pictures", interrupt)
        ran = command(*atlas())
    assert ran.status == 130
    assert ran.err.splitlines()[-1] == "stopped; what is made is kept in s: run the same command again to go on"
    assert "10 pictures" in command(*atlas()).out


def spoil(folder: Path) -> None:
    with Store.create(folder):
        pass
    db = connection.sqlite3.connect(folder / connection.FILE)
    db.execute("UPDATE meta SET value = '99'")
    db.commit()
    db.close()


BAD = [
    (["layers", "efficientnet-lite00"], "no network named 'efficientnet-lite00'; nearest: efficientnet-lite0"),
    (["layers", "net.py:tinny"], "nearest: tiny"),
    (["layers", "net.py:tiny", "--weights", "no.pth"], "no.pth"),
    (["render", "net.py:tiny", "7:0", "--out", "o"], "no layer named '7'"),
    (["render", "net.py:tiny", "0:6", "--out", "o"], "0 has channels 0 to 5"),
    (["render", "net.py:tiny", "zero", "--out", "o"], "'zero' does not name"),
    (["render", "net.py:tiny", "0:1", "--recipe", "lucit", "--out", "o"], "nearest: lucid"),
    (["render", "net.py:tiny", "0:1", "--device", "abacus", "--out", "o"], "device 'abacus' is not available"),
    (["scan", "net.py:tiny", "nowhere"], "no file or folder 'nowhere'"),
    (["scan", "net.py:tiny", "empty"], "no photos in 'empty'"),
    (["scan", "net.py:tiny", "photos", "--layers", "9*"], "no layer named '9*'"),
    (["scan", "net.py:tiny", "photos", "--unit", "0:9"], "0 has channels 0 to 5"),
    (["atlas", "net.py:tiny", "empty", "--store", "s"], "no photos in 'empty'"),
    (["atlas", "net.py:tiny", "photos", "--store", "s", "--kinds", "facet"], "nearest: facets"),
    (["spectrum", "net.py:tiny", "photos", "2:9", "--out", "o"], "2 has channels 0 to 3"),
    (["atlas", "net.py:tiny", "photos", "--store", "photos"], "holds other files and no store"),
    (["atlas", "net.py:tiny", "photos", "--store", "newer"], "schema version 99"),
    (["atlas", "net.py:tiny", "photos", "--store", "busy"], "in use by process"),
    (["serve", "empty"], "has no store in it"),
    (["export", "nowhere", "out"], "does not exist"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(row[0][:4]) + " " + row[1][:12] for row in BAD])
def test_bad_input_is_one_line_and_status_2(
    command: Command, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    spoil(tmp_path / "newer")
    with Store.create(tmp_path / "busy"):
        ran = command(*arguments)
    assert (ran.status, ran.out) == (2, "")
    (line,) = ran.err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_a_bug_shows_its_trace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NETWORK)
    monkeypatch.setattr("retinoscope.cli.layers._plain", lambda layer: 1 / 0)
    monkeypatch.setattr(sys, "argv", ["retinoscope", "layers", "net.py:tiny", "--json"])
    with pytest.raises(ZeroDivisionError):
        main.run()


def test_a_full_disk_while_rendering(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    ran = command("render", "net.py:tiny", "0:1", "--out", "o", "--size", "32", "--steps", "1")
    assert ran.status == 2
    assert "disk full while writing to o" in ran.err.splitlines()[-1]


def test_public_names_load_and_wrong_ones_do_not() -> None:
    for name in retinoscope.__all__:
        assert getattr(retinoscope, name) is not None
    assert set(retinoscope.__all__) <= set(dir(retinoscope))
    assert retinoscope.RetinoscopeError is RetinoscopeError
    with pytest.raises(AttributeError, match="no attribute 'rendr'"):
        _ = retinoscope.rendr
