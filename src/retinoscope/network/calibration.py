"""Is a network shown what it was trained on? Its batch norms remember, and its answers betray it.

Batch norms keep the mean and variance of what they saw in training. Photos in the right range reproduce them; a wrong
mean or std does not. Networks without batch norms are asked under several ranges: in the right one they tell photos
apart, and say the same of a photo and its mirror image.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from retinoscope.network.model import Model
from retinoscope.network.record import forward
from retinoscope.tensor.axes import Images

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

RANGES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "0 to 1": ((0.0,) * 3, (1.0,) * 3),
    "-1 to 1": ((0.5,) * 3, (0.5,) * 3),
    "ImageNet's mean and std": (IMAGENET_MEAN, IMAGENET_STD),
    "0 to 255": ((0.0,) * 3, (1 / 255,) * 3),
    "0 to 255 less ImageNet's mean": (IMAGENET_MEAN, (1 / 255,) * 3),
}
"""Ranges that networks are usually trained on, as the mean and std that `wrap` takes."""


@dataclass(frozen=True)
class Drift:
    """How photos differ from what a batch norm saw in training, the median over its channels.

    `shift` is the distance of the means in training's standard deviations, `spread` the ratio of the standard
    deviations: 0 and 1 where they agree.
    """

    shift: float
    spread: float


class _FirstNormReachedError(Exception):
    """Ends a forward pass at the first batch norm; never seen outside `drift`."""


def drift(model: Model, photos: Images) -> Drift | None:
    """What the first batch norm of a network says of photos (b, 3, h, w); None without a trained one."""
    with torch.no_grad(), _first_norm(model.module) as seen, suppress(_FirstNormReachedError):
        forward(model.module, model.normalize(photos))
    if not seen:
        return None
    norm, inputs = seen[0]
    standard = _standardized(norm, inputs)
    return Drift(float(standard.mean(1).abs().median()), float(standard.std(1).median()))


def _standardized(norm: _BatchNorm, inputs: Tensor) -> Tensor:
    """What a batch norm makes of its inputs before its own gain and bias, channels first: (c, n)."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    values = inputs.float().transpose(0, 1).flatten(1)
    return (values - norm.running_mean[:, None]) / (norm.running_var[:, None] + norm.eps).sqrt()


@contextmanager
def _first_norm(module: nn.Module) -> Iterator[list[tuple[_BatchNorm, Tensor]]]:
    seen: list[tuple[_BatchNorm, Tensor]] = []

    def hook(norm: nn.Module, inputs: Any) -> None:
        assert isinstance(norm, _BatchNorm)
        seen.append((norm, inputs[0]))
        raise _FirstNormReachedError

    handles = [norm.register_forward_pre_hook(hook) for norm in module.modules() if trained(norm)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def trained(norm: nn.Module) -> bool:
    """Whether a module is a batch norm whose statistics are no longer those it is made with, mean 0 and variance 1."""
    if not isinstance(norm, _BatchNorm) or norm.running_mean is None or norm.running_var is None:
        return False
    return bool((norm.running_mean != 0).any() or (norm.running_var != 1).any())


def under(model: Model, mean: tuple[float, ...], std: tuple[float, ...]) -> Model:
    """The same network with another range; grey ones take the mean of the three channels."""
    if model.grey:
        mean, std = (sum(mean) / 3,), (sum(std) / 3,)
    return replace(model, mean=mean[::-1] if model.bgr else mean, std=std[::-1] if model.bgr else std)


@torch.no_grad()
def told_apart(model: Model, photos: Images) -> float:
    """How much a network's classes say of photos (b, 3, h, w), in bits, at most log2 of their number.

    The entropy of the mean answer less the mean entropy of the answers, where the answer to a photo is the mean over
    it and its mirror image. So answers that are all alike, unsure, or another for the mirror image count for little,
    and mere loudness of the logits counts for nothing.
    """
    answers = (_probabilities(model, photos) + _probabilities(model, photos.flip(3))) / 2
    return max(0.0, float(_entropy(answers.mean(0)) - _entropy(answers).mean()))


def _probabilities(model: Model, photos: Images) -> Tensor:
    return forward(model.module, model.normalize(photos)).float().flatten(1).softmax(1)


def _entropy(probabilities: Tensor) -> Tensor:
    return -(probabilities * probabilities.clamp(min=1e-12).log2()).sum(-1)
