"""Locks between processes and threads: ``flock`` on separate files.

L1  A lock belongs to one open file description, so two threads exclude each other as two processes do.
L2  It ends with its holder, however that ends, and is never handed to a program that is executed.
L3  A forked child does not hold what its parent held: its copies are closed, and it takes locks of its own.
"""

from __future__ import annotations

import fcntl
import os
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import Protocol

from pacscore.errors import RetryError

_POLL_SECONDS = 0.005


class Lock(Protocol):
    """A lock that is held."""

    def release(self) -> None:
        """Let it go; a second call does nothing."""

    def __enter__(self) -> Lock: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


_held: weakref.WeakSet[_LocalLock] = weakref.WeakSet()


class _LocalLock:
    """A ``flock`` on an open file description of its own (L1)."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        _held.add(self)

    def release(self) -> None:
        """Let it go; a second call does nothing."""
        if self._descriptor >= 0:
            fcntl.flock(
                self._descriptor, fcntl.LOCK_UN
            )  # At once, even if a child is just about to be another program.
        self.drop()

    def drop(self) -> None:
        """Close this process's copy of the descriptor; the lock itself stays with the others that have one."""
        _held.discard(self)
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def __enter__(self) -> _LocalLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _drop_inherited_locks() -> None:
    # Kept, the child's copy would outlive the parent; unlocked, it would rob the parent of the lock.
    for lock in list(_held):
        lock.drop()


os.register_at_fork(after_in_child=_drop_inherited_locks)


def hold_lock(path: Path, *, wait_seconds: float | None = None, shared: bool = False) -> Lock:
    """Hold the lock file at ``path``, made if need be. None waits for ever, 0 tries once.

    Raises
    ------
    RetryError
        Somebody else held it all the while.
    OSError
        The file cannot be made or locked.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _wait(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, wait_seconds, path)
    except BaseException:
        os.close(descriptor)
        raise
    return _LocalLock(descriptor)


def _wait(descriptor: int, kind: int, wait_seconds: float | None, path: Path) -> None:
    if wait_seconds is None:
        fcntl.flock(descriptor, kind)
        return
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise RetryError(
                    f"{path.name} is locked by another process or thread. Try again when it has finished.",
                    path=str(path),
                ) from error
        else:
            return
        time.sleep(_POLL_SECONDS)
