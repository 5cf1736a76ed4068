"""Networks whose expanded weights are known in closed form, or by replacing their nonlinearities by hand."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from retinoscope.network.model import Model
from retinoscope.network.wrap import wrap
from tests.residual import lively


class Body(nn.Module):
    """Layers one after the other."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def chain(*layers: nn.Module, size: int = 24, seed: int = 0) -> Model:
    """A network of these layers, `body.0`, `body.1`, ..., in float64, with random weights."""
    return wrap(lively(Body(*layers), seed).double(), name="chain", input_size=size)


class Fire(nn.Module):
    """SqueezeNet's block: a narrow 1 x 1 layer, then 1 x 1 and 3 x 3 side by side."""

    def __init__(self, inputs: int, narrow: int, each: int) -> None:
        super().__init__()
        self.squeeze, self.relu = nn.Conv2d(inputs, narrow, 1), nn.ReLU(inplace=True)
        self.one, self.three = nn.Conv2d(narrow, each, 1), nn.Conv2d(narrow, each, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.squeeze(x))
        return torch.cat([F.relu(self.one(x)), self.relu(self.three(x))], 1)


def fires() -> Model:
    """Concatenations with overlapping max pools between them, `ceil_mode` included."""
    layers = [nn.Conv2d(3, 6, 5, 2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), Fire(6, 3, 4), Fire(8, 3, 4)]
    return chain(*layers, nn.MaxPool2d(3, 2, ceil_mode=True), Fire(8, 4, 5), size=67)


def straightened(module: nn.Module) -> nn.Module:
    """A copy without nonlinear modules: activations are identities, max pools means over the map's own positions."""
    module = copy.deepcopy(module).double()
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.ReLU | nn.ReLU6):
                setattr(parent, name, nn.Identity())
            if isinstance(child, nn.MaxPool2d):
                size = (child.kernel_size, child.stride, child.padding, child.ceil_mode)
                setattr(parent, name, nn.AvgPool2d(*size, count_include_pad=False))
    return module


def by_hand(module: nn.Module, source: str, target: str, image: int, place: tuple[int, int]) -> Tensor:
    """Weights (o, i, y, x) on the source's whole map, one autograd call per output channel.

    `module` must be straightened, and call no activation as a function.
    """
    kept: dict[str, Tensor] = {}

    def plant(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        kept["source"] = output.detach().clone().requires_grad_()
        return kept["source"] * 1

    def note(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        kept["target"] = output

    handles = [module.get_submodule(source).register_forward_hook(plant)]
    handles.append(module.get_submodule(target).register_forward_hook(note))
    module(torch.zeros(1, 3, image, image, dtype=torch.float64))
    for handle in handles:
        handle.remove()
    middle = kept["target"][0, :, place[0], place[1]]
    return torch.stack([torch.autograd.grad(one, kept["source"], retain_graph=True)[0][0] for one in middle])
