"""Do channels keep their meaning from block to block of a stage, and grow purer? Against random channels, and borders.

    python benchmarks/refinement.py PHOTOS [--networks efficientnet-lite0 ...] [--cifar resnet56.pt]
        [--squeezenet squeezenet1_0.pt] [--k 9] [--draws 999] [--keep FOLDER]

PHOTOS is a folder. Networks with identity shortcuts give a Markdown row for each block and each border: the share of
the k strongest photos that the same channel keeps, beside random channels, with p-values; the same for rank
correlation; the share of channels that are each other's best; the branch's energy; purity and likeness of the photos.
Plain networks give a row for each pair of neighbouring layers: pairs of units that share two photos or more, beside
chance. `--cifar` takes a state dict of He's CIFAR ResNet with padded shortcuts (depth by its keys), `--squeezenet` one
of torchvision's squeezenet1_0 for inputs in [0, 1]. `--keep` keeps what the networks answered, part by part: stopped
and run again, it goes on.
"""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

import retinoscope as rs
from retinoscope.cli.follow import HEAD, rows
from retinoscope.network.model import Model
from retinoscope.network.streams import Stream, streams
from retinoscope.observe.correspondence import against_random, alive, corresponding, overlaps, same_index
from retinoscope.observe.peaks import Peaks
from retinoscope.observe.refinement import Refinement, layers_of, refinements

PART = 100
"""Photos that are looked at between two savings."""


def main(options: argparse.Namespace) -> None:
    """Print the tables, network by network."""
    torch.set_num_threads(options.threads)
    photos = rs.ImageSet(options.photos)
    for model in networks(options):
        found = streams(model)
        layers = layers_of(model, found) if found else neighbours(model)
        seen = looked_at(model, photos, layers, options.keep)
        print(f"\n{model.name}, {len(seen.photos)} photos, k = {options.k}\n", flush=True)
        if found:
            residual(seen, found, options)
        else:
            plain(seen, layers, options)


def networks(options: argparse.Namespace) -> list[Model]:
    """Those asked for by name, then those from files."""
    models = [rs.load(name) for name in options.networks]
    if options.cifar:
        models.append(cifar(options.cifar))
    if options.squeezenet:
        models.append(squeezenet(options.squeezenet))
    return models


class Block(nn.Module):
    """Two 3x3 convolutions; the shortcut takes every second position and pads channels where the width doubles."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.side = (outputs - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        """The same width, or twice as wide at half the size."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.side:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.side, self.side))
        return F.relu(y + x)


class Cifar(nn.Module):
    """He's ResNet for 32-pixel images: three stages of 16, 32 and 64 channels."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        widths = [(16, 16), (16, 32), (32, 64)]
        stages = [nn.Sequential(Block(a, b), *(Block(b, b) for _ in range(blocks - 1))) for a, b in widths]
        self.layer1, self.layer2, self.layer3 = stages
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 3, 32, 32) to (b, 10)."""
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean((2, 3)))


def cifar(file: str) -> Model:
    """The network that the file's keys fit."""
    state = torch.load(file, weights_only=True)
    blocks = len({key.split(".")[1] for key in state if key.startswith("layer1.")})
    module = Cifar(blocks)
    module.load_state_dict({key: value for key, value in state.items() if "shortcut" not in key}, strict=False)
    name = f"CIFAR ResNet-{6 * blocks + 2}"
    return rs.wrap(module, name=name, input_size=32, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def squeezenet(file: str) -> Model:
    """torchvision's SqueezeNet 1.0 with a padded last convolution, for inputs in [0, 1]."""
    module = torchvision.models.squeezenet1_0(weights=None)
    last = module.classifier[1]
    assert isinstance(last, nn.Conv2d)
    last.padding = (1, 1)
    module.load_state_dict(torch.load(file, weights_only=True))
    return rs.wrap(module, name="SqueezeNet 1.0", input_size=227)


def neighbours(model: Model) -> list[str]:
    """The layers of a plain network that are compared: the outputs of its blocks, else its convolutions."""
    from retinoscope.jobs.layers import atlas_layers

    return [layer.name for layer in atlas_layers(model.layers)]


def looked_at(model: Model, photos: rs.ImageSet, layers: Sequence[str], keep: Path | None) -> Peaks:
    """What the network answers, part by part; parts that are kept already are read."""
    parts = []
    for start in range(0, len(photos), PART):
        part = photos.shard(start, start + PART)
        file = None
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            file = keep / f"{model.weights_hash}-{part.content_hash[:12]}.npz"
        if file is not None and file.exists():
            parts.append(Peaks.load(file))
            continue
        parts.append(rs.peaks(model, part, layers))
        if file is not None:
            parts[-1].save(file)
    return joined(parts)


def joined(parts: Sequence[Peaks]) -> Peaks:
    """The peaks of all parts; each photo is in one of them."""
    counts = torch.tensor([float(len(part.photos)) for part in parts])
    layers = list(parts[0].values)
    values = {name: torch.cat([part[name] for part in parts]) for name in layers}
    sizes = {name: (torch.stack([part.sizes[name] for part in parts]).T @ counts) / counts.sum() for name in layers}
    photos = tuple(photo for part in parts for photo in part.photos)
    return Peaks(photos, tuple(label for part in parts for label in part.labels), values, sizes)


def residual(seen: Peaks, found: Sequence[Stream], options: argparse.Namespace) -> None:
    """A row for each block and border, then what refines most."""
    results = refinements(seen, found, options.k, options.draws)
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    for one in results:
        print("\n".join(f"| {' | '.join(row)} |" for row in rows(one)))
        if one.border is not None and one.border.kind == "padded":
            print(f"| {one.stream.name} | equal numbers | {equal_numbers(seen, one, options)} |")
    head = ("stage", "alike, first to last", "p", "more", "less", "purity", "clearest channels, alike")
    print(f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for one in results:
        change = one.kinship[-1] - one.kinship[0]
        ends = f"{float(one.kinship[0].mean()):.3f} to {float(one.kinship[-1].mean()):.3f}"
        shares = " | ".join(f"{float(share.float().mean()):.0%}" for share in (change > 1e-6, change < -1e-6))
        pure = f"{float(one.purities[0].mean()):.3f} to {float(one.purities[-1].mean()):.3f}"
        best = ", ".join(f"{c} ({one.kinship[0, c]:.2f} to {one.kinship[-1, c]:.2f})" for c in one.clearest(4))
        print(f"| {one.stream.name} | {ends} | {one.gain_p:.3f} | {shares} | {pure} | {best} |", flush=True)


def equal_numbers(seen: Peaks, one: Refinement, options: argparse.Namespace) -> str:
    """The control at a padded border: channels of the same number, which the shortcut does not join."""
    assert one.border is not None
    a, b = seen[one.border.before], seen[one.border.after]
    pairs = same_index(min(a.shape[1], b.shape[1]))
    pairs = pairs[:, alive(a)[pairs[0]] & alive(b)[pairs[1]]]
    found = against_random(overlaps(a, b, options.k) / options.k, pairs, alive(b).nonzero().flatten(), options.draws)
    return f"{found.pairs} | {found.observed:.2f} | {found.random:.2f} | {found.p:.3f} | | | | | | | "


def plain(seen: Peaks, layers: Sequence[str], options: argparse.Namespace) -> None:
    """A row for each pair of neighbouring layers."""
    head = ("layers", "units", "pairs sharing two", "by chance", "units whose best shares two", "by chance",
            "mean best shared", "by chance", "no match", "one", "several")  # fmt: skip
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for a, b in itertools.pairwise(layers):
        found = corresponding(seen[a], seen[b], (a, b), options.k, 199)
        best, chance = found.overlap.amax(1).float(), found.chance_overlap.float()
        many = [len(found.one_to_many(unit)) for unit in range(len(found.overlap))]
        counts = [sum(n == 0 for n in many), sum(n == 1 for n in many), sum(n > 1 for n in many)]
        cells = (
            f"{a}, {b}", f"{found.overlap.shape[0]}, {found.overlap.shape[1]}", found.pairs(2),
            f"{float(found.chance_pairs.float().mean()):.0f}", f"{float((best >= 2).float().mean()):.0%}",
            f"{float((chance >= 2).float().mean()):.0%}", f"{float(best.mean()):.1f}", f"{float(chance.mean()):.1f}",
            *counts,
        )  # fmt: skip
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("photos")
    parser.add_argument("--networks", nargs="*", default=["efficientnet-lite0"])
    parser.add_argument("--cifar")
    parser.add_argument("--squeezenet")
    parser.add_argument("--k", type=int, default=9)
    parser.add_argument("--draws", type=int, default=999)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    main(parser.parse_args())
