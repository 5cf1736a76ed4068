"""Growing a plain network: `python examples/grow.py` (about a minute on two cores).

Trains a small plain network on scikit-learn's handwritten digits, puts zero residual blocks behind two of its layers,
shows that no answer changes, and trains on, beside the network that was not grown. Then it asks what the new blocks do
with the channels they are given: are the digits that excite a channel still the same, and more of one kind? Writes
grow.png: the losses, and the digits of a channel that becomes clearer and of one that does not, before and after.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from torch import Tensor, nn

import retinoscope as rs
from retinoscope.base.boxes import Box, Item
from retinoscope.network.model import Model
from retinoscope.observe.peaks import peaks
from retinoscope.observe.refinement import Refinement, layers_of, refinements

SHORT = int(os.environ.get("RETINOSCOPE_EXAMPLE_STEPS", "0"))  # the tests take two steps
STEPS, MORE = SHORT or 400, SHORT or 400
TRAINING, SIZE, K = 1000, 16, 9
GROWN = ["relu2", "relu4"]


@dataclass(frozen=True)
class Digits:
    """Digits (n, 3, 16, 16) in [0, 1] as photos."""

    images: Tensor
    labels: Tensor
    start: int = 0

    @property
    def items(self) -> list[Item]:
        """One item for each digit, of the class that it shows."""
        box = Box(0, 0, SIZE, SIZE)
        return [Item(str(place), str(place), box, str(int(label))) for place, label in enumerate(self.labels)]

    def batches(self, size: tuple[int, int], batch: int = 32) -> Iterator[tuple[list[Item], Tensor]]:
        """In order."""
        for first in range(0, len(self.images), batch):
            yield self.items[first : first + batch], self.images[first : first + batch]


def digits() -> tuple[Digits, Digits]:
    """1,000 digits to train on, and the others."""
    found = load_digits()
    images = torch.from_numpy(found.images).float()[:, None] / 16
    images = nn.functional.interpolate(images, (SIZE, SIZE), mode="bilinear").expand(-1, 3, -1, -1)
    labels = torch.from_numpy(found.target)
    return Digits(images[:TRAINING], labels[:TRAINING]), Digits(images[TRAINING:], labels[TRAINING:])


def plain() -> Model:
    """Four convolutions without shortcuts, with random weights."""
    torch.manual_seed(0)
    module = nn.Sequential()
    for place, (inputs, outputs) in enumerate([(3, 16), (16, 16), (16, 32), (32, 32)], 1):
        module.add_module(f"conv{place}", nn.Conv2d(inputs, outputs, 3, padding=1))
        module.add_module(f"relu{place}", nn.ReLU())
        if place == 2:
            module.add_module("pool", nn.MaxPool2d(2))
    module.add_module("mean", nn.AdaptiveAvgPool2d(1))
    module.add_module("flat", nn.Flatten())
    module.add_module("classes", nn.Linear(32, 10))
    return rs.wrap(module, name="digits", input_size=SIZE)


def train(model: Model, data: Digits, steps: int) -> list[float]:
    """The losses of all steps; the same batches at every call."""
    random = torch.Generator().manual_seed(0)
    optimizer, losses = torch.optim.Adam(model.module.parameters(), 1e-3), []
    model.module.train()
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 1e-3 * min(1, (step + 1) / 50)  # Adam's first steps are as large as its rate
        chosen = torch.randint(len(data.images), (64,), generator=random)
        loss = nn.functional.cross_entropy(model(data.images[chosen]), data.labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.module.eval()
    return losses


@torch.no_grad()
def judged(model: Model, data: Digits) -> str:
    """Loss and share right."""
    logits = model(data.images)
    loss, right = nn.functional.cross_entropy(logits, data.labels), (logits.argmax(1) == data.labels).float().mean()
    return f"loss {float(loss):.3f}, {float(right):.1%} right"


def told(found: Refinement) -> str:
    """What the new block of one layer does, in a line."""
    (step,) = found.steps
    return (
        f"{step.after}: of a channel's {K} digits {step.overlap.observed:.0%} are those before the block, of a random "
        f"channel's {step.overlap.random:.0%} (p {step.overlap.p:.3f}); the branch adds {step.energy or 0:.2f}; alike "
        f"{float(found.kinship[0].mean()):.3f} to {float(found.kinship[-1].mean()):.3f} (p {found.gain_p:.3f})"
    )


def main() -> None:
    """Train, grow, train on, follow, draw."""
    training, others = digits()
    model = plain()
    first = train(model, training, STEPS)
    print(f"plain:        {judged(model, others)}")
    grown = rs.grow(model, GROWN)
    with torch.no_grad():
        same = torch.equal(grown(others.images), model(others.images))
    print(f"grown:        {judged(grown, others)}; every answer the same, to the bit: {same}")
    losses = {"grown": train(grown, training, MORE), "not grown": train(model, training, MORE)}
    print(f"grown on:     {judged(grown, others)}")
    print(f"not grown on: {judged(model, others)}")
    streams = rs.streams(grown)
    seen = peaks(grown, others, layers_of(grown, streams))
    results = refinements(seen, streams, K)
    for found in results:
        print(told(found))
    draw(first, losses, results[-1], seen.values, others)
    print("wrote grow.png")


def draw(first: list[float], losses: dict[str, list[float]], found: Refinement, seen: object, data: Digits) -> None:
    """The losses, and of two channels the digits that excite them most, before and after the block."""
    rise = found.kinship[-1] - found.kinship[0]
    clear, dull = int((found.clearest(1) or [int(rise.argmax())])[0]), int(rise.argmin())
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    halves: Any = figure.subfigures(1, 2, width_ratios=[1, 1.6])
    left, right = halves
    axes = left.subplots()
    axes.plot(smooth(first), color="0.6", label="plain")
    for name, color in (("not grown", "0.3"), ("grown", "tab:orange")):
        axes.plot(range(len(first), len(first) + len(losses[name])), smooth(losses[name]), color=color, label=name)
    axes.set(yscale="log", xlabel="step", ylabel="training loss (mean of 25 steps)")
    axes.axvline(len(first), color="0.8", linestyle=":")
    axes.legend(frameon=False)
    right.suptitle(f"The {K} digits that excite a channel most\n", size=10)
    layers = [(place, layer) for place, layer in enumerate(found.stream.layers) if layer is not None]
    rows = [(channel, place, layer) for channel in (clear, dull) for place, layer in layers]
    grid = right.subplots(len(rows), K, gridspec_kw={"hspace": 0.25})
    for line, (channel, place, layer) in zip(grid, rows, strict=True):
        best = seen[layer][:, channel].sort(descending=True, stable=True).indices[:K]
        for cell, item in zip(line, best, strict=True):
            cell.imshow(data.images[item, 0].numpy(), cmap="gray_r", interpolation="nearest")
            cell.set(xticks=[], yticks=[])
        alike = f"alike {float(found.kinship[place, channel]):.2f}"
        title = f"{layer}:{channel}, {'after' if place else 'before'} the block: {alike}"
        text = line[0].text(0, 1.1, title, size=9, transform=line[0].transAxes)
        text.set_in_layout(False)  # it is wider than its column
    figure.savefig("grow.png", dpi=100)


def smooth(values: list[float]) -> list[float]:
    """Means of the 25 steps up to each."""
    return [sum(values[max(0, i - 24) : i + 1]) / len(values[max(0, i - 24) : i + 1]) for i in range(len(values))]


if __name__ == "__main__":
    main()
