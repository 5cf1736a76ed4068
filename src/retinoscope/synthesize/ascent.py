"""How parameters move up a gradient: makers of PyTorch optimisers, called as `(parameters, rate)`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Ascent = Callable[[Iterable[nn.Parameter], float], torch.optim.Optimizer]

TINY = 1e-30
"""A gradient smaller than this counts as none: its item stays where it is."""


def adam(parameters: Iterable[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    """Adam with its usual moments, Lucid's choice [kingma2015, lucid2018]."""
    parameters = list(parameters)
    fused = all(p.device.type in ("cpu", "cuda") for p in parameters)
    return torch.optim.Adam(parameters, lr=rate, fused=fused)


def brisk(parameters: Iterable[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    """Adam that forgets half of its direction at each step (beta 0.5, 0.999).

    Each step sees other views, so that an old gradient says little of the next. Found by measurement.
    """
    parameters = list(parameters)
    fused = all(p.device.type in ("cpu", "cuda") for p in parameters)
    return torch.optim.Adam(parameters, lr=rate, betas=(0.5, 0.999), fused=fused)


def nadam(parameters: Iterable[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    """Adam with Nesterov's momentum, MACO's choice [fel2023]."""
    return torch.optim.NAdam(parameters, lr=rate)


def gradient(parameters: Iterable[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    """Plain gradient ascent."""
    return torch.optim.SGD(parameters, lr=rate)


def normalised(parameters: Iterable[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    """Steps of mean size `rate`: rate * g / mean |g|, for each item by itself [nguyen2016b]."""
    return _PerItem(parameters, lambda g: rate / _mean(g.abs()))


@dataclass(frozen=True)
class Progress:
    """Steps that should raise the score by `desired`: g * desired / |g|^2, to first order [yosinski2015].

    The factor is at most the rate. For each item by itself, over all parameters of it.
    """

    desired: float

    def __call__(self, parameters: Iterable[nn.Parameter], rate: float) -> torch.optim.Optimizer:
        return _PerItem(parameters, lambda g: (self.desired / _sum(g.square())).clamp(max=rate))


class _PerItem(torch.optim.Optimizer):
    """Gradient descent with a factor (b,) for each item of the batch, from its gradient (b, n) over all parameters."""

    def __init__(self, parameters: Iterable[nn.Parameter], factor: Callable[[Tensor], Tensor]) -> None:
        super().__init__(parameters, {})
        self.factor = factor

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every item."""
        moved = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        if not moved:
            return
        factors = self.factor(torch.cat([p.grad.flatten(1) for p in moved], 1))
        for p in moved:
            p.sub_(factors.view(-1, *(1,) * (p.ndim - 1)) * p.grad)


def _mean(rows: Tensor) -> Tensor:
    return rows.mean(1).clamp(min=TINY)


def _sum(rows: Tensor) -> Tensor:
    return rows.sum(1).clamp(min=TINY)
