"""Which layers an atlas takes by default."""

import pytest
from torch import nn

from retinoscope.jobs.layers import atlas_layers
from retinoscope.network.model import Layer, Layers, Model, ReceptiveField
from retinoscope.network.zoo import wrap


def test_the_embedded_network_gives_its_sixteen_blocks(lite0: Model) -> None:
    counts = (1, 2, 2, 3, 3, 4, 1)
    blocks = [f"blocks.{stage}.{block}" for stage, count in enumerate(counts) for block in range(count)]
    assert [layer.name for layer in atlas_layers(lite0.layers)] == blocks


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        (
            "conv1 Conv2d, layer1.0.conv1 Conv2d, layer1.0 BasicBlock, layer1.1 Bottleneck, layer1 Sequential",
            "layer1.0 layer1.1",
        ),
        ("a.mlp MLPBlock, a EncoderBlock, b.mlp MLPBlock, b EncoderBlock", "a b"),
        ("f.1 MBConv, f.2 FusedMBConv, f.3 Fire, f.4 InvertedResidual, f.5 InceptionA", "f.1 f.2 f.3 f.4 f.5"),
        ("s.0.b.0 ConvNeXtBlock, s.0.b.1 ConvNeXtBlock, s.0 ConvNeXtStage", "s.0.b.0 s.0.b.1"),
        ("stem Conv2d, mix Conv2dSame, one Block, norm LayerNorm", "stem mix"),
    ],
)
def test_blocks_by_kind(rows: str, wanted: str) -> None:
    """Rows as torchvision and timm name them; the outermost blocks win, a single block is no stack."""
    named = [row.split() for row in rows.split(", ")]
    field = ReceptiveField((3, 3), (1, 1), (1, 1))
    layers = {
        name: Layer(name, name, 1, place, kind, 4, (8, 8), field, 1.0) for place, (name, kind) in enumerate(named)
    }
    assert [layer.name for layer in atlas_layers(Layers(layers))] == wanted.split()


def test_a_plain_stack_gives_its_convolutions() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = atlas_layers(wrap(module, input_size=16).layers)
    assert [layer.name for layer in found] == ["0", "2"]


def test_a_network_without_maps_gives_all_its_layers() -> None:
    found = atlas_layers(wrap(nn.Sequential(nn.Flatten(), nn.Linear(48, 5)), input_size=4).layers)
    assert "1" in [layer.name for layer in found]
