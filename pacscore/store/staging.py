"""The file a generation is staged in: members written by several threads, proven as they land, synced beside.

S1  What a unit has written is read back and compared while its objects are still held. That happens before the sync:
    both come from the same pages, and a write-back that fails makes the sync fail, which is final.
S2  No worker is left running when a stage has failed: the file may then be closed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

from pacscore.errors import ProofError
from pacscore.filesystem import FileSystem
from pacscore.parallel import is_worker, map_ordered
from pacscore.settings import Settings
from pacscore.store.generation_file import Bytes, GenerationFile
from pacscore.store.units import Unit
from pacscore.store.zip_layout import InPlaceMember, Member, ZipWriter

SYNC_BYTES = 8 << 20
UNITS_AHEAD = 8

Work = TypeVar("Work")
AnyResult = TypeVar("AnyResult")
AnyUnit = TypeVar("AnyUnit", bound=Unit)


class StagingFile:
    """One generation file being written; ``file`` is the same, for reading back."""

    def __init__(self, path: Path, filesystem: FileSystem, settings: Settings) -> None:
        self._written = filesystem.create(path)
        self.file = GenerationFile(path)
        self._synced = 0
        self.settings = settings
        self.zip = ZipWriter(self._written)

    @property
    def descriptor(self) -> int:
        """For reading back."""
        return self.file.descriptor

    def add(self, name: str, *parts: Bytes) -> Member:
        """Write a small member and read it back."""
        member = self.zip.add(name, *parts)
        if self.file.read(member.offset, member.length) != b"".join(parts):
            raise ProofError(f"Member {name!r} does not read back as it was written. Nothing was published.")
        return member

    def add_units(
        self,
        name: str,
        units: Sequence[AnyUnit],
        done: Callable[[AnyUnit, int], None],
        tail: Callable[[], bytes] | None = None,
    ) -> Member | None:
        """Write a member of which each unit makes a part.

        Parameters
        ----------
        name
            Of the member; a single unit that encodes to nothing makes none, unless there is a tail.
        done
            Called in order, one unit at a time, with the unit and the offset of its part in the member; the unit is
            written, though with a single one not yet proven.
        tail
            What follows the last part, known when all are done.
        """
        if len(units) == 1:
            return self._add_one(name, units[0], done, tail)
        with self.zip.member(name) as opened:

            def work(unit: AnyUnit) -> tuple[AnyUnit, int]:
                offset = opened.append(*unit.encode())
                unit.prove(self.descriptor, offset)
                return unit, offset - opened.offset

            for unit, offset in self.each(work, units):
                done(unit, offset)
            if tail is not None:
                opened.append(tail())
        return Member(name, opened.offset, opened.length, opened.crc32)

    def _add_one(
        self, name: str, unit: AnyUnit, done: Callable[[AnyUnit, int], None], tail: Callable[[], bytes] | None
    ) -> Member | None:
        """A member that is complete at once: other series of a pack need not wait while it is encoded."""
        parts = list(unit.encode())
        done(unit, 0)
        if tail is not None:
            parts.append(tail())
        member = self.zip.add(name, *parts) if parts else None
        unit.prove(self.descriptor, member.offset if member else 0)
        return member

    def in_place(self, name: str) -> AbstractContextManager[InPlaceMember]:
        """Write a member in any order of its bytes; who writes it proves it."""
        return self.zip.in_place(name, self.file.read)

    def each(
        self, function: Callable[[Work], AnyResult], items: Sequence[Work], *, threads: int | None = None
    ) -> Iterator[AnyResult]:
        """``function`` of each item, in order, on the pool; syncs beside from the calling thread."""
        wanted = self.settings.threads() if threads is None else threads
        with _finished_work(function) as guarded:
            for result in map_ordered(guarded, items, threads=wanted, ahead=UNITS_AHEAD):
                yield result
                if not is_worker() and self.zip.size - self._synced >= SYNC_BYTES:
                    self._synced = self.zip.size
                    self._written.sync()

    def finish(self) -> int:
        """Write the directory, sync and close; returns the length of the file."""
        self.zip.finish()
        self._written.sync()
        self.close()
        return self.zip.size

    def close(self) -> None:
        """Give the descriptors back."""
        self._written.close()
        self.file.close()


@contextmanager
def _finished_work(function: Callable[[Work], AnyResult]) -> Iterator[Callable[[Work], AnyResult]]:
    """Let no call of ``function`` begin after the block, and none run on (S2)."""
    condition = threading.Condition()
    running = 0
    over = False

    def guarded(item: Work) -> AnyResult:
        nonlocal running
        with condition:
            if over:
                raise ProofError("Work was begun after its stage had failed.")
            running += 1
        try:
            return function(item)
        finally:
            with condition:
                running -= 1
                condition.notify_all()

    try:
        yield guarded
    finally:
        with condition:
            over = True
            condition.wait_for(lambda: running == 0)
