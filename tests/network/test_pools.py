"""Smoothed max pools: values to the bit, gradients of the smooth forms, the user's module untouched."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from retinoscope.base.errors import BadNetworkError
from retinoscope.network.model import Model
from retinoscope.network.pools import average, smooth_pools, square
from retinoscope.network.prepare import prepare
from retinoscope.network.record import record
from retinoscope.network.wrap import wrap
from tests.samples import photos


def pooled(**settings: object) -> Model:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 3, padding=1)
    pool = nn.MaxPool2d(3, 2, **settings)  # type: ignore[arg-type]
    return wrap(
        nn.Sequential(conv, pool, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval(),
        input_size=15,
    )


def gradient_at_pool(model: Model, images: torch.Tensor) -> torch.Tensor:
    """Of the sum of the pool's outputs, weighted, with respect to its inputs."""
    x = model.module[0](model.normalize(images)).detach().requires_grad_()  # type: ignore[index]
    out = model.module[1](x)  # type: ignore[index]
    weights = 1 + torch.arange(out.numel(), dtype=torch.float32).view_as(out)
    (out * weights).sum().backward()
    assert x.grad is not None
    return x.grad


@pytest.mark.parametrize("settings", [{}, {"padding": 1}, {"ceil_mode": True, "padding": 1}])
@pytest.mark.parametrize("smooth", [average, square])
def test_values_stay_and_gradients_are_those_of_the_smooth_pool(settings: dict[str, object], smooth: object) -> None:
    plain = pooled(**settings)
    before = copy.deepcopy(plain.module.state_dict())
    smoothed = smooth_pools(plain, smooth)  # type: ignore[arg-type]
    assert torch.equal(plain(photos(2, 15)), smoothed(photos(2, 15)))
    x = plain.module[0](plain.normalize(photos(2, 15))).detach().requires_grad_()
    pool = plain.module[1]
    mean = lambda t: F.avg_pool2d(t, 3, 2, pool.padding, pool.ceil_mode, count_include_pad=False)  # noqa: E731
    soft = mean(x) if smooth is average else mean(x**2) / (1e-2 + mean(x.abs()))
    (soft * (1 + torch.arange(soft.numel(), dtype=torch.float32).view_as(soft))).sum().backward()
    assert x.grad is not None
    assert torch.allclose(gradient_at_pool(smoothed, photos(2, 15)), x.grad, rtol=1e-5, atol=1e-5)
    assert type(plain.module[1]) is nn.MaxPool2d
    assert all(torch.equal(before[key], value) for key, value in plain.module.state_dict().items())


def test_a_maximum_sends_its_gradient_to_one_pixel_a_mean_to_all() -> None:
    plain = pooled()
    assert (gradient_at_pool(plain, photos(1, 15)) == 0).float().mean() > 0.5
    assert (gradient_at_pool(smooth_pools(plain), photos(1, 15))[..., 1:, 1:] != 0).all()


def test_layers_keep_their_names_and_the_fast_copy_keeps_the_gradient() -> None:
    smoothed = smooth_pools(pooled())
    fast = prepare(smoothed, ["1"])
    slopes = []
    for model in (smoothed, fast):
        images = photos(1, 15).requires_grad_()
        with record(model, ["1"]) as trace:
            model(images)
        trace["1"][:, 0].sum().backward()
        assert images.grad is not None
        slopes.append(images.grad)
    assert torch.allclose(slopes[0], slopes[1], atol=1e-5)
    assert list(smoothed.layers) == list(pooled().layers)


class Shared(nn.Module):
    """One pool, used twice; and, if asked, a pool that is a function."""

    def __init__(self, function: bool) -> None:
        super().__init__()
        self.pool, self.conv, self.function = nn.MaxPool2d(2), nn.Conv2d(3, 3, 1), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, 3, h, w) to a quarter, or an eighth, of the size."""
        x = self.pool(self.conv(self.pool(x)))
        return F.max_pool2d(x, 2) if self.function else x


def test_functions_and_dilation_are_refused_and_shared_pools_are_not() -> None:
    smooth_pools(wrap(Shared(False).eval(), input_size=16))
    with pytest.raises(BadNetworkError, match="max_pool2d itself"):
        smooth_pools(wrap(Shared(True).eval(), input_size=16))
    with pytest.raises(BadNetworkError, match="dilation 2"):
        smooth_pools(pooled(dilation=2))
