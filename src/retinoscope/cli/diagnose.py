"""`retinoscope diagnose MODEL UNIT [PHOTOS]`: why a unit's picture stays grey, and what to do."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from retinoscope.cli.inputs import AsJson, Device, ModelName, Weights, load_model, load_photos
from retinoscope.cli.output import print_json

if TYPE_CHECKING:
    from retinoscope.network.model import Model
    from retinoscope.tensor.axes import Images

COUNT = 16
"""How many photos of a folder are looked at."""


def diagnose(
    model: ModelName,
    unit: Annotated[str, typer.Argument(metavar="UNIT", help="layer:channel, or layer:channel@y,x")],
    photos: Annotated[
        str, typer.Argument(metavar="[PHOTOS]", help="a folder of photos like those of training; else shipped ones")
    ] = "sample",
    seed: Annotated[int, typer.Option(help="start of the random numbers")] = 0,
    weights: Weights = "default",
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Look for what spoils a unit's picture: input range, dead units, cut gradients, saturation, strides."""
    from retinoscope.synthesize.diagnose import diagnose as look

    network = load_model(model, weights, device)
    found = look(network, unit, None if photos == "sample" else _images(network, photos), seed=seed)
    if as_json:
        print_json({"network": found.network, "unit": found.objective, "findings": [asdict(f) for f in found.findings]})
    else:
        print(found)


def _images(network: "Model", photos: str) -> "Images":
    """Photos spread over a folder, brought to the network's size."""
    import torch

    found = load_photos(photos, tiles=False)
    count = min(COUNT, len(found))
    places = [place * len(found) // count for place in range(count)]
    parts = [found.shard(place, place + 1).batches(network.input_size) for place in places]
    return torch.cat([images for part in parts for _, images in part])
