"""Backward rules beside captum's, in float64: torchvision's networks, and CIFAR-10 ResNets with their weights.

`python benchmarks/backproject.py [--cifar FOLDER] [--photos FOLDER]`: FOLDER holds `resnet20_cifar10.pt` and so on. For
each network and rule the largest difference from captum, as modules; then with functional ReLUs, where captum gives
the plain gradient and a network rewritten with modules says what is right; and how long a batch takes, in captum's
time.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

import retinoscope as rs
from retinoscope.data.files import sample_photos
from retinoscope.network.model import Model

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from captum.attr import Deconvolution, GuidedBackprop, Saliency

PEERS = {"guided": GuidedBackprop, "deconvnet": Deconvolution}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Activation = Callable[[], Callable[[Tensor], Tensor]]


class Block(nn.Module):
    """Two convolutions beside a shortcut without parameters: every second pixel, channels filled up with zeros."""

    def __init__(self, before: int, after: int, activation: Activation) -> None:
        super().__init__()
        self.stride, self.fill = after // before, (after - before) // 2
        self.conv1 = nn.Conv2d(before, after, 3, self.stride, 1, bias=False)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(after), nn.BatchNorm2d(after)
        self.first, self.second = activation(), activation()

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) to (b, c, h, w), or to half the side and twice the channels."""
        y = self.bn2(self.conv2(self.first(self.bn1(self.conv1(x)))))
        short = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.fill, self.fill))
        return self.second(y + short)


class Cifar(nn.Module):
    """A CIFAR-10 ResNet of three stages of `depth` blocks."""

    def __init__(self, depth: int, activation: Activation) -> None:
        super().__init__()
        self.conv1, self.bn1, self.start = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), activation()
        for stage, (before, after) in enumerate(((16, 16), (16, 32), (32, 64)), 1):
            blocks = [Block(before, after, activation), *(Block(after, after, activation) for _ in range(depth - 1))]
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 3, 32, 32) to (b, 10)."""
        x = self.start(self.bn1(self.conv1(x)))
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


def functional() -> Callable[[Tensor], Tensor]:
    """An activation that is no module."""
    return lambda x: F.relu(x)


def back(model: Model, x: Tensor, rule: str) -> Tensor:
    """What comes back to the network's own input from the strongest output of each item."""
    x = x.clone().requires_grad_()
    with rs.rewrite(model, rule):
        (found,) = torch.autograd.grad(model.module(x).amax(1).sum(), x)
    return found


def captums(kind: type, module: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """The same by captum, which has to be told the strongest outputs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arguments = {"abs": False} if kind is Saliency else {}
        found: Tensor = kind(module).attribute(x.clone(), target=target, **arguments)
    return found


def seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """The shortest of some runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def compare(name: str, module: nn.Module, x: Tensor) -> None:
    """Print a line for each rule: the difference, the largest value, and the time of one batch."""
    model, target = rs.wrap(module, input_size=(x.shape[2], x.shape[3])), module(x).argmax(1)
    for rule, kind in PEERS.items():
        ours, theirs = back(model, x, rule), captums(kind, module, x, target)
        own = seconds(lambda rule=rule: back(model, x, rule))
        ratio = own / seconds(lambda kind=kind: captums(kind, module, x, target))
        difference = float((ours - theirs).abs().max())
        print(
            f"{name:16} {rule:10} difference {difference:g} of {float(theirs.abs().max()):.3g}; {ratio:.2f} of its time"
        )


def compare_functional(name: str, depth: int, weights: dict[str, Tensor], x: Tensor) -> None:
    """Functional ReLUs: ours and captum's against the network rewritten with modules."""
    plain, rewritten = Cifar(depth, functional).double().eval(), Cifar(depth, nn.ReLU).double().eval()
    for module in (plain, rewritten):
        module.load_state_dict(weights, strict=False)
    target = rewritten(x).argmax(1)
    for rule, kind in PEERS.items():
        right = captums(kind, rewritten, x, target)
        ours = float((back(rs.wrap(plain, input_size=32), x, rule) - right).abs().max())
        theirs = captums(kind, plain, x, target)
        same = torch.equal(theirs, captums(Saliency, plain, x, target))
        missed = f"{float((theirs - right).abs().max()):.3g}{', being the plain gradient' if same else ''}"
        print(f"{name:16} {rule:10} functional: ours differs by {ours:g}, captum's by {missed}")


def pictures(folder: Path, size: int, count: int = 8) -> Tensor:
    """Photos as torchvision's networks take them, (count, 3, size, size) in float64."""
    batches = rs.ImageSet(folder).batches((size, size), count)
    images = next(batches)[1].double()
    mean, std = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (MEAN, STD))
    return (images - mean) / std


def main() -> None:
    """Compare on every network there is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cifar", type=Path, help="folder with resnet20_cifar10.pt and so on")
    parser.add_argument("--photos", type=Path, default=sample_photos())
    options = parser.parse_args()
    torch.manual_seed(0)
    for name in ("resnet18", "squeezenet1_0"):
        module = getattr(torchvision.models, name)(weights=None).double().eval()
        compare(name, module, pictures(options.photos, 128))
    for file in sorted(options.cifar.glob("resnet*_cifar10.pt")) if options.cifar else ():
        weights, depth = torch.load(file, weights_only=True), (int(file.stem[6:8]) - 2) // 6
        module = Cifar(depth, nn.ReLU).double().eval()
        missing, _ = module.load_state_dict(weights, strict=False)
        assert all(key.endswith("num_batches_tracked") for key in missing)
        compare(file.stem, module, pictures(options.photos, 32))
        compare_functional(file.stem, depth, weights, pictures(options.photos, 32))


if __name__ == "__main__":
    main()
