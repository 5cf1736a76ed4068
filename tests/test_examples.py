"""Every example runs, in its own folder, with a few steps."""

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
WRITES = {
    "backward.py": {"backward.png"},
    "canvases.py": {"canvases.png"},
    "circuit.py": {"factors.png", "made_of.png"},
    "directions.py": {"directions.png"},
    "enemy.py": {"enemy.png"},
    "facets.py": {"facets.png"},
    "follow_channel.py": {"follow_channel.png"},
    "feature_being_born.py": {"feature_being_born.png"},
    "gallery.py": {"gallery"},
    "grow.py": {"grow.png"},
    "interpolation.py": {"interpolation.png", "photos.png"},
    "mean_spectrum.py": {"photo_spectrum.npy"},
    "own_network.py": {"own_network"},
    "refinement.py": {"refinement.png"},
    "render_units.py": {"units.png"},
    "spectrum.py": {"spectrum.png"},
    "tuning.py": {"circle.png", "tuning.png"},
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.name)
def test_example_runs(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RETINOSCOPE_EXAMPLE_STEPS", "2")
    monkeypatch.setattr(sys, "argv", [str(example)])
    runpy.run_path(str(example), run_name="__main__")
    assert capsys.readouterr().out.strip()
    assert {path.name for path in tmp_path.iterdir()} == WRITES.get(example.name, set())


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 3
    assert WRITES.keys() <= {file.name for file in EXAMPLES}
