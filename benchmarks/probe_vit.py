"""A trained vision transformer with classes, for recipes.py and channels.py: a linear head on DINOv2's ViT-S/14.

    python benchmarks/probe_vit.py dinov2s.pt photos64.zip build/probe.pt [--each 20] [--threads 1]

The first file holds the weights under timm's names for vit_small_patch14_dinov2 (timm downloads them elsewhere). The
zip has a folder per class, named by WordNet ids. The network stays as it is and looks at 98 px (7 x 7 patches), the
size of the local crops that it was trained on; only its head is fitted, by logistic regression on the class tokens of
EACH photos of every class. Prints the accuracy on 5 more of each. Other scripts take
`--model benchmarks/probe_vit.py:probe` for the network in build/probe.pt.
"""

import argparse
import io
import zipfile
from pathlib import Path

import numpy as np
import timm
import torch
import torch.nn.functional as F
from judges import class_names
from PIL import Image
from torch import Tensor, nn

from retinoscope.network.model import Model
from retinoscope.network.wrap import wrap

SIDE, TESTED = 98, 5
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def network(weights: dict[str, Tensor], classes: int) -> nn.Module:
    """The network with its positions resampled to SIDE, and a head."""
    module = timm.create_model("vit_small_patch14_dinov2", pretrained=False, img_size=SIDE, num_classes=classes)
    grid = (SIDE // 14, SIDE // 14)
    positions = weights["pos_embed"]
    if positions.shape[1] != grid[0] * grid[1] + 1:
        positions = timm.layers.resample_abs_pos_embed(positions, grid)
    module.load_state_dict({**weights, "pos_embed": positions}, strict=False)
    return module.eval()


def probe(file: Path = Path("build/probe.pt")) -> Model:
    """The network with its fitted head."""
    kept = torch.load(file, weights_only=True)
    labels = class_names(kept["classes"])
    module = network(kept["weights"], len(labels))
    return wrap(module, name=file.stem, input_size=SIDE, mean=MEAN, std=STD, labels=labels, fixed_size=True)


def photos(archive: Path, each: int) -> tuple[Tensor, list[str]]:
    """`each` photos of every class in the order of names, (classes, each, 3, h, w) as bytes, and the classes' names."""
    with zipfile.ZipFile(archive) as source:
        found: dict[str, list[str]] = {}
        for name in sorted(name for name in source.namelist() if name.endswith(".jpg")):
            found.setdefault(name.split("/")[0], []).append(name)
        rows = [
            [np.asarray(Image.open(io.BytesIO(source.read(name))).convert("RGB")) for name in names[:each]]
            for names in found.values()
        ]
    return torch.from_numpy(np.array(rows)).permute(0, 1, 4, 2, 3).contiguous(), list(found)


@torch.inference_mode()
def features(module: nn.Module, pixels: Tensor, kept: Path) -> Tensor:
    """The class token (n, 384) of photos (n, 3, h, w), kept part by part: a run that was stopped goes on."""
    done = list(torch.load(kept, weights_only=True).split(50)) if kept.exists() else []
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    for part in pixels.split(50)[len(done) :]:
        images = F.interpolate(part.float() / 255, (SIDE, SIDE), mode="bicubic").clamp(0, 1)
        done.append(module.forward_head(module.forward_features((images - mean) / std), pre_logits=True))
        torch.save(torch.cat(done), kept)
    return torch.cat(done)


def fitted(values: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Weights (classes, 384) and biases of a logistic regression on standardised values."""
    middle, spread = values.mean(0), values.std(0)
    weight, bias = torch.zeros(classes, values.shape[1], requires_grad=True), torch.zeros(classes, requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        fit = F.cross_entropy(F.linear((values - middle) / spread, weight, bias), labels)
        total = fit + 1e-3 * weight.square().sum()
        total.backward()
        return total

    solver.step(loss)
    scaled = weight.detach() / spread
    return scaled, bias.detach() - scaled @ middle


def main(options: argparse.Namespace) -> None:
    """Fit the head and write the file."""
    torch.set_num_threads(options.threads)
    weights = torch.load(options.weights, weights_only=True)
    pixels, classes = photos(options.archive, options.each + TESTED)
    module = network(weights, len(classes))
    values = features(module, pixels.flatten(0, 1), options.out.with_suffix(".features"))
    values = values.view(len(classes), -1, values.shape[1])
    labels = torch.arange(len(classes))[:, None].expand(-1, options.each + TESTED)
    train, test = slice(options.each), slice(options.each, None)
    weight, bias = fitted(values[:, train].flatten(0, 1), labels[:, train].flatten(), len(classes))
    answers = F.linear(values[:, test], weight, bias)
    right = (answers.argmax(-1) == labels[:, test]).float().mean()
    print(f"{options.each} photos of {len(classes)} classes; accuracy on {TESTED} others each: {right:.1%}")
    print(f"logits of their own classes: {answers.gather(2, labels[:, test][..., None]).mean():.1f} on average")
    module.head.weight.data, module.head.bias.data = weight, bias
    torch.save({"weights": module.state_dict(), "classes": classes}, options.out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("archive", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--each", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    main(parser.parse_args())
