"""Writing a segment from many threads with few syncs.

G1  One thread at a time writes, one at a time syncs, and the two overlap: while a sync runs, the next group gathers.
G2  ``wait`` returns only after a sync that began when the bytes waited for had been written. One sync serves all who
    wait for what it covers.
G3  A failed sync fails everybody who waits and everybody who comes later.
G4  After each sync, before anybody is told, the segment states how far it is synced (a mark, or a record that was
    written meanwhile). So other processes see what is acknowledged, and later damage to it is not taken for a tail.
G5  At most ``group_bytes_max`` bytes, and what each thread is just writing, lie written and not synced.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from pacscore.errors import DurabilityError, OperatorError, PacscoreError, StorageFullError
from pacscore.filesystem import Buffer, WritableFile
from pacscore.settings import Settings
from pacscore.store.positions import Position
from pacscore.store.records import Draft, Frame, place
from pacscore.store.segment_files import append_mark


class SegmentWriter:
    """The end of one segment, shared by the threads of this process.

    Parameters
    ----------
    file
        The segment, all of it synced, new or ending with a mark. The writer owns it from now on.
    nonce
        The segment's.
    sequence
        The number of the next frame.
    room_end
        Where the room behind its end ends, if it was made with some.
    """

    def __init__(
        self, file: WritableFile, *, nonce: bytes, sequence: int, settings: Settings, room_end: int = 0
    ) -> None:
        self._file = file
        self._nonce = nonce
        self._sequence = sequence
        self._settings = settings
        self._room_end = room_end
        self._written = self._records_end = file.size
        self._synced = self._stated = self._acknowledged = file.size
        self._ends_with_mark = sequence > 1
        self._is_fresh = sequence <= 1
        self._finished = False
        self._failure: PacscoreError | None = None
        self._syncing = False
        self._write_turn = threading.Lock()
        self._sync_turn = threading.Condition()

    @property
    def room(self) -> int:
        """Bytes that may yet be written over zeros."""
        return max(0, self._room_end - self._file.size)

    def write(self, drafts: Sequence[Draft]) -> list[Frame] | None:
        """Write records at the end, not yet synced; None if the segment is finished or has no room for them."""
        length = sum(record.length for record in drafts)
        if self._records_end - self._synced > self._settings.group_bytes_max:
            self.wait(self._records_end)
        with self._write_turn:
            self._raise_if_failed()
            is_full = self._file.size + length > self._settings.segment_bytes_max
            if self._finished or (is_full and not self._is_fresh):
                return None
            frames: list[Frame] = []
            parts: list[Buffer] = []
            offset = self._file.size
            for record in drafts:
                frame, buffers = place(
                    record,
                    nonce=self._nonce,
                    offset=offset,
                    sequence=self._sequence + len(frames),
                    synced=self._synced,
                )
                frames.append(frame)
                parts += buffers
                offset = frame.end
            self._file.begin_sync(self._file.append(*parts))
            self._sequence += len(frames)
            self._stated = frames[-1].synced
            self._is_fresh = False
            self._written = self._records_end = offset
            self._ends_with_mark = False
        return frames

    def wait(self, end: int) -> None:
        """Return once everything before ``end`` is synced (G2).

        Raises
        ------
        DurabilityError
            A sync failed: it is not known what is on the disk.
        """
        with self._sync_turn:
            while self._acknowledged < end:
                self._raise_if_failed()
                if self._synced < end and not self._syncing:
                    self._syncing = True
                    break
                self._sync_turn.wait()
            else:
                return
        self._sync_for_all()
        self.wait(end)

    def _sync_for_all(self) -> None:
        covered = 0
        failure: PacscoreError | None = None
        try:
            with self._write_turn:
                written = self._written
            self._file.sync()
            covered = written
        except PacscoreError as error:
            failure = error
        finally:
            with self._sync_turn:  # The next group's sync may begin now, while this one's mark is being written.
                self._failure = self._failure or failure
                self._synced = max(self._synced, covered)
                self._syncing = False
                self._sync_turn.notify_all()
        if not covered:
            return
        try:
            self._state_synced()
        finally:
            with self._sync_turn:
                self._acknowledged = max(self._acknowledged, covered)
                self._sync_turn.notify_all()

    def finish(self) -> None:
        """Sync all, state it durably, and close the file. Records come to the next segment from now on."""
        with self._write_turn:
            if self._finished:
                return
            self._finished = True
        try:
            if self._failure is None:
                self.wait(self._records_end)
                if self._room_end:
                    self._file.drop_room()
                if not self._ends_with_mark:
                    self._file.sync()
                    with suppress(StorageFullError):
                        append_mark(self._file, nonce=self._nonce, sequence=self._sequence, synced=self._file.size)
                self._file.sync()
        finally:
            with self._sync_turn:
                while self._syncing:
                    self._sync_turn.wait()
                self._file.close()

    def abandon(self) -> None:
        """Close the file and nothing else: for a forked child, whose parent goes on writing."""
        self._file.close()

    def _state_synced(self) -> None:
        with self._write_turn:
            if self._stated < self._synced and not self._finished:
                # Where the disk is full there is no room for the mark. What it would state is true without it.
                with suppress(OperatorError):
                    append_mark(self._file, nonce=self._nonce, sequence=self._sequence, synced=self._synced)
                    self._sequence += 1
                    self._stated = self._synced
                    self._ends_with_mark = self._synced == self._written
                    self._written = self._file.size

    def _raise_if_failed(self) -> None:
        if self._failure is not None:
            raise DurabilityError(
                "The journal is not written any more, since a sync of it failed: nothing further is acknowledged. "
                "Check the disk, then open the archive again.",
                **self._failure.fields,
            ) from self._failure


class Written(NamedTuple):
    """A record that is written and perhaps not yet synced."""

    position: Position
    writer: SegmentWriter
    end: int


def wait_for(written: Iterable[Written]) -> None:
    """Return once all of these records are synced; see ``SegmentWriter.wait``."""
    ends: dict[SegmentWriter, int] = {}
    for each in written:
        ends[each.writer] = max(each.end, ends.get(each.writer, 0))
    for writer, end in ends.items():
        writer.wait(end)
