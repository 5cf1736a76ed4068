"""The examples of all units with backward pictures: how long, beside the bare passes, and beside zennit-crp?

    python benchmarks/scan_backward.py PHOTOS [MODEL] [--weights FILE] [--layer NAME] [--units N] [--limit N]
        [--keep build/scan-backward] [--every-layer] [--no-peer] [--peer-python .venv-peers/bin/python] [--threads 2]

Ours: a scan of PHOTOS, k = 9, at the outputs of all blocks (with --every-layer at every layer), then the guided
backward pictures of the 9 best photos of every unit of LAYER (the last block's), decoded anew for it. The bare passes
are the user's own module in float32, on photos that are decoded already: forward up to LAYER over all photos, then
forward and plain gradient of the same 9 photos of each unit.

The peer is zennit-crp 0.6.0, in an environment of its own: its `FeatureVisualization` ranks the same photos by largest
activation at LAYER alone, then its `get_max_reference` runs the same 9 photos backwards from the same neuron by
zennit's guided backpropagation. It reads decoded photos; ours decodes the files. For the comparison ours scans LAYER
alone too. Where the peer's 9th and 10th photo of a unit differ (by 0.0001 of the best), both must name the same 9
photos; and where they name the same, their heatmaps are compared with ours.

MODEL is a name or `file.py:factory`, as on the command line; the peer needs a network that can be pickled, such as
torchvision's and timm's. What is measured is kept in --keep: a run that was stopped goes on where it was.
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peers import DEFAULT, environment
from torch import Tensor

from retinoscope.base.units import Unit
from retinoscope.data.cuts import center
from retinoscope.data.files import sample_photos
from retinoscope.data.imageset import ImageSet
from retinoscope.jobs.backward import backward_examples, shown
from retinoscope.jobs.layers import atlas_layers
from retinoscope.network.model import Model
from retinoscope.network.prepare import prepare
from retinoscope.network.record import record
from retinoscope.network.zoo import load
from retinoscope.observe.scan import Scan, scan
from retinoscope.tensor.memory import keep_memory

K, BATCH, CHUNK = 9, 32, 32
APART = 1e-4
"""Scores nearer than this share of the best are ties: the peer's network keeps its batch norms, ours are folded."""

Part = Callable[[], dict[str, Any]]


def main() -> None:
    """Measure what is not measured yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("model", nargs="?", default="efficientnet-lite0")
    parser.add_argument("--weights", default="default")
    parser.add_argument("--layer", help="whose units get backward pictures")
    parser.add_argument("--units", type=int, help="the first so many units only")
    parser.add_argument("--limit", type=int, help="the first so many photos only")
    parser.add_argument("--every-layer", action="store_true", help="scan every layer, not the blocks' outputs")
    parser.add_argument("--keep", type=Path, default=Path("build/scan-backward"))
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--peer-python", type=Path, default=DEFAULT)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    keep_memory()
    torch.set_num_threads(options.threads)
    model = load(options.model, weights=options.weights)
    folder = sample_photos() if options.photos == "sample" else options.photos
    photos = ImageSet(folder, center(model.crop))[: options.limit]
    layers = [layer.name for layer in atlas_layers(model.layers)]
    layer = options.layer or layers[-1]
    layers = list(model.layers) if options.every_layer else list(dict.fromkeys([*layers, layer]))
    units = min(options.units or model.layers[layer].channels, model.layers[layer].channels)
    kept = Kept(options.keep, f"{model.weights_hash[:12]}-{photos.content_hash[:12]}-{layer}-{units}-{options.threads}")
    one = kept.part("one layer", lambda: ours(model, photos, [layer], layer, units, kept))
    all_of = kept.part(f"{len(layers)} layers", lambda: ours(model, photos, layers, layer, units))
    floor = kept.part("bare", lambda: bare(model, photos, layer, one["best"]))
    peer = {} if options.no_peer else kept.part("crp", lambda: crp(model, photos, layer, units, kept, options))
    print(f"{model.name}, {len(photos)} photos, k = {K}, {units} units of {layer}, {options.threads} threads\n")
    report(floor, one, all_of, len(layers), peer)
    if peer:
        agreement(one, peer, kept)


class Kept:
    """What was measured, as a file for each part."""

    def __init__(self, folder: Path, key: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.start = folder / key

    def file(self, name: str, suffix: str) -> Path:
        """The file of a part."""
        return self.start.with_name(f"{self.start.name}-{name.replace(' ', '-')}{suffix}")

    def part(self, name: str, measure: Part) -> dict[str, Any]:
        """A part's outcome, measured unless it is kept; whole or not at all."""
        file = self.file(name, ".json")
        if not file.exists():
            print(f"measuring: {name}", flush=True)
            found = json.dumps(measure())
            file.with_suffix(".part").write_text(found)
            file.with_suffix(".part").replace(file)
        outcome: dict[str, Any] = json.loads(file.read_text())
        return outcome


def ours(
    model: Model, photos: ImageSet, layers: Sequence[str], layer: str, units: int, keep: Kept | None = None
) -> dict[str, Any]:
    """Seconds of the scan and of the backward pictures, and each unit's best photos by place, best first."""
    began = time.perf_counter()
    found = scan(model, photos, layers, K)
    scanned = time.perf_counter()
    heats = [heat for part in backwards(model, photos, found, layer, units) for heat in part]
    done = time.perf_counter()
    if keep is not None:
        np.save(keep.file("heatmaps", ".npy"), np.stack(heats))
    return {"seconds": [scanned - began, done - scanned], "best": best_places(photos, found, layer, units)}


def backwards(model: Model, photos: ImageSet, found: Scan, layer: str, units: int) -> Iterator[list[NDArray[Any]]]:
    """The backward pictures of every unit's examples, units in chunks as in the atlas; summed over (mean, std) colours.

    The sum is what the peer calls a heatmap; it costs next to nothing.
    """
    fast, std = prepare(model, [layer]), torch.tensor(model.std)[:, None, None]
    for first in range(0, units, CHUNK):
        channels = range(first, min(first + CHUNK, units))
        examples = [(channel, example) for channel in channels for example in found.top(f"{layer}:{channel}")]
        pictures = shown(model, photos, [example.item.id for _, example in examples])
        wanted = [(Unit(layer, channel, (example.y, example.x)), example.item.id) for channel, example in examples]
        for part in backward_examples(fast, pictures, wanted, "guided"):
            yield list((part.signed * std).sum(1).numpy())


def best_places(photos: ImageSet, found: Scan, layer: str, units: int) -> list[list[int]]:
    """The places of each unit's best photos."""
    places = {item.id: place for place, item in enumerate(photos.items)}
    return [[places[example.item.id] for example in found.top(f"{layer}:{unit}")] for unit in range(units)]


def decoded(model: Model, photos: ImageSet) -> NDArray[np.uint8]:
    """All photos as the network is shown them, (n, 3, h, w) in bytes."""
    parts = [(images * 255).round().to(torch.uint8).contiguous().numpy() for images in images_of(model, photos)]
    return np.concatenate(parts)


def images_of(model: Model, photos: ImageSet) -> Iterator[Tensor]:
    """The batches without the items."""
    return (images for _, images in photos.batches(model.input_size, BATCH))


def bare(model: Model, photos: ImageSet, layer: str, best: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Seconds to decode, of a forward pass over all photos, and of the same examples forward and back."""
    began = time.perf_counter()
    pixels = decoded(model, photos)
    read = time.perf_counter()
    batches = [batch(pixels, range(start, min(start + BATCH, len(pixels)))) for start in range(0, len(pixels), BATCH)]
    model.module.eval().requires_grad_(False)
    ready = time.perf_counter()
    with torch.inference_mode(), record(model, [layer]):  # ends the pass there
        for images in batches:
            model(images)
    forward = time.perf_counter()
    pairs = [(unit, place) for unit, places in enumerate(best) for place in places]
    for start in range(0, len(pairs), BATCH):
        back_and_forth(model, layer, pixels, pairs[start : start + BATCH])
    return {"decode": read - began, "seconds": [forward - ready, time.perf_counter() - forward]}


def batch(pixels: NDArray[np.uint8], places: Sequence[int]) -> Tensor:
    """Photos in [0, 1]."""
    return torch.from_numpy(pixels[list(places)]).float().div_(255)


def back_and_forth(model: Model, layer: str, pixels: NDArray[np.uint8], pairs: Sequence[tuple[int, int]]) -> Tensor:
    """The plain gradient of each photo's unit."""
    images = batch(pixels, [place for _, place in pairs]).requires_grad_()
    with record(model, [layer]) as trace:
        model(images)
        maps = trace[layer]
        answers = torch.stack([maps[i, unit].amax() for i, (unit, _) in enumerate(pairs)])
        (found,) = torch.autograd.grad(answers.sum(), images)
    return found


def crp(
    model: Model, photos: ImageSet, layer: str, units: int, kept: Kept, options: argparse.Namespace
) -> dict[str, Any]:
    """The peer's seconds, and its best photos of each unit with one more than ours; heatmaps in a file."""
    python, out = environment(options.peer_python), kept.file("crp", ".npz")
    with tempfile.TemporaryDirectory() as folder:
        network, pictures = Path(folder) / "network.pt", Path(folder) / "photos.npy"
        torch.save({"module": model.module, "mean": list(model.mean), "std": list(model.std)}, network)
        np.save(pictures, decoded(model, photos))
        flags = [f"--layer={model.layers[layer].module}", f"--units={units}", f"--threads={options.threads}"]
        script = str(Path(__file__).with_name("peer_crp.py"))
        done = subprocess.run([python, script, str(network), str(pictures), str(out), *flags], capture_output=True)
    if done.returncode:
        raise RuntimeError(f"zennit-crp failed (is it in {python}?):\n{done.stderr.decode()[-2000:]}")
    saved = np.load(out)
    return {
        "seconds": saved["seconds"].tolist(),
        "best": saved["best"].T.tolist(),
        "scores": saved["scores"].T.tolist(),
    }


def report(
    floor: dict[str, Any], one: dict[str, Any], all_of: dict[str, Any], count: int, peer: dict[str, Any]
) -> None:
    """A row for each contender."""
    rows = {
        "bare passes, photos decoded": floor,
        f"ours, scan of {count} layers": all_of,
        "ours, scan of one layer": one,
    }
    rows |= {"zennit-crp, one layer, photos decoded": peer} if peer else {}
    print("| | scan (s) | backward (s) | both (s) | bare / this | this / bare |\n|---|---|---|---|---|---|")
    bottom = sum(floor["seconds"])
    for name, row in rows.items():
        both = sum(row["seconds"])
        cells = [*row["seconds"], both, bottom / both, both / bottom]
        print(f"| {name} | " + " | ".join(f"{cell:.1f}" for cell in cells[:3]), *(f"| {c:.2f}" for c in cells[3:]), "|")
    print(f"\nDecoding the photos once: {floor['decode']:.1f} s.")
    if peer:
        ratio = sum(one["seconds"]) / sum(peer["seconds"])
        print(f"Ours, one layer, in zennit-crp's time: {ratio:.2f}; with all layers {ratio_of(all_of, peer):.2f}.")


def ratio_of(a: dict[str, Any], b: dict[str, Any]) -> float:
    """One's time in the other's."""
    return float(sum(a["seconds"]) / sum(b["seconds"]))


def agreement(one: dict[str, Any], peer: dict[str, Any], kept: Kept) -> None:
    """Do both name the same photos, and draw the same?"""
    scores, best = np.array(peer["scores"]), np.array(peer["best"])
    if scores.shape[1] <= K:
        print(f"Fewer than {K + 1} photos: every unit's best are all of them.")
        return
    clear = scores[:, K - 1] - scores[:, K] > APART * np.abs(scores[:, 0])
    same = np.array([set(a) == set(b[:K]) for a, b in zip(one["best"], best, strict=True)])
    print(f"Units without ties at the 9th place: {clear.sum()} of {len(clear)}; "
          f"the same {K} photos in {same[clear].mean():.2%} of these, in {same.mean():.2%} of all.")  # fmt: skip
    print("Heatmaps of the same photo and unit, correlation with the peer's: " + correlations(one, best, kept))


def correlations(one: dict[str, Any], best: NDArray[np.int64], kept: Kept) -> str:
    """Pearson's correlation of ours and the peer's heatmaps, pair by pair."""
    own = np.load(kept.file("heatmaps", ".npy"), mmap_mode="r")
    theirs, found, row = np.load(kept.file("crp", ".npz"))["heatmaps"], [], 0
    for unit, places in enumerate(one["best"]):
        for place in places:
            at = np.flatnonzero(best[unit, :K] == place)
            if at.size and own[row].any():
                found.append(np.corrcoef(own[row].ravel(), theirs[unit, at[0]].ravel())[0, 1])
            row += 1
    low, middle = np.quantile(found, [0.01, 0.5])
    return f"median {middle:.6f}, first percentile {low:.6f}, least {min(found):.6f}, of {len(found)} pairs."


if __name__ == "__main__":
    main()
