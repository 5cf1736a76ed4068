"""The classes of a scan's examples against rows one by one, and what bad input does to examples."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from retinoscope.base.boxes import Box
from retinoscope.base.errors import BadInputError
from retinoscope.data import cuts
from retinoscope.data.imageset import ImageSet
from retinoscope.network.model import Model
from retinoscope.network.wrap import wrap
from retinoscope.observe import scanfile
from retinoscope.observe.scan import Scan, scan
from retinoscope.observe.seen import Seen, merge

SIDE = 16


class Net(nn.Module):
    """Maps whose field is larger than the picture, and layers without maps."""

    def __init__(self) -> None:
        super().__init__()
        self.near, self.wide = nn.Conv2d(3, 4, 3, 2), nn.Conv2d(4, 4, 9, padding=4)
        self.vector, self.dead = nn.Linear(4, 3), nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        vector = self.vector(self.wide(self.near(x)).mean((2, 3)))
        return self.dead(vector)


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    net = Net()
    torch.nn.init.zeros_(net.dead.weight)
    torch.nn.init.zeros_(net.dead.bias)
    return wrap(net, input_size=SIDE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty photos in three class folders, two without one, one of them of 3 x 2 pixels."""
    root, draw = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for place in range(20):
        size = (3, 2) if place == 4 else (20 + place, 26)
        file = root / ("", "ant", "bee", "cat")[0 if place < 2 else 1 + place % 3] / f"{place}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (*size, 3), dtype=np.uint8)).save(file)
    return root


LAYERS = ["near", "wide", "vector", "dead"]


def test_classes_equal_those_of_all_photos(model: Model, folder: Path) -> None:
    photos = ImageSet(folder)
    ((_, images),) = photos.batches((SIDE, SIDE), 32)
    with torch.no_grad():
        maps = model.module.wide(model.module.near(images)).amax((2, 3))
    labels = [item.label for item in photos.items]
    found = scan(model, photos, LAYERS, 6)
    assert found.census.photos == 20
    assert dict(found.census.labels) == {name: labels.count(name) for name in ("ant", "bee", "cat")}
    for channel in range(4):
        top = maps[:, channel].argsort(descending=True)[:6].tolist()
        counts = Counter(labels[place] for place in top)
        rows = found.classes(f"wide:{channel}")
        assert {row.label: row.count for row in rows.rows} == {key: n for key, n in counts.items() if key}
        assert rows.unlabelled == counts[None]
        assert all(row.base == labels.count(row.label) / 20 for row in rows.rows)
    assert found.classes("dead:1").rows == ()


def test_shards_see_each_photo_once(model: Model, folder: Path, tmp_path: Path) -> None:
    photos = ImageSet(folder, cuts.tiles((1.0, 0.6)))
    whole = scan(model, photos, ["near"], 5)
    middle = next(i for i in range(1, len(photos)) if photos.items[i].photo == photos.items[i - 1].photo)
    ends = [(0, middle), (middle, 30), (30, len(photos))]
    a, b, c = (scan(model, photos.shard(*pair), ["near"], 5) for pair in ends)
    for merged in (a.merge(b).merge(c), c.merge(b.merge(a)), b.merge(c).merge(a)):
        assert merged.census == whole.census
        assert merged.census.photos == 20
        assert merged.classes("near:1") == whole.classes("near:1")
    whole.save(tmp_path / "scan.npz")
    assert Scan.load(tmp_path / "scan.npz").classes("near:1") == whole.classes("near:1")


def test_labels_of_parts_are_joined_by_name() -> None:
    a, b = Seen.of({7: "dog", 3: None, 5: "cat"}), Seen.of({9: "ant", 5: "cat", 1: "dog"})
    for both in (merge(a, b), merge(b, a)):
        assert both.keys.tolist() == [1, 3, 5, 7, 9]
        assert [both.names[kind] if kind >= 0 else None for kind in both.kinds] == ["dog", None, "cat", "dog", "ant"]
        assert dict(both.census().labels) == {"ant": 1, "cat": 1, "dog": 2}
    empty = Seen.of({})
    assert merge(empty, a).census() == a.census()
    assert empty.census().photos == 0


def test_older_scans_are_read_and_say_what_they_lack(
    model: Model, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = ImageSet(folder)
    old, rest = (scan(model, photos.shard(*ends), ["near"], 5) for ends in [(0, 9), (9, 20)])
    monkeypatch.setattr(scanfile, "VERSION", 2)
    Scan(**{**vars(old), "seen": None}).save(tmp_path / "old.npz")
    monkeypatch.undo()
    loaded = Scan.load(tmp_path / "old.npz")
    assert loaded.top("near:0") == old.top("near:0")
    for found in (loaded, loaded.merge(rest), rest.merge(loaded)):
        with pytest.raises(BadInputError, match="scan again"):
            found.classes("near:0")


def test_more_examples_asked_for_than_photos(model: Model, folder: Path) -> None:
    photos = ImageSet(folder)
    found = scan(model, photos, LAYERS, k=1_000_000)  # room for a million would take 300 MB
    assert found.tallies["near"].top.scores.shape == (4, 20)
    assert [e.item.photo for e in found.top("near:0")] == [
        e.item.photo for e in scan(model, photos, LAYERS, 20).top("near:0")
    ]
    assert len({example.item.photo for example in found.top("vector:2")}) == 20
    parts = [scan(model, photos.shard(*ends), LAYERS, 1_000_000) for ends in [(0, 7), (7, 20)]]
    assert parts[0].merge(parts[1]).top("near:0") == found.top("near:0")
    assert parts[1].merge(parts[0]).classes("wide:1") == found.classes("wide:1")


def test_layers_without_maps_see_the_whole_item(model: Model, folder: Path) -> None:
    found = scan(model, ImageSet(folder), ["vector"], 3)
    for example in found.top("vector:0"):
        assert (example.y, example.x) == (0, 0)
        assert example.box == example.item.box


def test_a_field_larger_than_the_picture_ends_at_the_item(model: Model, folder: Path) -> None:
    """The field is 19 pixels wide, the network's input 16, and one photo has 3 x 2 pixels."""
    assert min(model.layers["wide"].field.size) > SIDE
    found = scan(model, ImageSet(folder), ["wide"], 20)
    for example in found.top("wide:2"):
        outer = example.item.box
        assert outer.top <= example.box.top < example.box.bottom <= outer.bottom
        assert outer.left <= example.box.left < example.box.right <= outer.right
    tiny = next(example for example in found.top("wide:2") if example.item.photo.endswith("/4.png"))
    assert tiny.item.box == Box(0, 0, 2, 2)


def test_photos_removed_since_the_scan_keep_their_names(model: Model, folder: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone.png"
    gone.write_bytes((folder / "0.png").read_bytes())
    found = scan(model, ImageSet(gone), ["near"], 3)
    gone.unlink()
    found.save(tmp_path / "scan.npz")
    (example,) = Scan.load(tmp_path / "scan.npz").top("near:0")
    assert example.item.photo == "gone.png"
