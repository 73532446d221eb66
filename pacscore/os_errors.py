"""What the operating system refuses, in the project's own errors."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pacscore.errors import NotFoundError, PacscoreError, ReadOnlyError, StorageError, StorageFullError


@contextmanager
def translated(path: Path, action: str) -> Iterator[None]:
    """Errors of the operating system as ours; ``action`` says what could not be done."""
    try:
        yield
    except PacscoreError:
        raise
    except OSError as error:
        raise _storage_error(error, path, action) from error


def _storage_error(error: OSError, path: Path, action: str) -> PacscoreError:
    fields = {"path": str(path), "errno": error.errno}
    what = f"cannot {action} {path.name}: {error.strerror or 'input/output error'}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFullError(f"{what}. Free some space or raise the quota, and try again.", **fields)
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return ReadOnlyError(f"{what}. Check the permissions of the archive's folder.", **fields)
    if error.errno == errno.ENOENT:
        return NotFoundError(f"{what}.", **fields)
    return StorageError(f"{what}. Check the disk that holds the archive.", **fields)
