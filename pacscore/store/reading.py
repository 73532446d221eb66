"""Reading a journal: any record of any writer, from any process, while others append and retire."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pacscore.errors import DamagedError, NotFoundError
from pacscore.filesystem import FileSystem
from pacscore.store.ledger import Books, Entry, Ledger
from pacscore.store.positions import Key, Place, Position, place_of, position_of
from pacscore.store.records import Content, Kind, in_batches
from pacscore.store.segment_files import segment_numbers, segment_path
from pacscore.store.segments import (
    LogFault,
    LogFinding,
    SegmentReader,
    damage_findings,
    read_record,
    record_in,
)
from pacscore.store.slots import SPOOL, slot_folder, slot_numbers
from pacscore.store.spool import Spooled, read_spool

_HEAD_BYTES_AT_ONCE = 4 << 20  # With the objects beside them, which the checksums cover.


@dataclass(frozen=True, slots=True)
class Record:
    """An object in the journal.

    Attributes
    ----------
    position
        Its token.
    head
        What the caller wrote beside it.
    body
        The object; for a large one, mapped from its file.
    origin
        The token it had before it was copied forward.
    """

    position: Position
    head: bytes
    body: memoryview
    origin: Position | None


class JournalReader:
    """Reads the segments of all slots and keeps the books on them.

    Parameters
    ----------
    stated_only
        Leave out what is not stated as synced: it may yet be lost. Without it, everything valid is read.

    Attributes
    ----------
    turn
        Held by whoever looks at or changes the books.
    """

    def __init__(self, folder: Path, fs: FileSystem, *, stated_only: bool) -> None:
        self.turn = threading.RLock()
        self._folder = folder
        self._fs = fs
        self._stated_only = stated_only
        self._books = Books()

    def refresh(self) -> Books:
        """The books, brought up to what the disk says now. The caller holds ``turn``."""
        slots = slot_numbers(self._folder)
        segments = (
            (slot, number, segment_path(slot_folder(self._folder, slot), number))
            for slot in slots
            for number in segment_numbers(slot_folder(self._folder, slot))
        )
        self._books.refresh(segments, stated_only=self._stated_only)
        return self._books

    def known_keys(self, places: Iterable[Place]) -> list[Key]:
        """The keys of these places, and of the copies of what lay there, as far as their segments exist."""
        with self.turn:
            books = self.refresh()
            keys = {place.key for place in places}
            keys |= {books.resolve(key) for key in keys}
            return sorted(key for key in keys if (key.slot, key.segment) in books.ledgers)

    def read(self, position: Position) -> tuple[bytes, memoryview]:
        """The head and the object at a position; see ``Journal.read``."""
        place = place_of(position)
        try:
            content, body = self._read(place)
        except (NotFoundError, DamagedError) as error:
            with self.turn:
                books = self.refresh()
                moved, is_retired = books.copy_of(place.key), books.is_retired(place.key)
            if moved is None and is_retired and isinstance(error, DamagedError):
                # Of a large object the file goes at once, the record that names it with its segment.
                raise NotFoundError("There is no such record any more: it was retired.", path=str(position)) from error
            if moved is None:
                raise
            content, body = self._read(moved.place)
        return content.head, body

    def records(
        self, after: Iterable[Position] = (), *, on_damage: Callable[[LogFinding], None] | None = None
    ) -> Iterator[Record]:
        """The records that are not retired; see ``Journal.records``."""
        for _, entries in self._listed(after, on_damage):
            for entry in entries:
                record = self._record(entry, on_damage)
                if record is not None:
                    yield record

    def heads(self, after: Iterable[Position]) -> Iterator[tuple[Position, bytes]]:
        """Position and head of each record that ``records`` gives; see ``Journal.heads``."""
        for ledger, entries in self._listed(after, None):
            path = segment_path(slot_folder(self._folder, ledger.slot), ledger.number)
            for batch in in_batches(entries, lambda each: each.place.length, _HEAD_BYTES_AT_ONCE):
                yield from self._heads(path, batch)

    def _heads(self, path: Path, entries: Sequence[Entry]) -> Iterator[tuple[Position, bytes]]:
        places = [entry.place for entry in entries]
        try:
            read = self._fs.read_ranges(path, [(place.offset, place.length) for place in places])
        except (NotFoundError, DamagedError):  # Retired, or copied forward, since the list was made; or cut.
            read = [b""] * len(entries)
        for entry, place, data in zip(entries, places, read, strict=True):
            found = record_in(data, place.offset)
            if found is not None:
                yield position_of(place), found[1].head
                continue
            record = self._record(entry, None)
            if record is not None:
                yield record.position, record.head

    def _listed(
        self, after: Iterable[Position], on_damage: Callable[[LogFinding], None] | None
    ) -> list[tuple[Ledger, list[Entry]]]:
        """What each segment holds behind these positions; what is damaged is told first."""
        lower = {place.slot: place.key for place in map(place_of, after)}
        with self.turn:
            books = self.refresh()
            ledgers = [books.ledgers[place] for place in sorted(books.ledgers)]
            listed = [
                [each for each in books.live(ledger) if ledger.slot not in lower or each.key > lower[ledger.slot]]
                for ledger in ledgers
            ]
            damage = [(ledger, start, end) for ledger in ledgers for start, end in sorted(ledger.damage)]
        for ledger, start, end in damage:
            path = segment_path(slot_folder(self._folder, ledger.slot), ledger.number)
            _report(
                LogFinding(LogFault.DAMAGED, f"{path.name} is damaged at {start}.", path, start, end - start), on_damage
            )
        return list(zip(ledgers, listed, strict=True))

    def positions(self) -> list[Position]:
        """The positions of all records that are not retired; see ``Journal.positions``."""
        with self.turn:
            books = self.refresh()
            ledgers = [books.ledgers[place] for place in sorted(books.ledgers)]
            return [position_of(entry.place) for ledger in ledgers for entry in books.live(ledger)]

    def verify(self) -> Iterator[LogFinding]:
        """Every fault of every segment and spool file; see ``Journal.verify``."""
        for slot in slot_numbers(self._folder):
            folder = slot_folder(self._folder, slot)
            for path in (segment_path(folder, number) for number in segment_numbers(folder)):
                try:
                    with SegmentReader(path) as reader:
                        found = reader.survey(check_payloads=True, to_the_end=True)
                except NotFoundError:
                    continue  # Retired since.
                yield from damage_findings(path, found)
        with self.turn:
            books = self.refresh()
            entries = [entry for ledger in books.ledgers.values() for entry in books.live(ledger)]
        for entry in entries:
            if entry.spooled is not None:
                try:
                    read_spool(self._spool(entry.key.slot), entry.spooled)
                except DamagedError as error:
                    path = self._spool(entry.key.slot) / entry.spooled.name
                    yield LogFinding(LogFault.SPOOL_DAMAGED, error.message, path)

    def _record(self, entry: Entry, on_damage: Callable[[LogFinding], None] | None) -> Record | None:
        try:
            content, body = self._read(entry.place)
        except (NotFoundError, DamagedError) as error:
            with self.turn:
                books = self.refresh()
                if books.is_retired(entry.key) or books.entry(entry.key) is None:
                    return None  # Retired, or copied forward, since the list was made.
            path = segment_path(slot_folder(self._folder, entry.key.slot), entry.key.segment)
            place = entry.place
            _report(LogFinding(LogFault.DAMAGED, error.message, path, place.offset, place.length), on_damage)
            return None
        origin = None if entry.origin is None else position_of(entry.origin)
        return Record(position_of(entry.place), content.head, body, origin)

    def _read(self, place: Place) -> tuple[Content, memoryview]:
        path = segment_path(slot_folder(self._folder, place.slot), place.segment)
        frame, content = read_record(path, self._fs, offset=place.offset, length=place.length)
        if frame.kind != Kind.SPOOL:
            return content, content.body
        return content, read_spool(self._spool(place.slot), Spooled.from_bytes(bytes(content.body)))

    def _spool(self, slot: int) -> Path:
        return slot_folder(self._folder, slot) / SPOOL


def _report(finding: LogFinding, on_damage: Callable[[LogFinding], None] | None) -> None:
    if on_damage is None:
        raise DamagedError(
            f"{finding.message} Run verify.", path=str(finding.path), offset=finding.offset, found=finding.length
        )
    on_damage(finding)
