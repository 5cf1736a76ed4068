"""Which layers of an unknown network are worth an atlas."""

import re

from retinoscope.network.model import Layer, Layers

_BLOCKS = re.compile(r"(Block|Bottleneck|Residual|SeparableConv|Inception\w*|Fire|MBConv|FusedMBConv|MixedConv)(V\d)?$")
"""Kinds of modules that networks are stacked from, in torchvision's and timm's words."""

FEWEST = 2


def atlas_layers(layers: Layers) -> list[Layer]:
    """The outputs of the blocks a network is stacked from, else of its convolutions, else all layers with channels."""
    maps = [layer for layer in layers.values() if layer.size != (1, 1)]
    blocks = _outermost([layer for layer in maps if _BLOCKS.search(layer.kind)])
    if len(blocks) >= FEWEST:
        return blocks
    convolutions = [layer for layer in maps if layer.kind.startswith("Conv")]
    return convolutions or maps or list(layers.values())


def _outermost(blocks: list[Layer]) -> list[Layer]:
    modules = {layer.module for layer in blocks}
    return [layer for layer in blocks if not any(above in modules for above in _above(layer.module))]


def _above(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]
