"""How parameters move up a gradient: makers of PyTorch optimisers, called as `(parameters, rate)`."""

from collections.abc import Callable, Iterable

import torch
from torch import nn

Ascent = Callable[[Iterable[nn.Parameter], float], torch.optim.Optimizer]


def adam(parameters: Iterable[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    """Adam with its usual moments, Lucid's choice [kingma2015, lucid2018]."""
    parameters = list(parameters)
    fused = all(p.device.type in ("cpu", "cuda") for p in parameters)
    return torch.optim.Adam(parameters, lr=rate, fused=fused)


def nadam(parameters: Iterable[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    """Adam with Nesterov's momentum, MACO's choice [fel2023]."""
    return torch.optim.NAdam(parameters, lr=rate)


def gradient(parameters: Iterable[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    """Plain gradient ascent."""
    return torch.optim.SGD(parameters, lr=rate)
