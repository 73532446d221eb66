"""Ingest: files from disk, grouped by series and sealed straight from where they lie.

I1  No journal: each byte is written once. A file counts as stored only when its series' generation is committed.
I2  Memory is bounded: headers are kept while a budget allows and read again after that; series are sealed one by one,
    small ones together.
I3  A second run skips what is in: objects are compared by UID, and by hash where the UID is there already.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pacscore.archive.candidates import Candidate, FileSource, Look, Outcome, look_at_all
from pacscore.archive.packing import Group, pack_groups
from pacscore.archive.quarantine import quarantine_object
from pacscore.archive.report import IngestReport, LeftOut, Progress
from pacscore.archive.sealing import Sealed, seal_apart
from pacscore.archive.session import Session
from pacscore.archive.walking import files_below
from pacscore.archive.working_copy import write_copies
from pacscore.errors import ChangedError, StorageError
from pacscore.parallel import map_ordered

_HEADER_BUDGET_BYTES = 64 << 20
_TABLE_ROW_BYTES = 56
_LOOK_BATCH = 32  # Files: handing one over to another thread, or to a kernel, costs more than scanning it.


@dataclass(slots=True)
class _Tally:
    stored: int = 0
    duplicates: int = 0
    version_uids: list[str] = field(default_factory=list)
    quarantined: list[LeftOut] = field(default_factory=list)
    skipped: list[LeftOut] = field(default_factory=list)
    unreadable: list[LeftOut] = field(default_factory=list)
    bytes_in: int = 0
    bytes_stored: int = 0

    def add(self, sealed: Sealed) -> None:
        for gathered in sealed.gathered:
            self.stored += len(gathered.fresh)
            self.duplicates += gathered.duplicates
            self.version_uids += gathered.version_uids
            self.bytes_in += sum(each.source.size for each in gathered.fresh)
        self.bytes_stored += sealed.bytes_stored


def ingest_files(session: Session, paths: tuple[Path, ...], progress: Progress) -> IngestReport:
    """Take every DICOM object below the paths into the archive.

    Raises
    ------
    StorageError
        A path does not exist; or the archive's disk refused a write. What was committed stays.
    """
    session.check_writable()
    start = time.perf_counter()
    tally = _Tally()
    groups = _group_by_series(session, _look_at_all(session, paths, progress, tally), tally)
    total = sum(map(len, groups.values()))
    done = 0
    progress("sealing", 0, total)
    for batch in pack_groups(_sized(session, groups), session.settings):
        for sealed in _seal(session, batch, tally):
            write_copies(session, sealed)
            tally.add(sealed)
        done += sum(len(candidates) for _, candidates in batch)
        progress("sealing", done, total)
    return IngestReport(
        stored=tally.stored,
        duplicates=tally.duplicates,
        versions=len(tally.version_uids),
        quarantined=tuple(tally.quarantined),
        skipped=tuple(tally.skipped),
        unreadable=tuple(tally.unreadable),
        version_uids=tuple(tally.version_uids),
        bytes_in=tally.bytes_in,
        bytes_stored=tally.bytes_stored,
        seconds=time.perf_counter() - start,
    )


def _seal(session: Session, batch: list[tuple[str, list[Candidate]]], tally: _Tally) -> list[Sealed]:
    """Seal a batch; a file that changed or went away since it was looked at is left out and reported, not the rest."""
    while True:
        try:
            sealed, damaged = seal_apart(session, batch)
        except (ChangedError, StorageError):
            kept, gone = _without_troubled(batch)
            if not gone:
                raise
            tally.unreadable += gone
            batch = kept
        else:
            uids = {key: candidates[0].series_instance_uid for key, candidates in batch}
            tally.unreadable += [LeftOut(f"series {uids[key]}", reason) for key, reason in damaged]
            return sealed


def _without_troubled(
    batch: list[tuple[str, list[Candidate]]],
) -> tuple[list[tuple[str, list[Candidate]]], list[LeftOut]]:
    kept: list[tuple[str, list[Candidate]]] = []
    gone: list[LeftOut] = []
    for key, candidates in batch:
        fine = []
        for candidate in candidates:
            source = candidate.source
            trouble = source.trouble() if isinstance(source, FileSource) else ""
            if trouble and isinstance(source, FileSource):
                gone.append(LeftOut(str(source.path), trouble))
            else:
                fine.append(candidate)
        if fine:
            kept.append((key, fine))
    return kept, gone


def _sized(session: Session, groups: dict[str, list[Candidate]]) -> Iterator[Group]:
    """The groups with the sizes of the generations they make, each taken out so that its headers can go."""
    while groups:
        key = next(iter(groups))
        candidates = groups.pop(key)
        stored = session.catalog.series_by_key(key)
        there = stored.bytes_original if stored is not None else 0
        yield Group(key, candidates, there + sum(each.source.size for each in candidates))


def _look_at_all(session: Session, paths: tuple[Path, ...], progress: Progress, tally: _Tally) -> Iterator[Look]:
    def leave_out(path: Path, reason: str) -> None:
        tally.unreadable.append(LeftOut(str(path), reason))

    found = list(_outside(session.layout.root.resolve(), files_below(paths, leave_out=leave_out)))
    batches = (found[start : start + _LOOK_BATCH] for start in range(0, len(found), _LOOK_BATCH))
    looked = map_ordered(
        lambda batch: look_at_all(batch, session.settings),
        batches,
        threads=session.settings.threads(),
    )
    number = 0
    for looks in looked:
        yield from looks
        number += len(looks)
        progress("scanning", number, len(found))


def _outside(archive: Path, paths: Iterable[Path]) -> Iterator[Path]:
    """The paths that do not lead into the archive itself."""
    folders: dict[Path, Path] = {}
    for path in paths:
        if path.is_symlink():
            real = path.resolve().parent
        else:  # Resolving costs a look at every folder above: done once for each.
            real = folders.get(path.parent) or folders.setdefault(path.parent, path.parent.resolve())
        if archive != real and archive not in real.parents:
            yield path


def _group_by_series(session: Session, looks: Iterable[Look], tally: _Tally) -> dict[str, list[Candidate]]:
    """Series key to its candidates, in the order found; what is no object goes into the tally."""
    groups: dict[str, list[Candidate]] = {}
    held = 0
    for look in looks:
        if look.outcome is Outcome.UNREADABLE:
            tally.unreadable.append(LeftOut(str(look.source.path), look.reason))
        elif look.outcome is Outcome.SKIPPED:
            tally.skipped.append(LeftOut(str(look.source.path), look.reason))
        elif look.outcome is Outcome.QUARANTINED:
            _quarantine(session, look, tally)
        else:
            candidate = look.candidate
            assert candidate is not None
            assert candidate.scan is not None
            held += len(candidate.header or b"") + _TABLE_ROW_BYTES * len(candidate.scan.elements)
            if held > _HEADER_BUDGET_BYTES:
                candidate = candidate.unloaded()
            key = session.layout.series_key(candidate.study_instance_uid, candidate.series_instance_uid)
            groups.setdefault(key, []).append(candidate)
    return groups


def _quarantine(session: Session, look: Look, tally: _Tally) -> None:
    try:
        data = look.source.read()
    except (ChangedError, StorageError) as error:
        tally.unreadable.append(LeftOut(str(look.source.path), error.message))
        return
    quarantine_object(session.layout.quarantine, data, look.reason, filesystem=session.filesystem)
    tally.quarantined.append(LeftOut(str(look.source.path), look.reason))
