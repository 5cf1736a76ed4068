"""Small residual networks of every kind, with random weights, that the tests of streams and refinement share."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from retinoscope.network.model import Model
from retinoscope.network.wrap import wrap

SIZE = 16


class Bottleneck(nn.Module):
    """v1: reduce, spatial, expand; a projection where `project`; one ReLU module for all; activation after the sum."""

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False), nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        project = inputs != outputs or stride > 1
        conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        self.projection = nn.Sequential(conv, nn.BatchNorm2d(outputs)) if project else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += x if self.projection is None else self.projection(x)
        return self.relu(y)


class Preactivation(nn.Module):
    """v2: norm and activation before each convolution, nothing after the sum; functional activations."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(count), nn.Conv2d(count, count, 3, padding=1)
        self.norm2, self.conv2 = nn.BatchNorm2d(count), nn.Conv2d(count, count, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.relu(self.norm1(x), inplace=True))
        return x + self.conv2(F.relu(self.norm2(y)))


class Padded(nn.Module):
    """CIFAR's option A: the shortcut takes every second position and puts zero channels on both sides."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(inputs, outputs, 3, 2, 1), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.side = (outputs - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.relu(self.conv1(x)))
        y += F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.side, self.side))
        return F.relu(y)


class Gated(nn.Module):
    """An inverted residual with squeeze and excitation, a linear bottleneck: expand, depthwise, gate, reduce."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.expand, self.depthwise = nn.Conv2d(count, 4 * count, 1), nn.Conv2d(4 * count, 4 * count, 3, 1, 1)
        self.squeeze, self.excite = nn.Conv2d(4 * count, count, 1), nn.Conv2d(count, 4 * count, 1)
        self.project = nn.Conv2d(4 * count, count, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self.depthwise(F.relu6(self.expand(x))))
        gate = self.excite(F.relu(self.squeeze(y.mean((2, 3), keepdim=True))))
        return self.project(y * gate.sigmoid()) + x


class Tokens(nn.Module):
    """A transformer's block without attention: layer norm, two linear maps, a sum."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(count)
        self.up, self.down = nn.Linear(count, 2 * count), nn.Linear(2 * count, count)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(F.gelu(self.up(self.norm(x))))


class Head(nn.Module):
    """A body of maps or tokens, its mean, and classes."""

    def __init__(self, *blocks: nn.Module, count: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*blocks)
        self.classes = nn.Linear(count, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        return self.classes(y.mean(1) if y.ndim == 3 else y.mean((2, 3)))


class Patches(nn.Module):
    """2 x 2 patches as tokens, with a class token before them."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, count, 4, 4)
        self.first = nn.Parameter(torch.randn(1, 1, count))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.first.expand(len(x), -1, -1), self.proj(x).flatten(2).transpose(1, 2)], 1)


class Dense(nn.Module):
    """Concatenations without sums: channels are handed on, but no two layers share all of theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 4, 3, 2), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.a(x))
        return self.c(torch.cat([x, F.relu(self.b(x))], 1)).mean((2, 3))


def lively(module: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights and batch norm statistics that keep answers varied."""
    random = torch.Generator().manual_seed(seed)
    for child in module.modules():
        if isinstance(child, nn.Conv2d | nn.Linear):
            child.weight.data.normal_(0, (2 / child.weight[0].numel()) ** 0.5, generator=random)
            if child.bias is not None:
                child.bias.data.normal_(0, 0.1, generator=random)
        if isinstance(child, nn.BatchNorm2d):
            child.running_mean.normal_(0, 0.2, generator=random)  # type: ignore[union-attr]
            child.running_var.uniform_(0.5, 2, generator=random)  # type: ignore[union-attr]
            child.weight.data.uniform_(0.5, 1.5, generator=random)
    return module.eval()


def gentle(module: nn.Module) -> nn.Module:
    """Branches a third as strong, as trained ones often are: shortcuts carry most."""
    for child in module.modules():
        last = {Bottleneck: "bn3", Preactivation: "conv2", Padded: "conv2", Gated: "project"}.get(type(child))
        if last:
            child.get_submodule(last).get_parameter("weight").data /= 3
    return module


def first_version() -> Model:
    """Two stages of v1 blocks, a projection each."""
    stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
    low = nn.Sequential(Bottleneck(8, 4, 12), Bottleneck(12, 4, 12), Bottleneck(12, 4, 12))
    high = nn.Sequential(Bottleneck(12, 6, 16, 2), Bottleneck(16, 6, 16))
    return wrap(gentle(lively(Head(stem, low, high, count=16))), name="v1", input_size=SIZE)


def second_version() -> Model:
    """One stage of pre-activation blocks."""
    blocks = [Preactivation(8), Preactivation(8)]
    return wrap(lively(Head(nn.Conv2d(3, 8, 3, 2, 1), *blocks, count=8)), name="v2", input_size=SIZE)


def padded() -> Model:
    """Two stages that a padded shortcut joins."""
    module = Head(nn.Conv2d(3, 4, 3, padding=1), Padded(4, 8), Preactivation(8), Padded(8, 12), Gated(12), count=12)
    return wrap(gentle(lively(module)), name="padded", input_size=SIZE)


def plain() -> Model:
    """No shortcuts."""
    body = [nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3), nn.ReLU(inplace=True)]
    return wrap(lively(Head(*body, count=8)), name="plain", input_size=SIZE)
