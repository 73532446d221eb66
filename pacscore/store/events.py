"""The event log: the truth about what is visible, append-only, checksummed and hash-chained.

E1  An event exists only if its frame is valid, and its chain value is SHA-256 of the chain value before it followed by
    its bytes. The chain begins with 32 zeros; every later segment states the value its predecessor ended with.
E2  ``append`` decides and writes under one lock, having seen every event that was appended before, and returns after a
    sync. So of two writers that expect the same head, one succeeds.
E3  Events are never changed or removed. Segments are numbered from 1 without a gap; a new one begins when the last is
    full.
E4  What lies behind the last stated synced offset and is torn was never promised: the next writer drops it. Anything
    else that does not fit is damage, reported and left alone.
E5  A position names its event by place and chain value: in a log that does not hold that very event it is refused.

Readers take no lock. In a log opened for writing they see what is stated as synced, so that nothing derived from it can
outlive it; opened for reading only, all that is valid.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, NewType

from pacscore.errors import ChangedError, DamagedError, InputError, NotFoundError, OperatorError, ReadOnlyError
from pacscore.filesystem import PENDING_PREFIX, Buffer, FileSystem
from pacscore.settings import Settings
from pacscore.store.records import Frame, Kind, draft, place
from pacscore.store.segment_files import append_mark, make_segment, segment_numbers, segment_path
from pacscore.store.segments import (
    LogFault,
    LogFinding,
    SegmentReader,
    damage_findings,
    recover_segment,
)

EventPosition = NewType("EventPosition", str)
"""``segment:offset:chain``. Opaque to callers; it names one event for ever."""

_LOCK = "lock"
_CHAIN_START = bytes(32)
_TOKEN_CHAIN_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Event:
    """One event, with the position to go on from."""

    position: EventPosition
    payload: bytes


class _Link(NamedTuple):
    """An event's place in the chain."""

    segment: int
    frame: Frame
    chain: bytes
    payload: bytes

    @property
    def event(self) -> Event:
        return Event(_token(self.segment, self.frame.offset, self.chain), self.payload)


class EventLog:
    """One archive's event log. Threads and processes share it freely; it keeps no file open between calls."""

    def __init__(self, folder: Path, fs: FileSystem, settings: Settings, *, read_only: bool) -> None:
        self._folder = folder
        self._fs = fs
        self._settings = settings
        self._read_only = read_only
        self._closed = False
        self._findings: tuple[LogFinding, ...] = ()
        self._durable_segment = 0

    @classmethod
    def open(cls, folder: Path, fs: FileSystem, settings: Settings, *, read_only: bool = False) -> EventLog:
        """Open the log in ``folder``, made if need be; for writing, it is recovered first."""
        log = cls(folder, fs, settings, read_only=read_only)
        if not read_only:
            fs.make_folder(folder, exist_ok=True)
            fs.sync_folder(folder.parent)
            with fs.lock(folder / _LOCK):
                for pending in folder.glob(f"{PENDING_PREFIX}*"):
                    fs.remove(pending)  # A segment that was being made when its maker died.
                log._recover()
        return log

    @property
    def findings(self) -> tuple[LogFinding, ...]:
        """What recovery found since this log was opened."""
        return self._findings

    def append(
        self,
        expected_head_check: Callable[[Sequence[Event]], bool],
        event: Buffer,
        *,
        after: EventPosition | None = None,
    ) -> EventPosition:
        """Append one event if the log is still as expected, and return its position once it is on the disk (E2).

        Parameters
        ----------
        expected_head_check
            Called under the log's lock with the events behind ``after``; False means something came in between. It
            must be quick.
        after
            Where the caller's knowledge ends; None for the beginning.

        Raises
        ------
        ChangedError
            The check said False. Nothing was written.
        DurabilityError
            The sync failed; whether the event is there shows when the log is opened again.
        """
        return self.append_many(expected_head_check, (event,), after=after)[0]

    def append_many(
        self,
        expected_head_check: Callable[[Sequence[Event]], bool],
        events: Iterable[Buffer],
        *,
        after: EventPosition | None = None,
    ) -> list[EventPosition]:
        """Append several events with one sync. After a crash any number of the first ones may be there."""
        self._check_writable()
        payloads = [bytes(event) for event in events]
        with self._fs.lock(self._folder / _LOCK):
            self._recover()
            links = list(self._links(after, stated_only=False))
            if not expected_head_check([link.event for link in links]):
                raise ChangedError("Other events were appended meanwhile. Look at them and try again.")
            return self._write(payloads, self._head(after, links)) if payloads else []

    def read(self, after: EventPosition | None = None) -> Iterator[Event]:
        """The events behind ``after`` in order, from the beginning if that is None.

        Raises
        ------
        NotFoundError
            This log does not hold the event that ``after`` names (E5).
        DamagedError
            An event does not fit its checksum or the chain.
        """
        for link in self._links(after, stated_only=not self._read_only):
            yield link.event

    def verify(self) -> Iterator[LogFinding]:
        """Every fault of every segment and of the chain; changes nothing."""
        numbers = segment_numbers(self._folder)
        for number in sorted(set(range(1, numbers[-1] + 1 if numbers else 1)).difference(numbers)):
            path = segment_path(self._folder, number)
            yield LogFinding(LogFault.SEGMENT_MISSING, f"Event segment {path.name} is missing.", path)
        is_whole = True
        for number in numbers:
            path = segment_path(self._folder, number)
            with SegmentReader(path) as reader:
                for finding in damage_findings(path, reader.survey(check_payloads=True, to_the_end=True)):
                    is_whole = False
                    yield finding
        try:
            for _ in self._links(None, stated_only=False) if is_whole else ():
                pass
        except DamagedError as error:
            path = Path(error.fields["path"])
            yield LogFinding(LogFault.DAMAGED, error.message, path, int(error.fields.get("offset", 0)))

    def close(self) -> None:
        """End the use of this value; nothing is held open."""
        self._closed = True

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_writable(self) -> None:
        if self._closed:
            raise InputError("The event log is closed.")
        if self._read_only:
            raise ReadOnlyError("The event log was opened for reading. Open the archive for writing.")

    def _recover(self) -> None:
        """Bring the last segment in order; earlier ones were synced and marked before it was made."""
        numbers = segment_numbers(self._folder)
        if numbers:
            if numbers[-1] != self._durable_segment:
                self._fs.sync_folder(self._folder)  # Its maker may have died before it did.
                self._durable_segment = numbers[-1]
            findings = recover_segment(segment_path(self._folder, numbers[-1]), self._fs)
            self._findings += tuple(findings)

    def _head(self, after: EventPosition | None, links: list[_Link]) -> tuple[int, bytes]:
        """The last segment's number and the chain value at the log's end."""
        numbers = segment_numbers(self._folder)
        if links:
            return numbers[-1], links[-1].chain
        if after is not None:
            return numbers[-1], self._named(after).chain
        return (numbers[-1], self._first_chain(numbers[-1])) if numbers else (0, _CHAIN_START)

    def _first_chain(self, number: int) -> bytes:
        with SegmentReader(segment_path(self._folder, number)) as reader:
            return bytes.fromhex(str(reader.first_frame()["chain"]))

    def _write(self, payloads: list[bytes], head: tuple[int, bytes]) -> list[EventPosition]:
        number, chain = head
        length = sum(map(len, payloads))
        path = segment_path(self._folder, number)
        if number == 0 or path.stat().st_size + length > self._settings.event_segment_bytes_max:
            if number:
                with self._fs.open_append(path) as file:
                    file.sync()  # Its last mark: nobody recovers a segment that is not the last.
            number += 1
            path = segment_path(self._folder, number)
            make_segment(path, self._fs, {"log": "events", "segment": number, "chain": chain.hex()})
        with SegmentReader(path) as reader:
            last, nonce = reader.last_mark() or reader.survey().frames[-1], reader.nonce
        positions: list[EventPosition] = []
        with self._fs.open_append(path) as file:
            offset = file.size
            # The mark itself was perhaps never synced, so it must not be stated as such.
            synced = last.synced if last.kind == Kind.MARK else offset
            sequence = last.sequence + 1
            parts: list[Buffer] = []
            for payload in payloads:
                chain = _next(chain, payload)
                record = draft(Kind.EVENT, chain, (payload,))
                frame, buffers = place(record, nonce=nonce, offset=offset, sequence=sequence, synced=synced)
                parts += buffers
                positions.append(_token(number, offset, chain))
                offset, sequence = frame.end, sequence + 1
            file.append(*parts)
            file.sync()
            with suppress(OperatorError):  # The events are there. Without the mark the next writer finds that out.
                append_mark(file, nonce=nonce, sequence=sequence, synced=offset)
        return positions

    def _named(self, position: EventPosition) -> _Link:
        segment, offset, chain = _parse(position)
        path = segment_path(self._folder, segment)
        try:
            with SegmentReader(path) as reader:
                frame = reader.frame_at(offset)
                if frame is not None and frame.kind == Kind.EVENT:
                    content = reader.payload(frame)
                    if content.head.hex().startswith(chain):
                        return _Link(segment, frame, content.head, bytes(content.body))
        except (NotFoundError, DamagedError):
            pass  # The same to the caller: the log does not hold that event.
        raise NotFoundError("This event log does not hold the event of that position. Begin anew without a position.")

    def _links(self, after: EventPosition | None, *, stated_only: bool) -> Iterator[_Link]:
        start = None if after is None else self._named(after)
        chain = _CHAIN_START if start is None else start.chain
        first = 1 if start is None else start.segment
        for expected, number in enumerate((n for n in segment_numbers(self._folder) if n >= first), first):
            path = segment_path(self._folder, number)
            if number != expected:
                raise DamagedError(
                    f"Event segment {expected} is missing. Run verify.",
                    path=str(segment_path(self._folder, expected)),
                )
            with SegmentReader(path) as reader:
                is_started = start is not None and number == start.segment
                if not is_started and str(reader.first_frame().get("chain")) != chain.hex():
                    raise _broken(path, 0)
                found = reader.survey(after=start.frame if is_started and start is not None else None)
                if found.damage:
                    raise _broken(path, found.damage[0][0])
                limit = found.synced if stated_only else found.end
                for frame in found.frames:
                    if frame.end > limit:
                        break
                    if frame.kind == Kind.EVENT:
                        content = reader.payload(frame)
                        chain = _next(chain, content.body)
                        if chain != content.head:
                            raise _broken(path, frame.offset)
                        yield _Link(number, frame, chain, bytes(content.body))


def _next(chain: bytes, payload: Buffer) -> bytes:
    digest = hashlib.sha256(chain)
    digest.update(payload)
    return digest.digest()


def _broken(path: Path, offset: int) -> DamagedError:
    return DamagedError(
        f"The event log is damaged in {path.name} at {offset}. Run verify.", path=str(path), offset=offset
    )


def _token(segment: int, offset: int, chain: bytes) -> EventPosition:
    return EventPosition(f"{segment}:{offset}:{chain.hex()[:_TOKEN_CHAIN_DIGITS]}")


def _parse(position: EventPosition) -> tuple[int, int, str]:
    fields = position.split(":")
    numbers_are_digits = all(field.isascii() and field.isdigit() for field in fields[:2])
    if len(fields) != 3 or not numbers_are_digits or len(fields[2]) != _TOKEN_CHAIN_DIGITS:
        raise InputError("This is not a position in an event log: use one that append or read returned.")
    segment, offset, chain = fields
    return int(segment), int(offset), chain
