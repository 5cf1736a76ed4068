"""The in-place ReLU6 that keeps its output: PyTorch's values and gradients to the bit, wherever it is used."""

import pytest
import torch
from torch import nn

from retinoscope.network.activation import InPlaceRelu6
from retinoscope.network.prepare import prepare
from retinoscope.network.wrap import wrap

EDGES = torch.tensor([-1.0, -0.0, 0.0, 1e-30, 3.0, 6.0 - 1e-6, 6.0, 7.0, float("inf"), float("nan")])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_and_gradients_equal_torch_to_the_bit(dtype: torch.dtype) -> None:
    values = torch.cat([EDGES, 4 * torch.randn(500, generator=torch.Generator().manual_seed(0))]).to(dtype)
    upstream = torch.randn(len(values), generator=torch.Generator().manual_seed(1)).to(dtype)
    answers = []
    for relu in (InPlaceRelu6(), nn.ReLU6(inplace=True)):
        x = values.clone().requires_grad_()
        y = relu(x * 1)
        y.backward(upstream)
        assert x.grad is not None
        answers.append((y.detach(), x.grad))
    (mine, my_grad), (theirs, their_grad) = answers
    assert torch.equal(mine.nan_to_num(99), theirs.nan_to_num(99))
    known = ~values.isnan()
    assert torch.equal(my_grad[known], their_grad[known])


def test_it_works_in_place_also_on_views_and_without_gradients() -> None:
    with torch.no_grad():
        x = EDGES[:9].clone()
        assert InPlaceRelu6()(x) is x
    base = torch.linspace(-2, 8, 12, requires_grad=True)
    half = (base * 1)[3:9]
    InPlaceRelu6()(half).sum().backward()
    expected = torch.zeros(12)
    expected[3:9] = ((base[3:9] > 0) & (base[3:9] < 6)).float()
    assert torch.equal(base.grad, expected)  # type: ignore[arg-type]


def test_one_shared_module_stays_one() -> None:
    relu = nn.ReLU6(inplace=True)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), relu, nn.Conv2d(4, 4, 3), relu, nn.ReLU6())
    fast = prepare(wrap(module.eval(), input_size=16)).module
    assert isinstance(fast, nn.Sequential)
    assert fast[1] is fast[3]
    assert type(fast[1]) is InPlaceRelu6
    assert type(fast[4]) is nn.ReLU6
