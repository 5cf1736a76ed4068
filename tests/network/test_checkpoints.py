"""Checkpoints: read in the order of training, each a Model of its own, never executed."""

from pathlib import Path

import pytest
import torch

from retinoscope.base.errors import BadWeightsError
from retinoscope.network.checkpoints import load_checkpoints
from retinoscope.network.model import Model
from tests.samples import photos, tiny_module


def saved(folder: Path, names: list[str]) -> list[Path]:
    folder.mkdir()
    for seed, name in enumerate(names):
        torch.save(tiny_module(seed).state_dict(), folder / name)
    return [folder / name for name in names]


def test_a_folder_is_read_by_the_numbers_in_its_names(tiny: Model, tmp_path: Path) -> None:
    saved(tmp_path / "run", ["epoch_10.pt", "epoch_2.pt", "epoch_1.pt"])
    (tmp_path / "run" / "notes.txt").write_text("no weights")
    models = load_checkpoints(tiny, tmp_path / "run")
    assert [model.name for model in models] == ["epoch_1", "epoch_2", "epoch_10"]
    for seed, model in zip((2, 1, 0), models, strict=True):
        expected = tiny_module(seed)(photos(2, 32))
        assert torch.allclose(model(photos(2, 32)), expected, atol=1e-6)


def test_a_list_keeps_its_order_and_models_stand_apart(tiny: Model, tmp_path: Path) -> None:
    files = saved(tmp_path / "run", ["b.pth", "a.pth"])
    before = {name: value.clone() for name, value in tiny.module.state_dict().items()}
    first, second = load_checkpoints(tiny, files)
    assert (first.name, second.name) == ("b", "a")
    assert first.weights_hash != second.weights_hash
    assert first.labels == tiny.labels
    first.module.head.weight.data.zero_()
    assert bool(second.module.head.weight.any())
    assert all(torch.equal(before[name], value) for name, value in tiny.module.state_dict().items())


def test_what_is_no_checkpoint_is_refused(tiny: Model, tmp_path: Path) -> None:
    with pytest.raises(BadWeightsError, match="no folder"):
        load_checkpoints(tiny, tmp_path / "nowhere")
    with pytest.raises(BadWeightsError, match="no checkpoints in"):
        load_checkpoints(tiny, tmp_path)
    torch.save({"model": tiny_module(), "epoch": 3}, tmp_path / "whole.pt")
    with pytest.raises(BadWeightsError, match="was not executed"):
        load_checkpoints(tiny, [tmp_path / "whole.pt"])
