"""Weights files: what is accepted, what is refused, and that nothing is ever executed."""

import os
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from retinoscope.base.errors import BadWeightsError
from retinoscope.network.weights import fit_in_order, load_weights, weights_hash


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize("nest", [None, "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_state_dicts_are_read_nested_and_prefixed(tmp_path: Path, nest: str | None, prefix: str, suffix: str) -> None:
    source, target = network(), network()
    state: Any = {prefix + name: value for name, value in source.state_dict().items()}
    file = tmp_path / f"weights{suffix}"
    torch.save({nest: state, "epoch": 3} if nest else state, file)
    load_weights(target, file)
    assert same(source, target)


def test_safetensors_are_read(tmp_path: Path) -> None:
    source, target = network(), network()
    save_file(source.state_dict(), tmp_path / "weights.safetensors")
    load_weights(target, tmp_path / "weights.safetensors")
    assert same(source, target)


class Trap:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.file),)


def test_a_pickle_that_is_not_plain_weights_is_never_executed(tmp_path: Path) -> None:
    file, sprung = tmp_path / "weights.pth", tmp_path / "sprung"
    torch.save({"a": Trap(sprung)}, file)
    with pytest.raises(BadWeightsError, match="not executed"):
        load_weights(network(), file)
    assert not sprung.exists()
    torch.load(file, weights_only=False)  # the trap is live
    assert sprung.exists()


@pytest.mark.parametrize("protocol", range(6))
def test_a_bare_pickle_is_never_executed(tmp_path: Path, protocol: int) -> None:
    file, sprung = tmp_path / "weights.pth", tmp_path / "sprung"
    file.write_bytes(pickle.dumps({"a": Trap(sprung)}, protocol))
    with pytest.raises(BadWeightsError):
        load_weights(network(), file)
    assert not sprung.exists()
    pickle.loads(file.read_bytes())  # the trap is live
    assert sprung.exists()


def test_a_pickled_module_is_refused(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "weights.pth")
    with pytest.raises(BadWeightsError, match="state_dict"):
        load_weights(network(), tmp_path / "weights.pth")


def test_missing_unexpected_and_wrong_shapes_are_named(tmp_path: Path) -> None:
    state = network().state_dict()
    del state["0.weight"]
    state |= {"extra": torch.zeros(1), "2.bias": torch.zeros(9)}
    torch.save(state, tmp_path / "weights.pth")
    message = "1 missing: 0.weight; 1 unexpected: extra; 1 of another shape: 2.bias (9,) instead of (2,)"
    with pytest.raises(BadWeightsError, match=re.escape(message)):
        load_weights(network(), tmp_path / "weights.pth")


def test_many_problems_are_counted(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "weights.pth")
    with pytest.raises(BadWeightsError, match=r"8 missing: 0\.weight, 0\.bias, 1\.weight and 5 more"):
        load_weights(network(), tmp_path / "weights.pth")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("weights.pth", None, "no weights file"),
        ("weights.onnx", b"x", "ends in"),
        ("weights.pth", b"", "weights"),
        ("weights.pth", b"PK\x03\x04broken", "not a whole"),
        ("weights.safetensors", b"broken", "not a whole"),
    ],
)
def test_unreadable_files_are_refused(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadWeightsError, match=message):
        load_weights(network(), tmp_path / name)


def test_a_file_without_a_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "weights.pth")
    with pytest.raises(BadWeightsError, match="no state dict"):
        load_weights(network(), tmp_path / "weights.pth")


def test_weights_in_order_must_agree_in_every_shape() -> None:
    source, target = network(), network()
    fit_in_order(target, {f"other.{i}": value for i, value in enumerate(source.state_dict().values())}, "it")
    assert same(source, target)
    with pytest.raises(BadWeightsError, match="1 tensors for 9"):
        fit_in_order(target, {"a": torch.zeros(1)}, "it")


def test_the_hash_sees_names_types_shapes_and_values() -> None:
    base = nn.Linear(2, 2)
    hashes = {weights_hash(base), weights_hash(nn.Sequential(base))}
    with torch.no_grad():
        base.weight[0, 0] += 1
    hashes |= {weights_hash(base), weights_hash(base.double())}
    assert len(hashes) == 4
    assert weights_hash(base) == weights_hash(base)
    assert len(weights_hash(base)) == 16
