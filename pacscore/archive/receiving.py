"""Receiving: one object at a time, acknowledged when it is durable and findable (promise 1).

The order is: scan (header only) → hash → compare with what is there → write into the journal → a sync that covers the
record → catalog row → acknowledged. What follows the hash is done by one thread for all who wait (``turns``,
``arrivals``). Two callers with one UID take turns, so that neither can miss the other's object.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from pacscore.archive.arrivals import Arrival
from pacscore.archive.candidates import Candidate, MappedSource, PiecesSource, candidate_of
from pacscore.archive.finding import find
from pacscore.archive.incoming import DataSetHash, Incoming, pieces_of, take_beginning
from pacscore.archive.packing import Group, pack_groups
from pacscore.archive.quarantine import quarantine_file, quarantine_object
from pacscore.archive.report import LeftOut, Progress, Receipt, ReceiveStatus, SealReport
from pacscore.archive.sealing import seal_apart
from pacscore.archive.session import Session
from pacscore.archive.working_copy import write_copies
from pacscore.catalog import StoredSeries
from pacscore.dicom.part10 import make_file_prefix
from pacscore.errors import InvalidDicomError, LimitError
from pacscore.store.spool import Spool
from pacscore.store.strategy import Strategy


@dataclass(frozen=True, slots=True)
class Said:
    """What a sender says of an object and of himself; see ``Archive.receive``."""

    source: str | None
    transfer_syntax: str | None
    stated: tuple[str, str] | None

    def check(self, found: Candidate) -> None:
        """Compare with the object; ``MismatchError`` where it says otherwise."""
        if self.stated is not None:
            assert found.scan is not None
            found.scan.check_stated(*self.stated)


def receive_object(session: Session, data: bytes | BinaryIO | Iterable[bytes], said: Said) -> Receipt:
    """Take one object; see ``Archive.receive``."""
    session.check_writable()
    if isinstance(data, bytes) and len(data) >= session.settings.spool_bytes_min:
        return _receive_large(session, Incoming(data, iter(()), said.transfer_syntax, session.settings), said)
    digest = DataSetHash(said.transfer_syntax, session.settings)
    pieces = iter((data,)) if isinstance(data, bytes) else pieces_of(data)
    beginning = tuple(digest.passing(take_beginning(pieces, session.settings.spool_bytes_min)))
    if sum(map(len, beginning)) < session.settings.spool_bytes_min:
        return _receive_whole(session, beginning, digest, said)
    joined = [b"".join(beginning)]
    del beginning  # Held by nobody while the rest comes: many large objects may be on their way at once.
    return _receive_large(session, Incoming(joined.pop(), pieces, said.transfer_syntax, session.settings), said)


def _receive_whole(session: Session, pieces: tuple[bytes, ...], digest: DataSetHash, said: Said) -> Receipt:
    try:
        found = candidate_of(PiecesSource(pieces), session.settings, said.transfer_syntax)
        own_prefix_length = found.prefix_length
        if said.transfer_syntax is not None and own_prefix_length == 0:
            assert found.scan is not None
            prefix = make_file_prefix(found.scan.sop_class_uid, found.sop_instance_uid, said.transfer_syntax)
            pieces = (prefix, *pieces)
            found = found.behind(prefix, PiecesSource(pieces), session.settings)
    except (InvalidDicomError, LimitError) as error:
        name = quarantine_object(
            session.layout.quarantine, b"".join(pieces), error.message, filesystem=session.filesystem
        )
        return Receipt(ReceiveStatus.QUARANTINED, "", "", name, error.message)
    said.check(found)
    sha256 = digest.digest(own_prefix_length)
    if sha256 is None:
        sha256 = hashlib.sha256(memoryview(found.source.read())[found.prefix_length :]).digest()
    return _store(session, replace(found, sha256=sha256), said, pieces)


def _receive_large(session: Session, incoming: Incoming, said: Said) -> Receipt:
    """Take an object that is written as it comes: no more of it than its beginning is ever in memory."""
    if said.stated is not None:
        incoming.check_beginning(said.stated)
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
        said.check(candidate)
        return _store(session, replace(candidate, sha256=incoming.digest()), said, spool)


def _store(session: Session, candidate: Candidate, said: Said, body: tuple[bytes, ...] | Spool) -> Receipt:
    arrival = Arrival.of(session, candidate, said.source or "", body)
    with session.turns.turn(candidate.sop_instance_uid):
        session.commits.commit(arrival)
    if arrival.failure is not None:
        raise arrival.failure
    return arrival.receipt


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
