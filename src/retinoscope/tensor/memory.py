"""Keeping freed memory: the difference between fast and slow loops over large tensors on Linux."""

import ctypes
import sys

_MMAP_MAX, _TRIM_THRESHOLD = -4, -1  # glibc's malloc.h
_NEVER = -1  # read as a size, larger than any: one step of a deep network frees more than the largest positive int


def keep_memory() -> bool:
    """Tell the C library to keep freed memory for this process instead of handing it back after every operation.

    Activations of tens of megabytes are freed and asked for again at every step; without this, each time the system
    clears their pages anew. For a process of one's own (the command line and the benchmarks call it), not for a
    library to decide. True where it took effect: Linux with glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(*pair) for pair in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER)))
