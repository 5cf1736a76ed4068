"""A run that is stopped anywhere and started again ends as an undisturbed one; changed settings replace results."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from retinoscope.base.errors import StoreError
from retinoscope.data.imageset import ImageSet
from retinoscope.jobs import local
from retinoscope.jobs.job import Job
from retinoscope.jobs.local import Progress, pending, run_all
from retinoscope.jobs.plan import plan_atlas
from retinoscope.jobs.tasks import Context
from retinoscope.network.model import Model
from retinoscope.store import files
from retinoscope.store.database import Store

ROOT = Path(__file__).parents[2]


def contents(store: Store) -> tuple[list[str], dict[str, bytes]]:
    """All rows of all tables, and all files but the database."""
    names = [row[0] for row in store.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = [repr((name, *row)) for name in names for row in store.connection.execute(f"SELECT * FROM {name}")]
    kept = [path for path in store.folder.rglob("*") if path.is_file() and path.parent != store.folder]
    return sorted(rows), {path.relative_to(store.folder).as_posix(): path.read_bytes() for path in kept}


def finish(jobs: Sequence[Job], context: Context, store: Store) -> list[Progress]:
    return list(run_all(jobs, Context(context.model, context.photos, lambda name: store.folder / name), store))


def test_progress_counts_up_and_says_what_is_left(jobs: Sequence[Job], context: Context, store: Store) -> None:
    seen = finish(jobs, context, store)
    ends = [at for at in seen if at.outcome is not None]
    assert [at.job for at in ends] == list(jobs)
    assert [at.done for at in ends] == list(range(1, len(jobs) + 1))
    assert [at.seconds for at in seen] == sorted(at.seconds for at in seen)
    assert all(at.left > 0 for at in seen[:-2])
    assert seen[-1].left == 0
    assert pending(jobs, store) == []
    assert finish(jobs, context, store) == []


class Stop(BaseException):
    """Stands for a kill."""


@pytest.mark.parametrize("where", ["save", "write", "unlink"])
def test_stopped_at_every_write(
    jobs: Sequence[Job], context: Context, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    finish(jobs, context, store)
    holder = {"save": files, "write": Store, "unlink": Path}[where]
    original, counts = getattr(holder, where), {"calls": 0, "limit": 1}

    def stopping(*arguments: object, **named: object) -> object:
        counts["calls"] += 1
        if counts["calls"] == counts["limit"]:
            raise Stop
        return original(*arguments, **named)

    monkeypatch.setattr(holder, where, stopping)
    attempts = 0
    while True:
        counts["calls"] = 0
        try:
            with Store.create(tmp_path / "torn") as torn:
                attempts += 1
                finish(jobs, context, torn)
                assert contents(torn) == contents(store)
                break
        except Stop:
            counts["limit"] += 7 if where == "save" else 1
    assert attempts > 1


def test_a_full_disk_keeps_what_is_made(
    jobs: Sequence[Job], context: Context, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path, *_: object) -> None:
        raise files.full(folder)

    with monkeypatch.context() as patch:
        patch.setattr(local.files, "save", fail)
        with pytest.raises(StoreError, match="disk full"):
            finish(jobs, context, store)
    assert store.networks()
    assert pending(jobs, store) == list(jobs[1:])
    finish(jobs, context, store)
    assert pending(jobs, store) == []


def test_changed_settings_replace_and_return(tiny: Model, images: ImageSet, context: Context, store: Store) -> None:
    first, other = (plan_atlas(tiny, images, layers=["conv1"], k=k, size=32, steps=2, seed=k) for k in (3, 2))
    finish(first, context, store)
    before = contents(store)
    finish(other, context, store)
    assert [e.side for e in store.examples("tiny", "conv1", 0)].count("top") == 2
    assert store.pictures("tiny", "conv1")[0].provenance.seed == 2
    assert contents(store) != before
    finish(first, context, store)
    old, new = (
        {row for row in rows if not row.startswith("('provenance'")} for rows in (before[0], contents(store)[0])
    )
    assert old == new
    assert before[1] == contents(store)[1]


def test_killed_for_real() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "kill.py"), "--kills", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tables the same; files the same" in done.stdout
