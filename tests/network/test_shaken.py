"""Shaken networks: the gains against an obvious re-implementation, each item's own, and gone after the block."""

import pytest
import torch
from torch import nn

from retinoscope.base.errors import UnknownNameError
from retinoscope.network.model import Model
from retinoscope.network.record import record
from retinoscope.network.shaken import STILL, Shake, blocks, shaken
from retinoscope.network.wrap import wrap
from retinoscope.network.zoo import load
from retinoscope.tensor.random import Draws


@pytest.fixture
def model() -> Model:
    """One convolution and its square."""
    torch.manual_seed(0)
    return wrap(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()), input_size=8)


def images(count: int) -> torch.Tensor:
    """Random pictures."""
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def answer(model: Model, layer: str, pictures: torch.Tensor) -> torch.Tensor:
    """A layer's own output."""
    with torch.no_grad(), record(model, [layer]) as trace:
        model(pictures)
    return trace.raw(layer)


def test_each_channel_of_each_item_is_scaled_by_a_gain_of_its_own(model: Model) -> None:
    plain = answer(model, "0", images(2))
    with shaken(model, Shake(("0",), 0.3), Draws(0, ["a", "b"])):
        first, second = answer(model, "0", images(2)), answer(model, "0", images(2))
    draws = Draws(0, ["a", "b"])
    for got in (first, second):
        gains = 1 + 0.3 * draws.normal(4)
        assert torch.equal(got, plain * gains[:, :, None, None])


def test_an_item_is_shaken_alike_alone_and_beside_others(model: Model) -> None:
    shake = Shake(("1",), 0.5)
    with shaken(model, shake, Draws(0, ["a", "b"])):
        together = model(images(2))
    with shaken(model, shake, Draws(0, ["a"])):
        alone = model(images(1))
    assert torch.allclose(alone[0], together[0], atol=1e-6)


def test_nothing_is_left_after_the_block_and_still_is_the_network_itself(model: Model) -> None:
    before = model(images(2))
    with shaken(model, STILL, Draws(0, ["a", "b"])):
        assert torch.equal(model(images(2)), before)
    with pytest.raises(RuntimeError), shaken(model, Shake(("0",), 1.0), Draws(0, ["a", "b"])):
        raise RuntimeError
    assert torch.equal(model(images(2)), before)


def test_tokens_are_shaken_by_their_channels() -> None:
    model = load("timm/vit_tiny_patch16_224", weights=None)
    pictures = torch.rand(1, 3, 224, 224)
    plain = answer(model, "blocks.0", pictures)
    with shaken(model, Shake(("blocks.0",), 0.3), Draws(0, ["a"])):
        got = answer(model, "blocks.0", pictures)
    gains = 1 + 0.3 * Draws(0, ["a"]).normal(192)
    assert torch.allclose(got, plain * gains[:, None], atol=1e-5)


def test_a_wrong_layer_is_named(model: Model) -> None:
    with pytest.raises(UnknownNameError, match="nowhere"), shaken(model, Shake(("nowhere",), 1.0), Draws(0, ["a"])):
        pass


def test_blocks_are_what_a_network_repeats() -> None:
    lite = blocks(load("efficientnet-lite0"))
    assert lite[:4] == ("bn1", "blocks.0.0.bn1", "blocks.1.0", "blocks.1.1")
    assert len(lite) == 18
    assert blocks(load("torchvision/resnet18", weights=None)) == tuple(
        f"layer{stage}.{block}" for stage in range(1, 5) for block in range(2)
    )
    assert blocks(load("torchvision/vgg11", weights=None))[:2] == ("features.1", "features.4")
