"""What the functions of this room share while an archive is open: its parts, and who is at its head.

H1  The head of a series is the generation that the last committed event names. The catalog follows the event log; a
    writer that finds its head moved seals anew on the new one.
H2  Applying an event twice equals applying it once, so following the log needs no memory of its own.
H3  Opening for writing recovers; opening for reading takes no lock and writes nothing.
H4  A forked child goes on with an open session: it has locks, a staging folder and a journal slot of its own.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pacscore.archive.arrivals import group_commits
from pacscore.archive.currency import EVENTS, event_position, is_current
from pacscore.archive.following import apply_events, holds, ordinals
from pacscore.archive.layout import Layout
from pacscore.archive.received import read_row
from pacscore.archive.staging import Staging
from pacscore.archive.turns import Turns
from pacscore.catalog import Catalog, ReceivedRow, copy_catalog
from pacscore.errors import (
    DamagedError,
    InputError,
    NotFoundError,
    ReadOnlyError,
    RetryError,
)
from pacscore.filesystem import FileSystem
from pacscore.locks import NumberedLocks
from pacscore.settings import Settings
from pacscore.store.events import EventLog, EventPosition
from pacscore.store.generation import Generation
from pacscore.store.journal import Journal
from pacscore.store.positions import Position, place_of

if TYPE_CHECKING:
    from pacscore.archive.candidates import Candidate
    from pacscore.archive.records import SeriesRecord

_GENERATIONS_KEPT = 64
_APPLY_BATCH = 200


_open: weakref.WeakSet[Session] = weakref.WeakSet()
_parents_private: list[tempfile.TemporaryDirectory[str] | None] = []  # Kept: let go, it would remove itself.


class Session:
    """The open parts of one archive."""

    def __init__(self, layout: Layout, *, filesystem: FileSystem, settings: Settings, read_only: bool) -> None:
        self.layout = layout
        self.filesystem = filesystem
        self.settings = settings
        self.read_only = read_only
        self.commit_lock = threading.RLock()
        self.judged: dict[str, tuple[str | None, int]] = {}
        """Of series with received objects, generation and count when their geometry was last judged."""
        self.taken_over: set[str] = set()
        """Journal positions that a seal of this session has laid out: known without comparing."""
        self.last_waiting: tuple[tuple[object, ...], tuple[SeriesRecord, list[Candidate]]] | None = None
        """A series that was planned with what waits for it, and its state then (``Series``)."""
        self.durable_folders = {layout.root, layout.root / "series", layout.root / "packs"}
        """Folders whose names this session knows to be on the disk."""
        self.series_counts: dict[str, int] = {}
        """How many series the files hold that a collection has looked at."""
        self._generations: OrderedDict[str, Generation] = OrderedDict()
        self._generation_lock = threading.Lock()
        self._private: tempfile.TemporaryDirectory[str] | None = None
        self._process = os.getpid()
        self._turn_locks = NumberedLocks(layout.root / "receive.lock")
        self._closed = False
        self._open_parts = ExitStack()
        with ExitStack() as opening:  # What is open already closes again where a later part does not open.
            opening.callback(self._turn_locks.close)
            opening.callback(self._close_private)
            opening.callback(self._close_generations)
            self.events = opening.enter_context(EventLog.open(layout.events, filesystem, settings, read_only=read_only))
            self.journal = opening.enter_context(
                Journal.open(layout.journal, filesystem, settings, read_only=read_only)
            )
            with self._following():
                self.catalog = self._open_catalog()
            opening.callback(self._close_catalog)
            self.staging = Staging(layout.staging, filesystem)
            opening.callback(self._close_staging)
            self._open_parts = opening.pop_all()
        self._take_turns()
        _open.add(self)

    def close(self) -> None:
        """Close every part, whatever becomes of the others; a second call does nothing."""
        self._closed = True
        self._open_parts.close()

    def _take_turns(self) -> None:
        self.turns = Turns(self._turn_locks)
        self.commits = group_commits(self)

    def _close_catalog(self) -> None:
        self.catalog.close()  # The one there is now: it may have been replaced.

    def _close_staging(self) -> None:
        self.staging.close()

    def _close_private(self) -> None:
        if self._private is not None and self._process == os.getpid():
            self._private.cleanup()

    def _forget_parent(self) -> None:
        """In a forked child: locks that the parent's threads hold are never given back here, and its work is its own.

        A private catalog is shared with the parent, whose it is to remove.
        """
        self.commit_lock = threading.RLock()
        self._generation_lock = threading.Lock()
        self.staging = Staging(self.layout.staging, self.filesystem)
        self._take_turns()
        _parents_private.append(self._private)

    def _close_generations(self) -> None:
        with self._generation_lock:
            for generation in self._generations.values():
                generation.close()
            self._generations.clear()

    def check_open(self) -> None:
        """Refuse where the archive was closed.

        Raises
        ------
        InputError
        """
        if self._closed:
            raise InputError("the archive is closed. Open it again.")

    def check_writable(self) -> None:
        """Refuse where the archive was opened for reading.

        Raises
        ------
        ReadOnlyError
        """
        self.check_open()
        if self.read_only:
            raise ReadOnlyError("the archive was opened for reading. Open it without read_only to change it.")

    # Generations.

    def generation(self, locator: str) -> Generation:
        """The generation at a locator, opened once and kept while recently used."""
        with self._generation_lock:
            found = self._generations.get(locator)
            if found is not None:
                self._generations.move_to_end(locator)
                return found
        opened = self.open_generation(locator)
        with self._generation_lock:
            kept = self._generations.setdefault(locator, opened)
            # One that falls out is not closed here: a volume may still read from it, and it closes with its last user.
            while len(self._generations) > _GENERATIONS_KEPT:
                self._generations.popitem(last=False)
        return kept

    def let_go(self, files: Iterable[str]) -> None:
        """Do not keep the generations of these files open: their bytes stay for those who read them, and no longer."""
        gone = set(files)
        with self._generation_lock:
            for locator in [each for each in self._generations if each.partition("#")[0] in gone]:
                del self._generations[locator]

    def open_generation(self, locator: str) -> Generation:
        """The generation at a locator, opened anew."""
        file, _, prefix = locator.partition("#")
        return Generation.open(self.layout.root / file, prefix=prefix, settings=self.settings)

    def catalog_generation(self, key: str) -> str | None:
        """The locator of the head of a series, as the catalog has followed it."""
        stored = self.catalog.series_by_key(key)
        return stored.generation if stored is not None else None

    def catalog_position(self) -> EventPosition | None:
        """How far the catalog has followed the event log."""
        return event_position(self.catalog.positions().get(EVENTS))

    # Following the log.

    def refresh(self) -> None:
        """Let a private catalog catch up; the archive's own is kept current by its writers."""
        self.check_open()
        if self._private is not None:
            self.follow()
            self.follow_journal()

    def follow(self) -> None:
        """Bring the catalog up to the end of the event log.

        One process at a time follows: two that interleave could put an older generation over a newer one.
        """
        with self._following():
            apply_events(self, self.events.read(after=self.catalog_position()))

    @contextmanager
    def _following(self) -> Iterator[None]:
        if self.read_only:  # The catalog is private.
            yield
            return
        with self.commit_lock, self.filesystem.lock(self.layout.root / "catalog.lock"):
            yield

    def follow_journal(self, *, adopt_all: bool = False) -> None:
        """Bring the catalog's rows of received objects in line with the journal's records.

        Records are compared by position, and only those without a row are read: after a crash a few, else none. In the
        archive's own catalog a record of a writer at work is left to him unless ``adopt_all``: entered here it could
        be sealed and retired before he enters it himself, and his row would then stand for nothing.
        """
        with self._following():
            apply_events(self, self.events.read(after=self.catalog_position()))
            known = self.catalog.journal_positions()
            positions = self.journal.positions()
            at_work = frozenset() if adopt_all or self.read_only else self.journal.writers_at_work()
            self._forget_retired(known.difference(positions))
            missing = [each for each in positions if each not in known and place_of(each).slot not in at_work]
            for start in range(0, len(missing), _APPLY_BATCH):
                self._adopt(missing[start : start + _APPLY_BATCH])

    def _adopt(self, positions: list[Position]) -> None:
        rows: list[ReceivedRow] = []
        superfluous: list[Position] = []
        for position in positions:
            row = self._received_row(position)
            if row is None:
                continue
            if self._is_sealed(row) or self._is_waiting(row, rows):
                superfluous.append(position)
            else:
                rows.append(row)
        self.catalog.put_received(rows)
        if superfluous and not self.read_only:
            self.journal.retire(superfluous)

    def _forget_retired(self, positions: Iterable[str]) -> None:
        """Take out rows whose records are gone; what is damaged stays, so that somebody asks for it."""
        gone = [position for position in sorted(positions) if self._is_gone(position)]
        if gone:
            self.catalog.retire(gone)

    def _is_gone(self, position: str) -> bool:
        try:
            self.journal.read(Position(position))
        except NotFoundError:
            return True
        except DamagedError:
            return False
        return False

    def _received_row(self, position: str) -> ReceivedRow | None:
        try:
            head, body = self.journal.read(Position(position))
        except NotFoundError:  # Retired by another process since.
            return None
        return read_row(json.loads(head), bytes(body), position, self.settings)

    def _is_sealed(self, row: ReceivedRow) -> bool:
        """Whether a record's object is in the head of its series: a crash came between commit and retire."""
        locator = self.catalog_generation(row.key)
        if locator is None:
            return False
        generation = self.generation(locator)
        return holds(self, generation, ordinals(generation.manifest).get(row.sop_instance_uid, []), row)

    def _is_waiting(self, row: ReceivedRow, new: list[ReceivedRow]) -> bool:
        """Whether another record holds the object in the same envelope: it came again before the first had its row."""
        for other in (*self.catalog.received(row.key), *new):
            is_equal = (other.sop_instance_uid, other.digest, other.transfer_syntax_uid, other.length) == (
                row.sop_instance_uid,
                row.digest,
                row.transfer_syntax_uid,
                row.length,
            )
            if (
                is_equal
                and self.journal.read(Position(other.position))[1] == self.journal.read(Position(row.position))[1]
            ):
                return True
        return False

    # The catalog.

    def own_catalog(self) -> Catalog:
        """A catalog that this session may write to: a reader's is private from now on."""
        if self.read_only and self._private is None:
            self.catalog.close()
            self.catalog = self._private_catalog()
            self.refresh()
        return self.catalog

    def renew_catalog(self) -> None:
        """Put an empty catalog in the place of the one there is.

        Raises
        ------
        RetryError
            Another writer is at work, who would go on with the old one.
        """
        with self._following():  # Whoever opens the archive now has his slot, or waits here for the new catalog.
            if self.journal.writers_at_work():
                raise RetryError("other processes are writing to the archive. Close them, then rebuild its catalog.")
            self.catalog.close()
            for suffix in ("", "-wal", "-shm"):
                path = Path(f"{self.layout.catalog}{suffix}")
                if path.exists():
                    self.filesystem.remove(path)
            self.catalog = self._open_catalog()

    def _open_catalog(self) -> Catalog:
        if not self.read_only:
            return Catalog.open(self.layout.catalog, settings=self.settings)
        if is_current(self.layout.catalog, self.events, self.journal, self.settings):
            return Catalog.open(self.layout.catalog, read_only=True, settings=self.settings)
        return self._private_catalog()

    def _private_catalog(self) -> Catalog:
        self._private = tempfile.TemporaryDirectory(prefix="pacscore-catalog-")
        private = Path(self._private.name) / "catalog.sqlite"
        copy_catalog(self.layout.catalog, private)
        return Catalog.open(private, settings=self.settings)


def _forget_parents() -> None:
    for session in list(_open):
        session._forget_parent()


os.register_at_fork(after_in_child=_forget_parents)
