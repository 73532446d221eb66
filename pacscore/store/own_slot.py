"""The slot that one process writes to, and the segment at its end.

Threads share it. What is written goes to the active segment; that is continued from the slot's last owner, begun when
there is none or it is full, and begun anew with room (``reserve``).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pacscore.errors import InputError, PacscoreError
from pacscore.filesystem import FileSystem, WritableFile
from pacscore.settings import Settings
from pacscore.store.group_commit import SegmentWriter, Written
from pacscore.store.positions import Place, position_of
from pacscore.store.records import Draft
from pacscore.store.segment_files import make_room, make_segment, segment_numbers, segment_path
from pacscore.store.segments import LogFault, LogFinding, SegmentReader
from pacscore.store.slots import Slot, claim_slot, recover_slot, slot_numbers, try_slot


class _Active(NamedTuple):
    number: int
    writer: SegmentWriter


class OwnSlot:
    """A process's own slot, claimed when it is first needed.

    Attributes
    ----------
    findings
        What recovery found when the slot was claimed, in it and in all that nobody held.
    """

    def __init__(self, folder: Path, fs: FileSystem, settings: Settings) -> None:
        self.findings: tuple[LogFinding, ...] = ()
        self._folder = folder
        self._fs = fs
        self._settings = settings
        self._turn = threading.RLock()
        self._slot: Slot | None = None
        self._active: _Active | None = None
        self._is_closed = False

    def claim(self) -> Slot:
        """The slot, its lock held; what its last owner left is recovered, and the slots that nobody holds.

        Raises
        ------
        RetryError
            All writer slots are taken.
        """
        with self._turn:
            self._check_open()
            if self._slot is None:
                slot = claim_slot(self._folder, self._fs, self._settings)
                findings = recover_slot(slot, self._fs)
                for number in slot_numbers(self._folder):
                    other = None if number == slot.number else try_slot(self._folder, number, self._fs)
                    if other is not None:
                        with other.lock:
                            findings += recover_slot(other, self._fs)
                self.findings += tuple(findings)
                self._slot = slot
            return self._slot

    def write(self, batch: Sequence[Draft]) -> list[Written]:
        """Write records at the end of the active segment, not yet synced."""
        while True:
            slot = self.claim()
            with self._turn:
                self._check_open()
                active = self._active = self._active or self._continue(slot) or self._begin(slot)
            frames = active.writer.write(batch)
            if frames is not None:
                places = (Place(slot.number, active.number, each.offset, each.end - each.offset) for each in frames)
                return [Written(position_of(place), active.writer, place.offset + place.length) for place in places]
            with self._turn:
                if self._active is active:
                    active.writer.finish()
                    self._active = self._begin(slot)

    def reserve(self, length: int) -> None:
        """Go on in a segment with room for so many bytes, unless a quarter is left; see ``Journal.reserve``."""
        slot = self.claim()
        length = min(length, self._settings.segment_bytes_max)
        active = self._active
        if active is not None and active.writer.room >= length // 4:
            return
        room = make_room(slot.folder, self._fs, length)
        try:
            with self._turn:
                self._check_open()
                if self._active is not None:
                    self._active.writer.finish()
                self._active = self._begin(slot, room=room, room_end=length)
        except BaseException:
            with suppress(PacscoreError):
                self._fs.remove(room)
            raise

    def close(self) -> None:
        """Finish the segment and give the slot back."""
        with self._turn:
            if self._is_closed:
                return
            self._is_closed = True
            try:
                if self._active is not None:
                    self._active.writer.finish()
            finally:
                if self._slot is not None:
                    self._slot.lock.release()

    def abandon(self) -> None:
        """Close the file and nothing else: for a forked child, whose parent goes on writing."""
        if self._active is not None:
            self._active.writer.abandon()

    def _check_open(self) -> None:
        if self._is_closed:
            raise InputError("The journal is closed.")

    def _continue(self, slot: Slot) -> _Active | None:
        """Go on with the segment that the slot's last owner left, if it is whole."""
        numbers = segment_numbers(slot.folder)
        if not numbers:
            return None
        path = segment_path(slot.folder, numbers[-1])
        with SegmentReader(path) as reader:
            mark, nonce = reader.last_mark(), reader.nonce
        damaged = {finding.path for finding in self.findings if finding.code == LogFault.DAMAGED}
        if mark is None or path in damaged:
            return None
        return _Active(numbers[-1], self._writer(self._fs.open_append(path), nonce, mark.sequence + 1))

    def _begin(self, slot: Slot, *, room: Path | None = None, room_end: int = 0) -> _Active:
        number = max(segment_numbers(slot.folder), default=0) + 1
        path = segment_path(slot.folder, number)
        described: dict[str, str | int] = {"log": "journal", "slot": slot.number, "segment": number}
        nonce, end = make_segment(path, self._fs, described, room=room)
        return _Active(number, self._writer(self._fs.open_append(path, end=end), nonce, 1, room_end))

    def _writer(self, file: WritableFile, nonce: bytes, sequence: int, room_end: int = 0) -> SegmentWriter:
        return SegmentWriter(file, nonce=nonce, sequence=sequence, settings=self._settings, room_end=room_end)
