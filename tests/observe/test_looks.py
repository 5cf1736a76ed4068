"""Looks of patches against cutting each patch out, and kinds of them where they are planted."""

import math

import pytest
import torch
from torch import Tensor

from retinoscope.network.model import Layer, ReceptiveField
from retinoscope.observe.looks import kinds, patches, sums
from tests.samples import photos


def layer(field: ReceptiveField, size: tuple[int, int] = (5, 7)) -> Layer:
    return Layer("a", "a", 1, 0, "Conv2d", 4, size, field, 0.5)


def pixels(image: Tensor) -> Tensor:
    """Colours and oriented contrasts (11, h, w), pixel by pixel."""
    height, width = image.shape[1:]
    grey, out = image.mean(0), torch.zeros(11, height, width)
    out[:3] = image
    for y in range(height):
        for x in range(width):
            dy = float(grey[min(y + 1, height - 1), x] - grey[max(y - 1, 0), x])
            dx = float(grey[y, min(x + 1, width - 1)] - grey[y, max(x - 1, 0)])
            out[3 + round(math.atan2(dy, dx) / math.pi * 8) % 8, y, x] = math.hypot(dy, dx)
    return out


@pytest.mark.parametrize(
    "field",
    [
        ReceptiveField((5, 3), (4, 3), (1, 2)),
        ReceptiveField((1, 1), (4, 3), (0, 0)),
        ReceptiveField((15, 90), (4, 3), (7, 40)),
        ReceptiveField((20, 22), (1, 1), (0, 0), whole=True),
    ],
)
def test_a_patch_is_the_mean_of_what_is_cut_out(field: ReceptiveField) -> None:
    images = photos(2, 22)[:, :, :20]
    y, x = torch.tensor([[0, 4, 2], [1, 3, 0]]), torch.tensor([[0, 6, 3], [5, 2, 6]])
    looks = patches(sums(images), layer(field), y, x)
    assert looks.shape == (2, 3, 11)
    for item in range(2):
        seen = pixels(images[item])
        for place in range(3):
            ends = []
            for axis, at in enumerate((int(y[item, place]), int(x[item, place]))):
                side = images.shape[2 + axis]
                width = min(field.size[axis], side // 2)
                middle = at * field.stride[axis] - field.padding[axis] + field.size[axis] / 2
                first = (side - width) // 2 if field.whole else math.floor(middle - width / 2)
                ends.append(slice(min(max(first, 0), side - 1), max(first + width, 1)))
            expected = seen[:, ends[0], ends[1]].mean((1, 2))
            assert torch.allclose(looks[item, place], expected, atol=1e-5)


def test_opposite_edges_have_one_orientation_and_crossed_ones_two() -> None:
    ramp = torch.linspace(0, 1, 16).expand(3, 16, 16)
    images = torch.stack([ramp, ramp.flip(2), ramp.transpose(1, 2)])
    inside = ReceptiveField((4, 4), (4, 4), (0, 0))
    looks = patches(sums(images), layer(inside, (4, 4)), torch.full((3, 1), 1), torch.full((3, 1), 1))[:, 0, 3:]
    assert looks.argmax(1).tolist() == [0, 0, 4]
    assert torch.allclose(looks.sum(1), torch.full((3,), 2 / 15), atol=1e-5)


def test_kinds_are_the_planted_groups_whatever_the_scale_of_a_number() -> None:
    draw = torch.Generator().manual_seed(0)
    which = torch.arange(300) % 3
    points = 5 * torch.eye(3)[which] + 0.3 * torch.randn(300, 3, generator=draw)
    found = kinds(points * torch.tensor([1.0, 1e-3, 1e3]), points[:200] * torch.tensor([1.0, 1e-3, 1e3]), 3)
    assert found.unique().tolist() == [0, 1, 2]
    assert all(len(found[which == group].unique()) == 1 for group in range(3))
    assert torch.equal(
        found, kinds(points * torch.tensor([1.0, 1e-3, 1e3]), points[:200] * torch.tensor([1.0, 1e-3, 1e3]), 3)
    )
