"""Does an atlas that is killed at random moments end as an undisturbed one does?

    python benchmarks/kill.py --kills 20
    python benchmarks/kill.py --kills 20 --model efficientnet-lite0 --photos sample -- --layers blocks.1.0 --steps 32

Makes one atlas undisturbed, then one that is killed with SIGKILL again and again and started anew, and compares every
table and the bytes of every file. Each attempt is a process of its own, forked from one that has torch imported, so
that the kills fall into the work. Without --model it uses a small random network and small random photos. Exit status
0 means that both are the same.
"""

import argparse
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from PIL import Image

import retinoscope.jobs.local
import retinoscope.network.zoo  # noqa: F401
from retinoscope.cli.main import app

NETWORK = """
import torch
from torch import nn
from retinoscope import wrap

def tiny():
    torch.manual_seed(3)
    module = nn.Sequential(
        nn.Conv2d(3, 12, 3, 2), nn.ReLU(), nn.Conv2d(12, 40, 3, 2), nn.ReLU(), nn.Conv2d(40, 24, 3), nn.ReLU()
    )
    return wrap(module, input_size=48)
"""
SETTINGS = ["--layers", "0,2,4", "--size", "32", "--steps", "12", "--k", "3", "--tiles"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model")
    parser.add_argument("--photos")
    parser.add_argument("settings", nargs="*", help="further options of `retinoscope atlas`, after --")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="retinoscope-kill-") as folder:
        return compare(Path(folder), options)


def compare(folder: Path, options: argparse.Namespace) -> int:
    model, photos = options.model or write_network(folder), options.photos or write_photos(folder)
    settings = options.settings or ([] if options.model else SETTINGS)
    arguments = ["atlas", model, photos, *settings, "--store"]
    whole = folder / "whole"
    child = begin([*arguments, str(whole)])
    child.wait_for_work()
    start = time.monotonic()
    child.finish()
    seconds = time.monotonic() - start
    print(f"undisturbed: {seconds:.1f} s of work, {len(tables(whole))} rows, {len(files(whole))} files")
    torn = torment(arguments, folder, options, seconds)
    same = {what: all(read(whole) == read(store) for store in torn) for what, read in READERS.items()}
    print("; ".join(f"{what} {'the same' if equal else 'DIFFERENT'}" for what, equal in same.items()))
    return 0 if all(same.values()) else 1


def torment(arguments: list[str], folder: Path, options: argparse.Namespace, seconds: float) -> list[Path]:
    """Kill atlases `options.kills` times in all, with a new store whenever one is complete; gives the stores."""
    luck, left, stores = random.Random(options.seed), options.kills, []
    while left:
        stores.append(folder / f"torn{len(stores)}")
        found: list[int] = []
        while left and attempt([*arguments, str(stores[-1])], luck, seconds):
            left -= 1
            found.append(tasks_done(stores[-1]))
        begin([*arguments, str(stores[-1])]).finish()
        print(f"store {len(stores)}: {len(found)} kills, with {', '.join(map(str, found))} tasks done so far")
    return stores


def attempt(arguments: list[str], luck: random.Random, seconds: float) -> bool:
    """Start an atlas and kill it at a random moment; False when it had ended before."""
    child = begin(arguments)
    if luck.random() < 0.8:  # the others may die before the work begins, while the network is loaded
        child.wait_for_work()
    # A long tail lets every job be finished some time, however long it takes.
    time.sleep(luck.expovariate(4 / seconds))
    os.kill(child.id, signal.SIGKILL)
    os.close(child.said)
    return child.status() != 0


@dataclass(frozen=True)
class Child:
    """A process that runs the command line, and what it says on stderr."""

    id: int
    said: int

    def wait_for_work(self) -> None:
        """Wait for its first word of progress."""
        os.read(self.said, 1)

    def status(self) -> int:
        """Wait for its end; gives the exit status, negative for a signal."""
        return os.waitstatus_to_exitcode(os.waitpid(self.id, 0)[1])

    def finish(self) -> None:
        """Wait for its end, which must be a good one."""
        with os.fdopen(self.said) as words:
            text = words.read()
        if self.status() != 0:
            raise SystemExit(f"an atlas failed: {text}")


def begin(arguments: list[str]) -> Child:
    """Start `retinoscope` with these arguments in a process of its own."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking a process with threads; none runs torch here
        child = os.fork()
    if child == 0:
        _run(arguments, writing)
    os.close(writing)
    return Child(child, reading)


def _run(arguments: list[str], writing: int) -> NoReturn:
    status = 1
    try:
        torch.set_num_threads(1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(writing, 2)
        app(arguments, standalone_mode=False)
        status = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(status)


def tasks_done(store: Path) -> int:
    """How many tasks are in a store; 0 where there is none yet."""
    try:
        with sqlite3.connect(f"file:{store / 'store.db'}?mode=ro", uri=True) as connection:
            return int(connection.execute("SELECT COUNT(*) FROM task").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def tables(store: Path) -> list[tuple[object, ...]]:
    """Every row of every table, with the table's name before it."""
    with sqlite3.connect(store / "store.db") as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return sorted(((name, *row) for name in names for row in connection.execute(f"SELECT * FROM {name}")), key=repr)


def files(store: Path) -> dict[str, bytes]:
    """The bytes of every file but the database, by name."""
    found = [path for path in store.rglob("*") if path.is_file() and path.parent != store]
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in found}


READERS = {"tables": tables, "files": files}


def write_network(folder: Path) -> str:
    """A small random network as a file.py:factory."""
    (folder / "network.py").write_text(NETWORK)
    return f"{folder / 'network.py'}:tiny"


def write_photos(folder: Path, count: int = 16) -> str:
    """A folder of small random photos."""
    numbers = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for place in range(count):
        small = Image.fromarray(numbers.integers(0, 256, (9, 12, 3), dtype=np.uint8))
        small.resize((64, 48), Image.Resampling.BICUBIC).save(folder / "photos" / f"{place:02d}.png")
    return str(folder / "photos")


if __name__ == "__main__":
    sys.exit(main())
