"""A day in the life of a journal and an event log, and what must be true of them after any crash."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pacscore.errors import PacscoreError
from pacscore.filesystem import FileSystem
from pacscore.settings import Settings
from pacscore.store.events import EventLog, EventPosition
from pacscore.store.journal import Journal, Position
from pacscore.store.segments import LogFault
from tests.failing_filesystem import FailingFileSystem

SETTINGS = Settings(segment_bytes_max=6000, spool_bytes_min=3000, group_bytes_max=4000, event_segment_bytes_max=900)


@dataclass
class Promises:
    """What was asked for, and what the caller was told.

    ``told`` is called with each acknowledgement as a line, so that a process which is killed has said what it was told.
    """

    told: Callable[[str], None] = lambda _: None
    asked: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    retiring: set[str] = field(default_factory=set)
    retired: set[str] = field(default_factory=set)
    events_asked: list[str] = field(default_factory=list)
    events_acknowledged: list[str] = field(default_factory=list)

    def say(self, verb: str, name: str) -> None:
        line = f"{verb} {name}"
        self.hear(line)
        self.told(line)

    def hear(self, line: str) -> None:
        verb, _, name = line.partition(" ")
        target = getattr(self, verb)
        target.append(name) if isinstance(target, list) else target.add(name)


def body_of(name: str) -> bytes:
    number = int(name.rpartition("-")[2])
    length = 3500 if number % 10 == 7 else number * 131 % 900
    return (name.encode() + b"|") * (length // (len(name) + 1) + 1)


class Day:
    """Appends, streams, retires, compacts, closes and opens again, saying what it does to ``promises``."""

    def __init__(self, root: Path, fs: FileSystem, promises: Promises, *, label: str = "a", rounds: int = 2) -> None:
        self.root = root
        self.fs = fs
        self.promises = promises
        self.label = label
        self.rounds = rounds
        self.positions: dict[str, Position] = {}

    def run(self) -> None:
        for number in range(self.rounds):
            with Journal.open(self.root / "journal", self.fs, SETTINGS) as journal:
                self._receive(journal, number * 30)
                self._forget(journal)
            with EventLog.open(self.root / "events", self.fs, SETTINGS) as log:
                self._note(log, number)

    def _receive(self, journal: Journal, first: int) -> None:
        for number in range(first, first + 12):
            if number % 30 in (3, 9):  # Once over what is used up again, once to the end.
                journal.reserve(2_000 * (number % 30))
            name = f"{self.label}-{number}"
            self.promises.say("asked", name)
            self.positions[name] = journal.append(name.encode(), [body_of(name)])
            self.promises.say("acknowledged", name)
        names = [f"{self.label}-{number}" for number in range(first + 12, first + 16)]
        for name in names:
            self.promises.say("asked", name)
        positions = journal.append_many((name.encode(), [body_of(name)]) for name in names)
        for name, position in zip(names, positions, strict=True):
            self.positions[name] = position
            self.promises.say("acknowledged", name)
        for number in range(first + 16, first + 18):
            name = f"{self.label}-{number}"
            self.promises.say("asked", name)
            with journal.spooling(_pieces(body_of(name))) as spool:
                written = spool.write(name.encode())
                journal.wait([written])
                self.positions[name] = written.position
            self.promises.say("acknowledged", name)

    def _forget(self, journal: Journal) -> None:
        leaving = [name for name in self.positions if int(name.rpartition("-")[2]) % 9 != 5]
        for some in (leaving[: len(leaving) // 2], leaving[len(leaving) // 2 :]):
            for name in some:
                self.promises.say("retiring", name)
            journal.retire(self.positions.pop(name) for name in some)
            for name in some:
                self.promises.say("retired", name)
        moves = dict(journal.compact())
        self.positions = {name: moves.get(position, position) for name, position in self.positions.items()}
        journal.collect()

    def _note(self, log: EventLog, number: int) -> None:
        after: EventPosition | None = None
        for event in range(5):
            name = f"{self.label}-event-{number}-{event}"
            self.promises.say("events_asked", name)
            after = log.append(lambda _: True, name.encode(), after=after)
            self.promises.say("events_acknowledged", name)
        names = [f"{self.label}-event-{number}-{event}" for event in range(5, 8)]
        for name in names:
            self.promises.say("events_asked", name)
        log.append_many(lambda _: True, [name.encode() for name in names], after=after)
        for name in names:
            self.promises.say("events_acknowledged", name)


def _pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 700):
        yield body[start : start + 700]


def broken_promises(root: Path, promises: Promises) -> list[str]:
    """Open what a crash left, recover it twice, and tell what is not as it was promised."""
    fs = FailingFileSystem(root)  # It fails at nothing here, and takes no time to sync.
    broken: list[str] = []
    try:
        seen = [_look(root, fs, promises, broken, mark) for mark in ("first", "second")]
    except PacscoreError as error:
        return [*broken, f"{type(error).__name__}: {error}"]
    if seen[0] != seen[1]:
        broken.append("recovering twice gives something else than once")
    return broken


def _look(root: Path, fs: FileSystem, promises: Promises, broken: list[str], mark: str) -> tuple[set[str], list[str]]:
    with Journal.open(root / "journal", fs, SETTINGS) as journal:
        damaged = [finding for finding in journal.findings if finding.code != LogFault.TAIL_DROPPED]
        dropped = [finding for finding in journal.findings if finding.code == LogFault.TAIL_DROPPED]
        records = list(journal.records())
        names = [record.head.decode() for record in records]
        broken += (f"the journal is damaged: {finding.message}" for finding in [*damaged, *journal.verify()])
        broken += (f"{record.head!r} is altered" for record in records if record.body != body_of(record.head.decode()))
        broken += (
            f"{name} was acknowledged and is lost" for name in promises.acknowledged - promises.retiring - set(names)
        )
        broken += (f"{name} was retired and is back" for name in promises.retired.intersection(names))
        broken += (f"{name} was never asked for" for name in set(names) - promises.asked - {"again-1"})
        if len(names) != len(set(names)):
            broken.append("a record is there twice")
        if mark == "second" and dropped:
            broken.append("a tail is dropped a second time")
        if not broken:  # It must go on working, and what it did here must not change the second look.
            journal.retire([journal.append(b"again-1", [body_of("again-1")])])
    with EventLog.open(root / "events", fs, SETTINGS) as log:
        damaged = [finding for finding in log.findings if finding.code != LogFault.TAIL_DROPPED]
        broken += (f"the event log is damaged: {finding.message}" for finding in [*damaged, *log.verify()])
        events = [event.payload.decode() for event in log.read()]
    if events[: len(promises.events_acknowledged)] != promises.events_acknowledged:
        broken.append("an acknowledged event is lost or out of order")
    if events != promises.events_asked[: len(events)]:
        broken.append("an event is there that was never asked for")
    return set(names), events
