"""The fast copy gives the same answers and gradients, and leaves the original alone."""

import copy
import itertools

import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from retinoscope.network.convolution import FrozenConvolution
from retinoscope.network.model import Model
from retinoscope.network.prepare import foldable, prepare
from retinoscope.network.record import forward, record
from retinoscope.network.zoo import wrap
from tests.samples import photos, tiny_module


def gradient(model: Model, layer: str, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    x = x.clone().requires_grad_()
    with record(model, [layer]) as trace:
        forward(model.module, model.normalize(x))
    trace[layer].float().square().mean().backward()
    assert x.grad is not None
    return trace[layer].detach().float(), x.grad


@pytest.mark.parametrize("layer", ["conv1", "bn1", "relu#1", "depthwise", "conv2", "conv3", "logits"])
def test_values_and_gradients_equal_the_originals(tiny: Model, layer: str) -> None:
    x = photos(2, 32)
    (a, ga), (b, gb) = gradient(tiny, layer, x), gradient(prepare(tiny, [layer]), layer, x)
    assert torch.allclose(a, b, atol=1e-5)
    assert torch.allclose(ga, gb, atol=1e-6)


def test_batch_norm_is_folded_only_where_nothing_else_reads_the_convolution() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = (nn.Conv2d(3, 3, 1) for _ in range(3))
            self.na, self.nb, self.nc = (nn.BatchNorm2d(3) for _ in range(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.b(x)
            return self.na(self.a(x)) + self.nb(y) * y + self.nc(self.nc(self.c(x)))

    assert foldable(Reader().eval(), photos(1, 8)) == [("a", "na")]


def test_a_recorded_convolution_is_not_folded(tiny: Model) -> None:
    assert isinstance(prepare(tiny, ["conv1"]).module.bn1, nn.BatchNorm2d)
    assert not isinstance(prepare(tiny, ["conv2"]).module.bn1, nn.BatchNorm2d)


def test_the_original_is_untouched_and_the_copy_is_frozen() -> None:
    module = tiny_module().train()
    before = copy.deepcopy(module.state_dict())
    model = wrap(module, input_size=32)
    fast = prepare(model)
    gradient(fast, "conv3", photos(2, 32))
    assert module.training
    assert all(p.requires_grad and p.grad is None for p in module.parameters())
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    assert not any(p.requires_grad for p in fast.module.parameters())


def test_reduced_precision_is_near_float32(tiny: Model) -> None:
    (a, _), (b, _) = (
        gradient(tiny, "conv3", photos(2, 32)),
        gradient(prepare(tiny, ["conv3"], torch.bfloat16), "conv3", photos(2, 32)),
    )
    assert (a - b).abs().max() < 0.03 * a.abs().max()


CASES = list(itertools.product((1, 2, 3, 5), (1, 2, 3), (0, 1, 2, "same"), ((7, 9), (10, 12)), (1, 6)))


@pytest.mark.parametrize(("kernel", "stride", "padding", "size", "groups"), CASES)
def test_the_convolutions_gradient_is_a_convolution(
    kernel: int, stride: int, padding: int | str, size: tuple[int, int], groups: int
) -> None:
    torch.manual_seed(0)
    outputs = 6 if groups > 1 else 4
    if padding == "same":
        conv: nn.Conv2d = Conv2dSame(6, outputs, kernel, stride=stride, groups=groups).double()
    else:
        conv = nn.Conv2d(6, outputs, kernel, stride=stride, padding=padding, groups=groups).double()
    frozen = FrozenConvolution(conv)
    x = torch.randn(2, 6, *size, dtype=torch.float64, requires_grad=True)
    twin = x.detach().clone().requires_grad_()
    a, b = conv(x), frozen(twin)
    upstream = torch.randn_like(a)
    (a * upstream).sum().backward()
    (b * upstream).sum().backward()
    assert (a - b).abs().max() < 1e-12
    assert x.grad is not None
    assert twin.grad is not None
    assert (x.grad - twin.grad).abs().max() < 1e-12


def test_which_convolutions_are_replaced() -> None:
    fits = FrozenConvolution.fits
    assert fits(nn.Conv2d(8, 8, 3, stride=2, groups=8), torch.float32)
    assert fits(nn.Conv2d(8, 4, 3), torch.bfloat16)
    assert not fits(nn.Conv2d(8, 4, 3), torch.float32)
    assert not fits(nn.Conv2d(8, 8, 3, stride=2), torch.bfloat16)
    assert not fits(nn.Conv2d(8, 8, 3, dilation=2, groups=8), torch.float32)
    assert not fits(nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect", groups=8), torch.float32)
    assert not fits(nn.Linear(3, 3), torch.float32)
