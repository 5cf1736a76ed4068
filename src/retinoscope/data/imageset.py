"""ImageSet: photos with stable ids, labels and a content hash, decoded into batches while the network computes."""

import copy
import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, islice
from pathlib import Path
from typing import overload

from PIL import Image

from retinoscope.base.boxes import Box, Item
from retinoscope.base.errors import BadPhotosError, unknown
from retinoscope.data.credits import credit_of
from retinoscope.data.cuts import Cut, center
from retinoscope.data.files import find_photos
from retinoscope.data.prefetch import ahead
from retinoscope.image.codec import decode, photo_size, resize, to_batch
from retinoscope.tensor.axes import Images


@dataclass(frozen=True)
class Photo:
    """A readable photo: its id (relative path), file, upright size in pixels, and class folder."""

    id: str
    file: Path
    height: int
    width: int
    label: str | None


class ImageSet:
    """Photos of a folder (with its sub-folders), of a list of files, or of a single file.

    Photos are sorted by id; hidden files and files that are not photos are passed over. A photo's first sub-folder is
    its label. `cut` says which squares of each photo are the items that a network is shown. Photos that cannot be read
    are listed in `skipped`; raises BadPhotosError when none can.
    """

    def __init__(self, source: str | Path | Sequence[str | Path], cut: Cut | None = None) -> None:
        self.cut: Cut = center() if cut is None else cut
        self.start = 0
        self._broken: dict[str, str] = {}
        found = find_photos(source)
        self._photos = {photo.id: photo for id, file in found.items() if (photo := self._look(id, file))}
        if not self._photos:
            first = next(iter(self._broken.values()))
            raise BadPhotosError(f"none of the {len(found)} photos of '{source}' can be read; the first: {first}")
        self._items = tuple(item for photo in self._photos.values() for item in self._cut(photo))
        self._whole = len(self._items)

    def _look(self, id: str, file: Path) -> Photo | None:
        try:
            height, width = photo_size(file)
        except BadPhotosError as error:
            self._broken[id] = str(error)
            return None
        return Photo(id, file, height, width, id.split("/")[0] if "/" in id else None)

    def _cut(self, photo: Photo) -> Iterator[Item]:
        boxes = self.cut(photo.height, photo.width)
        for box in boxes:
            place = ",".join(f"{v:g}" for v in (box.top, box.left, box.height, box.width))
            yield Item(photo.id if len(boxes) == 1 else f"{photo.id}#{place}", photo.id, box, photo.label)

    @property
    def items(self) -> tuple[Item, ...]:
        """What a network is shown, in order."""
        return self._items

    @property
    def photos(self) -> tuple[Photo, ...]:
        """The photos of these items, in order."""
        return tuple(self._photos[id] for id in dict.fromkeys(item.photo for item in self._items))

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """Photos that could not be read so far: (photo id, reason)."""
        return list(self._broken.items())

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over ids, cut and file bytes; a shard's also over which items it holds."""
        digest = hashlib.sha256(f"{self.cut!r} {self.start} {len(self)}".encode())
        for photo in self.photos:
            with photo.file.open("rb") as stream:
                digest.update(photo.id.encode() + b"\0" + hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> "ImageSet": ...
    def __getitem__(self, index: int | slice) -> "Item | ImageSet":
        if isinstance(index, int):
            return self._items[index]
        start, stop, step = index.indices(len(self))
        if step != 1:
            raise IndexError("an image set can be sliced into neighbouring items only, with step 1")
        return self.shard(start, stop)

    def shard(self, start: int, stop: int) -> "ImageSet":
        """Items start to stop - 1 as a set of their own; `start` of the new set is its place in the whole one."""
        part = copy.copy(self)
        part.__dict__.pop("content_hash", None)
        part._items, part._broken = self._items[start:stop], {}
        part.start = self.start + start
        return part

    def choose(self, ids: Iterable[str]) -> "ImageSet":
        """The items of those ids as a set of their own, in this set's order; ids that are not here are passed over."""
        wanted, part = set(ids), self.shard(0, 0)
        part._items = tuple(item for item in self._items if item.id in wanted)
        return part

    def __repr__(self) -> str:
        return f"ImageSet({len(self)} items of {len(self.photos)} photos, cut={self.cut!r})"

    def credit(self, photo: str) -> str | None:
        """Author, licence, source and changes of a photo (by id), from the ATTRIBUTION.csv beside it, or None."""
        return credit_of(self.photo(photo).file)

    def photo(self, id: str) -> Photo:
        """The photo of that id; raises UnknownNameError."""
        if id not in self._photos:
            raise unknown("photo", id, self._photos)
        return self._photos[id]

    def batches(self, size: tuple[int, int], batch: int = 32) -> Iterator[tuple[list[Item], Images]]:
        """Items in order with their pictures (b, 3, h, w) in [0, 1] of `size` (h, w), channels last in memory.

        The next batch is decoded in a background thread, which ends with the iterator. A photo that breaks is added to
        `skipped`, and the batch filled with the items that follow. Raises BadPhotosError if nothing of a whole set is
        left.
        """
        seen = 0
        for items, images in ahead(self._batches(size, batch)):
            seen += len(items)
            yield items, images
        if not seen and len(self) == self._whole:
            raise BadPhotosError(f"no photo can be read; the first: {next(iter(self._broken.values()))}")

    def _batches(self, size: tuple[int, int], batch: int) -> Iterator[tuple[list[Item], Images]]:
        pictures = self._pictures(size)
        while chunk := list(islice(pictures, batch)):
            yield [item for item, _ in chunk], to_batch([picture for _, picture in chunk])

    def _pictures(self, size: tuple[int, int]) -> Iterator[tuple[Item, Image.Image]]:
        """Items with their pictures; neighbouring items of one photo share one decoding."""
        for id, group in groupby(self._items, key=lambda item: item.photo):
            photo = self._photos[id]
            try:
                image = self._decode(photo, size)
            except BadPhotosError as error:
                self._broken[id] = str(error)
                continue
            frame = Box(0, 0, image.height, image.width)
            for item in group:
                yield item, resize(image, item.box.within(frame, photo.height, photo.width), size)

    def _decode(self, photo: Photo, size: tuple[int, int]) -> Image.Image:
        """The photo at a resolution at least twice of what its smallest cut needs, whatever items a shard holds."""
        boxes = self.cut(photo.height, photo.width)
        need = max(max(size[0] / box.height, size[1] / box.width) for box in boxes)
        image = decode(photo.file, min(1.0, 2 * need))
        reduced = ((math.ceil(photo.height / d), math.ceil(photo.width / d)) for d in (1, 2, 4, 8))
        if (image.height, image.width) not in reduced:
            raise BadPhotosError(f"'{photo.file}' is no longer {photo.height} x {photo.width} pixels as it was listed")
        return image
