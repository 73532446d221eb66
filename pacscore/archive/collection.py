"""Collection: the files of superseded generations go, and the event log says so before they do.

C1  A generation may go when the head of its series holds every object of it, in the same envelope, and its successor
    was committed a grace time ago. A pack goes when all its series may. No generation of this format refers to another.
C2  The steps: choose, append the event ``collected`` and sync it, remove the files, sync their folders, forget them in
    the catalog. A crash between any two leaves files of which the log says that they go; the next collection ends it.
C3  One process collects at a time, and none while somebody holds the collection lock shared, as a backup does.
C4  Who has a generation open goes on reading it: its descriptor keeps the bytes.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from pacscore.archive.copies import copies_of
from pacscore.archive.report import CollectReport
from pacscore.archive.session import Session
from pacscore.catalog import Superseded
from pacscore.errors import PacscoreError, RetryError
from pacscore.store.manifest import Manifest
from pacscore.store.verify import series_prefixes

_EVENT_FILES_MAX = 1000


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for collection: superseded generations, and files whose series are all superseded."""

    generations: int
    files: int
    bytes: int


def collect_superseded(session: Session) -> CollectReport:
    """Let the files of superseded generations go whose grace time is over; does nothing while a backup runs."""
    session.check_writable()
    rows = session.catalog.superseded()
    if not any(row.collected for row in rows) and not _due_files(session, rows):
        return CollectReport(0, 0)
    try:
        lock = session.filesystem.lock(session.layout.collection_lock, wait_seconds=0.0)
    except RetryError:  # C3
        return CollectReport(0, 0)
    with lock:
        session.follow()
        chosen = [
            file
            for file, group in _due_files(session, session.catalog.superseded())
            if all(_is_held_by_head(session, row) for row in group)
        ]
        for start in range(0, len(chosen), _EVENT_FILES_MAX):
            _append_event(session, chosen[start : start + _EVENT_FILES_MAX])
        session.follow()
        return _remove_collected(session, chosen)


def finish_collection(session: Session) -> None:
    """Remove what the log says is collected and a crash has left; choose nothing anew."""
    if not any(row.collected for row in session.catalog.superseded()):
        return
    try:
        lock = session.filesystem.lock(session.layout.collection_lock, wait_seconds=0.0)
    except RetryError:
        return
    with lock:
        _remove_collected(session)


def waiting_for_collection(session: Session) -> Waiting:
    """What is superseded and still there."""
    rows = [row for row in session.catalog.superseded() if not row.collected]
    files = [file for file, group in _by_file(rows) if _is_whole(session, file, group)]
    sizes = [path.stat().st_size for path in (session.layout.root / file for file in files) if path.exists()]
    return Waiting(len(rows), len(sizes), sum(sizes))


def _by_file(rows: Iterable[Superseded]) -> list[tuple[str, list[Superseded]]]:
    """The rows, which come in the order of their files."""
    return [(file, list(group)) for file, group in groupby(rows, key=lambda row: row.file)]


def _due_files(session: Session, rows: Sequence[Superseded]) -> list[tuple[str, list[Superseded]]]:
    """The files whose series are all superseded, and have been for the grace time."""
    latest = time.time() - session.settings.grace_seconds
    return [
        (file, group)
        for file, group in _by_file(row for row in rows if not row.collected)
        if all(row.since <= latest for row in group) and _is_whole(session, file, group)
    ]


def _is_whole(session: Session, file: str, group: Sequence[Superseded]) -> bool:
    """Whether these rows are all the series that the file holds."""
    count = session.series_counts.get(file)
    if count is None:
        try:
            count = len(series_prefixes(session.layout.root / file)) if file.startswith("packs/") else 1
        except PacscoreError:  # What cannot be read stays, for `verify` to name.
            return False
        session.series_counts[file] = count
    return len(group) == count


def _is_held_by_head(session: Session, row: Superseded) -> bool:
    """Whether the head of its series holds every object of a superseded generation; both are opened by their names."""
    head = session.catalog_generation(row.key)
    if head is None or head == row.locator:
        return False
    try:
        with session.open_generation(row.locator) as old, session.open_generation(head) as new:
            return not _objects(old.manifest) - _objects(new.manifest)
    except PacscoreError:
        return False


def _objects(manifest: Manifest) -> Counter[tuple[str, str, bytes, int, int]]:
    """What tells objects apart: UID, transfer syntax, hash of the data set, length, CRC32C of all before the pixels."""
    return Counter(
        (uid, manifest.transfer_syntax_uid(index), manifest.sha256(index), length, crc)
        for index, (uid, length, crc) in enumerate(
            zip(
                manifest.sop_instance_uids,
                manifest.column("length").tolist(),
                manifest.column("header_crc32c").tolist(),
                strict=True,
            )
        )
    )


def _append_event(session: Session, files: Sequence[str]) -> None:
    event = {"kind": "collected", "time": time.time(), "files": list(files)}
    payload = json.dumps(event, separators=(",", ":")).encode()
    # Nothing that others append meanwhile can make a superseded generation a head again.
    session.events.append(lambda _: True, payload, after=session.catalog_position())


def _remove_collected(session: Session, chosen: Collection[str] = ()) -> CollectReport:
    """Remove the files of which the log says that they go.

    What a crash, or a restored copy, has left is looked at again first, unless it was just ``chosen``: its head may be
    damaged since, and what is still there is then worth keeping.
    """
    rows = [row for row in session.catalog.superseded() if row.collected]
    removed = freed = 0
    folders: set[Path] = set()
    gone: list[str] = []
    for file, group in _by_file(rows):
        path = session.layout.root / file
        if path.exists() and file not in chosen and not all(_is_held_by_head(session, row) for row in group):
            continue
        gone.append(file)
        for row in group:
            for copy in copies_of(session, row.locator):
                session.filesystem.remove(copy)
        if path.exists():
            size = path.stat().st_size
            session.filesystem.remove(path)
            removed, freed = removed + 1, freed + size
        if path.parent.is_dir():
            folders.add(path.parent)
    for folder in sorted(folders):  # Of files that are gone too: who removed them may have died before this.
        session.filesystem.sync_folder(folder)
    if gone:
        session.catalog.forget_superseded(gone)
    return CollectReport(removed, freed)
