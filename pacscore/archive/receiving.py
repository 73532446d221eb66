"""Receiving: one object at a time, acknowledged when it is durable and findable (promise 1).

The order is: scan (header only) → hash → compare with what is there → write into the journal → a sync that covers the
record → catalog row → acknowledged. The last three are done by one thread for all who wait (``turns``). Two callers
with one UID take turns, so that neither can miss the other's object.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

from pacscore.archive.candidates import Candidate, MappedSource, PiecesSource, candidate_of
from pacscore.archive.finding import find
from pacscore.archive.incoming import DataSetHash, Incoming, pieces_of, take_beginning
from pacscore.archive.packing import Group, pack_groups
from pacscore.archive.quarantine import quarantine_file, quarantine_object
from pacscore.archive.received import journal_head, received_row
from pacscore.archive.report import LeftOut, Progress, Receipt, ReceiveStatus, SealReport
from pacscore.archive.sealing import prefix_of, seal_apart
from pacscore.archive.session import Session
from pacscore.archive.sources import JournalSource, SealedSource
from pacscore.archive.working_copy import write_copies
from pacscore.catalog import Location, StoredSeries
from pacscore.dicom.part10 import make_file_prefix
from pacscore.errors import InvalidDicomError, LimitError
from pacscore.store.group_commit import Written
from pacscore.store.strategy import Strategy

_head_text = json.JSONEncoder(separators=(",", ":")).encode


def receive_object(
    session: Session,
    data: bytes | BinaryIO | Iterable[bytes],
    *,
    transfer_syntax: str | None,
    source: str | None,
) -> Receipt:
    """Take one object; see ``Archive.receive``."""
    session.check_writable()
    digest = DataSetHash(transfer_syntax, session.settings)
    if isinstance(data, bytes):
        return _receive_whole(session, tuple(digest.passing(iter((data,)))), digest, transfer_syntax, source)
    pieces = pieces_of(data)
    beginning = tuple(digest.passing(take_beginning(pieces, session.settings.spool_bytes_min)))
    if sum(map(len, beginning)) < session.settings.spool_bytes_min:
        return _receive_whole(session, beginning, digest, transfer_syntax, source)
    joined = [b"".join(beginning)]
    del beginning  # Held by nobody while the rest comes: many large objects may be on their way at once.
    return _receive_large(session, Incoming(joined.pop(), pieces, transfer_syntax, session.settings), source)


def _receive_whole(
    session: Session, pieces: tuple[bytes, ...], digest: DataSetHash, transfer_syntax: str | None, source: str | None
) -> Receipt:
    try:
        found = candidate_of(PiecesSource(pieces), session.settings, transfer_syntax)
        own_prefix_length = found.prefix_length
        if transfer_syntax is not None and own_prefix_length == 0:
            assert found.scan is not None
            prefix = make_file_prefix(found.scan.sop_class_uid, found.sop_instance_uid, transfer_syntax)
            pieces = (prefix, *pieces)
            found = candidate_of(PiecesSource(pieces), session.settings, transfer_syntax)
    except (InvalidDicomError, LimitError) as error:
        name = quarantine_object(
            session.layout.quarantine, b"".join(pieces), error.message, filesystem=session.filesystem
        )
        return Receipt(ReceiveStatus.QUARANTINED, "", "", name, error.message)
    sha256 = digest.digest(own_prefix_length)
    if sha256 is None:
        sha256 = hashlib.sha256(memoryview(found.source.read())[found.prefix_length :]).digest()
    candidate = replace(found, sha256=sha256)
    with session.turns.turn(candidate.sop_instance_uid):
        return _store(session, candidate, source, lambda head: session.journal.write(head, pieces))


def _receive_large(session: Session, incoming: Incoming, source: str | None) -> Receipt:
    """Take an object that is written as it comes: no more of it than its beginning is ever in memory."""
    with session.journal.spooling(incoming.chunks()) as spool:
        try:
            candidate = candidate_of(MappedSource(spool.path, spool.length), session.settings, incoming.transfer_syntax)
            if candidate.prefix_length != incoming.prefix_length:
                raise InvalidDicomError("The object's end contradicts its beginning.", offset=incoming.prefix_length)
        except (InvalidDicomError, LimitError) as error:
            name = quarantine_file(
                session.layout.quarantine, spool.path, error.message, filesystem=session.filesystem,
                name=f"{spool.path.name}.dcm",
            )  # fmt: skip
            return Receipt(ReceiveStatus.QUARANTINED, "", "", name.removesuffix(".dcm"), error.message)
        candidate = replace(candidate, sha256=incoming.digest())
        with session.turns.turn(candidate.sop_instance_uid):
            return _store(session, candidate, source, spool.write)


def _store(session: Session, candidate: Candidate, source: str | None, write: Callable[[bytes], Written]) -> Receipt:
    """Compare with what is there, and keep what is not; ``write`` puts the object into the journal."""
    key = session.layout.series_key(candidate.study_instance_uid, candidate.series_instance_uid)
    assert candidate.sha256 is not None
    others = [
        known
        for location in session.catalog.lookup(candidate.sop_instance_uid)
        if location.key == key
        for known in _located(session, location, candidate.sop_instance_uid)
    ]
    equal = [
        other
        for other in others
        if other.sha256 == candidate.sha256 and other.transfer_syntax_uid == candidate.transfer_syntax_uid
    ]
    status = ReceiveStatus.STORED
    if equal:
        prefix = prefix_of(candidate)
        if any(prefix_of(other) == prefix for other in equal):
            return _receipt(ReceiveStatus.DUPLICATE, candidate)
        # The same data set in another envelope: kept too, so that each object taken can be returned.
        candidate, status = replace(candidate, version=equal[0].version, current=False), ReceiveStatus.DUPLICATE
    elif others:
        version = max(other.version for other in others) + 1
        candidate, status = replace(candidate, version=version, current=False), ReceiveStatus.VERSION
    head = journal_head(candidate, key) | {"received": time.time(), "source": source or ""}
    written = write(_head_text(head).encode())
    row = received_row(head, candidate, written.position)
    session.commits.commit((written, row))
    return _receipt(status, candidate)


def _located(session: Session, location: Location, sop_instance_uid: str) -> list[Candidate]:
    """The candidates at a location: none where only the hash of the UID is equal."""
    if location.position is not None:
        row = next((r for r in session.catalog.received(location.key) if r.position == location.position), None)
        if row is None:
            return []
        return [JournalSource(session, row).candidate()]
    if location.generation is None or location.ordinal is None:
        return []
    found = SealedSource(session.generation(location.generation), location.ordinal).candidate()
    return [found] if found.sop_instance_uid == sop_instance_uid else []


def _receipt(status: ReceiveStatus, candidate: Candidate) -> Receipt:
    assert candidate.sha256 is not None
    return Receipt(status, candidate.sop_instance_uid, candidate.series_instance_uid, candidate.sha256.hex())


def seal_received(session: Session, progress: Progress, *, only: Collection[str] | None = None) -> SealReport:
    """Lay out every series that waits in the journal, or those of the UIDs ``only``; small ones share packs."""
    waiting = [each for each in session.catalog.waiting() if only is None or each.series_instance_uid in only]
    return _seal_stored(session, waiting, progress, strategy=None)


def reseal(session: Session, match: Mapping[str, Any], strategy: str, progress: Progress) -> SealReport:
    """Lay out every series that matches again, by another strategy; what waits for it is sealed along."""
    rows = list(find(session, "series", match))
    stored = [session.catalog.series(row["SeriesInstanceUID"], row["StudyInstanceUID"]) for row in rows]
    return _seal_stored(session, stored, progress, strategy=Strategy.named(strategy))


def _seal_stored(
    session: Session, stored: Sequence[StoredSeries], progress: Progress, *, strategy: Strategy | None
) -> SealReport:
    session.check_writable()
    start = time.perf_counter()
    series = {each.key: each for each in stored}
    groups = (
        Group(key, [], each.bytes_original + sum(row.length for row in session.catalog.received(key)))
        for key, each in series.items()
    )
    done = objects = 0
    damaged: list[LeftOut] = []
    progress("sealing", 0, len(series))
    for batch in pack_groups(groups, session.settings):
        laid_out, bad = seal_apart(session, batch, strategy=strategy, anew=strategy is not None)
        for sealed in laid_out:
            write_copies(session, sealed, strategy)
        damaged += [LeftOut(f"series {series[key].series_instance_uid}", reason) for key, reason in bad]
        done += len(batch)
        objects += sum(series[key].journal_count for key, _ in batch)
        progress("sealing", done, len(series))
    return SealReport(done - len(damaged), objects, tuple(damaged), time.perf_counter() - start)
