"""The place for work in progress: one folder per session, locked while it lives, garbage afterwards.

G1  Recovery deletes only here, and only in folders whose lock it could take: another process may be at work beside.
G2  Beside each staged file lies a synced note that names where it is to be published. A crash after publishing and
    before the commit leaves the note, and recovery knows which published file to commit forward without looking at
    every file of the archive. The note goes last, so that recovery itself may be interrupted.
G3  A folder is made, claimed and removed under the lock of ``staging/``, so that nobody claims one that is going.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pacscore.errors import NotFoundError, RetryError
from pacscore.filesystem import FileSystem
from pacscore.locks import Lock

_LOCK = "lock"
_NOTE = ".target"


class Staging:
    """This session's folder below ``staging/``, made when it is first needed."""

    def __init__(self, root: Path, filesystem: FileSystem) -> None:
        self._root = root
        self._filesystem = filesystem
        self._folder: Path | None = None
        self._lock: Lock | None = None

    @contextmanager
    def place(self, target: str, published: Path) -> Iterator[Path]:
        """A path to stage a file at, which is to be renamed to ``published``; what is left afterwards is removed.

        Only where the body raises after the file was renamed does the note stay, for recovery.
        """
        folder = self._own_folder()
        name = secrets.token_hex(8)
        staged, note = folder / f"{name}.zip", folder / f"{name}{_NOTE}"
        finished = False
        try:
            with self._filesystem.create(note) as file:
                file.append(target.encode())
                file.sync()
            self._filesystem.sync_folder(folder)
            yield staged
            finished = True
        finally:
            if staged.exists():
                self._filesystem.remove(staged)
            if note.exists() and (finished or not published.exists()):
                self._filesystem.remove(note)

    def discard(self, path: Path) -> None:
        """Move a file of the archive into this session's folder, with which it goes."""
        self._move(path, self._own_folder())

    def collect(self, take: Callable[[str, Callable[[Path], None]], None]) -> None:
        """Call ``take`` for each target noted by a session that is gone; then remove its folder.

        The second argument moves a file into that folder, with which it goes.
        """
        for folder in sorted(self._root.iterdir()):
            if folder == self._folder or not folder.is_dir():
                continue
            try:
                with self._filesystem.lock(self._root / _LOCK):
                    lock = self._filesystem.lock(folder / _LOCK, wait_seconds=0.0)
            except (RetryError, NotFoundError):  # At work beside us, or collected by another recovery since.
                continue
            with lock:
                for note in sorted(folder.glob(f"*{_NOTE}")):
                    take(note.read_text("utf-8", errors="replace"), partial(self._move, folder=folder))
                self._remove(folder)

    def close(self) -> None:
        """Remove the folder if nothing in it needs recovery."""
        if self._folder is None or self._lock is None:
            return
        folder, lock = self._folder, self._lock
        self._folder, self._lock = None, None
        with lock:
            if not any(folder.glob(f"*{_NOTE}")):
                self._remove(folder)

    def _move(self, path: Path, folder: Path) -> None:
        self._filesystem.rename(path, folder / path.name)
        self._filesystem.sync_folder(folder)
        self._filesystem.sync_folder(path.parent)

    def _remove(self, folder: Path) -> None:
        with self._filesystem.lock(self._root / _LOCK):
            self._filesystem.remove_tree(folder)

    def _own_folder(self) -> Path:
        if self._folder is None:
            folder = self._root / secrets.token_hex(8)
            with self._filesystem.lock(self._root / _LOCK):  # So that no recovery meets it made and not yet locked.
                self._filesystem.make_folder(folder)
                self._lock = self._filesystem.lock(folder / _LOCK)
            self._filesystem.sync_folder(self._root)
            self._folder = folder
        return self._folder
