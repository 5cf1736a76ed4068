"""Image sets: ids, labels, hashes, shards, batches, and photos that break."""

import io
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from retinoscope.base.boxes import Box
from retinoscope.base.errors import BadPhotosError, UnknownNameError
from retinoscope.data.cuts import center, tiles
from retinoscope.data.files import sample_photos
from retinoscope.data.imageset import ImageSet
from retinoscope.image.codec import decode, resize, to_tensor


def paint(file: Path, height: int, width: int, seed: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)).save(file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for seed, name in enumerate(["dog/b.png", "cat/a.PNG", "dog/deep/c.bmp", "z.png"]):
        paint(root / name, 20 + seed, 30, seed)
    paint(root / ".hidden/x.png", 4, 4, 0)
    paint(root / ".y.png", 4, 4, 0)
    (root / "notes.txt").write_text("no photo")
    return root


IDS = ["cat/a.PNG", "dog/b.png", "dog/deep/c.bmp", "z.png"]


def test_folder_gives_sorted_ids_labels_and_boxes(folder: Path) -> None:
    photos = ImageSet(folder)
    assert [item.id for item in photos.items] == [photo.id for photo in photos.photos] == IDS
    assert [item.label for item in photos.items] == ["cat", "dog", "dog", None]
    assert photos[0].box == Box(0, 4, 21, 25)
    assert photos.photo("dog/b.png").height == 20
    assert photos.skipped == []
    with pytest.raises(UnknownNameError, match=r"dog/b\.png"):
        photos.photo("dog/b")


def test_lists_and_single_files(folder: Path) -> None:
    assert [item.id for item in ImageSet([folder / id for id in reversed(IDS)]).items] == IDS
    assert ImageSet(str(folder / "dog/b.png"))[0].id == "b.png"


def test_tiles_have_their_box_in_the_id(folder: Path) -> None:
    photos = ImageSet(folder / "dog", tiles((1.0,), 0.0))
    assert [item.id for item in photos.items][:2] == ["b.png#0,0,20,20", "b.png#0,10,20,20"]
    assert len({item.id for item in photos.items}) == len(photos)


def test_hash_depends_on_bytes_names_and_cut(folder: Path) -> None:
    first = ImageSet(folder).content_hash
    assert first == ImageSet(folder).content_hash
    assert ImageSet(folder, center(0.5)).content_hash != first
    (folder / "z.png").rename(folder / "y.png")
    renamed = ImageSet(folder).content_hash
    paint(folder / "y.png", 23, 30, 99)
    assert len({first, renamed, ImageSet(folder).content_hash}) == 3


def test_shards_keep_ids_and_say_where_they_start(folder: Path) -> None:
    whole = ImageSet(folder, tiles((0.5,)))
    part = whole.shard(3, 9)[1:4]
    assert part.items == whole.items[4:7]
    assert (part.start, len(part)) == (4, 3)
    assert len({whole.content_hash, part.content_hash, whole[0:3].content_hash}) == 3
    assert whole[4:7].content_hash == part.content_hash
    joined = [pixels for shard in (whole[:5], whole[5:]) for _, b in shard.batches((8, 8), 3) for pixels in b]
    alone = [pixels for _, b in whole.batches((8, 8), 4) for pixels in b]
    assert all(torch.equal(a, b) for a, b in zip(joined, alone, strict=True))


def test_batches_are_the_cut_photos_in_order(folder: Path) -> None:
    photos = ImageSet(folder, tiles((1.0, 0.5)))
    seen = [
        (item, image)
        for items, images in photos.batches((10, 12), 3)
        for item, image in zip(items, images, strict=True)
    ]
    assert [item for item, _ in seen] == list(photos.items)
    for item, image in seen:
        expected = to_tensor(resize(decode(folder / item.photo), item.box, (10, 12)))
        assert image.dtype == torch.float32
        assert torch.equal(image, expected)


def test_large_photos_are_decoded_smaller_but_look_the_same(tmp_path: Path) -> None:
    y, x = np.mgrid[:640, :960] / 960
    pixels = np.stack([y, x, (np.sin(9 * x) + 1) / 2], -1)
    Image.fromarray((pixels * 255).astype(np.uint8)).save(tmp_path / "a.jpg", quality=95)
    photos = ImageSet(tmp_path)
    ((_, images),) = photos.batches((64, 64))
    expected = to_tensor(resize(decode(tmp_path / "a.jpg"), photos[0].box, (64, 64)))
    assert float((images[0] - expected).abs().max()) < 0.02


def test_broken_photos_are_skipped_counted_and_named(folder: Path) -> None:
    (folder / "a_text.jpg").write_text("hello")
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(stream, "JPEG")
    (folder / "m_cut.jpg").write_bytes(stream.getvalue()[:1500])
    photos = ImageSet(folder)
    assert [id for id, _ in photos.skipped] == ["a_text.jpg"]
    seen = [len(items) for items, _ in photos.batches((8, 8), 2)]
    assert seen == [2, 2]
    assert [id for id, _ in photos.skipped] == ["a_text.jpg", "m_cut.jpg"]
    assert all(id in reason for id, reason in photos.skipped)
    (folder / "cat/a.PNG").unlink()
    (folder / "z.png").write_bytes((folder / "dog/b.png").read_bytes())
    assert sum(len(items) for items, _ in photos.batches((8, 8), 2)) == 2
    assert "no longer" in dict(photos.skipped)["z.png"]


def test_nothing_readable_is_an_error_that_says_what_came(tmp_path: Path) -> None:
    with pytest.raises(BadPhotosError, match=r"nothing.*\.jpg"):
        ImageSet(tmp_path)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(BadPhotosError, match=r"1 \.txt"):
        ImageSet(tmp_path)
    (tmp_path / "a.jpg").write_text("x")
    with pytest.raises(BadPhotosError, match=r"none of the 1 photos.*a\.jpg"):
        ImageSet(tmp_path)
    with pytest.raises(BadPhotosError, match="no file or folder"):
        ImageSet(tmp_path / "nowhere")
    with pytest.raises(BadPhotosError, match="empty"):
        ImageSet([])


def test_photos_that_all_break_later_are_an_error(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", 40, 40, 0)
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:600])
    photos = ImageSet(tmp_path)
    with pytest.raises(BadPhotosError, match=r"no photo can be read.*a\.png"):
        list(photos.batches((8, 8)))


def test_an_abandoned_iterator_leaves_no_thread(folder: Path) -> None:
    before = threading.active_count()
    batches = ImageSet(folder).batches((8, 8), 1)
    next(batches)
    assert threading.active_count() == before + 1
    batches.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_sample_photos_are_credited() -> None:
    photos = ImageSet(sample_photos())
    assert len(photos) == 69
    assert photos.skipped == []
    credits = [photos.credit(photo.id) for photo in photos.photos]
    assert all(credits)
    assert "suneko, CC-BY-2.0" in str(photos.credit("gc_fishes_fish14.jpg"))


def test_no_table_no_credit(folder: Path) -> None:
    assert ImageSet(folder).credit("z.png") is None
