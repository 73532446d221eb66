"""Locks between processes and threads: ``flock`` on separate files, and very many in one file by number.

L1  A lock belongs to one open file description, so two threads exclude each other as two processes do.
L2  It ends with its holder, however that ends, and is never handed to a program that is executed.
L3  A forked child does not hold what its parent held: its copies are closed, and it takes locks of its own.
L4  Numbered locks are byte ranges of one file. They too belong to one open file description, which all threads with one
    ``NumberedLocks`` share: they take turns at a number before they ask for it.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Protocol

from pacscore.errors import RetryError, StorageError

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
_numbered: weakref.WeakSet[NumberedLocks] = weakref.WeakSet()


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
    for locks in list(_numbered):
        locks.forget_parent()


os.register_at_fork(after_in_child=_drop_inherited_locks)


class NumberedLocks:
    """Locks by number, from 0 up to 2**62, in one file that is made when the first is asked for (L4).

    Where the system has no locks of open file descriptions (macOS) they are the process's, and two values of one
    process do not exclude each other.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._opening = threading.Lock()
        _numbered.add(self)

    @contextmanager
    def held(self, number: int) -> Iterator[None]:
        """Hold the lock of a number, once everybody else has let it go.

        Raises
        ------
        StorageError
            The file cannot be made or locked.
        """
        descriptor = self._opened()
        self._call(descriptor, _WAIT, fcntl.F_WRLCK, number)
        try:
            yield
        finally:
            if descriptor == self._descriptor:  # Else this is a forked child, or the end: closing gave it back.
                self._call(descriptor, _TRY, fcntl.F_UNLCK, number)

    def is_free(self, number: int) -> bool:
        """Whether nobody else holds a number now."""
        try:
            fcntl.fcntl(self._opened(), _TRY, _range(fcntl.F_WRLCK, number))
        except BlockingIOError:
            return False
        self._call(self._descriptor, _TRY, fcntl.F_UNLCK, number)
        return True

    def close(self) -> None:
        """Close the file, which lets go of what is held through it; it is opened again when a lock is asked for."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def forget_parent(self) -> None:
        """In a forked child: close its copy of the file, and forget who was just about to open it."""
        self._opening = threading.Lock()
        self.close()

    def _opened(self) -> int:
        with self._opening:
            if self._descriptor < 0:
                try:
                    self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                except OSError as error:
                    raise self._error(error) from error
            return self._descriptor

    def _call(self, descriptor: int, command: int, kind: int, number: int) -> None:
        try:
            fcntl.fcntl(descriptor, command, _range(kind, number))
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: OSError) -> StorageError:
        return StorageError(
            f"{self._path.name} cannot be locked: {error.strerror}. An archive is written on a local disk.",
            path=str(self._path),
            errno=error.errno,
        )


_TRY, _WAIT = getattr(fcntl, "F_OFD_SETLK", fcntl.F_SETLK), getattr(fcntl, "F_OFD_SETLKW", fcntl.F_SETLKW)


def _range(kind: int, number: int) -> bytes:
    """One byte of a file as the system's ``struct flock``."""
    if sys.platform == "darwin":  # off_t start, length; pid_t; short type, whence.
        return struct.pack("@qqihh", number, 1, 0, kind, os.SEEK_SET)
    return struct.pack("@hhqqi", kind, os.SEEK_SET, number, 1, 0)


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
