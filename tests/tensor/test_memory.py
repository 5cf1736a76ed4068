"""Keeping freed memory is a hint to the C library: it says whether it took effect, and changes no value."""

import subprocess
import sys

_PROGRAM = """
import sys, torch
from retinoscope.tensor.memory import keep_memory
before = torch.arange(1e6).sum()
print(keep_memory(), bool(torch.arange(1e6).sum() == before))
"""


def test_it_says_whether_it_took_effect() -> None:
    # In a process of its own: the hint cannot be taken back.
    run = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [str(sys.platform.startswith("linux")), "True"]
