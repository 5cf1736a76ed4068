"""Backward rules: equal to captum's where captum is right, to closed forms and slow ones everywhere else."""

import warnings
from collections.abc import Callable
from contextlib import suppress

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from retinoscope.base.errors import BadNetworkError, UnknownNameError
from retinoscope.network.backward import RULES, Rule, rewrite
from retinoscope.network.model import Model
from retinoscope.network.nodes import operation
from retinoscope.network.prepare import prepare
from retinoscope.network.record import record
from retinoscope.network.wrap import wrap
from tests.residual import lively
from tests.samples import Tiny, tiny_module

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from captum.attr import Deconvolution, GuidedBackprop, NeuronDeconvolution, NeuronGuidedBackprop

CAPTUM = {"guided": (GuidedBackprop, NeuronGuidedBackprop), "deconvnet": (Deconvolution, NeuronDeconvolution)}


def double(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def back(model: Model, x: Tensor, rule: str | Rule, choose: Callable[[Tensor], Tensor] = torch.sum) -> Tensor:
    """What comes back to the network's own input from a choice among its outputs."""
    x = x.clone().requires_grad_()
    with rewrite(model, rule):
        (found,) = torch.autograd.grad(choose(model.module(x)), x)
    return found


def bare(module: nn.Module, size: int = 16) -> Model:
    return wrap(module.eval(), input_size=size)


@pytest.fixture(scope="module", params=["resnet18", "squeezenet1_0"])
def zoo(request: pytest.FixtureRequest) -> Model:
    """torchvision's networks with random weights: reused in-place ReLUs, sums, joins, pools of 3 at steps of 2."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = getattr(torchvision.models, request.param)(num_classes=7).double()
        for child in module.modules():
            if isinstance(child, nn.Conv2d):
                nn.init.kaiming_normal_(child.weight)  # signals that live to the end
    return bare(module, 48)


@pytest.mark.parametrize("rule", CAPTUM)
def test_equal_to_captum_to_the_bit(zoo: Model, rule: str) -> None:
    layer, x = list(zoo.layers)[len(zoo.layers) // 2], double(2, 3, 48, 48)
    whole, neuron = CAPTUM[rule]
    with torch.no_grad(), record(zoo, [layer]) as trace, suppress(Exception):  # the recorder ends the pass
        zoo.module(x)
    channel = int(trace[layer][:, :, 1, 2].amin(0).argmax())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that it sets hooks
        wanted = whole(zoo.module).attribute(x.clone(), target=3)
        path = zoo.layers[layer].module
        inner = neuron(zoo.module, zoo.module.get_submodule(path)).attribute(x.clone(), (channel, 1, 2))
    assert wanted.abs().max() > 0
    assert inner.abs().max() > 0
    assert torch.equal(back(zoo, x, rule, lambda y: y[:, 3].sum()), wanted)
    pixels = x.clone().requires_grad_()
    with rewrite(zoo, rule), record(zoo, [layer]) as trace:
        with suppress(Exception):
            zoo.module(pixels)
        (found,) = torch.autograd.grad(trace[layer][:, channel, 1, 2].sum(), pixels)
    assert torch.equal(found, inner)


def test_captums_own_closed_case() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 4), nn.ReLU()).double()
    nn.init.ones_(module[0].weight)
    module[0].bias.data.copy_(torch.tensor([-50.0, -75.0]))
    module[3].weight.data.copy_(torch.cat([torch.ones(4, 5), -torch.ones(4, 3)], 1))
    nn.init.zeros_(module[3].bias)
    x = torch.arange(16.0, dtype=torch.float64).view(1, 1, 4, 4)
    model = wrap(module, input_size=4, grey=True)
    found = back(model, x, "guided", lambda y: y[0, 0])
    assert found[0, 0].tolist() == [[0, 1, 1, 1], [1, 3, 3, 2], [1, 3, 3, 2], [1, 2, 2, 1]]


SPELLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "module": lambda x: nn.ReLU()(x),
    "module in place": lambda x: nn.ReLU(inplace=True)(x * 1.0),
    "F.relu": F.relu,
    "F.relu in place": lambda x: F.relu(x * 1.0, inplace=True),
    "torch.relu": torch.relu,
    "method": lambda x: x.relu(),
    "method in place": lambda x: (x * 1.0).relu_(),
    "clamp": lambda x: x.clamp(min=0),
    "clamp in place": lambda x: (x * 1.0).clamp_(min=0),
    "clamp by a tensor": lambda x: x.clamp(min=torch.zeros((), dtype=x.dtype)),
    "clamp_min": lambda x: x.clamp_min(0),
    "maximum": lambda x: torch.maximum(x, torch.zeros_like(x)),
    "maximum, zero first": lambda x: torch.maximum(torch.zeros_like(x), x),
    "fmax": lambda x: torch.fmax(x, torch.zeros((), dtype=x.dtype)),
    "threshold": lambda x: F.threshold(x, 0, 0),
    "ReLU6": lambda x: nn.ReLU6()(x),
    "ReLU6 in place": lambda x: F.relu6(x * 1.0, inplace=True),
    "hardtanh": lambda x: F.hardtanh(x, 0.0, 6.0),
    "clamp to 6": lambda x: x.clamp(0, 6),
}


class Does(nn.Module):
    """A function as a module, between two sums that keep it from the ends."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return self.function(x + 0.0) + 0.0


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_of_a_relu(name: str) -> None:
    x, g = 4 * double(2, 3, 4, 4), double(2, 3, 4, 4, seed=1)
    model = bare(nn.Sequential(Does(SPELLINGS[name])), 4)
    ceiling = 6.0 if "6" in name or name == "hardtanh" else float("inf")
    mask = (x > 0) & (x < ceiling)
    wanted = {"gradient": mask * g, "guided": mask * g.clamp(min=0), "deconvnet": g.clamp(min=0)}
    assert (x > 6).any()
    for rule, expected in wanted.items():
        assert torch.equal(back(model, x, rule, lambda y: (y * g).sum()), expected), rule


class Modular(Tiny):
    """Tiny with a ReLU module of its own in each place."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third, self.fourth = (nn.ReLU() for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """(b, 3, h, w) to (b, 5)."""
        x = self.first(self.bn1(self.conv1(x)))
        x = self.third(self.conv2(self.second(self.depthwise(x))))
        return self.head(self.fourth(self.conv3(x) + x).mean((2, 3)))


@pytest.mark.parametrize("rule", CAPTUM)
def test_functional_and_shared_relus_equal_a_rewritten_module(rule: str) -> None:
    """Captum misses functional ReLUs and gives another picture; of the network with modules it gives ours."""
    tiny, modular = tiny_module().double(), Modular().double().eval()
    modular.load_state_dict(tiny.state_dict(), strict=False)
    x = double(2, 3, 32, 32)
    found = back(bare(tiny, 32), x, rule, lambda y: y[:, 1].sum())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = CAPTUM[rule][0](modular).attribute(x.clone(), target=1)
        missed = CAPTUM[rule][0](tiny).attribute(x.clone(), target=1)
    assert torch.equal(found, wanted)
    assert not torch.allclose(found, missed)
    assert not torch.allclose(found, back(bare(tiny, 32), x, "gradient", lambda y: y[:, 1].sum()))


class CifarBlock(nn.Module):
    """Of He's networks for CIFAR: the shortcut takes every second position and pads channels where the width grows."""

    def __init__(self, inputs: int, outputs: int, activation: Callable[[], Callable[[Tensor], Tensor]]) -> None:
        super().__init__()
        self.stride, self.side = outputs // inputs, (outputs - inputs) // 2
        self.conv1 = nn.Conv2d(inputs, outputs, 3, self.stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.first, self.second = activation(), activation()

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) to the same, or to half the side and twice the channels."""
        y = self.bn2(self.conv2(self.first(self.bn1(self.conv1(x)))))
        return self.second(y + F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.side, self.side)))


@pytest.mark.parametrize("rule", CAPTUM)
def test_cifar_resnets_equal_captum_on_the_rewritten_module(rule: str) -> None:
    def built(activation: Callable[[], Callable[[Tensor], Tensor]]) -> nn.Module:
        blocks = [CifarBlock(a, b, activation) for a, b in ((6, 6), (6, 12), (12, 12), (12, 24))]
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 10)]
        return lively(nn.Sequential(nn.Conv2d(3, 6, 3, 1, 1), *blocks, *head)).double()

    functional, modular = built(lambda: lambda x: F.relu(x)), built(nn.ReLU)
    x = double(2, 3, 32, 32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = CAPTUM[rule][0](modular).attribute(x.clone(), target=4)
        missed = CAPTUM[rule][0](functional).attribute(x.clone(), target=4)
    found = back(bare(functional, 32), x, rule, lambda y: y[:, 4].sum())
    assert torch.equal(found, wanted)
    assert torch.equal(found, back(bare(modular, 32), x, rule, lambda y: y[:, 4].sum()))
    plain = back(bare(functional, 32), x, "gradient", lambda y: y[:, 4].sum())
    assert torch.equal(missed, plain)  # captum sees no ReLU
    assert not torch.allclose(found, plain)


def slow_deconvnet(x: Tensor, first: Tensor, second: Tensor, g: Tensor) -> Tensor:
    """conv, ReLU, max pool of 3 at steps of 2, conv, backwards as Zeiler and Fergus say, value by value."""
    below = F.relu(F.conv2d(x, first))
    signal = F.conv_transpose2d(g, second)
    unpooled = torch.zeros_like(below)
    for b, c, y, col in torch.cartesian_prod(*(torch.arange(n) for n in signal.shape)).tolist():
        window = below[b, c, 2 * y : 2 * y + 3, 2 * col : 2 * col + 3]
        place = int(window.flatten().argmax())
        unpooled[b, c, 2 * y + place // 3, 2 * col + place % 3] += signal[b, c, y, col]
    return F.conv_transpose2d(unpooled.clamp(min=0), first)


def test_deconvnet_sends_signals_to_the_switches_and_adds_them_up() -> None:
    first, second, x = double(4, 3, 3, 3), double(2, 4, 2, 2, seed=1), double(1, 3, 11, 11, seed=2)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(4, 2, 2)).double()
    module[0].weight.data, module[3].weight.data = first, second
    for place in (0, 3):
        nn.init.zeros_(module[place].bias)
    g = double(1, 2, 3, 3, seed=3)
    found = back(bare(module, 11), x, "deconvnet", lambda y: (y * g).sum())
    torch.testing.assert_close(found, slow_deconvnet(x, first, second, g), rtol=1e-12, atol=1e-12)
    pooled, switches = F.max_pool2d(F.relu(F.conv2d(x, first)), 3, 2, return_indices=True)
    assert len(switches.unique()) < switches.numel(), "windows share a maximum: unpooling would overwrite"
    unpooled = F.max_unpool2d(F.conv_transpose2d(g, second), switches, 3, 2, output_size=(9, 9))
    assert not torch.allclose(found, F.conv_transpose2d(unpooled.clamp(min=0), first))
    assert pooled.shape == (1, 4, 4, 4)


def linear_net(function: Callable[[Tensor], Tensor] = lambda x: x) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), Does(function), nn.AvgPool2d(2), nn.Conv2d(4, 2, 3, padding=1)]
        return nn.Sequential(*layers).double().eval()


def test_without_rectifiers_all_rules_are_the_gradient() -> None:
    model, x = bare(linear_net()), double(1, 3, 16, 16)
    plain = back(model, x, "gradient", lambda y: y[0, 1, 3, 3])
    assert all(torch.equal(back(model, x, rule, lambda y: y[0, 1, 3, 3]), plain) for rule in RULES)


def test_of_positive_weights_and_inputs_guided_is_the_gradient() -> None:
    module = linear_net(F.relu)
    for parameter in module.parameters():
        parameter.data.abs_()
    x = double(1, 3, 16, 16).abs()
    assert torch.equal(back(bare(module), x, "guided"), back(bare(module), x, "gradient"))


@pytest.mark.parametrize("rule", RULES)
def test_the_start_scales_what_comes_back(rule: str) -> None:
    model, x = bare(tiny_module().double(), 32), double(1, 3, 32, 32)
    one, four = (back(model, x, rule, lambda y, c=c: c * y[0, 2]) for c in (1.0, 4.0))  # type: ignore[misc]
    assert torch.equal(4 * one, four)


SMOOTH: dict[str, Callable[[Tensor], Tensor]] = {
    "leaky_relu": lambda x: F.leaky_relu(x, 0.1),
    "leaky_relu in place": lambda x: F.leaky_relu(x * 1.0, 0.1, inplace=True),
    "prelu": lambda x: F.prelu(x, torch.full((3,), 0.3, dtype=x.dtype)),
    "rrelu": F.rrelu,
    "elu": F.elu,
    "elu in place": lambda x: F.elu(x * 1.0, inplace=True),
    "celu": F.celu,
    "selu": F.selu,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu by tanh": lambda x: F.gelu(x, approximate="tanh"),
    "mish": F.mish,
    "softplus": F.softplus,
    "hardswish": F.hardswish,
}


@pytest.mark.parametrize("name", SMOOTH)
def test_what_stands_in_for_a_relu(name: str) -> None:
    """guided: max(f', 0) max(g, 0); deconvnet: max(g, 0)."""
    x, g = 3 * double(2, 3, 4, 4), double(2, 3, 4, 4, seed=1)
    model = bare(nn.Sequential(Does(SMOOTH[name])), 4)
    slope = back(model, x, "gradient")
    expected = {"guided": slope.clamp(min=0) * g.clamp(min=0), "deconvnet": g.clamp(min=0)}
    for rule, wanted in expected.items():
        torch.testing.assert_close(back(model, x, rule, lambda y: (y * g).sum()), wanted, rtol=1e-12, atol=0)


def test_weights_of_a_prelu_keep_their_gradient() -> None:
    module = nn.Sequential(nn.PReLU(3)).double()
    x = double(1, 3, 4, 4).requires_grad_()
    with rewrite(bare(module, 4), "guided"):
        module(x).sum().backward()
    torch.testing.assert_close(module[0].weight.grad, x.detach().clamp(max=0).sum((0, 2, 3)))


def test_signals_run_through_both_branches_of_sums_and_joins() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branch = nn.Conv2d(3, 3, 1, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            y = x * 1.0
            y += self.branch(x)
            return torch.cat([y.relu_(), F.relu(-x)], 1)

    module = Both().double()
    x, g = double(1, 3, 4, 4), double(1, 6, 4, 4, seed=1)
    weight = module.branch.weight
    total = x + F.conv2d(x, weight)
    up = (total > 0) * g[:, :3].clamp(min=0)
    wanted = up + F.conv_transpose2d(up, weight) - (x < 0) * g[:, 3:].clamp(min=0)
    torch.testing.assert_close(back(bare(module, 4), x, "guided", lambda y: (y * g).sum()), wanted)


class Gate(nn.Module):
    """Squeeze and excitation: a ReLU, and a sigmoid that multiplies the map."""

    def __init__(self, gate: Callable[[Tensor], Tensor] = torch.sigmoid) -> None:
        super().__init__()
        self.reduce, self.expand, self.gate = nn.Conv2d(3, 2, 1), nn.Conv2d(2, 3, 1), gate

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return x * self.gate(self.expand(F.relu(self.reduce(x.mean((2, 3), keepdim=True))))).expand(x.shape)


GATES: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "hardsigmoid": F.hardsigmoid,
    "tanh": torch.tanh,
    "twice a sigmoid": lambda x: 2.0 * torch.sigmoid(x),
    "one less a sigmoid": lambda x: 1.0 - torch.sigmoid(x),
}


@pytest.mark.parametrize("gate", GATES.values(), ids=GATES.keys())
def test_gates_keep_the_chain_rule(gate: Callable[[Tensor], Tensor]) -> None:
    module, x, g = Gate(gate).double(), double(1, 3, 4, 4), double(1, 3, 4, 4, seed=1)
    found = back(bare(module, 4), x, "guided", lambda y: (y * g).sum())
    small = F.conv2d(x.mean((2, 3), keepdim=True), module.reduce.weight, module.reduce.bias)
    before = module.expand(F.relu(small)).detach().requires_grad_()
    value = gate(before)
    (slope,) = torch.autograd.grad(value.sum(), before)
    at_gate = (g * x).sum((2, 3), keepdim=True) * slope
    at_relu = F.conv_transpose2d(at_gate, module.expand.weight)
    below = F.conv_transpose2d((small > 0) * at_relu.clamp(min=0), module.reduce.weight) / 16
    torch.testing.assert_close(found, (g * value + below).detach())


def test_a_gate_without_layers_of_its_own_is_one() -> None:
    """Channel attention as in ECA: means, a convolution over channels, a sigmoid; the map itself is at both ends."""

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Conv1d(1, 1, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.mix(x.mean((2, 3))[:, None]).sigmoid()
            return x * y.view(len(x), -1, 1, 1).expand_as(x)

    model, x = bare(Attention().double().requires_grad_(False), 4), double(1, 3, 4, 4)
    assert torch.equal(back(model, x, "guided"), back(model, x, "gradient"))


class Custom(torch.autograd.Function):
    """A ReLU that nobody can see."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        """Same shape."""
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:
        """Same shape."""
        return grad


def _indexed(x: Tensor) -> Tensor:
    x = x * 1.0
    x[x < 0] = 0
    return x


def _part(x: Tensor) -> Tensor:
    x = x * 1.0
    x[:, :1].relu_()
    return x


UNDEFINED: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "hardtanh": F.hardtanh,
    "softsign": F.softsign,
    "logsigmoid": F.logsigmoid,
    "hardshrink": F.hardshrink,
    "SiLU written out": lambda x: x * torch.sigmoid(x),
    "Mish written out": lambda x: x * torch.tanh(F.softplus(x)),
    "SiLU written out, scaled": lambda x: x * torch.sigmoid(1.7 * x),
    "sigmoid, scaled": lambda x: 2.0 * torch.sigmoid(x) - 1.0,
    "mask": lambda x: x * (x > 0),
    "mask of numbers": lambda x: x * (x > 0).to(x.dtype),
    "where": lambda x: torch.where(x > 0, x, 0.0),
    "masked_fill": lambda x: x.masked_fill(x < 0, 0.0),
    "assignment": _indexed,
    "half of x and its magnitude": lambda x: (x + x.abs()) / 2,
    "in place on a part": _part,
    "custom": Custom.apply,
}


@pytest.mark.parametrize("name", UNDEFINED)
@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_what_is_undefined_is_refused_by_name(name: str, rule: str) -> None:
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(Does(UNDEFINED[name])), nn.Conv2d(3, 3, 1)).double()
    model, x = bare(module, 4), double(1, 3, 4, 4)
    with pytest.raises(BadNetworkError, match=rf"{rule} rule says nothing about the module '1\.0' of Sequential"):
        back(model, x, rule)
    back(model, x, "gradient")
    pixels = x.clone().requires_grad_()
    with rewrite(model, rule):
        below = module[0](pixels)
        module(pixels)  # running it is no fault: only a signal that comes there
        (found,) = torch.autograd.grad(below.sum(), pixels)
    assert found.abs().max() > 0


def test_what_the_network_does_itself_is_named_too() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(torch.tanh(self.a(x)))

    with pytest.raises(BadNetworkError, match="the forward of the network itself of Own: an activation there is no"):
        back(bare(Own().double(), 4), double(1, 3, 4, 4), "guided")


def test_masks_without_zeros_and_ones_and_floors_are_nothing_special() -> None:
    scale = double(1, 3, 4, 4, seed=4)
    for function in (lambda x: x * scale, lambda x: x.clamp(min=1e-3), lambda x: torch.maximum(x, x.flip(3))):
        model, x = bare(nn.Sequential(Does(function)), 4), double(1, 3, 4, 4)
        assert torch.equal(back(model, x, "guided"), back(model, x, "gradient"))


def test_after_the_block_and_after_an_error_gradients_are_plain(tiny: Model) -> None:
    x = torch.rand(1, 3, 32, 32)
    with rewrite(tiny, "gradient"):
        plain = back(tiny, x, "gradient")
    pixels = x.clone().requires_grad_()
    with rewrite(tiny, "guided"):
        kept = tiny.module(pixels).sum()
        values = tiny.module(x)
    with pytest.raises(RuntimeError, match="stop"), rewrite(tiny, "guided"):
        raise RuntimeError("stop")
    assert torch.equal(values, tiny.module(x))
    assert torch.equal(torch.autograd.grad(kept, pixels)[0], plain), "the graph made inside keeps no rule either"
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in tiny.module.modules())


def test_what_the_picture_was_made_by_keeps_its_gradient(tiny: Model) -> None:
    start = torch.randn(1, 3, 32, 32, requires_grad=True)
    pixels = start.relu()
    with rewrite(tiny, "deconvnet"):
        through, at = torch.autograd.grad(tiny.module(pixels).sum(), (start, pixels))
    assert torch.equal(through, at * (start > 0))


def test_two_passes_in_one_block(tiny: Model) -> None:
    a, b = (torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    with rewrite(tiny, "guided"):
        x, y = a.clone().requires_grad_(), b.clone().requires_grad_()
        first, second = tiny.module(x).sum(), tiny.module(y).sum()
        found = [*torch.autograd.grad(second, y), *torch.autograd.grad(first, x)]
    wanted = [back(tiny, b, "guided"), back(tiny, a, "guided")]
    assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))


@pytest.mark.parametrize("rule", RULES)
def test_prepared_networks_follow_the_rules(rule: str) -> None:
    """Folded norms, our own convolutions and in-place ReLU6: the same up to rounding."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU6(inplace=True)]
        layers += [nn.Conv2d(8, 8, 3, 2, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU6(inplace=True)]
        model = bare(nn.Sequential(*layers, nn.Conv2d(8, 4, 3)).double())
    x = double(2, 3, 16, 16)
    fast = prepare(model, dtype=torch.float64)
    names = set()
    with rewrite(fast, rule):
        node = fast.module(x.clone().requires_grad_()).grad_fn
    while node is not None:
        names.add(operation(node))
        node = node.next_functions[0][0] if node.next_functions else None
    assert names >= {"_Relu6", "_Convolution"}
    torch.testing.assert_close(back(fast, x, rule), back(model, x, rule), rtol=1e-6, atol=1e-9)


def test_a_rule_of_ones_own(tiny: Model) -> None:
    through = Rule("straight through", lambda plain, signal: signal, "a test")
    x = torch.rand(1, 3, 32, 32)
    module = Modular().eval()
    module.load_state_dict(tiny.module.state_dict(), strict=False)
    for name in ("first", "second", "third", "fourth"):
        setattr(module, name, nn.Identity())
    torch.testing.assert_close(back(tiny, x, through), back(bare(module, 32), x, "gradient"))


def test_a_wrong_rule_names_the_right_ones(tiny: Model) -> None:
    with (
        pytest.raises(UnknownNameError, match="no backward rule named 'guide'; nearest: guided"),
        rewrite(tiny, "guide"),
    ):
        pass
