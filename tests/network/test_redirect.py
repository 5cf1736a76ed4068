"""Redirected ReLU gradients: the published truth table, and only for items that need them (Lucid)."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from retinoscope.image.plain import Raw
from retinoscope.network.prepare import prepare
from retinoscope.network.redirect import redirected, relu_gradient
from retinoscope.network.wrap import wrap
from retinoscope.synthesize.ascent import gradient
from retinoscope.synthesize.objectives import channel
from retinoscope.synthesize.optimize import optimize


def test_truth_table_of_relu_and_relu6() -> None:
    x = torch.tensor([[-1.0, -1.0, 7.0, 7.0]])
    grad = torch.tensor([[1.0, -1.0, -1.0, 1.0]])  # of a loss to descend: -1 wants the input to rise
    on = torch.tensor([True])
    assert relu_gradient(x, grad, 6.0, on).tolist() == [[0, -1, 0, 1]]
    assert relu_gradient(x[:, :2], grad[:, :2], float("inf"), on).tolist() == [[0, -1]]
    assert relu_gradient(x, grad, 6.0, ~on).tolist() == [[0, 0, 0, 0]]


def test_an_alive_item_keeps_its_plain_gradient_beside_a_dead_one() -> None:
    conv = nn.Conv2d(1, 1, 1, bias=False)
    conv.weight.data.fill_(1)
    net = nn.Sequential(conv, nn.ReLU())
    x = torch.stack([torch.full((1, 2, 2), -1.0), torch.tensor([[[1.0, -1.0], [2.0, -2.0]]])]).requires_grad_()
    with redirected(net) as redirect:
        redirect.items = torch.tensor([True, True])
        (-net(x).sum()).backward()
    assert x.grad is not None
    assert x.grad[0].unique().tolist() == [-1], "dead item: let through, it pushes the input up"
    assert x.grad[1].flatten().tolist() == [-1, 0, -1, 0], "alive item: plain"


def test_off_and_afterwards_gradients_are_plain() -> None:
    net = nn.Sequential(nn.ReLU())
    x = torch.full((1, 1, 2, 2), -1.0, requires_grad=True)
    with redirected(net):
        (-net(x).sum()).backward()
    (-net(x).sum()).backward()
    assert x.grad is not None
    assert x.grad.abs().max() == 0
    assert "forward" not in vars(net[0])


def through(name: str, x: torch.Tensor) -> torch.Tensor:
    """A ReLU in one of its spellings, on a copy of x."""
    spelled = {
        "module": lambda t: nn.ReLU()(t),
        "module in place": lambda t: nn.ReLU(inplace=True)(t),
        "function": F.relu,
        "function in place": lambda t: F.relu(t, inplace=True),
        "torch.relu": torch.relu,
        "torch.relu_": torch.relu_,
        "method": lambda t: t.relu(),
        "method in place": lambda t: t.relu_(),
        "method in place, result unused": lambda t: (t.relu_(), t)[1],
        "ReLU6": lambda t: nn.ReLU6()(t),
        "relu6 in place": lambda t: F.relu6(t, inplace=True),
    }
    return spelled[name](x * 1.0)


SPELLINGS = ("module", "module in place", "function", "function in place", "torch.relu", "torch.relu_", "method",
             "method in place", "method in place, result unused", "ReLU6", "relu6 in place")  # fmt: skip


class Spelled(nn.Module):
    """Nothing but one ReLU."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape."""
        return through(self.name, x)


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_of_a_relu_is_redirected(name: str) -> None:
    net = Spelled(name)
    x = torch.stack([torch.full((1, 2, 2), -1.0), torch.tensor([[[1.0, -1.0], [2.0, -2.0]]])]).requires_grad_()
    with redirected(net) as redirect:
        redirect.items = torch.tensor([True, True])
        out = net(x)
        (-out.sum()).backward()
    assert torch.equal(out, x.detach().clamp(min=0))
    assert x.grad is not None
    assert x.grad[0].unique().tolist() == [-1]
    assert x.grad[1].flatten().tolist() == [-1, 0, -1, 0]


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_gradient_of_the_wrong_sign_stays_blocked(name: str) -> None:
    net = Spelled(name)
    x = torch.full((1, 1, 2, 2), -1.0, requires_grad=True)
    with redirected(net) as redirect:
        redirect.items = torch.tensor([True])
        net(x).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().max() == 0


def test_what_is_no_relu_keeps_its_gradient() -> None:
    class Tanh(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.hardtanh(x)

    x = torch.full((1, 1, 2, 2), -2.0, requires_grad=True)
    net = Tanh()
    with redirected(net) as redirect:
        redirect.items = torch.tensor([True])
        (-net(x).sum()).backward()
        assert (torch.relu(x) == 0).all(), "and outside the network nothing is changed"
    assert x.grad is not None
    assert x.grad.abs().max() == 0


def test_steps_1_to_16_are_redirected_and_an_alive_item_never_is() -> None:
    """Beside an alive item, a dead one gets gradients in the window alone, which push its input up."""

    class Bias(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 1)
            self.conv.weight.data.fill_(1.0)
            self.conv.bias.data.copy_(torch.tensor([-100.0, 1.0]))
            self.relu = nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.relu(self.conv(x))

    seen: list[torch.Tensor] = []

    def look(images: torch.Tensor, slope: torch.Tensor, index: int) -> torch.Tensor:
        seen.append(slope.clone())
        return images

    model = wrap(Bias().eval(), input_size=8)
    canvas = Raw(2, 8)
    objectives = [channel("relu", 0), channel("relu", 1)]
    for _ in optimize(
        model, objectives, canvas=canvas, transforms=(), corrections=(look,), steps=20, rate=0.0, ascent=gradient,
        dtype=torch.float32,
    ):  # fmt: skip
        pass
    reached = [bool(slope[0].abs().max() > 0) for slope in seen]
    assert reached == [False] + [True] * 16 + [False] * 3
    assert all((slope[0] <= 0).all() for slope in seen), "downhill is where the input rises"
    assert all(torch.equal(slope[1], seen[0][1]) for slope in seen)


def test_one_redirected_step_raises_a_pre_activation_that_plain_gradients_leave() -> None:
    conv = nn.Conv2d(3, 1, 3)
    nn.init.constant_(conv.bias, -20.0)  # type: ignore[arg-type]
    net = nn.Sequential(conv, nn.ReLU())
    x = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    before = conv(x).detach()
    assert before.max() < 0
    (plain,) = torch.autograd.grad(-net(x).sum(), x)
    with redirected(net) as redirect:
        redirect.items = torch.tensor([True])
        (uphill,) = torch.autograd.grad(-net(x).sum(), x)
    assert plain.abs().max() == 0
    assert uphill.abs().max() > 0
    assert conv(x - 0.01 * uphill).sum() > before.sum()


def test_prepared_networks_are_redirected_too() -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU6(inplace=True))
    module[0].weight.data.fill_(1.0)  # type: ignore[operator]
    module[0].bias.data.fill_(-10.0)  # type: ignore[operator, union-attr]
    fast = prepare(wrap(module.eval(), input_size=8)).module
    x = torch.rand(1, 3, 8, 8, requires_grad=True)
    with redirected(fast) as redirect:
        redirect.items = torch.tensor([True])
        (-fast(x).sum()).backward()
    assert x.grad is not None
    assert (x.grad == -2).all()
