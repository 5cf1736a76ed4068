"""Growing a trained plain network: do its answers stay, does the loss fall, do the new blocks refine?

    python benchmarks/grow.py TRAINING --weights tinydarknet.pt --classes tinydarknet_wnids.txt [--count 8000]
        [--steps 300] [--batch 32] [--rate 0.0003] [--layers features.19 features.32 features.48] [--keep build/grow]

Puts a zero residual block behind the ends of Tiny Darknet's last three stages and compares all logits of held-out
photos to the bit. Then trains all weights on TRAINING, a zip or folder of class folders of small photos of one size,
whose names are lines of CLASSES (the network's classes in order); the network that was not grown gets the same batches.
Then follows the channels through the new blocks on the held-out photos, as `refinement.py` does: beside random channels
of the same layer, and whether examples become more of one kind. Both trained networks are kept in --keep, with their
losses: a run that was stopped goes on with the network that is missing.
"""

import argparse
import io
import json
import random
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import retinoscope as rs
from retinoscope.base.boxes import Box, Item
from retinoscope.network.model import Model
from retinoscope.observe.refinement import Refinement

SPEC = (16, 0, 32, 0, -16, 128, -16, 128, 0, -32, 256, -32, 256, 0, -64, 512, -64, 512, -128)
"""Widths of Tiny Darknet's convolutions, 3x3 or, negative, 1x1; 0 is a max pool of 2."""

HELD, K, DRAWS = 1000, 9, 999


class TinyDarknet(nn.Module):
    """A plain stack of convolutions with batch norms and leaky ReLUs, then 1x1 to the classes, averaged."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for width in SPEC:
            if not width:
                layers.append(nn.MaxPool2d(2, 2))
                continue
            outputs, side = abs(width), 1 if width < 0 else 3
            conv = nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=False)
            layers += [conv, nn.BatchNorm2d(outputs, eps=1e-3), nn.LeakyReLU(0.1)]
            inputs = outputs
        self.features, self.classes = nn.Sequential(*layers), nn.Conv2d(inputs, 1000, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 3, h, w) to (b, 1000)."""
        logits: Tensor = self.classes(self.features(x)).mean((2, 3))
        return logits


@dataclass(frozen=True)
class Pictures:
    """Photos of one size (n, 3, h, w) in bytes, with the numbers of their classes."""

    pixels: Tensor
    labels: Tensor
    start: int = 0

    @property
    def items(self) -> list[Item]:
        """Photos by their place, labelled."""
        box = Box(0, 0, *self.pixels.shape[2:])
        return [Item(str(place), str(place), box, str(int(label))) for place, label in enumerate(self.labels)]

    def batches(self, size: tuple[int, int], batch: int = 32) -> Iterator[tuple[list[Item], Tensor]]:
        """In order, in [0, 1]."""
        items = self.items
        for first in range(0, len(items), batch):
            yield items[first : first + batch], self.pixels[first : first + batch].float() / 255


def _bytes(folder: Path, name: str) -> bytes:
    return (folder / name).read_bytes()


def read(source: Path, classes: list[str], count: int) -> Pictures:
    """Photos drawn at random, the same at every run."""
    names: list[str]
    opened: Callable[[str], bytes]
    if source.is_dir():
        names = [str(file.relative_to(source)) for file in source.glob("*/*.jp*g")]
        opened = partial(_bytes, source)
    else:
        archive = zipfile.ZipFile(source)
        names, opened = [name for name in archive.namelist() if name.lower().endswith((".jpg", ".jpeg"))], archive.read
    chosen = random.Random(0).sample(sorted(names), min(count, len(names)))
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(opened(name))).convert("RGB")) for name in chosen])
    labels = torch.tensor([classes.index(name.split("/")[0]) for name in chosen])
    return Pictures(torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), labels)


def train(model: Model, data: Pictures, options: argparse.Namespace) -> list[float]:
    """Adam on all weights with a slow start; the losses of all steps; every network gets the same batches."""
    draws = torch.Generator().manual_seed(0)
    optimizer, losses = torch.optim.Adam(model.module.parameters(), options.rate), []
    model.module.train()
    for step in range(options.steps):
        optimizer.param_groups[0]["lr"] = options.rate * min(1, (step + 1) / 50)
        chosen = torch.randint(len(data.pixels), (options.batch,), generator=draws)
        loss = nn.functional.cross_entropy(model(data.pixels[chosen].float() / 255), data.labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.module.eval()
    return losses


def trained(name: str, model: Model, data: Pictures, options: argparse.Namespace) -> tuple[list[float], float]:
    """Train, or read what is kept; the losses and the seconds."""
    settings = f"{name}-{model.weights_hash[:12]}-{len(data.pixels)}-{options.steps}-{options.batch}-{options.rate:g}"
    file, words = options.keep / f"{settings}.pt", options.keep / f"{settings}.json"
    if not words.exists():
        began = time.perf_counter()
        losses = train(model, data, options)
        torch.save(model.module.state_dict(), file)
        words.write_text(json.dumps({"losses": losses, "seconds": time.perf_counter() - began}))
    model.module.load_state_dict(torch.load(file, weights_only=True))
    kept = json.loads(words.read_text())
    return kept["losses"], kept["seconds"]


@torch.no_grad()
def answers(model: Model, data: Pictures) -> Tensor:
    """The logits of all photos, (n, 1000)."""
    return torch.cat([model(images) for _, images in data.batches((0, 0), 100)])


def judged(name: str, logits: Tensor, labels: Tensor, losses: list[float]) -> str:
    """A row: the loss and the share right on held-out photos, and the training loss at the end."""
    loss, right = nn.functional.cross_entropy(logits, labels), (logits.argmax(1) == labels).float().mean()
    last = f"{sum(losses[-50:]) / 50:.3f}" if losses else ""
    return f"| {name} | {float(loss):.3f} | {float(right):.1%} | {last} |"


def told(found: Refinement) -> str:
    """A row of what the new block of one layer does."""
    (step,) = found.steps
    change = found.kinship[-1] - found.kinship[0]
    cells = (
        step.after, len(change), f"{step.overlap.observed:.2f}", f"{step.overlap.random:.2f}", f"{step.overlap.p:.3f}",
        f"{step.ranks.observed:.2f}", f"{step.ranks.random:.2f}", f"{step.energy or 0:.2f}",
        f"{float(found.kinship[0].mean()):.3f} to {float(found.kinship[-1].mean()):.3f}", f"{found.gain_p:.3f}",
        f"{float((change > 1e-6).float().mean()):.0%}, {float((change < -1e-6).float().mean()):.0%}",
        f"{float(found.purities[0].mean()):.3f} to {float(found.purities[-1].mean()):.3f}",
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Grow, compare, train, follow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("training", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--classes", type=Path, required=True)
    parser.add_argument("--count", type=int, default=8000)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--layers", nargs="+", default=["features.19", "features.32", "features.48"])
    parser.add_argument("--keep", type=Path, default=Path("build/grow"))
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.keep.mkdir(parents=True, exist_ok=True)
    data = read(options.training, options.classes.read_text().split(), options.count + HELD)
    held, training = Pictures(data.pixels[:HELD], data.labels[:HELD]), Pictures(data.pixels[HELD:], data.labels[HELD:])
    module = TinyDarknet()
    state = torch.load(options.weights, weights_only=True)
    module.load_state_dict(dict(zip(module.state_dict(), state.values(), strict=True)))
    height, width = held.pixels.shape[2:]
    plain = rs.wrap(module.eval(), name="Tiny Darknet", input_size=(height, width))
    grown = rs.grow(plain, options.layers)
    before, after = answers(plain, held), answers(grown, held)
    print(f"{HELD} photos, {before.numel()} logits, the same to the bit after growing: {torch.equal(before, after)}\n")
    print("| network | held-out loss | right | training loss, last 50 steps |\n|---|---|---|---|")
    print(judged("as it was", before, held.labels, []), flush=True)
    for name, model in (("not grown, trained on", plain), ("grown, trained on", grown)):
        losses, seconds = trained(name.split(",")[0].replace(" ", "-"), model, training, options)
        print(judged(f"{name} ({seconds:.0f} s)", answers(model, held), held.labels, losses), flush=True)
    head = (
        "block",
        "channels",
        "shared",
        "random",
        "p",
        "rank",
        "random",
        "branch",
        "alike",
        "p",
        "more, less",
        "purity",
    )
    print(f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for found in rs.follow(grown, held, k=K, draws=DRAWS):
        print(told(found), flush=True)


if __name__ == "__main__":
    main()
