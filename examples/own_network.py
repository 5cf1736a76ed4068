"""A network of one's own: wrap it, list its layers, render its units, record its activations.

`python examples/own_network.py` writes the pictures of four units into the folder own_network/. The network is small
and its weights are random, so that the pictures show what its wiring alone prefers.
"""

import os

import torch
from torch import nn
from torch.nn import functional as F

import retinoscope as rs

STEPS = int(os.environ.get("RETINOSCOPE_EXAMPLE_STEPS", "128"))


class Small(nn.Module):
    """Three convolutions and a classifier, with an in-place, a functional, and a residual step."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 7, stride=2, padding=3)
        self.relu = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.third = nn.Conv2d(32, 32, 3, padding=1)
        self.classify = nn.Linear(32, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (b, 3, h, w) to logits (b, 3)."""
        x = self.relu(self.first(x))
        x = F.relu(self.second(x))
        x = x + self.third(x)
        return self.classify(x.mean((2, 3)))


def main() -> None:
    """Look into it."""
    torch.manual_seed(0)
    model = rs.wrap(
        Small(),
        name="small",
        input_size=64,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        labels=["circle", "square", "star"],
    )
    print(model.layers)
    out = rs.render(model, ["second:0-2", rs.logit(2)], steps=STEPS, seed=0)
    print(out)
    print(*out.save("own_network"), sep="\n")
    with torch.no_grad(), rs.record(model, ["first", "second"]) as trace:
        model(torch.rand(2, 3, 64, 64))
    print({name: tuple(maps.shape) for name, maps in trace.items()})


if __name__ == "__main__":
    main()
