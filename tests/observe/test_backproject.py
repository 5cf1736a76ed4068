"""Backward pictures of units: where the signal starts, what it is, and that it stays inside the receptive field."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from retinoscope.base.boxes import Box
from retinoscope.base.errors import BadInputError, BadNetworkError, BadUnitError, NoGradientError, UnknownNameError
from retinoscope.image.codec import photo
from retinoscope.network.backward import RULES, rewrite
from retinoscope.network.model import Model
from retinoscope.network.record import record
from retinoscope.network.wrap import wrap
from retinoscope.observe.backproject import Backprojection, backproject, signals
from tests.samples import photos, tiny_module


def slow(
    model: Model, images: Tensor, unit: tuple[str, int], rule: str
) -> tuple[Tensor, Tensor, list[tuple[int, int]]]:
    """One image at a time: the strongest position, found by looking, and the signal from there."""
    signed, values, places = [], [], []
    for image in images[:, None]:
        pixels = image.clone().requires_grad_()
        with rewrite(model, rule), record(model, [unit[0]]) as trace:
            model(pixels)
            plane = trace[unit[0]][0, unit[1]]
            rows = [(plane[y, x].item(), -y, -x) for y in range(plane.shape[0]) for x in range(plane.shape[1])]
            best, y, x = max(rows)
            (found,) = torch.autograd.grad(plane[-y, -x], pixels, torch.tensor(best))
        signed, values, places = [*signed, found], [*values, best], [*places, (-y, -x)]
    return torch.cat(signed), torch.tensor(values), places


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("layer", ["conv1", "relu#2", "conv3"])
def test_a_batch_is_what_each_photo_gives_alone(tiny: Model, rule: str, layer: str) -> None:
    images = photos(3, 32)
    found = backproject(tiny, images, f"{layer}:5", rule)
    signed, values, places = slow(tiny, images, (layer, 5), rule)
    torch.testing.assert_close(found.signed, signed, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.activations, values)
    assert [unit.position for unit in found.units] == places
    assert found.signed.dtype == torch.float32
    assert found.rule == rule


def test_units_and_photos_go_in_pairs_and_batches_change_nothing(tiny: Model) -> None:
    images, units = photos(3, 32), ["conv1:0", "conv3:4@1,2", "conv2:7"]
    found = backproject(tiny, images, units, batch=2)
    alone = [backproject(tiny, image, unit) for image, unit in zip(images, units, strict=True)]
    torch.testing.assert_close(found.signed, torch.cat([one.signed for one in alone]), rtol=1e-4, atol=1e-6)
    assert found.units == tuple(one.units[0] for one in alone)
    assert found.units[1].position == (1, 2)
    many = backproject(tiny, images[1], ["conv1:0-2", "conv3:4@1,2"])
    assert [(unit.layer, unit.channel) for unit in many.units] == [
        ("conv1", 0),
        ("conv1", 1),
        ("conv1", 2),
        ("conv3", 4),
    ]
    torch.testing.assert_close(many.signed[3:], found.signed[1:2], rtol=1e-4, atol=1e-6)
    assert torch.equal(many.photos[2], images[1])
    with pytest.raises(BadInputError, match="3 photos and 2 units are no pairs"):
        backproject(tiny, images, units[:2])


def test_the_start_is_the_activation_or_a_number_of_ones_choice(tiny: Model) -> None:
    images = photos(2, 32)
    found = backproject(tiny, images, "relu#1:3")
    ones = signals(tiny, images, found.units, "guided", start=1.0)
    torch.testing.assert_close(found.signed, ones.signed * found.activations[:, None, None, None], rtol=1e-4, atol=1e-7)


def test_of_equal_positions_the_first_counts() -> None:
    conv = nn.Conv2d(3, 1, 1)
    nn.init.zeros_(conv.weight)
    model = wrap(nn.Sequential(conv, nn.Conv2d(1, 1, 1)), input_size=8)
    assert backproject(model, photos(1, 8), "0:0").units[0].position == (0, 0)


def test_the_picture_is_in_the_photos_own_values(tiny: Model) -> None:
    """Through normalisation, and for BGR networks: a small step in sRGB changes the activation by the gradient."""
    model = wrap(tiny_module(), input_size=32, mean=(0.4, 0.5, 0.6), std=(0.1, 0.2, 0.3), bgr=True)
    image = photos(1, 32)
    found = backproject(model, image, "conv1:3", "gradient")
    (y, x), value = found.units[0].position or (0, 0), float(found.activations[0])
    step = 0.01 * found.signed.sign()
    with torch.no_grad(), record(model, ["conv1"]) as trace:
        model((image + step).clamp(0, 1))
        moved = float(trace["conv1"][0, 3, y, x]) - value
    change = (found.signed * ((image + step).clamp(0, 1) - image)).sum() / value
    assert moved == pytest.approx(float(change), rel=1e-3)


class Positive(nn.Module):
    """Strides, dilation, asymmetric sizes and a branch, all weights positive: the whole field counts."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 2, 5, stride=2, padding=1)
        self.pool = nn.AvgPool2d(3, 2, padding=1)
        self.b = nn.Conv2d(2, 2, 3, padding=2, dilation=2)
        self.c = nn.Conv2d(2, 2, (1, 3), padding=(0, 1))
        for parameter in self.parameters():
            nn.init.constant_(parameter, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 3, h, w) to (b, 2, y, x)."""
        x = self.pool(self.a(x).relu())
        return (self.c(self.b(x)) + x).relu()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("place", [(0, 0), (0, 5), (11, 4), (6, 6), (11, 11)], ids=["corner", "edge", "edge below", "centre", "far corner"])  # noqa: E501  # fmt: skip
def test_zero_outside_the_field_and_tight_inside(rule: str, place: tuple[int, int]) -> None:
    model = wrap(Positive().eval(), input_size=48)
    (found,) = [backproject(model, photos(1, 48), f"c:1@{place[0]},{place[1]}", rule)]
    support = found.signed[0].abs().sum(0)
    rows, columns = support.sum(1).nonzero().flatten(), support.sum(0).nonzero().flatten()
    box = found.boxes[0]
    assert (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1) == (
        box.top, box.left, box.bottom, box.right,
    )  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("place", [(0, 0), (0, 7), (8, 8), (15, 15)])
def test_a_networks_own_signals_stay_inside(tiny: Model, rule: str, place: tuple[int, int]) -> None:
    found = backproject(tiny, photos(2, 32), f"conv3:3@{place[0]},{place[1]}", rule)
    box = found.boxes[0]
    outside = torch.ones(32, 32, dtype=torch.bool)
    outside[int(box.top) : int(box.bottom), int(box.left) : int(box.right)] = False
    assert (found.signed[:, :, outside] == 0).all()
    assert outside.any()


def test_patches_of_photo_and_picture_lie_on_each_other(tiny: Model) -> None:
    images = photos(1, 32)
    found = backproject(tiny, images, "conv2:3@0,15")
    ((patch, back),) = found.patches()
    field = found.fields[0]
    assert field == tiny.layers["conv2"].field.box(0, 15)
    assert patch.shape == back.shape == (3, field.height, field.width)
    top, right = int(-field.top), int(32 - field.left)
    assert torch.equal(patch[:, top:, :right], images[0, :, : int(field.bottom), int(field.left) :])
    assert torch.equal(back[:, top:, :right], found.images[0, :, : int(field.bottom), int(field.left) :])
    assert (patch[:, :top] == 0.5).all()
    assert (back[:, :top] == 0.5).all()


def test_images_are_shown_around_grey(tiny: Model) -> None:
    found = backproject(tiny, photos(2, 32), "conv2:3")
    assert found.images.amin() >= 0
    assert found.images.amax() <= 1
    peak = found.signed.abs().amax((1, 2, 3))
    assert torch.equal((found.images - 0.5).abs().amax((1, 2, 3)) > 0.499, peak > 0)


def test_vectors_and_fields_larger_than_the_picture(tiny: Model) -> None:
    found = backproject(tiny, photos(1, 8), ["head:2", "conv2:1"])
    assert found.fields[0] == found.boxes[0] == Box(0, 0, 8, 8)
    assert found.units[0].position == (0, 0)
    assert found.boxes[1].height <= 8 < found.fields[1].height
    assert all(patch.shape == (3, 8, 8) for patch, _ in found.patches())


def test_files_are_cut_to_the_networks_size_and_tensors_left_as_they_are(tiny: Model, tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    Image.effect_noise((60, 40), 50).convert("RGB").save(file)
    found = backproject(tiny, [file, Image.open(file)], "conv1:0")
    assert torch.equal(found.photos, torch.stack([photo(file, (32, 32))] * 2))
    assert backproject(tiny, photo(file), "conv1:0").signed.shape == (1, 3, 40, 60)
    with pytest.raises(BadInputError, match=r"of one size; came \[\(32, 32\), \(40, 60\)\]"):
        backproject(tiny, [file, photo(file)], "conv1:0")


def test_the_users_module_stays_as_it_is(tiny: Model) -> None:
    tiny.module.train()
    before = {name: value.clone() for name, value in tiny.module.state_dict().items()}
    backproject(tiny, photos(2, 32), "conv2:3")
    assert tiny.module.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in tiny.module.parameters())
    assert all(torch.equal(value, before[name]) for name, value in tiny.module.state_dict().items())


def test_works_where_gradients_are_switched_off(tiny: Model) -> None:
    with torch.no_grad():
        assert backproject(tiny, photos(1, 32), "conv2:3").signed.abs().max() > 0


def test_bad_units_rules_and_networks(tiny: Model) -> None:
    images = photos(1, 32)
    with pytest.raises(BadUnitError, match=r"'conv1:0@16,0' is outside the 16 x 16 map of conv1"):
        backproject(tiny, images, "conv1:0@16,0")
    with pytest.raises(BadUnitError, match="channels 0 to 7"):
        backproject(tiny, images, "conv1:8")
    with pytest.raises(UnknownNameError, match="nearest: conv3, conv2, conv1"):
        backproject(tiny, images, "conv9:0")
    with pytest.raises(UnknownNameError, match="nearest: deconvnet"):
        backproject(tiny, images, "conv1:0", "deconv")
    squashed = wrap(nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sigmoid(), nn.Conv2d(3, 3, 1)), name="old", input_size=8)
    with pytest.raises(BadNetworkError, match="the guided rule says nothing about the module '1' of old"):
        backproject(squashed, photos(1, 8), "2:0")
    assert backproject(squashed, photos(1, 8), "0:0").signed.abs().max() > 0

    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x.detach())

    with pytest.raises(NoGradientError, match="no gradient leads from conv to the picture"):
        backproject(wrap(Cut(), input_size=8), photos(1, 8), "conv:0")


def test_the_sheet_shows_pairs(tiny: Model, tmp_path: Path) -> None:
    found = backproject(tiny, photos(4, 32), "conv2:3")
    assert isinstance(found, Backprojection)
    assert "conv2:3@" in repr(found)
    with Image.open(found.save(tmp_path / "deep" / "sheet.png")) as saved:
        assert saved.width > saved.height / 2
    assert found._repr_png_().startswith(b"\x89PNG")
