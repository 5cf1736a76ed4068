"""What several commands take: a network, photos, a device."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retinoscope.base.errors import BadInputError

if TYPE_CHECKING:
    from retinoscope.data.imageset import ImageSet
    from retinoscope.network.model import Model

ModelName = Annotated[
    str, typer.Argument(metavar="MODEL", help="efficientnet-lite0, torchvision/NAME, timm/NAME, or FILE.py:FACTORY")
]
PhotosName = Annotated[
    str, typer.Argument(metavar="PHOTOS", help="a folder of photos, or 'sample' for the shipped ones")
]
Weights = Annotated[str, typer.Option(help="a .safetensors, .pth or .pt file; 'none' for random weights")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
LayerNames = Annotated[str, typer.Option(metavar="A,B", help="layer names or patterns (blocks.*), with commas between")]
Tiles = Annotated[bool, typer.Option("--tiles", help="show overlapping tiles of each photo at several scales")]


def load_model(name: str, weights: str, device: str) -> "Model":
    """The network a command is about."""
    import torch

    from retinoscope.network.zoo import load
    from retinoscope.tensor.memory import keep_memory

    keep_memory()
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BadInputError(f"device '{device}' is not available here; use cpu, or check your torch install") from error
    return load(name, weights=None if weights == "none" else weights, device=device)


def load_photos(name: str, tiles: bool) -> "ImageSet":
    """The photos a command is about."""
    from retinoscope.data import cuts
    from retinoscope.data.files import sample_photos
    from retinoscope.data.imageset import ImageSet

    folder = sample_photos() if name == "sample" else Path(name)
    return ImageSet(folder, cuts.tiles() if tiles else None)


def split_names(text: str) -> list[str]:
    """The parts of a text with commas between."""
    return [part.strip() for part in text.split(",") if part.strip()]
