"""What counts as a layer, how it is laid out, and that the user's own module is left alone."""

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from retinoscope.base.errors import BadNetworkError, UnknownNameError
from retinoscope.network.model import Layers
from retinoscope.network.trace import trace


class Block(nn.Module):
    """One shared in-place ReLU, a functional ReLU, and a dropout that does nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.relu, self.drop = nn.ReLU(inplace=True), nn.Dropout(0.5)
        self.second, self.head = nn.Conv2d(4, 4, 3, 2, 1), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.first(x)))
        x = self.drop(x)
        x = F.relu(self.second(x), inplace=True)
        x = self.relu(x)
        out: Tensor = self.head(x.mean((2, 3)))
        return out


@pytest.fixture
def layers() -> Layers:
    return trace(Block(), (8, 10))


def test_layers_come_in_call_order_without_modules_that_do_nothing(layers: Layers) -> None:
    assert list(layers) == ["first", "norm", "relu#1", "second", "relu#2", "head", "logits"]
    assert [layer.index for layer in layers.values()] == list(range(7))
    assert layers["head"].depth == pytest.approx(6 / 7)
    assert layers["logits"].depth == 1


def test_a_module_called_twice_gives_a_layer_for_each_call(layers: Layers) -> None:
    assert (layers["relu#1"].module, layers["relu#1"].call) == ("relu", 1)
    assert (layers["relu#2"].module, layers["relu#2"].call) == ("relu", 2)
    assert layers["relu#1"].size == (8, 10)
    assert layers["relu#2"].size == (4, 5)
    with pytest.raises(UnknownNameError, match="called 2 times"):
        layers["relu"]


def test_outputs_that_a_later_operation_overwrites_are_marked(layers: Layers) -> None:
    assert {name for name, layer in layers.items() if layer.overwritten} == {"norm", "second"}


def test_vectors_and_logits(layers: Layers) -> None:
    assert (layers["head"].layout, layers["head"].channels, layers["head"].size) == ("vector", 5, (1, 1))
    assert layers["logits"].module == ""
    assert layers["logits"].field.whole
    assert layers["logits"].field.box(0, 0).bottom == 8


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.more = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = x + 0
        y: Tensor = self.more(x)
        y += x
        y[:, :1].mul_(2)
        return y


def test_in_place_sums_and_writes_through_views_are_seen() -> None:
    layers = trace(nn.Sequential(Residual(), nn.ReLU()), (8, 8))
    assert layers["0.more"].overwritten
    assert not layers["0.conv"].overwritten
    assert layers["0.more"].field.size == (5, 5)
    # The value that left the block was written through a view, so what it has seen is no longer certain.
    assert layers["1"].field.whole or layers["1"].field.size == (5, 5)


def test_a_transformer_lists_tokens_behind_their_prefix() -> None:
    module = timm.create_model("vit_tiny_patch16_224", depth=1, embed_dim=24, num_heads=3, img_size=64)
    layers = trace(module, (64, 64))
    norm = layers["blocks.0.norm1"]
    assert (norm.layout, norm.prefix, norm.size, norm.channels) == ("tokens", 1, (4, 4), 24)
    assert norm.field.size == (16, 16)
    assert norm.field.stride == (16, 16)
    after = layers["blocks.0"]
    assert (after.layout, after.prefix, after.size, after.field.whole) == ("tokens", 1, (4, 4), True)
    assert layers["head"].layout == "vector"


def test_channels_last_blocks_are_maps_with_a_field() -> None:
    module = timm.create_model("convnext_atto", depths=(1, 1, 1, 1), dims=(8, 8, 8, 8))
    layers = trace(module, (64, 64))
    fc1 = layers["stages.0.blocks.0.mlp.fc1"]
    assert fc1.channels == 32
    assert fc1.size == (16, 16)
    assert fc1.field.size == (28, 28)  # a 4 x 4 stem at stride 4, then 7 x 7
    nhwc = trace(timm.create_model("swin_tiny_patch4_window7_224", img_size=56, window_size=7), (56, 56))
    norm = nhwc["layers.0.blocks.0.norm1"]
    assert (norm.layout, norm.size, norm.channels, norm.field.size) == ("map-last", (14, 14), 96, (4, 4))
    assert nhwc["layers.0.blocks.0"].field.whole


class Reorder(nn.Module):
    """A channel shuffle, tokens and back, and 2 x 2 patches moved into channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.mlp = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 4)
        self.shuffled, self.back, self.merge = nn.ReLU(), nn.ReLU(), nn.Linear(16, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        b, c, h, w = x.shape
        x = self.shuffled(x.view(b, 2, 2, h, w).transpose(1, 2).reshape(b, c, h, w))
        x = self.mlp(x.flatten(2).transpose(1, 2))
        x = self.back(x.transpose(1, 2).reshape(b, c, h, w))
        x = x.permute(0, 2, 3, 1).reshape(b, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).flatten(3)
        out: Tensor = self.merge(x)
        return out


def test_reshapes_are_followed() -> None:
    layers = trace(Reorder(), (8, 12))
    assert layers["shuffled"].field.size == (3, 3)
    mlp = layers["mlp"]
    assert (mlp.layout, mlp.size, mlp.field.size) == ("tokens", (8, 12), (3, 3))
    assert layers["back"].field == layers["shuffled"].field
    merge = layers["merge"]
    assert (merge.layout, merge.size) == ("map-last", (4, 6))
    assert (merge.field.size, merge.field.stride, merge.field.padding) == ((4, 4), (2, 2), (1, 1))


class Mixer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.mix, self.end = nn.Conv2d(3, 4, 2, 2), nn.Linear(16, 16), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).flatten(2)
        out: Tensor = self.end((x + self.mix(x)).transpose(1, 2))
        return out


def test_mixing_over_positions_sees_the_whole_image() -> None:
    layers = trace(Mixer(), (8, 8))
    assert not layers["conv"].field.whole
    assert layers["end"].field.whole


class Stubborn(nn.Module):
    """Counts its calls in a buffer, and answers with a dict in which a tuple lies."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x: Tensor) -> dict[str, tuple[Tensor, None]]:
        self.count += 1
        return {"out": (self.conv(x).mean((2, 3)) + torch.rand(1), None)}


def test_the_users_module_is_left_alone() -> None:
    module = nn.Sequential(Stubborn(), nn.Identity())
    module[0].eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = torch.get_rng_state()
    layers = trace(module, (8, 8))
    assert list(layers) == ["0.conv", "logits"]
    assert (module.training, module[0].training, module[1].training) == (True, False, True)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


def test_a_failing_network_is_named_with_the_shape_that_was_tried() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(7, 2))
    with pytest.raises(BadNetworkError, match=r"\(1, 3, 8, 8\).*mat1 and mat2"):
        trace(module, (8, 8))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


def test_a_network_without_layers_is_refused() -> None:
    with pytest.raises(BadNetworkError, match="no layers"):
        trace(nn.ReLU(), (8, 8))
