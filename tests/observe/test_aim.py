"""Aim: the point that stimuli are centred on, against networks whose sight is known."""

import pytest
import torch
from torch import nn

from retinoscope.network.model import Model
from retinoscope.network.zoo import wrap
from retinoscope.observe.aim import Aim, aims, look, middle


def looking(weights: dict[tuple[int, int], float], stride: int = 2, size: int = 40) -> Model:
    """One 5 x 5 convolution that has weights at these places (y, x) only, and a mean over everything."""
    module = nn.Sequential(
        nn.Conv2d(3, 2, 5, stride, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3)
    )
    module[0].weight.data.zero_()
    for (y, x), value in weights.items():
        module[0].weight.data[:, :, y, x] = value
    return wrap(module.eval(), input_size=size)


@pytest.mark.parametrize(("place", "offset"), [((2, 2), (0, 0)), ((1, 1), (-1, -1)), ((0, 4), (-2, 2))])
def test_offsets_are_where_the_weights_are(place: tuple[int, int], offset: tuple[float, float]) -> None:
    model = looking({place: 1.0})
    seen = look(model, model.layers["0"])
    assert seen.offset == offset
    assert seen.spread == 0.5, "a single pixel: the least"
    (aim,) = aims(model, [model.layers["0"]])
    y, x = aim.positions["0"]
    center = model.layers["0"].field.center(y, x)
    assert aim.point == (center[0] + offset[0], center[1] + offset[1])
    assert aim.misses == {"0": 0}
    assert max(abs(value - 19.5) for value in aim.point) <= 1, "next to the middle"


def test_two_pixels_are_their_energys_middle() -> None:
    seen = look(model := looking({(2, 1): 1.0, (2, 3): 1.0}), model.layers["0"])
    assert seen.offset == (0, 0)
    assert seen.spread == pytest.approx(0.5**0.5)


class Two(nn.Module):
    """Two maps of the same picture: every second pixel, and every fourth, which lies `shift` pixels off."""

    def __init__(self, shift: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(3, 1, 1, 2, bias=False)
        self.far = nn.Conv2d(3, 1, 9, 4, bias=False)
        weight = torch.zeros(1, 3, 9, 9)
        weight[:, :, 4 + shift, 4] = 1
        self.far.weight.data.copy_(weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, 3, h, w) to (b,)."""
        return self.near(x).mean((1, 2, 3)) + self.far(x).mean((1, 2, 3))


@pytest.mark.parametrize(("shift", "count"), [(0, 1), (2, 1), (1, 2)])
def test_layers_share_a_point_where_there_is_one(shift: int, count: int) -> None:
    model = wrap(Two(shift).eval(), input_size=40)
    found = aims(model, model.layers.values())
    assert len(found) == count
    assert {name for aim in found for name in aim.positions} == {"near", "far"}
    assert all(miss == 0 for aim in found for miss in aim.misses.values())


def test_layers_that_see_everything_go_along() -> None:
    model = looking({(2, 2): 1.0})
    (aim,) = aims(model, model.layers.values())
    assert aim.positions["logits"] == (0, 0)
    assert "logits" not in aim.misses
    (alone,) = aims(model, [model.layers["logits"]])
    assert alone == Aim((19.5, 19.5), {"logits": (0, 0)}, {})
    assert middle(model, model.layers.values()).point == (19.5, 19.5)


def test_a_silent_layer_counts_as_centred() -> None:
    model = looking({})
    assert look(model, model.layers["0"]).offset == (0, 0)
