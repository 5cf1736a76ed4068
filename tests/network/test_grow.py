"""Growing: nothing changes at first, the new blocks can learn, and what cannot be grown is refused."""

import pytest
import torch
from torch import Tensor, nn

from retinoscope.base.errors import BadNetworkError, UnknownNameError
from retinoscope.network.grow import grow
from retinoscope.network.model import Model
from retinoscope.network.streams import streams
from retinoscope.network.wrap import wrap
from tests.residual import Head, Patches, lively, plain
from tests.samples import photos


def test_answers_are_the_same_to_the_bit() -> None:
    model = plain()
    grown = grow(model, ["body.1", "body.2"], blocks=2)
    with torch.no_grad():
        assert torch.equal(grown(photos(6, 16)), model(photos(6, 16)))  # signed layers too: there is no ReLU behind
    assert list(model.layers) == list(plain().layers)
    assert "body.1.blocks.1" in grown.layers
    assert grown.weights_hash != model.weights_hash


def test_tokens_and_double_precision() -> None:
    module = Head(Patches(8), nn.Linear(8, 8), count=8)
    model = wrap(lively(module).double(), input_size=16)
    grown = grow(model, ["body.1"])
    assert isinstance(grown.module.get_submodule("body.1.blocks.0.first"), nn.Linear)
    with torch.no_grad():
        assert torch.equal(grown(photos(3, 16)), model(photos(3, 16)))


def test_layers_inside_each_other() -> None:
    model = plain()
    grown = grow(model, ["body", "body.2"])
    with torch.no_grad():
        assert torch.equal(grown(photos(3, 16)), model(photos(3, 16)))
    assert "body.layer.2.blocks.0" in grown.layers


def gradients(model: Model) -> dict[str, Tensor]:
    logits = model(photos(8, 16))
    nn.functional.cross_entropy(logits, torch.arange(8) % 4).backward()
    return {name: p.grad for name, p in model.module.named_parameters() if p.grad is not None}


def test_only_the_zero_convolution_learns_in_the_first_step() -> None:
    found = gradients(grow(plain(), ["body.1"]))
    assert float(found["body.1.blocks.0.last.weight"].abs().max()) > 0
    assert float(found["body.1.blocks.0.first.weight"].abs().max()) == 0


def test_the_loss_falls_and_the_blocks_take_part() -> None:
    model = grow(plain(), ["body.1", "body.3"])
    for name, parameter in model.module.named_parameters():
        parameter.requires_grad_("blocks" in name)  # all that is learnt is in the new blocks
    images, labels = photos(16, 16), torch.arange(16) % 4
    optimizer = torch.optim.Adam([p for p in model.module.parameters() if p.requires_grad], 0.01)
    losses = []
    for _ in range(40):
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert all(block.get_parameter("last.weight").abs().max().item() > 0 for block in blocks(model))


def blocks(model: Model) -> list[nn.Module]:
    return [child for child in model.module.modules() if type(child).__name__ == "ZeroBlock"]


def test_the_new_blocks_make_streams() -> None:
    found = streams(grow(plain(), ["body.1", "body.3"], blocks=2))
    assert [stream.layers for stream in found] == [
        (f"body.{i}.layer", f"body.{i}.blocks.0", f"body.{i}.blocks.1") for i in (1, 3)
    ]
    assert all(stream.additive for stream in found)


def test_starts_differ_by_seed_and_layer() -> None:
    a, b = (grow(plain(), ["body.1", "body.3"], seed=seed).module.state_dict() for seed in (0, 1))
    assert not torch.equal(a["body.1.blocks.0.first.weight"], b["body.1.blocks.0.first.weight"])
    assert not torch.equal(a["body.1.blocks.0.first.weight"], a["body.3.blocks.0.first.weight"])


def test_what_cannot_be_grown_is_refused(tiny: Model) -> None:
    with pytest.raises(BadNetworkError, match="'relu' is called 2 times"):
        grow(tiny, ["relu#1"])
    with pytest.raises(BadNetworkError, match="network's answer"):
        grow(tiny, ["logits"])
    with pytest.raises(UnknownNameError):
        grow(tiny, ["conv9"])
    shared = nn.Conv2d(3, 3, 1)
    with pytest.raises(BadNetworkError, match=r"times|several places"):
        grow(wrap(nn.Sequential(shared, shared), input_size=8), ["0#1"])
