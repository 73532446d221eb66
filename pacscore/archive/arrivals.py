"""Objects that have arrived: compared with what is there, written into the journal and given their rows, in groups.

One thread does each of the steps for all that wait (``turns``): handing the interpreter from thread to thread costs
more than the steps do.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
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

if TYPE_CHECKING:
    from pacscore.archive.session import Session

_head_text = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(slots=True)
class Arrival:
    """An object that has arrived whole, and what becomes of it.

    Attributes
    ----------
    candidate
        The object, its hash known.
    source
        Who sent it, "" where nobody says.
    write
        Puts it into the journal, behind the head it is given.
    failure
        Why it alone is not stored, while the others of its group may be.
    """

    candidate: Candidate
    source: str
    write: Callable[[bytes], Written]
    status: ReceiveStatus = ReceiveStatus.STORED
    written: Written | None = None
    row: ReceivedRow | None = None
    failure: Exception | None = None

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
        lambda arrivals: session.catalog.put_received([each.row for each in arrivals if each.row is not None]),
    )


def _write(session: Session, arrivals: Sequence[Arrival]) -> None:
    """Compare with what is there, and write what is not. Their UIDs differ: each has its turn."""
    located = session.catalog.lookup_many([each.candidate.sop_instance_uid for each in arrivals])
    for arrival in arrivals:
        try:
            _write_one(session, arrival, located[arrival.candidate.sop_instance_uid])
        except (PacscoreError, OSError) as error:
            arrival.failure = error


def _write_one(session: Session, arrival: Arrival, located: Iterable[Location]) -> None:
    candidate = arrival.candidate
    key = session.layout.series_key(candidate.study_instance_uid, candidate.series_instance_uid)
    others = [
        known
        for location in located
        if location.key == key
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
            return
        # The same data set in another envelope: kept too, so that each object taken can be returned.
        candidate = arrival.candidate = replace(candidate, version=equal[0].version, current=False)
    elif others:
        arrival.status = ReceiveStatus.VERSION
        version = max(other.version for other in others) + 1
        candidate = arrival.candidate = replace(candidate, version=version, current=False)
    head = journal_head(candidate, key) | {"received": time.time(), "source": arrival.source}
    arrival.written = arrival.write(_head_text(head).encode())
    arrival.row = received_row(head, candidate, arrival.written.position)


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
