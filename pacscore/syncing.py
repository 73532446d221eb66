"""How the bytes of a file are brought to the disk, as the platform has it."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

_SYNC_FILE_RANGE_WRITE = 2  # linux/fs.h


def sync_descriptor(descriptor: int) -> None:
    """The strongest sync of a file's bytes and length that the platform has."""
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # fsync there stops at the drive's cache.
    else:
        os.fdatasync(descriptor)


def sync_whole(descriptor: int) -> None:
    """The strongest sync of a file or folder with all that is known of it."""
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)


def begin_sync(descriptor: int, start: int, length: int) -> None:
    """Have a range of a file go to the disk from now on, where the platform has a call for that; promises nothing.

    Errors are those of the next sync: this call tells none, and takes none from it (sync_file_range(2)).
    """
    begin = _starter()
    if begin is not None:
        begin(descriptor, start, length, _SYNC_FILE_RANGE_WRITE)


@lru_cache(maxsize=1)
def _starter() -> Callable[[int, int, int, int], int] | None:
    """The call that begins to write a range of a file and waits for nothing; None where there is none."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    call: Any = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if call is not None:
        call.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return call  # type: ignore[no-any-return]  # ctypes' functions have no type.
