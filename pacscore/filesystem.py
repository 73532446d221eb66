"""The seam to the disk: every byte that reaches an archive passes here.

Only this module creates, appends, syncs, renames or removes inside an archive (SQLite aside). The tests own a second
implementation that fails on demand and cuts the power.

F1  What ``append`` wrote is whole or not there: after an error the file has the length it had.
F2  A write is durable once a ``sync`` of its file that began after it has returned; a name (created, renamed, removed)
    once ``sync_folder`` of the folder that holds it has. Nothing else promises anything about a power cut.
F3  A failed sync is final. The handle is dead, since a repeated sync may report a success that never happened.
F4  ``publish`` makes a file appear whole under its name or not at all, durably, and never shows it half written.
F5  A file may have room behind its end: zeros on the disk, which the next appends overwrite. Then a sync has data to
    write and nothing else, no length and no place on the disk; it takes half the time.

Errors of the operating system come out as ``StorageFullError``, ``ReadOnlyError``, ``NotFoundError``, ``StorageError``.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TypeAlias

from pacscore.errors import (
    DamagedError,
    DurabilityError,
    PacscoreError,
    StorageError,
)
from pacscore.locks import Lock, hold_lock
from pacscore.os_errors import translated
from pacscore.syncing import begin_sync, sync_descriptor, sync_whole

if TYPE_CHECKING:
    import typing_extensions

    Buffer: TypeAlias = typing_extensions.Buffer
else:
    Buffer = object  # Anything with the buffer protocol; Python 3.11 has no name for it at run time.

PENDING_PREFIX = ".pending-"
"""Begins the name of a file that ``publish`` has not finished. After a crash it is garbage."""

_VECTOR_COUNT_MAX = 512  # POSIX promises 16, Linux and macOS take 1024.


class WritableFile(Protocol):
    """A file being written, at its end or anywhere. One thread at a time writes; another may sync meanwhile."""

    @property
    def path(self) -> Path:
        """Where it lies."""

    @property
    def size(self) -> int:
        """Its length in bytes as this handle knows it."""

    def write_at(self, offset: int, data: Buffer) -> None:
        """Write all of ``data`` at ``offset``, which may lie beyond the end."""

    def append(self, *parts: Buffer) -> int:
        """Write all parts one after the other at the end and return where they begin (F1)."""

    def drop_room(self) -> None:
        """Cut off what lies behind ``size``: room made before its need (F5); durable after the next sync."""

    def begin_sync(self, start: int) -> None:
        """Have what was written from ``start`` on go to the disk from now on. A ``sync`` has less to wait for then."""

    def sync(self) -> None:
        """Return once all that was written before this call is on the disk (F2, F3)."""

    def fileno(self) -> int:
        """The descriptor, for reading back."""

    def close(self) -> None:
        """Give the descriptor back, without a sync."""

    def __enter__(self) -> WritableFile: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class FileSystem(Protocol):
    """What the rooms above may do to a disk."""

    def create(self, path: Path) -> WritableFile:
        """A new, empty file; ``StorageError`` where something of that name exists."""

    def open_append(self, path: Path, *, end: int | None = None) -> WritableFile:
        """An existing file, to be continued at its end; where ``end`` is given, what lies behind that is room (F5)."""

    def make_folder(self, path: Path, *, exist_ok: bool = False) -> None:
        """A new folder, whose parent exists; durable after ``sync_folder`` of the parent."""

    def rename(self, source: Path, target: Path) -> None:
        """Give a file or folder another name; a file of that name is replaced. Durable after ``sync_folder``."""

    def remove(self, path: Path) -> None:
        """Remove a file; durable after ``sync_folder`` of its folder."""

    def remove_tree(self, path: Path) -> None:
        """Remove a folder and all in it, following no link. Nothing happens where it does not exist."""

    def sync_folder(self, path: Path) -> None:
        """Return once every name in this folder is on the disk as it is now."""

    def publish(self, path: Path, data: Buffer) -> None:
        """Make a file with this content appear under its name (F4), replacing an older one."""

    def truncate(self, path: Path, length: int) -> None:
        """Cut a file to ``length``, durably. For the unacknowledged tail of a log and nothing else."""

    def lock(self, path: Path, *, wait_seconds: float | None = None, shared: bool = False) -> Lock:
        """Hold the lock file at ``path``, made if need be. None waits for ever, 0 tries once."""

    def read_ranges(self, path: Path, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of each ``(offset, length)``; ``DamagedError`` where the file ends before."""


def _bytes_of(data: Buffer) -> memoryview:
    view = memoryview(data)
    return view.cast("B") if view.nbytes else memoryview(b"")  # An empty array cannot be cast.


class _LocalFile:
    """A ``WritableFile`` on a local disk."""

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._size = size
        self._dead = False

    @property
    def path(self) -> Path:
        return self._path

    @property
    def size(self) -> int:
        return self._size

    def write_at(self, offset: int, data: Buffer) -> None:
        view = _bytes_of(data)
        with translated(self._path, "write"):
            self._check_alive()
            self._write_all([view], offset)
        self._size = max(self._size, offset + len(view))

    def append(self, *parts: Buffer) -> int:
        views = [_bytes_of(part) for part in parts]
        start = self._size
        with translated(self._path, "append to"):
            self._check_alive()
            try:
                self._write_all(views, start)
            except BaseException:  # Ctrl-C between two writes too.
                self._undo_append(start)
                raise
        self._size = start + sum(len(view) for view in views)
        return start

    def begin_sync(self, start: int) -> None:
        begin_sync(self._descriptor, start, self._size - start)

    def sync(self) -> None:
        self._check_alive()
        try:
            self._sync_now()
        except OSError as error:
            self._dead = True
            raise DurabilityError(
                f"cannot sync {self._path.name}: {error.strerror or 'input/output error'}. What was written since the "
                "last sync may be lost; check the disk, then open the archive again.",
                path=str(self._path),
                errno=error.errno,
            ) from error

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def __enter__(self) -> _LocalFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def drop_room(self) -> None:
        with translated(self._path, "cut the end of"):
            self._check_alive()
            self._cut(self._size)

    def _cut(self, length: int) -> None:
        os.ftruncate(self._descriptor, length)

    def _check_alive(self) -> None:
        if self._dead:
            raise DurabilityError(
                f"{self._path.name} is not written any more: an earlier sync of it failed. Open the archive again.",
                path=str(self._path),
            )

    def _undo_append(self, length: int) -> None:
        # Leftovers beyond the end could later look like a record that nobody was promised.
        try:
            self._cut(length)
        except OSError:
            self._dead = True

    def _write_all(self, views: list[memoryview], offset: int) -> None:
        waiting = [view for view in views if len(view)]
        first = 0
        while first < len(waiting):
            written = self._write_some(waiting[first : first + _VECTOR_COUNT_MAX], offset)
            if written <= 0:
                raise OSError(errno.EIO, "nothing was written")
            offset += written
            while first < len(waiting) and written >= len(waiting[first]):
                written -= len(waiting[first])
                first += 1
            if written:
                waiting[first] = waiting[first][written:]

    def _write_some(self, views: list[memoryview], offset: int) -> int:
        return os.pwritev(self._descriptor, views, offset)

    def _sync_now(self) -> None:
        sync_descriptor(self._descriptor)


class LocalFileSystem:
    """The disk of this machine."""

    def create(self, path: Path) -> WritableFile:
        """A new, empty file; ``StorageError`` where something of that name exists."""
        with translated(path, "create"):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        return self._file(path, descriptor, 0)

    def open_append(self, path: Path, *, end: int | None = None) -> WritableFile:
        """An existing file, to be continued at its end; where ``end`` is given, what lies behind that is room (F5)."""
        with translated(path, "open"):
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            return self._file(path, descriptor, os.fstat(descriptor).st_size if end is None else end)

    def make_folder(self, path: Path, *, exist_ok: bool = False) -> None:
        """A new folder, whose parent exists; durable after ``sync_folder`` of the parent."""
        with translated(path, "make folder"):
            path.mkdir(exist_ok=exist_ok)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file or folder another name; a file of that name is replaced. Durable after ``sync_folder``."""
        with translated(source, "rename"):
            source.rename(target)

    def remove(self, path: Path) -> None:
        """Remove a file; durable after ``sync_folder`` of its folder."""
        with translated(path, "remove"):
            path.unlink()

    def remove_tree(self, path: Path) -> None:
        """Remove a folder and all in it, following no link. Nothing happens where it does not exist."""
        with translated(path, "remove"):
            for folder, names in _folders_inside_out(path):
                for name in names:
                    self.remove(folder / name)
                self._remove_folder(folder)

    def sync_folder(self, path: Path) -> None:
        """Return once every name in this folder is on the disk as it is now."""
        with translated(path, "open"):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._sync_names(path, descriptor)
        except OSError as error:
            raise DurabilityError(
                f"cannot sync folder {path.name}: {error.strerror or 'input/output error'}. Names made in it may be "
                "lost; check the disk, then open the archive again.",
                path=str(path),
                errno=error.errno,
            ) from error
        finally:
            os.close(descriptor)

    def publish(self, path: Path, data: Buffer) -> None:
        """Make a file with this content appear under its name (F4), replacing an older one."""
        view = _bytes_of(data)
        pending = path.with_name(f"{PENDING_PREFIX}{os.urandom(8).hex()}")
        try:
            with self.create(pending) as file:
                file.append(view)
                found = os.fstat(file.fileno()).st_size
                if found != len(view):
                    raise StorageError(
                        f"{path.name} came out {found} bytes long instead of {len(view)}. Check the disk.",
                        path=str(path),
                        expected=len(view),
                        found=found,
                    )
                file.sync()
            self.rename(pending, path)
        except PacscoreError:
            with suppress(PacscoreError):
                self.remove(pending)
            raise
        self.sync_folder(path.parent)

    def truncate(self, path: Path, length: int) -> None:
        """Cut a file to ``length``, durably. For the unacknowledged tail of a log and nothing else."""
        with translated(path, "truncate"):
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                os.ftruncate(descriptor, length)
            except OSError:
                os.close(descriptor)
                raise
        with self._file(path, descriptor, length) as file:
            file.sync()

    def lock(self, path: Path, *, wait_seconds: float | None = None, shared: bool = False) -> Lock:
        """Hold the lock file at ``path``, made if need be. None waits for ever, 0 tries once.

        Raises
        ------
        RetryError
            Somebody else held it all the while.
        """
        with translated(path, "lock"):
            return hold_lock(path, wait_seconds=wait_seconds, shared=shared)

    def read_ranges(self, path: Path, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of each ``(offset, length)``; ``DamagedError`` where the file ends before."""
        with translated(path, "read"):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return [_read_exactly(descriptor, path, offset, length) for offset, length in ranges]
            finally:
                os.close(descriptor)

    def _file(self, path: Path, descriptor: int, size: int) -> WritableFile:
        return _LocalFile(path, descriptor, size)

    def _remove_folder(self, path: Path) -> None:
        path.rmdir()

    def _sync_names(self, path: Path, descriptor: int) -> None:
        sync_whole(descriptor)


def _folders_inside_out(path: Path) -> Iterator[tuple[Path, list[str]]]:
    """Each folder below ``path``, itself last, with the names in it that are not folders."""
    if not path.is_dir() or path.is_symlink():
        return
    for folder, _, names in os.walk(path, topdown=False):
        links = [entry.name for entry in os.scandir(folder) if entry.is_symlink() and entry.is_dir()]
        yield Path(folder), sorted([*names, *links])


def _read_exactly(descriptor: int, path: Path, offset: int, length: int) -> bytes:
    data = os.pread(descriptor, length, offset)
    while len(data) < length and (more := os.pread(descriptor, length - len(data), offset + len(data))):
        data += more  # One read returns 2 GiB at most.
    if len(data) < length:
        raise DamagedError(
            f"{path.name} ends too early: {length} bytes expected at {offset}, {len(data)} found. Run verify.",
            path=str(path),
            offset=offset,
            expected=length,
            found=len(data),
        )
    return data
