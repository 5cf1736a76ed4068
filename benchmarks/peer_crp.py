"""zennit-crp's side of scan_backward.py: reference examples of a layer's units, and their heatmaps. In its environment.

    python peer_crp.py NETWORK.pt PHOTOS.npy OUT.npz --layer LAYER --units N [--k 9] [--batch 32] [--threads 2]

NETWORK.pt holds the module, its mean and its std; PHOTOS.npy (n, 3, h, w) the photos as the network sees them, in
bytes, so that no photo is decoded here. `FeatureVisualization.run` ranks the photos by each unit's largest activation
(and by relevance, which it cannot leave out), `get_max_reference` runs the K best of each unit backwards by zennit's
guided backpropagation, from the neuron with the largest activation: the same work as ours. zennit's own composite
`GuidedBackprop` knows `nn.ReLU` alone, and passes ReLU6 by as if there were no rule: its rule is put on both. Saves the
seconds of both, the units' K + 1 best photos with their scores, and the heatmaps.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from crp.attribution import CondAttribution
from crp.concepts import ChannelConcept
from crp.helper import load_maximization
from crp.visualization import FeatureVisualization
from torch import Tensor, nn
from torch.utils.data import Dataset
from zennit.composites import LayerMapComposite
from zennit.rules import ReLUGuidedBackprop


class Photos(Dataset[tuple[Tensor, int]]):
    """Cut photos in [0, 1], all of class 0: by class it would write three files more per class and layer."""

    def __init__(self, file: Path) -> None:
        self.pixels = np.load(file, mmap_mode="r")

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.from_numpy(self.pixels[index].copy()).float().div_(255), 0


def main() -> None:
    """Rank, run backwards, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--layer", required=True)
    parser.add_argument("--units", type=int, required=True)
    parser.add_argument("--k", type=int, default=9)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    saved, photos = torch.load(options.network, weights_only=False), Photos(options.photos)
    mean, std = (torch.tensor(saved[name])[:, None, None] for name in ("mean", "std"))
    with tempfile.TemporaryDirectory() as folder:
        found = FeatureVisualization(
            CondAttribution(saved["module"].eval()),
            photos,
            {options.layer: ChannelConcept()},
            preprocess_fn=lambda images: (images - mean) / std,
            max_target="max",
            abs_norm=False,
            path=folder,
        )
        began = time.perf_counter()
        found.run(None, 0, len(photos), options.batch)  # without a composite: the plain gradient, its cheapest
        ranked = time.perf_counter()
        best, scores, _ = load_maximization(found.ActMax.PATH, options.layer)
        guided = LayerMapComposite([(nn.ReLU, ReLUGuidedBackprop()), (nn.ReLU6, ReLUGuidedBackprop())])
        units = list(range(options.units))
        references = found.get_max_reference(
            units, options.layer, "activation", (0, options.k), guided, rf=True, plot_fn=None, batch_size=options.batch
        )
        done = time.perf_counter()
        np.savez(
            options.out,
            seconds=np.array([ranked - began, done - ranked]),
            best=best[: options.k + 1, : options.units],
            scores=scores[: options.k + 1, : options.units],
            heatmaps=torch.stack([references[unit][1] for unit in range(options.units)]).numpy(),
        )


if __name__ == "__main__":
    main()
