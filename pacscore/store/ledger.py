"""What the segments of a journal hold and which of it is still needed.

B1  A record is retired by a record that says so, in any writer's journal, or by a copy of itself further on.
B2  Such a statement is needed while the segment of what it retires exists, unless its own writer repeats it later.
B3  A segment goes when it holds no unretired record and no statement that is needed, and never if it is its writer's
    last, so numbers are not used twice.

A ledger follows a segment as that grows and reads each frame once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pacscore.errors import DamagedError, NotFoundError
from pacscore.store.positions import Key, Place
from pacscore.store.records import MOVED, Draft, Frame, Kind, draft
from pacscore.store.segments import SegmentReader
from pacscore.store.spool import Spooled

_KEY = struct.Struct("<QQQ")
_KEYS_PER_RECORD = 4096


@dataclass(frozen=True, slots=True)
class Entry:
    """One record that holds an object."""

    key: Key
    frame: Frame
    spooled: Spooled | None
    origin: Place | None

    @property
    def place(self) -> Place:
        """Where it lies, with the bytes it takes there."""
        return Place(*self.key, self.frame.end - self.frame.offset)


@dataclass(slots=True)
class Ledger:
    """What one segment holds, as far as it was read."""

    slot: int
    number: int
    entries: dict[int, Entry] = field(default_factory=dict)
    retires: set[Key] = field(default_factory=set)
    damage: set[tuple[int, int]] = field(default_factory=set)
    last: Frame | None = None

    def extend(self, path: Path, *, stated_only: bool) -> None:
        """Read on from where the last call ended.

        Parameters
        ----------
        stated_only
            Stop at the offset that the segment states as synced: what lies behind may yet be lost. Without it a
            segment that its owner never recovered is read up to its tail.
        """
        with SegmentReader(path) as reader:
            check = not stated_only and reader.last_mark() is None
            found = reader.survey(after=self.last, check_payloads=check)
            limit = found.synced if stated_only else found.end
            self.damage.update(found.damage)
            for frame in found.frames:
                if frame.end > limit:
                    break
                self._enter(reader, frame)
                self.last = frame

    def _enter(self, reader: SegmentReader, frame: Frame) -> None:
        if frame.kind not in (Kind.DATA, Kind.SPOOL, Kind.RETIRE):
            return
        key = Key(self.slot, self.number, frame.offset)
        if frame.kind == Kind.DATA and not frame.flags & MOVED:
            self.entries[frame.offset] = Entry(key, frame, None, None)
            return
        try:
            content = reader.payload(frame)
            if frame.kind == Kind.RETIRE:
                self.retires.update(Key(*fields) for fields in _KEY.iter_unpack(content.body))
                return
            spooled = Spooled.from_bytes(bytes(content.body)) if frame.kind == Kind.SPOOL else None
        except DamagedError:
            self.damage.add((frame.offset, frame.end))
            return
        origin = None if content.origin is None else Place(self.slot, *content.origin)
        self.entries[frame.offset] = Entry(key, frame, spooled, origin)


def retire_drafts(keys: Sequence[Key]) -> Iterator[Draft]:
    """The records that say these are not needed any more."""
    for start in range(0, len(keys), _KEYS_PER_RECORD):
        body = b"".join(_KEY.pack(*key) for key in keys[start : start + _KEYS_PER_RECORD])
        yield draft(Kind.RETIRE, b"", (body,))


class Books:
    """All ledgers of a journal together."""

    def __init__(self) -> None:
        self.ledgers: dict[tuple[int, int], Ledger] = {}
        self._moved: dict[Key, Entry] = {}
        self._retired: dict[tuple[int, int], set[int]] = {}

    def refresh(self, segments: Iterable[tuple[int, int, Path]], *, stated_only: bool) -> None:
        """Follow these segments, each given as slot, number and path, and forget all others."""
        kept: dict[tuple[int, int], Ledger] = {}
        for slot, number, path in segments:
            ledger = self.ledgers.get((slot, number)) or Ledger(slot, number)
            try:
                ledger.extend(path, stated_only=stated_only)
            except NotFoundError:
                continue
            kept[slot, number] = ledger
        self.ledgers = kept
        entries = [entry for ledger in kept.values() for entry in ledger.entries.values()]
        self._moved = {entry.origin.key: entry for entry in entries if entry.origin is not None}
        self._retired = {place: set() for place in kept}
        for key in self._moved:
            self._retire(key)
        for ledger in kept.values():
            for key in ledger.retires:
                self._retire(key)
                self._retire(self.resolve(key))

    def resolve(self, key: Key) -> Key:
        """Where a record lies now that may have been copied forward."""
        while key in self._moved:
            key = self._moved[key].key
        return key

    def copy_of(self, key: Key) -> Entry | None:
        """The last copy of a record that was copied forward."""
        return self.entry(self.resolve(key)) if key in self._moved else None

    def entry(self, key: Key) -> Entry | None:
        """The record at a place, if it is known."""
        ledger = self.ledgers.get((key.slot, key.segment))
        return None if ledger is None else ledger.entries.get(key.offset)

    def is_retired(self, key: Key) -> bool:
        """Whether the record is not needed any more."""
        return key.offset in self._retired.get((key.slot, key.segment), ())

    def live(self, ledger: Ledger) -> list[Entry]:
        """The segment's records that are still needed, in order."""
        retired = self._retired[ledger.slot, ledger.number]
        return [entry for offset, entry in ledger.entries.items() if offset not in retired]

    def needed_statements(self, ledger: Ledger) -> set[Key]:
        """What the segment retires and nobody else would (B2)."""
        origins = {entry.origin.key for entry in ledger.entries.values() if entry.origin is not None}
        stated = {
            key
            for key in ledger.retires | origins
            if self._stands_elsewhere(key, ledger) or self._stands_elsewhere(self.resolve(key), ledger)
        }
        for (slot, number), later in self.ledgers.items():
            if slot == ledger.slot and number > ledger.number:
                stated -= later.retires
        return stated

    def removable(self, slot: int) -> list[Ledger]:
        """The slot's segments that may go now (B3)."""
        numbers = sorted(number for owner, number in self.ledgers if owner == slot)
        ledgers = [self.ledgers[slot, number] for number in numbers[:-1]]
        return [
            ledger
            for ledger in ledgers
            if not ledger.damage and not self.live(ledger) and not self.needed_statements(ledger)
        ]

    def unneeded_spool(self, slot: int) -> set[str]:
        """Names of the slot's spool files whose every record is retired."""
        retired: set[str] = set()
        live: set[str] = set()
        for (owner, _), ledger in self.ledgers.items():
            for entry in ledger.entries.values() if owner == slot else ():
                if entry.spooled is not None:
                    (retired if self.is_retired(entry.key) else live).add(entry.spooled.name)
        return retired - live

    def _retire(self, key: Key) -> None:
        offsets = self._retired.get((key.slot, key.segment))
        if offsets is not None:
            offsets.add(key.offset)

    def _stands_elsewhere(self, key: Key, ledger: Ledger) -> bool:
        place = (key.slot, key.segment)
        return place in self.ledgers and place != (ledger.slot, ledger.number)
