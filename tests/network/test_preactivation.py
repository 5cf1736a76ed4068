"""The layer before an activation: its values are those that the activation is then computed from."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from retinoscope.base.errors import UnknownNameError
from retinoscope.network.model import Model
from retinoscope.network.preactivation import pre_activation
from retinoscope.network.prepare import prepare
from retinoscope.network.record import record
from retinoscope.network.wrap import wrap
from tests.samples import photos


class Unit(nn.Module):
    """A convolution and a batch norm whose activation is a function, in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)), inplace=True)


class Net(nn.Module):
    """Modules and functions, in place and not, a shared activation, a residual sum, an attention-like product."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.unit, self.conv, self.last = Unit(), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.act, self.soft, self.pool = nn.ReLU(inplace=True), nn.SiLU(), nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.unit(self.stem(x))
        y = self.conv(x)
        y += x
        x = self.act(y)
        x = self.soft(self.last(x))
        return self.act(self.pool(x)).clamp(0, 6).mean((2, 3))


@pytest.fixture
def model() -> Model:
    torch.manual_seed(0)
    return wrap(Net(), input_size=12)


@pytest.mark.parametrize(
    ("layer", "before"),
    [
        ("stem", "stem.1"),
        ("stem.2", "stem.1"),
        ("stem.1", None),
        ("unit", "unit.norm"),
        ("unit.norm", None),
        ("act#1", "act#1.input"),  # a residual sum: no layer gives it, although it lies in the convolution's memory
        ("act#2", "pool"),
        ("soft", "last"),
        ("pool", None),
        ("logits", None),
    ],
)
def test_the_layer_before(model: Model, layer: str, before: str | None) -> None:
    assert pre_activation(model, layer) == before


def test_values_before_give_those_after(model: Model) -> None:
    for layer in ("stem", "unit", "act#1", "act#2"):
        before = pre_activation(model, layer)
        assert before is not None
        with torch.no_grad(), record(model, [before, layer]) as trace:
            model(photos(3, 12))
        assert torch.equal(trace[before].relu(), trace[layer])
        assert layer == "act#2" or float(trace[before].min()) < 0  # the pool's values were after a ReLU already


def test_block_outputs_are_signed(lite0: Model) -> None:
    assert pre_activation(lite0, "blocks.3.0") is None


def test_inside_a_batch_norm_with_an_activation(lite0: Model) -> None:
    assert pre_activation(lite0, "bn1") == pre_activation(lite0, "bn1.act") == "bn1.act.input"
    for network in (lite0, prepare(lite0, ["bn1.act.input"])):
        with torch.no_grad(), record(network, ["bn1.act.input", "bn1"]) as trace:
            network(photos(2, 32))
        assert torch.equal(trace["bn1.act.input"].clamp(0, 6), trace["bn1"])
        assert float(trace["bn1.act.input"].min()) < 0


def test_an_input_is_a_layer_that_is_not_listed(model: Model) -> None:
    layer, after = model.layers["act#1.input"], model.layers["act#1"]
    assert "act#1.input" in model.layers
    assert "act#1.input" not in list(model.layers)
    assert (layer.side, layer.overwritten, layer.field, layer.size) == ("input", True, after.field, after.size)
    with torch.no_grad(), record(model, ["last.input", "act#1"]) as trace:
        model(photos(2, 12))
    assert "last.input" in trace
    assert torch.equal(trace["last.input"], trace["act#1"])


def test_a_wrong_name_gives_the_nearest(model: Model) -> None:
    with pytest.raises(UnknownNameError, match=r"nearest: stem"):
        pre_activation(model, "stemm")


def test_the_users_module_stays_as_it_is(model: Model) -> None:
    model.module.train()
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    pre_activation(model, "unit")
    assert model.module.training
    assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())
