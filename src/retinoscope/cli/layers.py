"""`retinoscope layers MODEL`: the layer table of a network."""

from typing import TYPE_CHECKING, Any

from retinoscope.cli.inputs import AsJson, ModelName, Weights, load_model
from retinoscope.cli.output import print_json

if TYPE_CHECKING:
    from retinoscope.network.model import Layer


def layers(model: ModelName, weights: Weights = "default", as_json: AsJson = False) -> None:
    """List a network's layers: kind, channels, map, stride, receptive field, relative depth."""
    found = load_model(model, weights, "cpu").layers
    if as_json:
        print_json([_plain(layer) for layer in found.values()])
    else:
        print(found)


def _plain(layer: "Layer") -> dict[str, Any]:
    seen = layer.field
    return {
        "name": layer.name,
        "kind": layer.kind,
        "channels": layer.channels,
        "size": layer.size,
        "stride": None if seen.whole else seen.stride,
        "receptive_field": seen.size,
        "whole_image": seen.whole,
        "gated": seen.gated,
        "depth": round(layer.depth, 4),
    }
