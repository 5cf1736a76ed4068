"""Peaks are the largest activations of each photo, whatever the batch, and survive a file."""

from pathlib import Path

import pytest
import torch

from retinoscope.base.errors import BadInputError, StoreError, UnknownNameError
from retinoscope.network.model import Model
from retinoscope.network.record import record
from retinoscope.observe.peaks import Peaks, peaks
from tests.observe.photos import Pictures


@pytest.mark.parametrize("batch", [1, 3, 32])
def test_peaks_are_maxima_and_mean_magnitudes(tiny: Model, batch: int) -> None:
    pictures = Pictures(7, 32)
    found = peaks(tiny, pictures, ["conv2", "logits"], batch)
    with torch.no_grad(), record(tiny, ["conv2", "logits"]) as trace:
        tiny(pictures.images)
    for name in ("conv2", "logits"):
        assert torch.allclose(found[name], trace[name].amax((2, 3)), atol=1e-5)
        assert torch.allclose(found.sizes[name], trace[name].abs().mean((0, 2, 3)), atol=1e-5)


def test_of_tiles_the_strongest_counts(tiny: Model) -> None:
    pictures = Pictures(4, 32, tiles=3)
    found = peaks(tiny, pictures, ["conv3"], 5)
    each = peaks(tiny, Pictures(12, 32), ["conv3"], 5)
    assert found.photos == ("0", "1", "2", "3")
    assert torch.equal(found["conv3"], each["conv3"].view(4, 3, -1).amax(1))


def test_kinds_are_folders_or_what_the_network_answers(tiny: Model) -> None:
    labelled = peaks(tiny, Pictures(4, 32, labels=["b", "a", "b", "c"]), ["conv1"])
    assert labelled.classes().tolist() == [1, 0, 1, 2]
    plain = peaks(tiny, Pictures(4, 32), ["conv1", "logits"])
    assert torch.equal(plain.classes(), plain["logits"].argmax(1))
    with pytest.raises(BadInputError, match="class folders"):
        peaks(tiny, Pictures(4, 32), ["conv1"]).classes()


def test_a_file_gives_them_back(tiny: Model, tmp_path: Path) -> None:
    found = peaks(tiny, Pictures(3, 32, labels=["a", None, "b"]), ["conv1", "conv2"])
    found.save(tmp_path / "peaks.npz")
    back = Peaks.load(tmp_path / "peaks.npz")
    assert (back.photos, back.labels) == (found.photos, found.labels)
    assert all(torch.equal(back[name], found[name]) for name in ("conv1", "conv2"))
    assert all(torch.equal(back.sizes[name], found.sizes[name]) for name in ("conv1", "conv2"))
    assert [path.name for path in tmp_path.iterdir()] == ["peaks.npz"]
    (tmp_path / "broken.npz").write_bytes(b"no")
    with pytest.raises(StoreError, match="holds no peaks"):
        Peaks.load(tmp_path / "broken.npz")
    with pytest.raises(StoreError, match="cannot write"):
        found.save(tmp_path / "none" / "peaks.npz")


def test_bad_input_is_refused(tiny: Model) -> None:
    with pytest.raises(BadInputError, match="need layers"):
        peaks(tiny, Pictures(2, 32), [])
    with pytest.raises(UnknownNameError):
        peaks(tiny, Pictures(2, 32), ["conv9"])
    with pytest.raises(UnknownNameError):
        peaks(tiny, Pictures(2, 32), ["conv1"])["conv2"]
    with torch.no_grad():
        tiny.module.get_parameter("conv1.weight")[0, 0, 0, 0] = float("nan")
    with pytest.raises(BadInputError, match="conv1: activations are NaN"):
        peaks(tiny, Pictures(2, 32), ["conv1"])
