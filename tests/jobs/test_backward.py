"""Backward pictures of examples are those of `backproject` at the examples' positions, for the same pixels."""

from dataclasses import replace

import pytest
import torch

from retinoscope.base.errors import BadPhotosError
from retinoscope.base.units import Unit
from retinoscope.data.imageset import ImageSet
from retinoscope.jobs.backward import backward_examples, sheet_of_examples, shown
from retinoscope.network.model import Model
from retinoscope.observe.backproject import backproject, frozen
from retinoscope.observe.scan import scan


def test_examples_are_run_backwards_from_where_they_answered(tiny: Model, images: ImageSet) -> None:
    found = scan(tiny, images, ["conv1", "conv2"], k=4)
    units = [Unit("conv1", 3), Unit("conv2", 7)]
    wanted = [(unit, example) for unit in units for example in found.top(unit)]
    pictures = shown(tiny, images, [example.item.id for _, example in wanted])
    neurons = [(replace(unit, position=(example.y, example.x)), example.item.id) for unit, example in wanted]
    parts = list(backward_examples(frozen(tiny), pictures, neurons, "guided", batch=3))
    made = [(unit, signed, float(value)) for part in parts for unit, signed, value in zip(part.units, part.signed, part.activations, strict=True)]  # noqa: E501  # fmt: skip
    assert len(made) == len(wanted) == 8
    for (unit, example), (neuron, signed, value) in zip(wanted, made, strict=True):
        assert (neuron.channel, neuron.position) == (unit.channel, (example.y, example.x))
        assert value == pytest.approx(example.score, abs=1e-4), "the activation where the scan said"
        alone = backproject(tiny, pictures[example.item.id], neuron)
        torch.testing.assert_close(signed[None], alone.signed, rtol=1e-4, atol=1e-6)
        box = alone.boxes[0].within(example.item.box, 32, 32)
        assert (box.top, box.left, box.bottom, box.right) == pytest.approx(
            (example.box.top, example.box.left, example.box.bottom, example.box.right)
        )


def test_items_are_what_the_network_was_shown(tiny: Model, images: ImageSet) -> None:
    ids = [images[5].id, images[0].id, images[11].id]
    batches = [(item.id, image) for items, pixels in images.batches((32, 32)) for item, image in zip(items, pixels, strict=True)]  # noqa: E501  # fmt: skip
    found = shown(tiny, images, [*ids, "gone.jpg"])
    assert found.keys() == set(ids)
    assert all(torch.equal(image, found[id]) for id, image in batches if id in found)


def test_photos_that_are_gone_are_left_out_or_named(tiny: Model, images: ImageSet) -> None:
    unit = Unit("conv1", 3)
    examples = scan(tiny, images, ["conv1"], k=3).top(unit)
    whole, all_three = sheet_of_examples(frozen(tiny), images, unit, examples, "guided")
    images.photo(examples[1].item.photo).file.unlink()
    part, left = sheet_of_examples(frozen(tiny), images, unit, examples, "guided")
    assert all_three == examples
    assert left == [examples[0], examples[2]]
    assert part.width < whole.width
    for example in left:
        images.photo(example.item.photo).file.unlink()
    with pytest.raises(BadPhotosError, match="none of the 3 examples of conv1:3 can be read"):
        sheet_of_examples(frozen(tiny), images, unit, examples, "guided")
