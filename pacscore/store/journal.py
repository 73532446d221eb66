"""The journal: what arrived and is not yet sealed, in order.

J1  A record is length, payload, checksum; it exists only if all three agree.
J2  Below the synced offset that a valid frame states, damage is reported and never cut; above it, from the first
    invalid byte on, lies an unacknowledged tail, which is dropped however many records it held.
J3  ``append`` returns only after a sync that covers its record, and after the record says so to other processes.
J4  Sequence numbers rise by exactly one; a gap is corruption.
J5  Only segments whose slot's lock is held are touched. Anybody may read.
J6  A record is there until it is retired, and its bytes are removed only after the record that retires it is synced.
J7  A record that is copied forward is synced at its new place before the old one may go; until the caller has called
    ``collect``, both places can be read.

A journal is a folder of writer slots (``slots``), each a row of segments (``segments``) of records (``records``), which
one process at a time continues (``group_commit``). Large objects lie beside them (``spool``). What is still needed of
all this is in the ``ledger``.
"""

from __future__ import annotations

import itertools
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from pacscore.errors import DurabilityError, InputError, PacscoreError, ReadOnlyError
from pacscore.filesystem import Buffer, FileSystem
from pacscore.settings import Settings
from pacscore.store.group_commit import Written, wait_for
from pacscore.store.ledger import Entry, retire_drafts
from pacscore.store.own_slot import OwnSlot
from pacscore.store.positions import Position, place_of, position_of
from pacscore.store.reading import JournalReader, Record
from pacscore.store.records import Draft, Kind, Origin, draft, in_batches
from pacscore.store.segment_files import segment_numbers, segment_path
from pacscore.store.segments import LogFinding, read_record
from pacscore.store.slots import SPOOL, Slot, slot_numbers, try_slot
from pacscore.store.spool import Spool, remove_spooled, write_spool

__all__ = ["Journal", "Move", "Position", "Record", "Written"]

_COMPACT_BELOW = 0.25  # Of a segment's bytes still needed: copying them costs less than the space they hold.


class Move(NamedTuple):
    """A record that was copied forward, and may be asked for at both places until ``collect``."""

    old: Position
    new: Position


_open: weakref.WeakSet[Journal] = weakref.WeakSet()


class Journal:
    """One process's door to the journal: append to its own slot, read them all.

    Threads share it freely. A forked child may go on using it and then writes to a slot of its own.
    """

    def __init__(self, folder: Path, fs: FileSystem, settings: Settings, *, read_only: bool) -> None:
        self._folder = folder
        self._fs = fs
        self._settings = settings
        self._read_only = read_only
        self._closed = False
        self._earlier_findings: tuple[LogFinding, ...] = ()
        self._start_anew()
        _open.add(self)

    @classmethod
    def open(cls, folder: Path, fs: FileSystem, settings: Settings, *, read_only: bool = False) -> Journal:
        """Open a journal, made if need be; for writing, every slot that nobody holds is recovered.

        Raises
        ------
        RetryError
            All writer slots are taken.
        """
        journal = cls(folder, fs, settings, read_only=read_only)
        if not read_only:
            fs.make_folder(folder, exist_ok=True)
            fs.sync_folder(folder.parent)
            journal._own.claim()
        return journal

    @property
    def findings(self) -> tuple[LogFinding, ...]:
        """What recovery found when this journal was opened."""
        return self._earlier_findings + self._own.findings

    def append(self, head: bytes, parts: Sequence[Buffer]) -> Position:
        """Store one object and return its position once it is on the disk (J3).

        Parameters
        ----------
        head
            Up to 1 MiB that the caller wants back beside the object.
        parts
            The object, in pieces.

        Raises
        ------
        StorageFullError
            No room; the journal is as it was.
        DurabilityError
            A sync failed. Nothing more can be appended until the journal is opened again.
        """
        return self.append_many([(head, parts)])[0]

    def append_many(self, items: Iterable[tuple[bytes, Sequence[Buffer]]]) -> list[Position]:
        """Store several objects with as few syncs as can be. After an error none of them is promised."""
        self._check_writable()
        return self._append_drafts(self._draft(head, parts) for head, parts in items)

    def draft(self, head: bytes, parts: Sequence[Buffer]) -> Draft:
        """An object below ``spool_bytes_min`` ready for ``write``: its checksum is taken by who has brought it."""
        return draft(Kind.DATA, head, parts)

    def write(self, drafts: Sequence[Draft]) -> list[Written | Exception]:
        """Write objects, as ``append_many`` does, but promise nothing before ``wait``.

        Returns
        -------
        list
            For each what was written, or why it is not there while others may be.
        """
        self._check_writable()
        written: list[Written | Exception] = []
        for batch in in_batches(drafts, lambda each: each.length, self._settings.group_bytes_max):
            try:
                written += self._own.write(batch)
            except DurabilityError as error:  # A sync is not tried again.
                written += [error] * len(batch)
            except (PacscoreError, OSError):  # Nothing of the batch is there; some of it may have room.
                written += [self._write_alone(each) for each in batch]
        return written

    def wait(self, written: Iterable[Written]) -> None:
        """Return once all that was written is on the disk (J3).

        Raises
        ------
        DurabilityError
            A sync failed. Nothing more can be written until the journal is opened again.
        """
        wait_for(written)

    @contextmanager
    def spooling(self, chunks: Iterable[Buffer]) -> Iterator[Spool]:
        """Write an object of a length not known before it ends into a spool file, durably, as it comes.

        It exists once its record, of ``Spool.write``, is on the disk; left without that, it goes again, whatever the
        reason. Memory holds one chunk.
        """
        self._check_writable()
        folder = self._own_slot().folder / SPOOL
        spooled = write_spool(folder, self._fs, chunks)
        spool = Spool(folder / spooled.name, spooled, self._write_drafts)
        try:
            yield spool
        finally:
            if not spool.written:
                remove_spooled(folder, self._fs, [spooled.name])

    def read(self, position: Position) -> tuple[bytes, memoryview]:
        """The head and the object at a position, whoever wrote it, checked.

        Raises
        ------
        NotFoundError
            The record was retired.
        DamagedError
            It is not what was written.
        """
        return self._reader.read(position)

    def records(
        self, after: Iterable[Position] = (), *, on_damage: Callable[[LogFinding], None] | None = None
    ) -> Iterator[Record]:
        """The records that are not retired, writer by writer and in order.

        Other writers' records are given once they are known to be synced; opened for reading, all valid ones.

        Parameters
        ----------
        after
            Positions of which each stands for its own writer: records up to it are left out.
        on_damage
            Called with what cannot be read, which is then left out. Without it the first damage is an error.
        """
        return self._reader.records(after, on_damage=on_damage)

    def heads(self, after: Iterable[Position] = ()) -> Iterator[tuple[Position, bytes]]:
        """Position and head of each record that ``records`` gives, many read at once and spooled objects not at all.

        Raises
        ------
        DamagedError
            A segment is damaged.
        """
        return self._reader.heads(after)

    def verify(self) -> Iterator[LogFinding]:
        """Every fault of every segment and spool file; changes nothing."""
        return self._reader.verify()

    def positions(self) -> list[Position]:
        """The positions of all records that are not retired; no object is read."""
        return self._reader.positions()

    def writers_at_work(self) -> frozenset[int]:
        """The slots that other writers hold."""
        own = self._own_slot().number
        held: set[int] = set()
        for number in slot_numbers(self._folder):
            slot = None if number == own else try_slot(self._folder, number, self._fs)
            if slot is not None:
                slot.lock.release()
            elif number != own:
                held.add(number)
        return frozenset(held)

    def retire(self, positions: Iterable[Position]) -> None:
        """State durably that these records are not needed any more, and free what space that gives.

        They may be any writer's. Positions that are gone already do no harm.
        """
        self._check_writable()
        known = self._reader.known_keys(place_of(position) for position in positions)
        if known:
            self._append_drafts(retire_drafts(known))
        self.collect()

    def collect(self) -> None:
        """Remove the segments and spool files that nothing needs any more, in every slot that nobody else holds."""
        own = self._own_slot()
        with self._reader.turn:
            self._collect(own)
            for number in slot_numbers(self._folder):
                slot = None if number == own.number else try_slot(self._folder, number, self._fs)
                if slot is not None:
                    with slot.lock:
                        self._collect(slot)

    def compact(self) -> list[Move]:
        """Copy forward what is still needed of this writer's mostly retired segments (J7).

        The caller takes the new positions into its books and then calls ``collect``, which removes the old segments.
        """
        own = self._own_slot()
        moves: list[Move] = []
        with self._reader.turn:
            books = self._reader.refresh()
            for number in segment_numbers(own.folder)[:-1]:
                ledger = books.ledgers[own.number, number]
                path = segment_path(own.folder, number)
                live = books.live(ledger)
                needed_bytes = sum(entry.place.length for entry in live)
                if ledger.damage or needed_bytes > _COMPACT_BELOW * path.stat().st_size:
                    continue
                statements = sorted(books.needed_statements(ledger))
                drafts = itertools.chain((self._copy(path, entry) for entry in live), retire_drafts(statements))
                new = self._append_drafts(drafts)
                moves += [Move(position_of(entry.place), new[i]) for i, entry in enumerate(live)]
        return moves

    def reserve(self, length: int) -> None:
        """Make room for so many bytes, if less than a quarter of it is left: written into, it needs shorter syncs (F5).

        Others may go on writing meanwhile. What room is left when the journal is closed goes.

        Raises
        ------
        StorageFullError
            There is no room; the journal is as it was.
        """
        self._check_writable()
        self._own.reserve(length)

    def close(self) -> None:
        """Finish the segment and give the slot back; a second call does nothing."""
        self._closed = True
        self._own.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start_anew(self) -> None:
        self._own = OwnSlot(self._folder, self._fs, self._settings)
        self._reader = JournalReader(self._folder, self._fs, stated_only=not self._read_only)

    def _forget_parent(self) -> None:
        self._earlier_findings = self.findings
        self._own.abandon()  # Its slot's lock was dropped by the fork.
        self._start_anew()

    def _check_writable(self) -> None:
        if self._closed:
            raise InputError("The journal is closed.")
        if self._read_only:
            raise ReadOnlyError("The journal was opened for reading. Open the archive for writing.")

    def _own_slot(self) -> Slot:
        self._check_writable()
        return self._own.claim()

    def _draft(self, head: bytes, parts: Sequence[Buffer]) -> Draft:
        if sum(memoryview(part).nbytes for part in parts) < self._settings.spool_bytes_min:
            return draft(Kind.DATA, head, parts)
        spooled = write_spool(self._own_slot().folder / SPOOL, self._fs, parts)
        return draft(Kind.SPOOL, head, (spooled.as_bytes(),))

    def _append_drafts(self, drafts: Iterable[Draft]) -> list[Position]:
        written = self._write_drafts(drafts)
        self.wait(written)
        return [each.position for each in written]

    def _write_alone(self, record: Draft) -> Written | Exception:
        try:
            return self._own.write([record])[0]
        except (PacscoreError, OSError) as error:
            return error

    def _write_drafts(self, drafts: Iterable[Draft]) -> list[Written]:
        written: list[Written] = []
        for batch in in_batches(drafts, lambda each: each.length, self._settings.group_bytes_max):
            written += self._own.write(batch)
        return written

    def _copy(self, path: Path, entry: Entry) -> Draft:
        _, content = read_record(path, self._fs, offset=entry.place.offset, length=entry.place.length)
        origin = Origin(entry.place.segment, entry.place.offset, entry.place.length)
        return draft(Kind(entry.frame.kind), content.head, (content.body,), origin=origin)

    def _collect(self, slot: Slot) -> None:
        while True:
            books = self._reader.refresh()
            remove_spooled(slot.folder / SPOOL, self._fs, books.unneeded_spool(slot.number))
            removable = books.removable(slot.number)
            if not removable:
                return
            for ledger in removable:
                self._fs.remove(segment_path(slot.folder, ledger.number))
            self._fs.sync_folder(slot.folder)  # Before what these segments made necessary may go as well.


def _forget_parents() -> None:
    for journal in list(_open):
        journal._forget_parent()


os.register_at_fork(after_in_child=_forget_parents)
