"""Where photos lie: ids and files of a folder, a list or a single file."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from retinoscope.base.errors import BadPhotosError
from retinoscope.image.codec import SUFFIXES
from retinoscope.image.samples import sample_photos as sample_photos


def find_photos(source: str | Path | Sequence[str | Path]) -> dict[str, Path]:
    """Photo files by id (path relative to their folder, with '/'), sorted; raises BadPhotosError when there are none.

    A list's ids are relative to the folder that all its files share.
    """
    if isinstance(source, str | Path):
        root = Path(source)
        if not root.exists():
            raise BadPhotosError(f"no file or folder '{source}'; give a folder of photos, a photo, or a list of photos")
        return _in_folder(root) if root.is_dir() else {root.name: root}
    return _in_list([Path(file) for file in source])


def _in_folder(root: Path) -> dict[str, Path]:
    visible = sorted(_visible(root), key=lambda file: file.relative_to(root).as_posix())
    photos = {file.relative_to(root).as_posix(): file for file in visible if file.suffix.lower() in SUFFIXES}
    if not photos:
        kinds = Counter(file.suffix.lower() or file.name for file in visible).most_common(5)
        came = ", ".join(f"{count} {kind}" for kind, count in kinds) or "nothing"
        raise BadPhotosError(f"no photos in '{root}': it holds {came}; photos end in {', '.join(SUFFIXES)}")
    return photos


def _visible(root: Path) -> Iterable[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(folder, name) for name in names if not name.startswith("."))


def _in_list(paths: list[Path]) -> dict[str, Path]:
    if not paths:
        raise BadPhotosError("no photos: the list is empty; give a folder of photos, a photo, or a list of photos")
    root = os.path.commonpath([path.absolute().parent for path in paths])
    photos = {Path(os.path.relpath(path.absolute(), root)).as_posix(): path for path in paths}
    return dict(sorted(photos.items()))
