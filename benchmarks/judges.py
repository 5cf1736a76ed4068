"""Judges that the optimiser never saw: what they say of pictures, how sure that is, and contact sheets. No script."""

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision
from timm.data import ImageNetInfo
from torch import Tensor

from retinoscope.image.codec import encode_png, photo
from retinoscope.network.wrap import wrap
from retinoscope.network.zoo import imagenet_labels, load

BATCH = 25


@dataclass(frozen=True)
class Judge:
    """A network that classifies pictures: `logits` of (b, 3, side, side) in [0, 1]; `labels` name them."""

    name: str
    side: int
    logits: Callable[[Tensor], Tensor]
    classes: int = 1000
    labels: tuple[str, ...] = ()

    def restricted(self, labels: Sequence[str]) -> "Judge | None":
        """The judge asked for these of its classes alone, in this order; None when it does not know one of them."""
        known = self.labels or (imagenet_labels() if self.classes == 1000 else ())
        if not labels or not set(labels) <= set(known):
            return None
        places = torch.tensor([known.index(label) for label in labels])
        return Judge(self.name, self.side, lambda images: self.logits(images)[:, places], len(labels), tuple(labels))


@dataclass(frozen=True)
class Verdict:
    """What a judge says of pictures with a wanted class each: its place (n,) from 0, and its log-probability (n,)."""

    place: Tensor
    surprise: Tensor

    def share(self, best: int) -> Tensor:
        """Whether the wanted class is among the `best` first, (n,)."""
        return self.place < best


def show(images: Tensor, side: int) -> Tensor:
    """How every picture is shown to every judge: whole, resized to its input size (bilinear, antialiased)."""
    if images.shape[2:] == (side, side):
        return images
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


@torch.inference_mode()
def ask(judge: Judge, images: Tensor, classes: Sequence[int]) -> Verdict:
    """The judge's verdict on (n, 3, h, w)."""
    parts = [judge.logits(show(part, judge.side)).float() for part in images.split(BATCH)]
    chances = torch.cat(parts).log_softmax(1)
    wanted = chances.gather(1, torch.tensor(classes)[:, None])
    return Verdict((chances > wanted).sum(1), wanted[:, 0])


def class_names(folders: Sequence[str]) -> list[str]:
    """ImageNet's names of classes known by their WordNet numbers; others keep their own."""
    ids = ImageNetInfo().label_names()  # type: ignore[no-untyped-call]  # timm leaves its constructor untyped
    names = dict(zip(ids, imagenet_labels(), strict=True))
    return [names.get(folder, folder) for folder in folders]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that name judges."""
    parser.add_argument("--judge", action="append", default=[], help="another judge: a name or file.py:factory")
    parser.add_argument("--squeezenet", type=Path, help="weights of SqueezeNet 1.0 that takes RGB in [0, 1]")


def judges(options: argparse.Namespace, judged: str = "efficientnet-lite0") -> list[Judge]:
    """Lite1 and Lite2, Lite0 for another network's pictures, SqueezeNet where given, and every `--judge`."""
    named = [by_name(f"efficientnet-lite{place}") for place in range(3) if judged != f"efficientnet-lite{place}"]
    extra = [squeezenet(options.squeezenet)] if options.squeezenet else []
    return named + extra + [by_name(name) for name in options.judge]


def by_name(name: str) -> Judge:
    """A network as `retinoscope.load` knows it."""
    model = load(name)
    name, classes = model.name.removeprefix("efficientnet-"), model.layers["logits"].channels
    return Judge(name, min(model.input_size), model, classes, model.labels)


def squeezenet(weights: Path) -> Judge:
    """SqueezeNet 1.0 of Deep Compression: no normalisation, padding 1 in its classifier, 227 pixels."""
    module = torchvision.models.squeezenet1_0()
    module.load_state_dict(torch.load(weights, weights_only=True))
    module.classifier[1].padding = (1, 1)
    return Judge("squeezenet", 227, wrap(module.eval(), name="squeezenet", input_size=227))


def wilson(hits: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95% interval of a share."""
    share, spread = hits / count, z * z / count
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def percent(hits: Tensor) -> str:
    """A share with its interval, as text: 44 (23-67)."""
    low, high = wilson(int(hits.sum()), len(hits))
    return f"{100 * hits.float().mean():.0f} ({100 * low:.0f}-{100 * high:.0f})"


def cells(pictures: Tensor, classes: Sequence[int], among: Sequence[Judge]) -> list[str]:
    """Top-1 and top-5 of each judge, as the cells of a table row."""
    verdicts = [ask(judge, pictures, classes) for judge in among]
    return [f"{percent(verdict.share(1))} / {percent(verdict.share(5))}" for verdict in verdicts]


def sheet(pictures: Tensor, file: Path, columns: int = 10, side: int = 160) -> None:
    """A contact sheet of (n, 3, h, w) as a PNG."""
    file.parent.mkdir(parents=True, exist_ok=True)
    small = show(pictures, side)
    file.write_bytes(encode_png(torchvision.utils.make_grid(small, nrow=columns, padding=2, pad_value=1.0)))


def save(pictures: Tensor, seconds: float, file: Path) -> None:
    """Keep pictures (n, 3, h, w) as 8 bits and the seconds they took, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    torch.save({"pictures": (pictures.clamp(0, 1) * 255).round().byte(), "seconds": seconds}, part)
    part.replace(file)


def saved(file: Path) -> tuple[Tensor, float] | None:
    """What `save` kept, None where nothing is there yet."""
    if not file.exists():
        return None
    kept = torch.load(file, weights_only=True)
    return kept["pictures"].float() / 255, kept["seconds"]


def read_photos(files: Sequence[Path]) -> Tensor:
    """Photos, centre-cropped, (n, 3, 256, 256)."""
    return torch.stack([photo(file, (256, 256)) for file in files])
