"""Ascents: their laws, item by item."""

import pytest
import torch
from torch import nn

from retinoscope.synthesize.ascent import Progress, normalised


def parameters() -> tuple[list[nn.Parameter], list[torch.Tensor]]:
    draw = torch.Generator().manual_seed(0)
    shapes = [(3, 2, 4), (3, 5)]
    values = [nn.Parameter(torch.randn(shape, generator=draw)) for shape in shapes]
    slopes = [torch.randn(shape, generator=draw) for shape in shapes]
    return values, slopes


def linear_loss(values: list[nn.Parameter], slopes: list[torch.Tensor]) -> torch.Tensor:
    """(b,): what descends by |g|^2 for a step of g."""
    return sum((v * s).flatten(1).sum(1) for v, s in zip(values, slopes, strict=True))  # type: ignore[return-value]


def test_normalised_steps_have_mean_size_rate() -> None:
    values, slopes = parameters()
    before = [v.detach().clone() for v in values]
    optimizer = normalised(values[:1], 0.25)
    linear_loss(values[:1], slopes[:1]).sum().backward()
    optimizer.step()
    moved = values[0].detach() - before[0]
    assert torch.allclose(moved, -0.25 * slopes[0] / slopes[0].abs().mean((1, 2), keepdim=True))
    assert torch.allclose(moved.abs().mean((1, 2)), torch.full((3,), 0.25))


def test_a_step_makes_the_progress_that_was_desired() -> None:
    values, slopes = parameters()
    slopes[0][2] *= 100  # steeper items take shorter steps
    optimizer = Progress(2.0)(values, 1e9)
    loss = linear_loss(values, slopes)
    loss.sum().backward()
    optimizer.step()
    assert torch.allclose(loss - linear_loss(values, slopes), torch.full((3,), 2.0), rtol=1e-3)


def test_the_rate_caps_the_progress() -> None:
    values, slopes = parameters()
    before = [v.detach().clone() for v in values]
    optimizer = Progress(2.0)(values, 1e-3)
    linear_loss(values, slopes).sum().backward()
    optimizer.step()
    for v, start, slope in zip(values, before, slopes, strict=True):
        assert torch.allclose(v.detach(), start - 1e-3 * slope)


@pytest.mark.parametrize("ascent", [normalised, Progress(2.0)], ids=["normalised", "progress"])
def test_an_item_without_gradient_stays(ascent: Progress) -> None:
    values, slopes = parameters()
    before = values[0].detach().clone()
    slopes[0][1], slopes[1][1] = 0, 0
    linear_loss(values, slopes).sum().backward()
    ascent(values, 0.1).step()
    assert torch.equal(values[0][1], before[1])
    assert not torch.equal(values[0][0], before[0])
    assert torch.isfinite(values[0]).all()
