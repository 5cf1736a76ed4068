"""Corrections: what is done to the pictures after each step, as `(images, gradient, index) -> images`.

A correction is a frozen value. `images` (b, 3, h, w) are the pictures after the step; `gradient` is that of the loss,
minus the score, at the pictures before it, and points downhill; `index` counts steps from 0. Each picture is corrected
by itself. The family of [yosinski2015], whose code works on pixels minus the mean image; ours on pixels minus mid-grey.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from retinoscope.image import regularizers
from retinoscope.tensor.axes import Images

GREY = 0.5
"""What pixels decay to, and what clipped ones are set to."""


@dataclass(frozen=True)
class Decay:
    """Shrink the distance to grey by `rate`, in [0, 1): x = 0.5 + (1 - rate) (x - 0.5), an L2 decay."""

    rate: float

    def __call__(self, images: Images, gradient: Images, index: int) -> Images:
        return GREY + (1 - self.rate) * (images - GREY)


@dataclass(frozen=True)
class Blur:
    """A Gaussian blur of `sigma` pixels every `every` steps, the first included, as in the authors' code.

    Below 0.3 pixels a blur does next to nothing.
    """

    sigma: float
    every: int = 4

    def __call__(self, images: Images, gradient: Images, index: int) -> Images:
        return images if index % self.every else regularizers.gaussian(images, self.sigma)


@dataclass(frozen=True)
class ClipSmallValues:
    """Set to grey the `percent` of a picture's numbers that are nearest to it."""

    percent: float

    def __call__(self, images: Images, gradient: Images, index: int) -> Images:
        return _grey_where_small(images, (images - GREY).abs(), self.percent)


@dataclass(frozen=True)
class ClipSmallNorms:
    """Set to grey the `percent` of a picture's pixels whose colours are nearest to it, by L2 norm."""

    percent: float

    def __call__(self, images: Images, gradient: Images, index: int) -> Images:
        return _grey_where_small(images, (images - GREY).norm(dim=1, keepdim=True), self.percent)


@dataclass(frozen=True)
class ClipSmallBenefit:
    """Set to grey the `percent` of pixels of least benefit, by the authors' code.

    A pixel's benefit is the change of the score, to first order, if it were grey. The least are those that the score
    needs most; what the paper describes ("small contribution") is `ClipSmallAbsoluteBenefit`, and its published
    settings use that one.
    """

    percent: float

    def __call__(self, images: Images, gradient: Images, index: int) -> Images:
        return _grey_where_small(images, _benefit(images, gradient), self.percent)


@dataclass(frozen=True)
class ClipSmallAbsoluteBenefit:
    """Set to grey the `percent` of pixels whose greying would change the score least, to first order."""

    percent: float

    def __call__(self, images: Images, gradient: Images, index: int) -> Images:
        return _grey_where_small(images, _benefit(images, gradient).abs(), self.percent)


@dataclass(frozen=True)
class Bilateral:
    """A bilateral filter, a blur that keeps edges, every `every` steps [tyka2016].

    `space` is in pixels, `tone` in colours of [0, 1].
    """

    space: float = 1.0
    tone: float = 0.1
    every: int = 1

    def __call__(self, images: Images, gradient: Images, index: int) -> Images:
        return images if index % self.every else regularizers.bilateral(images, self.space, self.tone)


@dataclass(frozen=True)
class Denoise:
    """Total-variation denoising after each step, its weight going from `first` to `last` over `steps` [nguyen2016b].

    A weight is that of the picture against its variation, in units of 255, as in the authors' code and scikit-image:
    the *smaller*, the smoother. Differs from their code, where a slip of the operators ends near `first + last`.
    """

    first: float
    last: float
    steps: int
    iterations: int = 20

    def __call__(self, images: Images, gradient: Images, index: int) -> Images:
        return regularizers.denoised(images, self.strength(index), self.iterations)

    def strength(self, index: int) -> float:
        """Weight of the variation against half the squared distance, in units of 1, at a step."""
        share = min(1.0, index / self.steps)
        weight = self.first + (self.last - self.first) * share
        # weight |u - x|^2 + TV(u) at 255 times the size: TV grows 255 fold, the square 255^2 fold.
        return 1 / (2 * 255 * weight)


def _benefit(images: Images, gradient: Images) -> Tensor:
    """The predicted change (b, 1, h, w) of the score if a pixel were grey; `gradient` points downhill."""
    return (gradient * (images - GREY)).sum(1, keepdim=True)


def _grey_where_small(images: Images, measure: Tensor, percent: float) -> Images:
    """Images with grey where `measure` is below its percentile within the picture."""
    # One picture at a time: torch.quantile refuses more than 16 million numbers.
    borders = torch.stack([torch.quantile(row, percent / 100) for row in measure.flatten(1).float()])
    return torch.where(measure < borders.view(-1, 1, 1, 1), GREY, images)
