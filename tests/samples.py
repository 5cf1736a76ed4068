"""Small networks and images that many tests share."""

import torch
from torch import nn


class Tiny(nn.Module):
    """A small network with what trips tools up: in-place, shared and functional ReLUs, and a residual sum."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.conv2 = nn.Conv2d(8, 12, 3, padding=1)
        self.conv3 = nn.Conv2d(12, 12, 3, padding=1)
        self.head = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, 3, h, w) to (b, 5)."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.depthwise(x))
        x = nn.functional.relu(self.conv2(x), inplace=True)
        y = self.conv3(x)
        y += x
        return self.head(y.relu_().mean((2, 3)))


def tiny_module(seed: int = 0) -> Tiny:
    """A Tiny with random weights and lively batch-norm statistics."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = Tiny().eval()
        for child in (module.conv1, module.depthwise, module.conv2, module.conv3):
            nn.init.kaiming_normal_(child.weight)  # answers that vary, as a trained network's do
        module.bn1.running_mean.normal_(std=0.2)
        module.bn1.running_var.uniform_(0.02, 0.1)
        module.bn1.weight.data.uniform_(0.5, 2)
        return module


def photos(count: int, size: int, seed: int = 0) -> torch.Tensor:
    """Random images (count, 3, size, size) in [0, 1]."""
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))
