"""A unit's spectrum: its panels are in order, and each is what a full sort, or `render`, gives."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from retinoscope.base.errors import BadInputError, BadUnitError, UnknownNameError
from retinoscope.base.units import Unit
from retinoscope.data import cuts
from retinoscope.data.files import sample_photos
from retinoscope.data.imageset import ImageSet
from retinoscope.jobs.peaks import peaks
from retinoscope.jobs.spectrum import TITLES, Spectrum, patch, spectrum
from retinoscope.network.model import Model
from retinoscope.network.record import record
from retinoscope.network.wrap import wrap
from retinoscope.observe.scan import scan
from retinoscope.synthesize import objectives
from retinoscope.synthesize.render import render
from tests.jobs.conftest import write_photos
from tests.observe.test_sample import brute

UNITS = [f"3:{channel}" for channel in range(4)]


@pytest.fixture(scope="module")
def network() -> Model:
    """Edges, and units that want some of them and not others: two convolutions, each with its ReLU."""
    net = nn.Sequential(nn.Conv2d(3, 12, 3, bias=False), nn.ReLU(), nn.Conv2d(12, 4, 3, bias=False), nn.ReLU())
    for conv in (net[0], net[2]):
        weights = torch.randn(conv.weight.shape, generator=torch.Generator().manual_seed(0))
        conv.weight.data = weights - weights.mean((1, 2, 3), keepdim=True)  # type: ignore[union-attr,operator]
    return wrap(net, name="edges", input_size=32)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """Nine dull photos: between mid grey and a little brighter, as no photo is as extreme as a picture can be made."""
    folder = write_photos(tmp_path_factory.mktemp("spectrum"), 9)
    for file in folder.rglob("*.png"):
        Image.open(file).point(lambda value: 110 + value // 8).save(file)
    return ImageSet(folder, cuts.tiles((1.0, 0.6)))


@pytest.fixture(scope="module")
def spectra(network: Model, photos: ImageSet) -> list[Spectrum]:
    """Spectra of units behind a ReLU, read at the convolution before it."""
    return [spectrum(network, unit, photos, size=32, steps=48, seed=1) for unit in UNITS]


@pytest.fixture(scope="module")
def values(network: Model, photos: ImageSet) -> Tensor:
    """Every answer of the convolution to every item."""
    with torch.no_grad(), record(network, ["2"]) as trace:
        found = []
        for _, images in photos.batches((32, 32)):
            network(images)
            found.append(trace["2"].clone())
    return torch.cat(found)


def test_values_strictly_increase_and_the_minimum_is_negative(spectra: list[Spectrum]) -> None:
    for found in spectra:
        assert found.layer == "2"
        assert [panel.title for panel in found.panels] == list(TITLES)
        panels = [panel.value for panel in found.panels]
        assert all(low is not None and high is not None and low < high for low, high in pairwise(panels))
        assert panels[1] is not None
        assert panels[1] < 0


def test_photos_are_those_of_a_full_sort(spectra: list[Spectrum], photos: ImageSet, values: Tensor) -> None:
    for channel, found in enumerate(spectra):
        flat = values[:, channel].flatten()
        for panel, order in ((found.panels[1], flat.argsort()), (found.panels[4], flat.argsort(descending=True))):
            place, spot = divmod(int(order[0]), values.shape[2] * values.shape[3])
            assert panel.example is not None
            assert (panel.example.item, panel.example.y, panel.example.x) == (
                photos[place], *divmod(spot, values.shape[3])
            )  # fmt: skip
            assert panel.value == pytest.approx(float(flat[order[0]]), rel=1e-4)
        for panel, sign in ((found.panels[2], -1), (found.panels[3], 1)):
            (item, value, y, x), *_ = brute(values, channel, found.deviation, sign, photos.items, 512)
            assert panel.example is not None
            assert (panel.example.item.id, panel.example.y, panel.example.x) == (item, y, x)
            assert panel.value == pytest.approx(value, rel=1e-4)
        assert found.deviation == pytest.approx(float(flat.std()), abs=float(flat.abs().max()) / 256)


def test_renders_lie_on_both_sides_of_the_median(network: Model, spectra: list[Spectrum], values: Tensor) -> None:
    """Means over the whole picture, which are smaller than the strongest answers that the panels give."""
    for channel, found in enumerate(spectra):
        median = float(values[:, channel].median())
        pictures = torch.stack([found.panels[0].image, found.panels[5].image])  # type: ignore[list-item]
        with torch.no_grad(), record(network, ["2"]) as trace:
            network(pictures)
            low, high = trace["2"][:, channel].mean((1, 2)).tolist()
        assert low < median < high
        assert found.median == pytest.approx(median, abs=float(values[:, channel].abs().max()) / 256)


def test_optimised_panels_are_those_of_render(network: Model, spectra: list[Spectrum]) -> None:
    # In one batch, as the spectrum has them: alone, rounding differs, and 48 steps make more of that than the bound.
    both = render(network, [-objectives.channel("2", 2), objectives.channel("2", 2)], size=32, steps=48, seed=1)
    made = spectra[2].panels[5].image
    assert made is not None
    assert torch.allclose(made, both.images[1], atol=1e-4)
    with torch.no_grad(), record(network, ["2"]) as trace:
        network(both.images)
    assert spectra[2].panels[5].value == pytest.approx(float(trace["2"][1, 2].max()), rel=1e-3)


def test_peaks_are_the_extremes_of_each_pictures_own_unit(tiny: Model) -> None:
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    units = [Unit("bn1", 1), Unit("bn1", 5), Unit("conv2", 7)]
    with torch.no_grad(), record(tiny, ["bn1", "conv2"]) as trace:
        tiny(images)
        planes = [trace[unit.layer][place, unit.channel] for place, unit in enumerate(units)]
    assert peaks(tiny, units, images).tolist() == pytest.approx([float(p.max()) for p in planes], rel=1e-4)
    assert peaks(tiny, units, images, -1).tolist() == pytest.approx([float(p.min()) for p in planes], rel=1e-4)


def test_patches_are_the_boxes_of_their_photos(photos: ImageSet, spectra: list[Spectrum]) -> None:
    example = spectra[0].panels[4].example
    assert example is not None
    box, image = example.box, Image.open(photos.photo(example.item.photo).file)
    shown = patch(photos, example, 48)
    assert max(shown.shape[1:]) == 48
    cut = image.resize((shown.shape[2], shown.shape[1]), Image.Resampling.BICUBIC, (box.left, box.top, box.right, box.bottom))  # noqa: E501  # fmt: skip
    assert np.allclose(shown.permute(1, 2, 0).numpy() * 255, np.asarray(cut), atol=1)


def test_a_scan_in_hand_serves(network: Model, photos: ImageSet, spectra: list[Spectrum]) -> None:
    held = scan(network, photos, ["2"], k=1)
    found = spectrum(network, UNITS[0], photos, held, size=32, steps=2)
    assert [panel.example for panel in found.panels[1:5]] == [panel.example for panel in spectra[0].panels[1:5]]
    with pytest.raises(BadInputError, match="reads layer 0: scan that layer too"):
        spectrum(network, "1:0", photos, held)


def test_panels_that_cannot_be_had_say_why(photos: ImageSet) -> None:
    conv = nn.Conv2d(3, 2, 3)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[1] = 1.0
    found = spectrum(wrap(nn.Sequential(conv), input_size=32), "0:1", photos, size=32, steps=2)
    assert "no spot" in found.panels[2].note  # an answer to light alone is never negative
    assert found.panels[2].image is None
    dead = spectrum(wrap(nn.Sequential(conv), input_size=32), "0:0", photos, size=32, steps=20)
    assert "0:0" in dead.panels[0].note
    assert dead.figure() is not None


def test_it_shows_and_saves_itself(spectra: list[Spectrum], tmp_path: Path) -> None:
    file = spectra[0].save(tmp_path / "made" / "unit.png")
    with Image.open(file) as image:
        assert image.width > 2 * image.height
    assert spectra[0]._repr_png_().startswith(b"\x89PNG")
    assert repr(spectra[0]).startswith("Spectrum(3:0: negative optimised -")
    axes = spectra[0].figure().axes
    assert [one.get_title() for one in axes[:6]] == list(TITLES)
    assert [one.get_xlabel() for one in axes[:6]] == [f"{panel.value:.3g}" for panel in spectra[0].panels]


def test_a_real_network_and_real_photos(lite0: Model) -> None:
    """The order of the panels where it counts: pictures of a few steps, a few photos, the extremes exact."""
    pictures = ImageSet(sample_photos())[:16]
    whole = scan(lite0, pictures, ["blocks.3.2"], k=1)
    for unit in ("blocks.3.2:21", "blocks.3.2:60"):
        found = spectrum(lite0, unit, pictures, whole, size=96, steps=32)
        values = [panel.value for panel in found.panels if panel.value is not None]
        assert len(values) == 6
        assert all(low < high for low, high in pairwise(values))
        assert values[1] < 0
        assert (values[1], values[4]) == pytest.approx(whole.extremes(unit))


def test_wrong_units(tiny: Model, photos: ImageSet) -> None:
    with pytest.raises(UnknownNameError, match="nearest: bn1"):
        spectrum(tiny, "bn2:0", photos)
    with pytest.raises(BadUnitError, match="channels 0 to 7"):
        spectrum(tiny, "bn1:8", photos)
    with pytest.raises(BadUnitError, match="without a position"):
        spectrum(tiny, "bn1:1@2,3", photos)
