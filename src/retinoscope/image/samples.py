"""The photos that come with the package, as images: what a network is tried on where nobody gives photos."""

from importlib.resources import files
from pathlib import Path

import torch

from retinoscope.image.codec import photo
from retinoscope.tensor.axes import Images


def sample_photos() -> Path:
    """The folder of the photos that come with the package, with their ATTRIBUTION.csv."""
    return Path(str(files("retinoscope") / "data" / "sample_photos"))


def sample_images(size: tuple[int, int], count: int = 16) -> Images:
    """`count` photos, 1 to 64, spread over the shipped ones by name, as (count, 3, h, w): their central parts."""
    found = sorted(sample_photos().glob("*.jpg"))
    chosen = [found[place * len(found) // count] for place in range(count)]
    return torch.stack([photo(file, size) for file in chosen])
