"""Objects that have arrived: compared with what is there, written into the journal and given their rows, in groups.

One thread does each of the steps for all that wait (``turns``): handing the interpreter from thread to thread costs
more than the steps do.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pacscore.archive.candidates import Candidate
from pacscore.archive.received import journal_head, received_row
from pacscore.archive.report import Receipt, ReceiveStatus
from pacscore.archive.sources import JournalSource, SealedSource
from pacscore.archive.turns import GroupCommits
from pacscore.catalog import Location, ReceivedRow
from pacscore.errors import PacscoreError
from pacscore.store.group_commit import Written
from pacscore.store.records import Draft
from pacscore.store.spool import Spool

if TYPE_CHECKING:
    from pacscore.archive.session import Session

_head_text = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(slots=True)
class Arrival:
    """An object that has arrived whole, and what becomes of it.

    Its record and row are made by who has brought it, for an archive that has no other of its UID, as most have none:
    whoever commits for all has little to do for each.

    Attributes
    ----------
    candidate
        The object, its hash known.
    key
        Of its series.
    source
        Who sent it, "" where nobody says.
    body
        Its bytes, or the spool file that holds them.
    head, record, row
        What the journal keeps beside it, the record ready to be written (None with a spool file, which writes its own),
        and the catalog's row without a position.
    failure
        Why it alone is not stored, while the others of its group may be.
    """

    candidate: Candidate
    key: str
    source: str
    body: tuple[bytes, ...] | Spool
    head: bytes
    record: Draft | None
    row: ReceivedRow
    status: ReceiveStatus = ReceiveStatus.STORED
    written: Written | None = None
    failure: Exception | None = None

    @classmethod
    def of(cls, session: Session, candidate: Candidate, source: str, body: tuple[bytes, ...] | Spool) -> Arrival:
        """Describe an object, as if no other of its UID were there."""
        key = session.layout.series_key(candidate.study_instance_uid, candidate.series_instance_uid)
        head = journal_head(candidate, key) | {"received": time.time(), "source": source}
        text = _head_text(head).encode()
        record = None if isinstance(body, Spool) else session.journal.draft(text, body)
        return cls(candidate, key, source, body, text, record, received_row(head, candidate, ""))

    def described_as(self, session: Session, candidate: Candidate, status: ReceiveStatus) -> None:
        """Describe it anew: others of its UID are there."""
        anew = Arrival.of(session, candidate, self.source, self.body)
        self.candidate, self.head, self.record, self.row, self.status = (
            candidate, anew.head, anew.record, anew.row, status
        )  # fmt: skip

    @property
    def receipt(self) -> Receipt:
        """Its acknowledgement, once its group is committed."""
        candidate = self.candidate
        assert candidate.sha256 is not None
        return Receipt(self.status, candidate.sop_instance_uid, candidate.series_instance_uid, candidate.sha256.hex())


def group_commits(session: Session) -> GroupCommits[Arrival]:
    """What the receiving threads of a session share."""
    return GroupCommits(
        lambda arrivals: _write(session, arrivals),
        lambda arrivals: session.journal.wait(each.written for each in arrivals if each.written is not None),
        lambda arrivals: _put(session, arrivals),
    )


def _put(session: Session, arrivals: Sequence[Arrival]) -> None:
    session.catalog.put_received(
        [each.row._replace(position=each.written.position) for each in arrivals if each.written is not None]
    )


def _write(session: Session, arrivals: Sequence[Arrival]) -> None:
    """Compare with what is there, and write what is not. Their UIDs differ: each has its turn."""
    located = session.catalog.lookup_many([each.candidate.sop_instance_uid for each in arrivals])
    wanted: list[Arrival] = []
    for arrival in arrivals:
        try:
            found = located[arrival.candidate.sop_instance_uid]
            if found and not _is_wanted(session, arrival, found):
                continue
            if isinstance(arrival.body, Spool):
                arrival.written = arrival.body.write(arrival.head)
            else:
                wanted.append(arrival)
        except (PacscoreError, OSError) as error:
            arrival.failure = error
    written = session.journal.write([each.record for each in wanted if each.record is not None])
    for arrival, outcome in zip(wanted, written, strict=True):
        if isinstance(outcome, Exception):
            arrival.failure = outcome
        else:
            arrival.written = outcome


def _is_wanted(session: Session, arrival: Arrival, located: Iterable[Location]) -> bool:
    """Whether the object is to be written, given where others of its UID lie; then it is described as what it is."""
    candidate = arrival.candidate
    others = [
        known
        for location in located
        if location.key == arrival.key
        for known in _candidates_at(session, location, candidate.sop_instance_uid)
    ]
    equal = [
        other
        for other in others
        if other.sha256 == candidate.sha256 and other.transfer_syntax_uid == candidate.transfer_syntax_uid
    ]
    if equal:
        arrival.status = ReceiveStatus.DUPLICATE
        prefix = candidate.file_prefix()
        if any(other.file_prefix() == prefix for other in equal):
            return False
        # The same data set in another envelope: kept too, so that each object taken can be returned.
        other = replace(candidate, version=equal[0].version, current=False)
        arrival.described_as(session, other, ReceiveStatus.DUPLICATE)
    elif others:
        version = max(other.version for other in others) + 1
        arrival.described_as(session, replace(candidate, version=version, current=False), ReceiveStatus.VERSION)
    return True


def _candidates_at(session: Session, location: Location, sop_instance_uid: str) -> Iterator[Candidate]:
    """The candidates at a location: none where only the hash of the UID is equal."""
    if location.position is not None:
        row = next((r for r in session.catalog.received(location.key) if r.position == location.position), None)
        if row is not None:
            yield JournalSource(session, row).candidate()
    elif location.generation is not None and location.ordinal is not None:
        found = SealedSource(session.generation(location.generation), location.ordinal).candidate()
        if found.sop_instance_uid == sop_instance_uid:
            yield found
