"""Files are written whole or not at all, under names that any file system takes."""

import errno
import os
from pathlib import Path

import pytest

from retinoscope.base.errors import StoreError
from retinoscope.store import files


def test_saves_and_replaces(tmp_path: Path) -> None:
    for data in (b"one", b"two"):
        files.save(tmp_path, "a/b.png", data)
        assert (tmp_path / "a/b.png").read_bytes() == data
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b.png"]


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    files.save(tmp_path, "a.png", b"old")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(StoreError, match=r"disk full .* nothing already made is lost: free space and run again"):
        files.save(tmp_path, "a.png", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"old"


def test_clean_removes_only_unfinished_files(tmp_path: Path) -> None:
    files.save(tmp_path, "x/a.png", b"whole")
    (tmp_path / "x" / f"{files.TEMPORARY}abc").write_bytes(b"half")
    files.clean(tmp_path)
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["a.png"]


NAMES = [
    "blocks.3.0",
    "features/0#2",
    "..",
    ".",
    "",
    "a b%20",
    "très:long*?",
    "x" * 400,
    "x" * 399 + "y",
    "a/../../b",
    "CON\\",
]


def test_safe_names_are_single_distinct_visible_segments() -> None:
    found = [files.safe(name) for name in NAMES]
    assert len(set(found)) == len(NAMES)
    for name in found:
        assert name
        assert len(name) <= files.LONGEST
        assert not name.startswith(".")
        assert not set(name) & set('/\\:*?"<>| ')


def test_paths_of_pictures_and_photos() -> None:
    assert files.picture_file("torchvision/x", "a#2", 7) == "pictures/torchvision%2Fx/a%232/7.png"
    assert files.picture_file("n", "l", 7, "mean") == "pictures/n/l/7.mean.png"
    assert files.photo_file("dogs/a b.png") == "photos/dogs/a%20b.png.jpg"
    assert ".." not in files.photo_file("../../x").split("/")
