"""The seam's failing twin: a disk that is full, writes short, fails to sync, crashes at step n, or loses its power.

It works on a real folder, so everything that reads sees real files, and keeps a model beside it of what a power cut
could leave. The model:

- A file's bytes are durable up to the writes that had returned when a sync of that file began. Each later write is
  kept, lost or torn: of its pages any may be there, and the file may have grown over bytes that are not.
- A name is durable once its folder was synced after it was made or removed. Each later change is kept or lost on its
  own. A rename is atomic, within a folder or between two, and durable once the target's folder was synced.
- A folder whose name is lost is lost with all in it. What did not come through the seam does not survive.

Steps are counted from 1: each create, write, sync, rename, removal and so on is one, and ``steps`` names those done.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from pacscore.filesystem import LocalFileSystem, WritableFile, _LocalFile
from pacscore.locks import Lock

PAGE_BYTES = 4096


class Crash(BaseException):
    """The process ended here. Not an ``Exception``, since a dead process handles nothing."""


@dataclass(eq=False)
class _File:
    durable: bytes = b""
    pending: list[Callable[[bytes, random.Random | None], bytes]] = field(default_factory=list)

    def sync(self, count: int) -> None:
        for change in self.pending[:count]:
            self.durable = change(self.durable, None)
        del self.pending[:count]

    def after_cut(self, chance: random.Random, keep: float) -> bytes:
        content = self.durable
        for change in self.pending:
            fate = chance.random()
            if fate < keep:
                content = change(content, None)
            elif fate < keep + (1 - keep) / 2:
                content = change(content, chance)
        return content


@dataclass(eq=False)
class _Folder:
    durable: dict[str, _Node] = field(default_factory=dict)
    current: dict[str, _Node] = field(default_factory=dict)
    pending: list[_NameChange] = field(default_factory=list)


_Node = _File | _Folder


@dataclass(eq=False)
class _NameChange:
    """A name made (node), removed (None), or moved here from elsewhere."""

    number: int
    name: str
    node: _Node | None
    source: tuple[_Folder, str] | None = None

    def apply(self, folder: _Folder, states: dict[_Folder, dict[str, _Node]]) -> None:
        if self.source is not None:
            gone = states[self.source[0]]
            if gone.get(self.source[1]) is self.node:
                del gone[self.source[1]]
        if self.node is None:
            states[folder].pop(self.name, None)
        else:
            states[folder][self.name] = self.node


def _write(offset: int, data: bytes) -> Callable[[bytes, random.Random | None], bytes]:
    def change(content: bytes, chance: random.Random | None) -> bytes:
        result = bytearray(content.ljust(offset, b"\0"))
        if chance is None:
            result[offset : offset + len(data)] = data
            return bytes(result)
        end = offset + len(data)
        start = offset
        while start < end:
            stop = min(end, (start // PAGE_BYTES + 1) * PAGE_BYTES)
            if chance.random() < 0.5:
                result[:] = result.ljust(start, b"\0")
                result[start:stop] = data[start - offset : stop - offset]
            start = stop
        if chance.random() < 0.5:
            result[:] = result.ljust(end, b"\0")
        return bytes(result)

    return change


def _cut_to(length: int) -> Callable[[bytes, random.Random | None], bytes]:
    return lambda content, _: content[:length]


class FailingFileSystem(LocalFileSystem):
    """A ``FileSystem`` below ``root`` that fails as told.

    Parameters
    ----------
    crash_at
        The step at which the process ends; a write is then done in part. With ``kill`` it ends by SIGKILL.
    disk_bytes
        How many bytes may be written before the disk is full.
    fail_sync_at, skip_sync_at
        The number of the sync, from 1, that fails, or that does nothing and says it did.
    short_writes
        Every write to a file takes only some of its bytes.
    """

    def __init__(
        self,
        root: Path,
        *,
        crash_at: int | None = None,
        kill: bool = False,
        disk_bytes: int | None = None,
        fail_sync_at: int | None = None,
        skip_sync_at: int | None = None,
        short_writes: bool = False,
        seed: int = 0,
    ) -> None:
        self.root = root
        self.steps: list[str] = []
        self.syncs: list[str] = []
        self.steps_of_syncs: list[int] = []
        self.disk_bytes = disk_bytes
        self.is_dead = False
        self._crash_at = crash_at
        self._kill = kill
        self.fail_sync_at = fail_sync_at
        self._skip_sync_at = skip_sync_at
        self._short_writes = short_writes
        self.chance = random.Random(seed)
        self.turn = threading.RLock()
        self._changes = 0
        self._files: list[_FailingFile] = []
        self._locks: list[Lock] = []
        self._root = _Folder()
        self._take_as_durable(root, self._root)

    def power_cut(self, seed: int) -> None:
        """Leave below ``root`` one of the outcomes that a power cut now could have, chosen by ``seed``."""
        self.die()
        chance = random.Random(seed)
        keep = chance.choice([0.0, 0.3, 0.6, 0.9, 1.0])
        folders = list(_all_folders(self._root))
        states = {folder: dict(folder.durable) for folder in folders}
        changes = [(change.number, change, folder) for folder in folders for change in folder.pending]
        for _, change, folder in sorted(changes, key=lambda item: item[0]):
            if chance.random() < keep:
                change.apply(folder, states)
        for entry in list(os.scandir(self.root)):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
        contents: dict[_File, bytes] = {}

        def write_out(folder: _Folder, path: Path) -> None:
            for name, node in states[folder].items():  # In the order they were made: some names are random.
                if isinstance(node, _File):
                    if node not in contents:
                        contents[node] = node.after_cut(chance, keep)
                    (path / name).write_bytes(contents[node])
                else:
                    (path / name).mkdir()
                    write_out(node, path / name)

        write_out(self._root, self.root)

    def die(self) -> None:
        """End the process: every handle and lock is gone, and every further call raises ``Crash``."""
        with self.turn:
            self.is_dead = True
            for file in self._files:
                file.close()
            for lock in self._locks:
                lock.release()

    def step(self, name: str, before_crash: Callable[[], None] | None = None) -> None:
        """Count a step, and crash if this is the one."""
        with self.turn:
            if self.is_dead:
                raise Crash
            self.steps.append(name)
            if len(self.steps) == self._crash_at:
                if before_crash is not None:
                    before_crash()
                self._crash()

    def sync_step(self, name: str) -> bool:
        """Count a sync; False if it is the one to be skipped."""
        self.step(f"sync {name}")
        with self.turn:
            self.syncs.append(name)
            self.steps_of_syncs.append(len(self.steps))
            if len(self.syncs) == self.fail_sync_at:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return len(self.syncs) != self._skip_sync_at

    def take_room(self, wanted: int) -> int:
        """How many of the wanted bytes a write gets."""
        with self.turn:
            granted = wanted if self.disk_bytes is None else min(wanted, self.disk_bytes)
            if wanted and not granted:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if self._short_writes and granted > 1:
                granted = self.chance.randint(1, granted)
            if self.disk_bytes is not None:
                self.disk_bytes -= granted
            return granted

    def node(self, path: Path) -> _Node:
        """The model of what lies at ``path``."""
        node: _Node = self._root
        for name in path.relative_to(self.root).parts:
            assert isinstance(node, _Folder)
            node = node.current[name]
        return node

    def create(self, path: Path) -> WritableFile:
        self.step(f"create {path.name}")
        return super().create(path)

    def open_append(self, path: Path, *, end: int | None = None) -> WritableFile:
        self.step(f"open {path.name}")
        return super().open_append(path, end=end)

    def make_folder(self, path: Path, *, exist_ok: bool = False) -> None:
        self.step(f"make folder {path.name}")
        with self.turn:
            existed = path.is_dir()
            super().make_folder(path, exist_ok=exist_ok)
            if not existed:
                self._change_name(path, _Folder())

    def rename(self, source: Path, target: Path) -> None:
        self.step(f"rename to {target.name}")
        with self.turn:
            super().rename(source, target)
            node = self.node(source)
            origin = self._folder(source.parent)
            del origin.current[source.name]
            self._change_name(target, node, source=(origin, source.name))

    def remove(self, path: Path) -> None:
        self.step(f"remove {path.name}")
        with self.turn:
            super().remove(path)
            self._change_name(path, None)

    def truncate(self, path: Path, length: int) -> None:
        self.step(f"truncate {path.name}")
        with self.turn:
            node = self.node(path)
            assert isinstance(node, _File)
            node.pending.append(_cut_to(length))
        super().truncate(path, length)

    def lock(self, path: Path, *, wait_seconds: float | None = None, shared: bool = False) -> Lock:
        self.step(f"lock {path.name}")
        held = super().lock(path, wait_seconds=wait_seconds, shared=shared)
        with self.turn:
            self._locks.append(held)
        return held

    def _file(self, path: Path, descriptor: int, size: int) -> WritableFile:
        with self.turn:
            if path.name not in self._folder(path.parent).current:
                self._change_name(path, _File())
            node = self.node(path)
            assert isinstance(node, _File)
            file = _FailingFile(path, descriptor, size, self, node)
            self._files.append(file)
            return file

    def _remove_folder(self, path: Path) -> None:
        self.step(f"remove folder {path.name}")
        with self.turn:
            super()._remove_folder(path)
            self._change_name(path, None)

    def _sync_names(self, path: Path, descriptor: int) -> None:
        if not self.sync_step(f"folder {path.name}"):
            return
        with self.turn:
            folder = self._folder(path)
            for change in folder.pending:
                source = folder if change.source is None else change.source[0]
                change.apply(folder, {folder: folder.durable, source: source.durable})
            folder.pending.clear()

    def _folder(self, path: Path) -> _Folder:
        node = self.node(path)
        assert isinstance(node, _Folder)
        return node

    def _change_name(self, path: Path, node: _Node | None, *, source: tuple[_Folder, str] | None = None) -> None:
        self._changes += 1
        folder = self._folder(path.parent)
        folder.pending.append(_NameChange(self._changes, path.name, node, source))
        if node is None:
            folder.current.pop(path.name, None)
        else:
            folder.current[path.name] = node

    def _take_as_durable(self, path: Path, folder: _Folder) -> None:
        for entry in os.scandir(path):
            node: _Node
            if entry.is_dir(follow_symlinks=False):
                node = _Folder()
                self._take_as_durable(Path(entry.path), node)
            else:
                node = _File(Path(entry.path).read_bytes())
            folder.durable[entry.name] = folder.current[entry.name] = node

    def _crash(self) -> NoReturn:
        if self._kill:
            os.kill(os.getpid(), signal.SIGKILL)
        self.die()
        raise Crash


class _FailingFile(_LocalFile):
    def __init__(self, path: Path, descriptor: int, size: int, fs: FailingFileSystem, node: _File) -> None:
        super().__init__(path, descriptor, size)
        self._fs = fs
        self._node = node

    def _write_some(self, views: list[memoryview], offset: int) -> int:
        data = b"".join(views)

        def write(length: int) -> int:
            granted = self._fs.take_room(length)
            with self._fs.turn:
                written = os.pwrite(self._descriptor, data[:granted], offset)
                self._node.pending.append(_write(offset, data[:written]))
            return written

        def write_in_part() -> None:
            if len(data) > 1:
                write(self._fs.chance.randint(1, len(data) - 1))

        self._fs.step(f"write {self._path.name}", write_in_part)
        return write(len(data))

    def drop_room(self) -> None:
        self._fs.step(f"cut {self._path.name}")
        super().drop_room()

    def _undo_append(self, length: int) -> None:
        if not self._fs.is_dead:
            super()._undo_append(length)

    def _cut(self, length: int) -> None:
        with self._fs.turn:
            self._node.pending.append(_cut_to(length))
            super()._cut(length)

    def _sync_now(self) -> None:
        with self._fs.turn:
            count = len(self._node.pending)
        if self._fs.sync_step(self._path.name):
            with self._fs.turn:
                self._node.sync(count)


def _all_folders(folder: _Folder) -> Iterator[_Folder]:
    """Every folder that any outcome could show, each once."""
    seen: set[_Folder] = set()
    waiting: list[_Node] = [folder]
    while waiting:
        node = waiting.pop()
        if isinstance(node, _Folder) and node not in seen:
            seen.add(node)
            yield node
            waiting += node.durable.values()
            waiting += node.current.values()
            waiting += (change.node for change in node.pending if change.node is not None)
            waiting += (change.source[0] for change in node.pending if change.source is not None)
