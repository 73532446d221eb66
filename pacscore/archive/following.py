"""Following the event log with the catalog: what commits and collections mean for its rows.

Applying an event twice equals applying it once (H2 of ``session``). A generation may be gone, or damaged, that a later
commit has replaced: its own commit is passed over then, since the later one says all that is to be said.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pacscore.archive.commits import Commit, collected_of, commits_of, series_row
from pacscore.archive.currency import EVENTS
from pacscore.catalog import ReceivedRow, Superseded
from pacscore.errors import DamagedError, NotFoundError
from pacscore.store.events import Event
from pacscore.store.generation import Generation
from pacscore.store.manifest import Manifest
from pacscore.store.positions import Position

if TYPE_CHECKING:
    from pacscore.archive.session import Session

_BATCH = 200


@dataclass(slots=True)
class _Batch:
    """Events that are applied in one transaction; of the commits of one series only the last counts."""

    position: str = ""
    commits: OrderedDict[str, Commit] = field(default_factory=OrderedDict)
    replaced: list[Superseded] = field(default_factory=list)
    collected: list[str] = field(default_factory=list)

    def add(self, event: Event) -> None:
        self.position = event.position
        for commit in commits_of(event):
            self.commits[commit.key] = commit
            if commit.parent is not None:
                file = commit.parent.partition("#")[0]
                self.replaced.append(Superseded(commit.parent, file, commit.key, commit.time))
        self.collected += collected_of(event)

    @property
    def is_full(self) -> bool:
        return max(len(self.commits), len(self.replaced), len(self.collected)) >= _BATCH


class _Heads:
    """The last commit of each series in all of the log, read when somebody first asks."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._heads: dict[str, str] = {}

    def have_left(self, commit: Commit) -> bool:
        """Whether a later commit has replaced this one."""
        if self._heads.get(commit.key, commit.locator) == commit.locator:  # Perhaps since it was last read.
            events = self._session.events.read()
            self._heads = {each.key: each.locator for event in events for each in commits_of(event)}
        return self._heads.get(commit.key) != commit.locator


def apply_events(session: Session, events: Iterable[Event]) -> None:
    """Bring the catalog's rows in line with events, in their order, some in each transaction."""
    heads = _Heads(session)
    batch = _Batch()
    for event in events:
        batch.add(event)
        if batch.is_full:
            _put(session, batch, heads)
            batch = _Batch()
    if batch.position:
        _put(session, batch, heads)


def _put(session: Session, batch: _Batch, heads: _Heads) -> None:
    entries, retired = [], []
    for commit in batch.commits.values():
        try:
            generation = session.generation(commit.locator)
            entry = series_row(generation, commit)
        except (NotFoundError, DamagedError):
            if heads.have_left(commit):
                continue
            raise
        entries.append(entry)
        retired += _sealed_records(session, commit.key, generation)
    session.catalog.put_series(
        entries,
        retired=retired,
        replaced=batch.replaced,
        collected=batch.collected,
        positions={EVENTS: batch.position},
    )
    if batch.collected:
        session.let_go(batch.collected)


def _sealed_records(session: Session, key: str, generation: Generation) -> list[str]:
    """The journal positions whose objects the generation holds."""
    waiting = session.catalog.received(key)
    held = ordinals(generation.manifest) if waiting else {}
    return [
        row.position
        for row in waiting
        if row.position in session.taken_over or holds(session, generation, held.get(row.sop_instance_uid, []), row)
    ]


def holds(session: Session, generation: Generation, candidates: list[int], row: ReceivedRow) -> bool:
    """Whether a generation holds a record's object, in the envelope it came in, at one of these ordinals."""
    manifest = generation.manifest
    equal = [
        ordinal
        for ordinal in candidates
        if manifest.sha256(ordinal) == row.digest and manifest.transfer_syntax_uid(ordinal) == row.transfer_syntax_uid
    ]
    if not equal:
        return False
    try:
        _, body = session.journal.read(Position(row.position))
    except NotFoundError:  # Retired by another process since, so it was sealed.
        return True
    lengths = {ordinal: manifest.number("prefix_length", ordinal) for ordinal in equal}
    return any(generation.header_bytes(n)[:length] == body[:length] for n, length in lengths.items())


def ordinals(manifest: Manifest) -> dict[str, list[int]]:
    """The objects of each SOP Instance UID."""
    found: dict[str, list[int]] = {}
    for ordinal, uid in enumerate(manifest.sop_instance_uids):
        found.setdefault(uid, []).append(ordinal)
    return found
