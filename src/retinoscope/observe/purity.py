"""How much of one kind are the photos that excite a unit most? A number to compare units, directions and rotations.

A stand-in for Network Dissection's concepts [bau2017] where photos carry labels but no segmentations.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from retinoscope.tensor.random import generator


def purity(
    answers: Float[Tensor, "n c"], labels: Int[Tensor, " n"] | Int[Tensor, "n c"], k: int = 9, seed: int = 0
) -> Float[Tensor, " c"]:
    """Share of the commonest label among the k photos that each column answers to most, in [1 / k, 1].

    Labels are of the photos, or of what each column saw in each photo, (n, c). Equal answers are ranked at random, each
    column's on its own: a unit that saturates would else prefer the first photos, which often share a class folder.
    """
    shuffled = torch.rand(answers.shape, generator=generator(seed, "ties")).to(answers.device).argsort(0)
    ranked = answers.gather(0, shuffled).argsort(dim=0, descending=True, stable=True)
    strongest = shuffled.gather(0, ranked[:k])
    each = labels if labels.ndim == 2 else labels[:, None].expand_as(answers)
    top = each.gather(0, strongest)  # (k, c)
    same = top[:, None] == top[None]  # a photo agrees with itself, too
    return same.float().mean(0).amax(0)


def bootstrap(
    values: Float[Tensor, " n"], draws: int = 2000, level: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    """The mean, and the ends of its bootstrap interval over the values."""
    picks = torch.randint(len(values), (draws, len(values)), generator=generator(seed, "bootstrap"))
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=values.dtype)
    low, high = values.cpu()[picks].mean(1).quantile(ends).tolist()
    return float(values.mean()), low, high


def bootstrap_difference(
    first: Float[Tensor, " n"], second: Float[Tensor, " m"], draws: int = 2000, level: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    """The mean of the first values less that of the second, and the ends of its bootstrap interval, both resampled."""
    draw = generator(seed, "bootstrap of a difference")
    means = [
        values.cpu()[torch.randint(len(values), (draws, len(values)), generator=draw)].mean(1)
        for values in (first, second)
    ]
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=first.dtype)
    low, high = (means[0] - means[1]).quantile(ends).tolist()
    return float(first.mean() - second.mean()), low, high
