"""A small atlas: the tiny network and a few small photos."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retinoscope.data import cuts
from retinoscope.data.imageset import ImageSet
from retinoscope.jobs.job import Job
from retinoscope.jobs.plan import plan_atlas
from retinoscope.jobs.tasks import Context
from retinoscope.network.model import Model
from retinoscope.store.database import Store


def write_photos(folder: Path, count: int, seed: int = 0) -> Path:
    """Smooth random photos of 30 x 40 pixels, in two class folders."""
    numbers = np.random.default_rng(seed)
    for place in range(count):
        file = folder / ("cats", "dogs")[place % 2] / f"{place}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(numbers.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        small.resize((40, 30), Image.Resampling.BICUBIC).save(file)
    return folder


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    """Seven photos, cut into tiles."""
    return ImageSet(write_photos(tmp_path / "photos", 7), cuts.tiles((1.0, 0.6)))


@pytest.fixture
def jobs(tiny: Model, images: ImageSet) -> Sequence[Job]:
    """A plan of two layers with few steps."""
    return plan_atlas(tiny, images, layers=["conv1", "conv2"], k=2, size=32, steps=2)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store, open for writing."""
    with Store.create(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def context(tiny: Model, images: ImageSet, store: Store) -> Context:
    """What the jobs work with."""
    return Context(tiny, images, lambda name: store.folder / name)
