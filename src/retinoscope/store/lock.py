"""One writer at a time: a lock of the operating system, which vanishes with its process, however that ends."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from retinoscope.base.errors import StoreError

FILE = "writer.lock"


@dataclass(frozen=True)
class Lock:
    """A held lock; `release` it once."""

    handle: int

    def release(self) -> None:
        """Let the next writer in. The file stays: removing it would let two writers lock two files of one name."""
        os.close(self.handle)


def acquire(folder: Path) -> Lock:
    """Lock a store's folder for writing; raises StoreError naming the process that holds it."""
    handle = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
    except BlockingIOError:
        owner = os.pread(handle, 32, 0).decode() or "unknown"
        os.close(handle)
        raise StoreError(
            f"the store {folder} is in use by process {owner}; wait until it ends, or name another folder"
        ) from None
    except BaseException:
        os.close(handle)
        raise
    return Lock(handle)
