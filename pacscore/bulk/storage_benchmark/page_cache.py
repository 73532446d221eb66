"""Making files durable, and dropping just them from the page cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

CAN_DROP = hasattr(os, "posix_fadvise")


def files_below(folder: Path) -> Iterator[Path]:
    """All files of a folder and its folders."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def sync_below(folder: Path) -> None:
    """Make every file of a folder, and every name, durable."""
    for path in [*files_below(folder), *(each for each in folder.rglob("*") if each.is_dir()), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def drop_below(folder: Path) -> None:
    """Take every file of a folder out of the page cache: what is not yet on the disk cannot be dropped, so sync first.

    Linux: ``posix_fadvise(POSIX_FADV_DONTNEED)``; other files stay cached.
    """
    for path in files_below(folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def size_below(folder: Path) -> tuple[int, int]:
    """Bytes and number of files of a folder."""
    sizes = [path.stat().st_size for path in files_below(folder)]
    return sum(sizes), len(sizes)
