"""What the functions of this room share while an archive is open: its parts, and who is at its head.

H1  The head of a series is the generation that the last committed event names. The catalog follows the event log; a
    writer that finds its head moved seals anew on the new one.
H2  Applying an event twice equals applying it once, so following the log needs no memory of its own.
H3  Opening for writing recovers; opening for reading takes no lock and writes nothing.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any

from pacscore.archive.layout import Layout
from pacscore.archive.received import read_row
from pacscore.archive.records import SeriesRecord
from pacscore.archive.staging import Staging
from pacscore.archive.turns import Receiving
from pacscore.catalog import Catalog, InstanceColumns, ReceivedRow, SeriesRow
from pacscore.errors import FormatVersionError, NotFoundError, ReadOnlyError
from pacscore.filesystem import FileSystem
from pacscore.settings import Settings
from pacscore.store.events import Event, EventLog, EventPosition
from pacscore.store.generation import Generation
from pacscore.store.journal import Journal
from pacscore.store.manifest import Manifest
from pacscore.store.positions import Position

_GENERATIONS_KEPT = 64
_EVENTS = "events"
_APPLY_BATCH = 200


@dataclass(frozen=True, slots=True)
class Commit:
    """One series' part of a commit event.

    Attributes
    ----------
    file : str
        The generation's file, relative to the archive.
    prefix : str
        Where in the file the series lies: "" for a file of its own, ``<key>/`` in a pack.
    parent : str or None
        The locator of the generation that this one replaces.
    """

    key: str
    file: str
    prefix: str
    parent: str | None

    @property
    def locator(self) -> str:
        """File and prefix as one text: what the catalog holds."""
        return f"{self.file}#{self.prefix}" if self.prefix else self.file


def commits_of(event: Event) -> list[Commit]:
    """The commits that an event holds, none for events of another kind."""
    value = json.loads(event.payload)
    if value["kind"] != "commit":
        return []
    return [Commit(part["key"], value["file"], part["prefix"], part["parent"]) for part in value["series"]]


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
        self.durable_folders = {layout.root, layout.root / "series", layout.root / "packs"}
        """Folders whose names this session knows to be on the disk."""
        self._generations: OrderedDict[str, Generation] = OrderedDict()
        self._generation_lock = threading.Lock()
        self._private: tempfile.TemporaryDirectory[str] | None = None
        self.events = EventLog.open(layout.events, filesystem, settings, read_only=read_only)
        self.journal = Journal.open(layout.journal, filesystem, settings, read_only=read_only)
        self.catalog = self._open_catalog()
        self.staging = Staging(layout.staging, filesystem)
        self.receiving = Receiving(self.catalog)

    def close(self) -> None:
        """Close every part; a second call does nothing."""
        self.staging.close()
        self.journal.close()
        self.events.close()
        self.catalog.close()
        with self._generation_lock:
            for generation in self._generations.values():
                generation.close()
            self._generations.clear()
        if self._private is not None:
            self._private.cleanup()

    def check_writable(self) -> None:
        """Refuse where the archive was opened for reading.

        Raises
        ------
        ReadOnlyError
        """
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
        return _event_position(self.catalog.positions().get(_EVENTS))

    # Following the log.

    def refresh(self) -> None:
        """Let a private catalog catch up; the archive's own is kept current by its writers."""
        if self._private is not None:
            self.follow()
            self.follow_journal()

    def follow(self) -> None:
        """Bring the catalog up to the end of the event log.

        One process at a time follows: two that interleave could put an older generation over a newer one.
        """
        if self.read_only:
            self._apply(self.events.read(after=self.catalog_position()))
            return
        with self.commit_lock, self.filesystem.lock(self.layout.root / "catalog.lock"):
            self._apply(self.events.read(after=self.catalog_position()))

    def _apply(self, events: Iterator[Event]) -> None:
        batch: OrderedDict[str, Commit] = OrderedDict()
        position = None
        for event in events:
            position = event.position
            batch.update((commit.key, commit) for commit in commits_of(event))
            if len(batch) >= _APPLY_BATCH:
                self._put(list(batch.values()), position)
                batch.clear()
        if position is not None:
            self._put(list(batch.values()), position)

    def _put(self, commits: list[Commit], position: str) -> None:
        entries, retired = [], []
        for commit in commits:
            generation = self.generation(commit.locator)
            entries.append(series_row(generation, commit))
            retired += self._sealed_records(commit.key, generation)
        self.catalog.put_series(entries, retired=retired, positions={_EVENTS: position})

    def _sealed_records(self, key: str, generation: Generation) -> list[str]:
        """The journal positions whose objects the generation holds."""
        waiting = self.catalog.received(key)
        held = _ordinals(generation.manifest) if waiting else {}
        return [
            row.position
            for row in waiting
            if row.position in self.taken_over or self._holds(generation, held.get(row.sop_instance_uid, []), row)
        ]

    def _holds(self, generation: Generation, ordinals: list[int], row: ReceivedRow) -> bool:
        """Whether a generation holds a record's object in the envelope it came in."""
        manifest = generation.manifest
        equal = [
            ordinal
            for ordinal in ordinals
            if manifest.sha256(ordinal) == row.digest
            and manifest.transfer_syntax_uid(ordinal) == row.transfer_syntax_uid
        ]
        if not equal:
            return False
        try:
            _, body = self.journal.read(Position(row.position))
        except NotFoundError:  # Retired by another process since, so it was sealed.
            return True
        lengths = {ordinal: manifest.number("prefix_length", ordinal) for ordinal in equal}
        return any(generation.header_bytes(n)[:length] == body[:length] for n, length in lengths.items())

    def follow_journal(self) -> None:
        """Bring the catalog's rows of received objects in line with the journal's records.

        Records are compared by position, and only those without a row are read: after a crash a few, else none.
        """
        known = self.catalog.journal_positions()
        missing = [position for position in self.journal.positions() if position not in known]
        for start in range(0, len(missing), _APPLY_BATCH):
            rows: list[ReceivedRow] = []
            sealed: list[ReceivedRow] = []
            for position in missing[start : start + _APPLY_BATCH]:
                row = self._received_row(position)
                if row is not None:
                    (sealed if self._is_sealed(row) else rows).append(row)
            self.catalog.put_received(rows)
            if sealed and not self.read_only:
                self.journal.retire([Position(row.position) for row in sealed])

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
        return self._holds(generation, _ordinals(generation.manifest).get(row.sop_instance_uid, []), row)

    # The catalog.

    def own_catalog(self) -> Catalog:
        """A catalog that this session may write to: a reader's is private from now on."""
        if self.read_only and self._private is None:
            self.catalog.close()
            self.catalog = self._private_catalog()
            self.refresh()
        return self.catalog

    def renew_catalog(self) -> None:
        """Put an empty catalog in the place of the one there is."""
        self.catalog.close()
        for suffix in ("", "-wal", "-shm"):
            path = Path(f"{self.layout.catalog}{suffix}")
            if path.exists():
                self.filesystem.remove(path)
        self.catalog = self._open_catalog()
        self.receiving = Receiving(self.catalog)

    def _open_catalog(self) -> Catalog:
        if not self.read_only:
            return Catalog.open(self.layout.catalog, settings=self.settings)
        if self._is_current():
            return Catalog.open(self.layout.catalog, read_only=True, settings=self.settings)
        return self._private_catalog()

    def _private_catalog(self) -> Catalog:
        self._private = tempfile.TemporaryDirectory(prefix="pacscore-catalog-")
        private = Path(self._private.name) / "catalog.sqlite"
        with suppress(FileNotFoundError):
            for suffix in ("", "-wal"):
                copyfile(f"{self.layout.catalog}{suffix}", f"{private}{suffix}")
        return Catalog.open(private, settings=self.settings)

    def _is_current(self) -> bool:
        """Whether the archive's own catalog has followed the event log and the journal to their ends."""
        try:
            with Catalog.open(self.layout.catalog, read_only=True, settings=self.settings) as catalog:
                position = catalog.positions().get(_EVENTS)
                behind = next(self.events.read(after=_event_position(position)), None) is not None
                return not behind and catalog.journal_positions() == set(self.journal.positions())
        except (NotFoundError, FormatVersionError):
            return False


def _event_position(token: str | None) -> EventPosition | None:
    return None if token is None else EventPosition(token)


def _ordinals(manifest: Manifest) -> dict[str, list[int]]:
    """The objects of each SOP Instance UID."""
    found: dict[str, list[int]] = {}
    for ordinal, uid in enumerate(manifest.sop_instance_uids):
        found.setdefault(uid, []).append(ordinal)
    return found


def series_row(generation: Generation, commit: Commit) -> tuple[SeriesRow, InstanceColumns]:
    """What the catalog holds of a generation, made from its manifest alone."""
    manifest = generation.manifest
    record = SeriesRecord.from_dict(manifest.catalog)
    document: dict[str, Any] = dict(manifest.document)
    row = SeriesRow(
        key=commit.key,
        study_instance_uid=manifest.study_instance_uid,
        series_instance_uid=manifest.series_instance_uid,
        document=document,
        generation=commit.locator,
        varying=record.varying,
        verdict=record.verdict,
        kinds=record.kinds,
        frame_count=record.frame_count,
        bytes_original=int(manifest.column("length").sum()),
        bytes_stored=generation.bytes_stored,
        strategy=manifest.strategy.name,
        stated_by=record.stated_by,
    )
    columns = InstanceColumns(
        sop_instance_uids=manifest.sop_instance_uids,
        sop_class_uids=[manifest.sop_class_uid(ordinal) for ordinal in range(manifest.object_count)],
        instance_numbers=record.instance_numbers,
        rows=record.rows,
        columns=record.columns,
        bits=record.bits,
        frames=record.frame_counts,
        versions=manifest.column("version").tolist(),
        current=[bool(current) for current in manifest.column("current").tolist()],
    )
    return row, columns
