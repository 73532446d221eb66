"""What lies below the paths that a caller named; nothing is passed over without a word (promise 10)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from pacscore.errors import StorageError

LeaveOut = Callable[[Path, str], None]


def ignore(path: Path, reason: str) -> None:
    """For callers who do not report what is left out."""


def files_below(paths: tuple[Path, ...], *, leave_out: LeaveOut = ignore) -> Iterator[Path]:
    """Every regular file below the given paths, folders in sorted order; links to folders are not followed.

    Parameters
    ----------
    leave_out
        Called with what cannot be looked into, and why: folders without permission, links to folders or to nothing,
        pipes, sockets and devices.

    Raises
    ------
    StorageError
        A given path does not exist.
    """
    for path in paths:
        if path.is_file():
            yield path
        elif path.is_dir():
            yield from _files_in(path, leave_out)
        elif os.path.lexists(path):
            leave_out(path, "not a file or folder")
        else:
            raise StorageError("there is no such file or folder. Check the path.", path=str(path))


def _files_in(root: Path, leave_out: LeaveOut) -> Iterator[Path]:
    def report(error: OSError) -> None:
        leave_out(Path(error.filename or root), f"the folder cannot be read: {error.strerror}")

    for folder, names, files in os.walk(root, onerror=report):
        names.sort()
        for name in names:
            if Path(folder, name).is_symlink():
                leave_out(Path(folder, name), "a link to a folder, which is not followed: name the folder itself")
        for name in sorted(files):
            found = Path(folder, name)
            if found.is_file():
                yield found
            else:
                leave_out(found, "a link to nothing" if found.is_symlink() else "not a regular file")
