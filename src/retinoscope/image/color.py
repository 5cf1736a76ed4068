"""Decorrelated colour: a basis in which the three channels of natural images are independent [lucid2018]."""

import torch
from torch import Tensor

# An SVD root of the colour covariance of ImageNet, as shipped by Lucid (the article says Cholesky; the matrix is not).
_ROOT = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]], dtype=torch.float64)

BASIS = _ROOT / _ROOT.norm(dim=0).max()
"""(3, 3): rgb = BASIS @ t per pixel, for decorrelated t; its largest column norm is 1."""


def to_logits(decorrelated: Tensor) -> Tensor:
    """Decorrelated planes (b, 3, h, w) to RGB before the sigmoid."""
    return _mix(decorrelated, BASIS)


def from_logits(logits: Tensor) -> Tensor:
    """The inverse of `to_logits`."""
    return _mix(logits, torch.linalg.inv(BASIS))


def to_rgb(decorrelated: Tensor) -> Tensor:
    """Decorrelated planes (b, 3, h, w) to sRGB in (0, 1) by a sigmoid."""
    return torch.sigmoid(to_logits(decorrelated))


def from_rgb(images: Tensor, margin: float = 1e-3) -> Tensor:
    """The decorrelated planes that show `images`; pixels are first clipped to [margin, 1 - margin]."""
    return from_logits(torch.logit(images, eps=margin))


def stretched(images: Tensor) -> Tensor:
    """Images (b, 3, h, w) with each one's distances from mid-grey scaled so that the largest is 0.5: for showing.

    How the tool of [yosinski2015] shows its pictures.
    """
    apart = images - 0.5
    return 0.5 + 0.5 * apart / apart.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-6)


def _mix(planes: Tensor, matrix: Tensor) -> Tensor:
    weights = matrix.to(planes)
    # A matrix product over flattened pixels is several times faster than einsum or a 1 x 1 convolution here.
    return torch.matmul(weights, planes.flatten(2)).view_as(planes)
