"""A feature being born: train a small network for a minute, and look at one unit all the while.

`python examples/feature_being_born.py` draws disks, squares, triangles and gratings, trains a network to name them, and
writes feature_being_born.png: what a unit looks for at each checkpoint, and what each checkpoint answers to the
pictures of all others. About a minute and a half on two cores.
"""

import copy
import math
import os

import torch
from torch import Tensor, nn

import retinoscope as rs
from retinoscope.network.model import Model
from retinoscope.tensor.random import generator

SHORT = "RETINOSCOPE_EXAMPLE_STEPS" in os.environ
STEPS = int(os.environ.get("RETINOSCOPE_EXAMPLE_STEPS", "128"))
MOMENTS = (0, 2, 4) if SHORT else (0, 10, 25, 50, 100, 200, 400, 800)
SIDE = 32
KINDS = ("disk", "square", "triangle", "stripes across", "stripes down", "checks")


def shapes(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images (count, 3, SIDE, SIDE) in [0, 1] of shapes in any colour, place and size, and their kinds (count,)."""
    draws = generator(seed, "shapes")
    kinds = torch.randint(len(KINDS), (count,), generator=draws)
    place = torch.rand(count, 5, 1, 1, generator=draws)
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    half = 5 + 5 * place[:, 0]
    down, across = y - SIDE * (0.3 + 0.4 * place[:, 1]), x - SIDE * (0.3 + 0.4 * place[:, 2])
    period = 4 + 4 * place[:, 3]
    waves = [torch.sin(2 * math.pi * axis / period + 6 * place[:, 4]) > 0 for axis in (y, x)]
    masks = torch.stack([
        down.square() + across.square() < half.square(),
        torch.maximum(down.abs(), across.abs()) < 0.9 * half,
        (down < 0.8 * half) & (across.abs() < 0.55 * (down + 1.2 * half)),
        waves[0].expand(-1, -1, SIDE),
        waves[1].expand(-1, SIDE, -1),
        waves[0] ^ waves[1],
    ])  # fmt: skip
    mask = masks[kinds, torch.arange(count)][:, None].float()
    ink, paper = torch.rand(2, count, 3, 1, 1, generator=draws)
    noise = 0.08 * torch.randn(count, 3, SIDE, SIDE, generator=draws)
    return (mask * ink + (1 - mask) * paper + noise).clamp(0, 1), kinds


def network() -> nn.Module:
    """Four convolutions with batch norms, and a classifier of KINDS."""
    widths = ((3, 24, 1), (24, 32, 2), (32, 48, 1), (48, 48, 2))
    blocks = [
        nn.Sequential(nn.Conv2d(i, o, 5, stride, 2, bias=False), nn.BatchNorm2d(o), nn.ReLU())
        for i, o, stride in widths
    ]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, len(KINDS)))


def train() -> list[Model]:
    """The network at each of MOMENTS, counted in training steps, as Models."""
    torch.manual_seed(0)
    module = network()
    optimizer = torch.optim.Adam(module.parameters(), lr=2e-3)
    models = []
    for step in range(MOMENTS[-1] + 1):
        if step in MOMENTS:
            frozen = copy.deepcopy(module).eval()
            models.append(rs.wrap(frozen, name=f"step {step}", input_size=SIDE, mean=0.5, std=0.29, labels=KINDS))
            images, kinds = shapes(256, seed=-1)
            with torch.no_grad():
                right = (models[-1](images).argmax(1) == kinds).float().mean()
            print(f"step {step}: {right:.0%} of new shapes named right")
        images, kinds = shapes(64, seed=step)
        loss = nn.functional.cross_entropy(module((images - 0.5) / 0.29), kinds)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return models


def most_useful(model: Model, layer: str, label: str) -> str:
    """The unit of a layer that tells images of a class from the others best in the trained network."""
    images, kinds = shapes(512, seed=-2)
    with torch.no_grad(), rs.record(model, [layer]) as trace:
        model(images)
    answers = trace[layer].mean((2, 3))
    own = kinds == KINDS.index(label)
    gap = (answers[own].mean(0) - answers[~own].mean(0)) / answers.std(0).clamp(min=1e-6)
    return f"{layer}:{int(gap.argmax())}"


def main() -> None:
    """Train, choose a unit, and follow it."""
    models = train()
    unit = most_useful(models[-1], "3.1", "checks")
    followed = rs.through_training(models, unit, size=64, steps=STEPS, seed=0)
    print(followed)
    print("wrote", followed.save("feature_being_born.png"))


if __name__ == "__main__":
    main()
