"""Is a network's preprocessing right? Its accuracy on photos whose file names begin with the class index.

    python benchmarks/accuracy.py PHOTOS [MODEL]

Photos are resized to `input size / crop` on the short side (bicubic) and cut in the centre, as the network declares.
"""

import re
import sys
from pathlib import Path

import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as T

import retinoscope as rs

BATCH = 32


def main(folder: Path, name: str) -> None:
    """Print top-1 and top-5."""
    model = rs.load(name)
    files = sorted(file for file in folder.iterdir() if re.match(r"\d+", file.name))
    hits = torch.zeros(2)
    for start in range(0, len(files), BATCH):
        batch = files[start : start + BATCH]
        photos = torch.stack([read(file, model.input_size, model.crop) for file in batch])
        labels = torch.tensor([int(re.match(r"\d+", file.name)[0]) for file in batch])
        with torch.no_grad():
            right = model(photos).topk(5).indices == labels[:, None]
        hits += torch.stack([right[:, 0].sum(), right.any(1).sum()])
    top1, top5 = (100 * hits / len(files)).tolist()
    print(f"{name}: top-1 {top1:.1f}%, top-5 {top5:.1f}% of {len(files)} photos")


def read(file: Path, size: tuple[int, int], crop: float) -> torch.Tensor:
    """A photo (3, h, w) in [0, 1]."""
    with Image.open(file) as photo:
        resized = T.resize(photo.convert("RGB"), round(min(size) / crop), InterpolationMode.BICUBIC)
    return T.to_tensor(T.center_crop(resized, list(size)))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "efficientnet-lite0")
