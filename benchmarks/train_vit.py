"""A small vision transformer from a zip of small photos, on one CPU core in an hour. For recipes.py --model.

    python benchmarks/train_vit.py photos64.zip vit64.pt [--minutes 50] [--width 128] [--threads 1] [--start vit64.pt]

The zip has a folder per class (WordNet ids, if judges shall know the classes) of square photos of one size, 64 px here.
The network is timm's VisionTransformer with patches of 8 px, six blocks and a class token. What makes it learn in an
hour: half of the tokens are dropped at random until the last fifth of the time, and the rate follows the minutes of
computing, so that the schedule is whole on a slow machine too. 2,000 photos are held out. --start goes on from weights,
with a new schedule.

The file has `weights`, `width`, `classes` (the folders' names in the order of the logits), `accuracy` on the photos
held out, and `minutes`; it is written every two minutes. Pixels of the zip are kept decoded beside it. Other scripts
take `--model benchmarks/train_vit.py:vit64` for the network in build/vit64.pt, its classes named as ImageNet's.
"""

import argparse
import io
import math
import time
import zipfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from judges import class_names
from PIL import Image
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from retinoscope.network.model import Model
from retinoscope.network.wrap import wrap

HELD_OUT, BATCH, RATE = 2000, 128, 1.5e-3
MEAN = STD = 0.5
WARM, WHOLE = 0.04, 0.8
"""Shares of the time: until the rate is full, and until all tokens are seen."""


def architecture(width: int, classes: int) -> VisionTransformer:
    """ViT with 8 x 8 patches of 64 px, 32 channels a head."""
    return VisionTransformer(
        img_size=64, patch_size=8, embed_dim=width, depth=6, num_heads=width // 32, num_classes=classes,
        patch_drop_rate=0.5,
    )  # fmt: skip


def vit64(file: Path = Path("build/vit64.pt")) -> Model:
    """The trained network, ready to look at."""
    kept = torch.load(file, weights_only=True)
    module = architecture(kept["width"], len(kept["classes"]))
    module.load_state_dict(kept["weights"])
    labels = class_names(kept["classes"])
    return wrap(module.eval(), name=file.stem, input_size=64, mean=MEAN, std=STD, labels=labels, fixed_size=True)


def photos(archive: Path, kept: Path) -> tuple[Tensor, Tensor, list[str]]:
    """Pixels (n, 3, 64, 64) as bytes, classes (n,), and the classes' names, in a random order."""
    if kept.exists():
        pixels, classes, folders = torch.load(kept, weights_only=True)
        return pixels, classes, folders
    with zipfile.ZipFile(archive) as source:
        names = sorted(name for name in source.namelist() if name.endswith(".jpg"))
        names = [names[place] for place in torch.randperm(len(names), generator=torch.Generator().manual_seed(0))]
        decoded = [np.asarray(Image.open(io.BytesIO(source.read(name))).convert("RGB")) for name in names]
    folders = sorted({name.split("/")[0] for name in names})
    pixels = torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).contiguous()
    labels = torch.tensor([folders.index(name.split("/")[0]) for name in names])
    torch.save([pixels, labels, folders], kept)
    return pixels, labels, folders


def seen(pixels: Tensor) -> Tensor:
    """Bytes to what the network takes."""
    return (pixels.float() / 255 - MEAN) / STD


def augmented(pixels: Tensor) -> Tensor:
    """Random squares of 60 to 100% of the side, half of them mirrored."""
    count = len(pixels)
    side = 0.6 + 0.4 * torch.rand(count)
    shift = (1 - side)[:, None] * (2 * torch.rand(count, 2) - 1)
    flip = torch.randint(0, 2, (count,)) * 2 - 1
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = side * flip, side, shift
    grid = F.affine_grid(theta, list(pixels.shape), align_corners=False)
    return F.grid_sample(seen(pixels), grid, padding_mode="reflection", align_corners=False)


def spent(options: argparse.Namespace) -> float:
    """Minutes of computing so far: not the wall's, a shared core gives less."""
    return time.process_time() / 60 / options.threads


@torch.inference_mode()
def accuracy(module: nn.Module, pixels: Tensor, labels: Tensor) -> float:
    """The share of photos whose class comes first."""
    module.eval()
    right = [module(seen(part)).argmax(1) for part in pixels.split(100)]
    module.train()
    return float((torch.cat(right) == labels).float().mean())


def main(options: argparse.Namespace) -> None:
    """Train until the time is over."""
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    pixels, labels, classes = photos(options.archive, options.weights.with_suffix(".photos"))
    module = architecture(options.width, len(classes))
    if options.start:
        module.load_state_dict(torch.load(options.start, weights_only=True)["weights"])
    stepper = torch.optim.AdamW(module.parameters(), betas=(0.9, 0.98), weight_decay=0.05)
    began, said = spent(options), time.monotonic()
    count, running, order = 0, 4.6, torch.empty(0, dtype=torch.long)
    while (share := (spent(options) - began) / options.minutes) < 1:
        if len(order) < BATCH:
            order = torch.randperm(len(pixels) - HELD_OUT) + HELD_OUT
        chosen, order = order[:BATCH], order[BATCH:]
        stepper.param_groups[0]["lr"] = RATE * min(share / WARM, 0.5 + 0.5 * math.cos(math.pi * share))
        module.patch_drop.prob = 0.5 if share < WHOLE else 0.0
        loss = F.cross_entropy(module(augmented(pixels[chosen])), labels[chosen], label_smoothing=0.1)
        module.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        stepper.step()
        count, running = count + BATCH, 0.98 * running + 0.02 * float(loss.detach())
        if time.monotonic() - said > 120:
            said = time.monotonic()
            keep(module, classes, options, pixels, labels, share)
            print(f"{share:.0%}, {count / len(pixels):.1f} epochs, loss {running:.2f}", flush=True)
    keep(module, classes, options, pixels, labels, 1.0)


def keep(
    module: nn.Module, classes: list[str], options: argparse.Namespace, pixels: Tensor, labels: Tensor, share: float
) -> None:
    """Write the file, whole or not at all."""
    right = accuracy(module, pixels[:HELD_OUT], labels[:HELD_OUT])
    kept = {"weights": module.state_dict(), "width": options.width, "classes": classes, "accuracy": right}
    part = options.weights.with_suffix(".part")
    torch.save({**kept, "minutes": share * options.minutes}, part)
    part.replace(options.weights)
    print(f"held out: {right:.1%}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--start", type=Path, help="weights to go on from")
    parser.add_argument("--minutes", type=float, default=50)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    main(parser.parse_args())
