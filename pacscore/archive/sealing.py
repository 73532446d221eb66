"""Sealing: objects of a series become one immutable, proven generation.

The steps stand in ``seal_series``, in this order: gather what belongs to the series, plan (stack), stage (which syncs
and proves), publish and commit in one turn of the event log's lock, follow with the catalog, retire the journal space.

E1  No lock is held while encoding. The commit compares: if the head of a series is no longer the parent that the plan
    was made on, nothing is published and the series is gathered anew on the new head.
E2  A file is renamed into place only inside that turn, so a published file without an event can only come from a crash
    between the two; recovery commits it forward. The folders above it are durable before.
E3  An object is a duplicate when data set and transfer syntax are equal; the same UID with another data set becomes a
    further version and the first stays current; an equal data set with another preamble or file meta keeps that too.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from pacscore.archive.candidates import Candidate
from pacscore.archive.commits import commits_of
from pacscore.archive.planning import SERIES_ROW_KEYWORDS, plan_series
from pacscore.archive.session import Session
from pacscore.archive.sources import JournalSource, SealedSource
from pacscore.errors import ChangedError, DamagedError, NotFoundError, ProofError, RetryError
from pacscore.store.events import Event, EventPosition
from pacscore.store.plan import SeriesPlan, StagedGeneration
from pacscore.store.positions import Position
from pacscore.store.strategy import Strategy
from pacscore.store.writer import stage_generation

_ATTEMPTS = 20


@dataclass(slots=True, eq=False)
class Gathered:
    """The objects of one series: all that its next generation holds, and what became of those that came.

    Attributes
    ----------
    members
        Everything: the head's objects, those waiting in the journal, and the fresh ones.
    fresh
        What came from outside and is neither a duplicate nor refused.
    duplicates
        How many of those that came are there already.
    version_uids
        SOP Instance UIDs of which a further version was kept.
    retired
        Journal positions that the generation makes superfluous.
    """

    key: str
    parent: str | None
    members: list[Candidate] = field(default_factory=list)
    fresh: list[Candidate] = field(default_factory=list)
    duplicates: int = 0
    version_uids: list[str] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)

    @property
    def has_work(self) -> bool:
        """Whether a new generation would hold anything new."""
        return bool(self.fresh or self.retired)


@dataclass(frozen=True, slots=True)
class Sealed:
    """What one call laid out."""

    gathered: tuple[Gathered, ...]
    bytes_stored: int
    files: tuple[str, ...]


def seal_series(
    session: Session,
    groups: Sequence[tuple[str, Sequence[Candidate]]],
    *,
    strategy: Strategy | None = None,
    anew: bool = False,
) -> Sealed:
    """Seal each series with the objects that came for it; several together share one file.

    Parameters
    ----------
    groups
        Series key and what came from outside for it, in the order in which it was found. What waits in the journal
        for the same series is sealed with it.
    strategy
        By default that of the archive.
    anew
        Lay out a series again even where nothing came for it.

    Raises
    ------
    RetryError
        Other writers kept moving the heads of these series.
    """
    session.check_writable()
    chosen = strategy or Strategy.named(session.layout.strategy)
    done: list[Gathered] = []
    stored = 0
    files: list[str] = []
    waiting = list(groups)
    for _ in range(_ATTEMPTS):
        snapshot = session.catalog_position()  # Before the heads are read: what moves later is seen at commit.
        gathered = [gather(session, key, candidates) for key, candidates in waiting]
        working = [each for each in gathered if each.has_work or (anew and each.members)]
        done += [each for each in gathered if each not in working]
        if not working:
            return Sealed(tuple(done), stored, tuple(files))
        plans = [_plan(session, each, chosen) for each in working]
        target = session.layout.new_generation(working[0].key) if len(working) == 1 else session.layout.new_pack()
        _make_folders(session, (session.layout.root / target).parent)
        with session.staging.place(target, session.layout.root / target) as staging:
            staged = stage_generation(
                [(plan, _Objects(ordered)) for plan, ordered in plans], staging, session.filesystem, session.settings
            )
            _check_hashes(staged, plans)
            parts = [
                Part(
                    plan.key,
                    series.prefix,
                    plan.parent,
                    len(plan.objects),
                    plan.study_instance_uid,
                    plan.series_instance_uid,
                )
                for series, (plan, _) in zip(staged.series, plans, strict=True)
            ]
            committed = commit(session, target, parts, snapshot, partial(_publish, session, staged, target))
        retired = {position for each in working for position in each.retired} if committed else set()
        session.taken_over |= retired
        session.follow()
        session.taken_over -= retired
        if committed:
            session.journal.retire(map(Position, sorted(retired)))
            return Sealed((*done, *working), stored + staged.bytes_stored, (*files, target))
        taken = {each.key for each in working}
        waiting = [(key, candidates) for key, candidates in waiting if key in taken]
    raise RetryError(f"other writers changed these series {_ATTEMPTS} times while they were sealed. Try again later.")


def seal_apart(
    session: Session,
    groups: Sequence[tuple[str, Sequence[Candidate]]],
    *,
    strategy: Strategy | None = None,
    anew: bool = False,
) -> tuple[list[Sealed], list[tuple[str, str]]]:
    """Seal several series; one that cannot be read back is left as it is, and does not keep the others from it.

    Returns
    -------
    sealed, damaged
        What was laid out, and key and reason of each series that was not.
    """
    try:
        return [seal_series(session, groups, strategy=strategy, anew=anew)], []
    except DamagedError as error:
        if len(groups) == 1:
            return [], [(groups[0][0], error.message)]
    sealed: list[Sealed] = []
    damaged: list[tuple[str, str]] = []
    for group in groups:
        some, bad = seal_apart(session, [group], strategy=strategy, anew=anew)
        sealed += some
        damaged += bad
    return sealed, damaged


def gather(session: Session, key: str, candidates: Iterable[Candidate]) -> Gathered:
    """Everything of a series, and the decision on each object that came (E3)."""
    parent = session.catalog_generation(key)
    head = session.generation(parent) if parent is not None else None
    gathered = Gathered(key, parent)
    known: dict[str, list[Candidate]] = {}
    if head is not None:
        for ordinal in range(head.manifest.object_count):
            _keep(gathered, known, SealedSource(head, ordinal).candidate())
    for row in session.catalog.received(key):
        try:
            waiting = JournalSource(session, row).candidate()
        except (
            DamagedError
        ):  # It stays where it is, and `verify` names it; the rest of the series does not wait for it.
            continue
        except NotFoundError:  # Sealed and retired by another writer since; its commit is in the log.
            continue
        gathered.retired.append(row.position)
        others = known.get(row.sop_instance_uid, [])
        equal = _find_equal(waiting, others)
        if equal is None or not _same_envelope(waiting, others):
            _keep(gathered, known, _ranked(waiting, others, equal))
    for candidate in candidates:
        _decide(gathered, known, candidate)
    return gathered


def _keep(gathered: Gathered, known: dict[str, list[Candidate]], member: Candidate) -> None:
    gathered.members.append(member)
    known.setdefault(member.sop_instance_uid, []).append(member)


def _decide(gathered: Gathered, known: dict[str, list[Candidate]], candidate: Candidate) -> None:
    others = known.get(candidate.sop_instance_uid, [])
    if not others:
        gathered.fresh.append(candidate)
        _keep(gathered, known, candidate)
        return
    hashed = with_hash(candidate)
    equal = _find_equal(hashed, others)
    if equal is None:
        version = max(each.version for each in others) + 1
        gathered.version_uids.append(candidate.sop_instance_uid)
        gathered.fresh.append(hashed)
        _keep(gathered, known, replace(hashed, version=version, current=False))
        return
    gathered.duplicates += 1
    if not _same_envelope(hashed, others):
        gathered.fresh.append(hashed)
        _keep(gathered, known, replace(hashed, version=equal.version, current=False))


def _ranked(waiting: Candidate, others: Sequence[Candidate], equal: Candidate | None) -> Candidate:
    """A received object as the version it is among those that are there.

    Two processes that take different objects of one UID at the same time, one by sealing, cannot see each other's.
    What was committed first stays current.
    """
    if equal is not None:
        return replace(waiting, version=equal.version, current=waiting.current and not equal.current)
    if any(each.version == waiting.version for each in others):
        return replace(waiting, version=max(each.version for each in others) + 1, current=False)
    return waiting


def _same_envelope(candidate: Candidate, others: Sequence[Candidate]) -> bool:
    """Whether one of the others is the same data set in the same preamble and file meta."""
    prefix = candidate.file_prefix()
    sha256 = with_hash(candidate).sha256
    return any(each.file_prefix() == prefix for each in others if with_hash(each).sha256 == sha256)


def _find_equal(candidate: Candidate, others: Sequence[Candidate]) -> Candidate | None:
    if not others:
        return None
    hashed = with_hash(candidate)
    for other in others:
        if other.transfer_syntax_uid == hashed.transfer_syntax_uid and with_hash(other).sha256 == hashed.sha256:
            return other
    return None


def with_hash(candidate: Candidate) -> Candidate:
    """The candidate with the SHA-256 of its data set, taken now if it is not known."""
    if candidate.sha256 is not None:
        return candidate
    return replace(
        candidate, sha256=hashlib.sha256(memoryview(candidate.source.read())[candidate.prefix_length :]).digest()
    )


def _plan(session: Session, gathered: Gathered, strategy: Strategy) -> tuple[SeriesPlan, list[Candidate]]:
    return plan_series(
        gathered.members,
        key=gathered.key,
        parent=gathered.parent,
        strategy=strategy,
        settings=session.settings,
        wanted=SERIES_ROW_KEYWORDS,
    )


class _Objects:
    """The candidates of a plan as the writer reads them."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._candidates = candidates

    def read(self, index: int) -> bytes:
        """The whole object."""
        return self._candidates[index].source.read()


def _check_hashes(staged: StagedGeneration, plans: Sequence[tuple[SeriesPlan, list[Candidate]]]) -> None:
    """What was known by its hash before must have that hash still."""
    for series, (plan, ordered) in zip(staged.series, plans, strict=True):
        for sha256, candidate in zip(series.sha256, ordered, strict=True):
            if candidate.sha256 is not None and candidate.sha256 != sha256:
                raise ProofError(
                    "an object changed between two readings: its hash is another now. Nothing was published.",
                    uid=candidate.sop_instance_uid,
                    series=plan.series_instance_uid,
                )


@dataclass(frozen=True, slots=True)
class Part:
    """One series of a file that is to be committed."""

    key: str
    prefix: str
    parent: str | None
    objects: int
    study_instance_uid: str
    series_instance_uid: str


def commit(
    session: Session,
    target: str,
    parts: Sequence[Part],
    snapshot: EventPosition | None,
    publish: Callable[[], None],
) -> bool:
    """Publish and commit if every head is still where the parts say it was (E1); say whether they were.

    ``snapshot`` is a position in the event log at which the heads were so; ``publish`` is called in the log's turn.
    """
    event = {"kind": "commit", "file": target, "time": time.time(), "series": [asdict(part) for part in parts]}

    def publish_if_current(events: Sequence[Event]) -> bool:
        moved = {commit.key: commit.locator for event in events for commit in commits_of(event)}
        if any(moved[part.key] != part.parent for part in parts if part.key in moved):
            return False
        publish()
        return True

    try:
        session.events.append(publish_if_current, json.dumps(event, separators=(",", ":")).encode(), after=snapshot)
    except ChangedError:
        return False
    return True


def _publish(session: Session, staged: StagedGeneration, target: str) -> None:
    path = session.layout.root / target
    session.filesystem.rename(Path(staged.path), path)
    session.filesystem.sync_folder(path.parent)


def _make_folders(session: Session, folder: Path) -> None:
    """Make a folder below the archive's root durably, those above it included.

    One that is there already may have been made by a process that died before it synced its name.
    """
    missing = []
    while folder not in session.durable_folders:
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        session.filesystem.make_folder(each, exist_ok=True)
        session.filesystem.sync_folder(each.parent)
        session.durable_folders.add(each)
