"""Segments: append-only files of records, how they are read, and how a torn end is told from damage.

S1  Below the largest synced offset that any valid frame of the segment states, whatever does not parse is damage: it is
    reported and never cut. Frames behind the damage are found again and still count.
S2  At or above it, from the first invalid byte on, lies a tail that nobody was promised. Recovery drops all of it,
    however many valid frames it holds, since a power cut loses pages in any order.
S3  Recovery ends with a mark that states everything kept as synced, and only after a sync has made that true. A segment
    that ends so needs no recovery, so twice equals once.
S4  A segment appears whole with its first frame, or not at all (``publish``), so a file without any frame is damage.
S5  A segment may have been made with room: zeros behind its frames, which its owner cuts off when it finishes it. They
    are a tail like any other, and not worth a word. Who only looks at a segment that is not finished stops at them;
    recovery and verification go on to the end of the file, since zeros may also be what damage left.

Only whoever holds the lock that guards a segment recovers it. Readers look with plain reads and never through a
mapping, because a segment may be cut while they look.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType

from pacscore.errors import (
    DamagedError,
    FormatVersionError,
    NotFoundError,
    StorageError,
    StorageFullError,
)
from pacscore.filesystem import FileSystem
from pacscore.store.records import (
    ALIGNMENT,
    HEADER_BYTES,
    MAGIC,
    NONCE_BYTES,
    Content,
    Frame,
    Kind,
    checksum,
    framed_length,
    parse_header,
    take_apart,
)
from pacscore.store.segment_files import FORMAT_VERSION, append_mark

_WINDOW_BYTES = 1 << 14  # Small, since it is read anew for each large record stepped over.
_SEARCH_BYTES = 1 << 20
_ROOM_SEEN_BYTES = 1 << 16  # More zeros than a lost sector, page or block leaves.


class LogFault(StrEnum):
    """What can be wrong with a log."""

    DAMAGED = "damaged"
    TAIL_DROPPED = "tail-dropped"
    SEGMENT_MISSING = "segment-missing"
    SPOOL_MISSING = "spool-missing"
    SPOOL_DAMAGED = "spool-damaged"


@dataclass(frozen=True, slots=True)
class LogFinding:
    """Something that recovery or verification has to say about one file."""

    code: LogFault
    message: str
    path: Path
    offset: int = 0
    length: int = 0


@dataclass(slots=True)
class Survey:
    """What a segment holds.

    Attributes
    ----------
    frames : list of Frame
        The valid ones in order, those in the tail left out.
    damage : list of (offset, end)
        Ranges below ``synced`` that hold no valid frame; an empty range is a gap in the sequence numbers.
    synced : int
        The largest synced offset that a valid frame states.
    end : int
        Where the tail begins, or the segment ends.
    size : int
        The file's length when it was looked at.
    """

    frames: list[Frame] = field(default_factory=list)
    damage: list[tuple[int, int]] = field(default_factory=list)
    synced: int = 0
    end: int = 0
    size: int = 0


class SegmentReader:
    """One segment, opened for reading."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotFoundError(f"There is no segment {path.name}: it was retired.", path=str(path)) from error
        except OSError as error:
            raise StorageError(f"cannot open {path.name}: {error.strerror}.", path=str(path)) from error
        self.size = os.fstat(self._descriptor).st_size
        self._window = b""
        self._window_offset = 0
        self.nonce = self._find_nonce()

    def close(self) -> None:
        """Give the descriptor back."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def __enter__(self) -> SegmentReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def frame_at(self, offset: int) -> Frame | None:
        """The frame whose valid header begins here and which lies wholly in the file, or None."""
        parsed = parse_header(self._bytes(offset, HEADER_BYTES), offset)
        if parsed is None or parsed[1] != self.nonce or parsed[0].end > self.size:
            return None
        return parsed[0]

    def payload(self, frame: Frame) -> Content:
        """A frame's payload, its checksum compared.

        Raises
        ------
        DamagedError
            It does not have the checksum it was written with.
        """
        data = self._bytes(frame.payload_offset, frame.payload_length)
        if len(data) != frame.payload_length or checksum(data) != frame.payload_crc32c:
            raise DamagedError(
                f"A record in {self.path.name} at {frame.offset} has the wrong checksum. Run verify.",
                path=str(self.path),
                offset=frame.offset,
            )
        return take_apart(frame, memoryview(data))

    def survey(self, *, after: Frame | None = None, check_payloads: bool = False, to_the_end: bool = False) -> Survey:
        """What the segment holds behind ``after``, or in all. Linear in the number of frames behind it.

        Parameters
        ----------
        check_payloads
            A frame counts only where its payload has its checksum.
        to_the_end
            Search what looks like room for further frames (S5).
        """
        offset = 0 if after is None else after.end
        sequence = 0 if after is None else after.sequence + 1
        found = Survey(synced=0 if after is None else after.synced, size=self.size)
        gaps: list[tuple[int, int]] = []
        while offset < self.size:
            frame = self.frame_at(offset)
            if frame is None or (check_payloads and not self._payload_is_valid(frame)):
                is_room = offset > 0 and not to_the_end and self._is_room(offset)
                frame_behind = None if is_room else self._find_frame(offset + ALIGNMENT)
                end = self.size if frame_behind is None else frame_behind.offset
                gaps.append((offset, end))
                sequence = 0 if frame_behind is None else frame_behind.sequence
                offset = end
                continue
            if frame.sequence != sequence:
                gaps.append((offset, offset))
            found.frames.append(frame)
            found.synced = max(found.synced, frame.synced)
            offset, sequence = frame.end, frame.sequence + 1
        _tell_tail_from_damage(found, gaps, from_start=after is None)
        return found

    def last_mark(self) -> Frame | None:
        """The mark the segment ends with if that states everything before it as synced (S3), else None."""
        frame = self.frame_at(self.size - HEADER_BYTES) if self.size >= HEADER_BYTES else None
        return frame if frame is not None and frame.kind == Kind.MARK and frame.synced == frame.offset else None

    def first_frame(self) -> dict[str, str | int]:
        """What the segment says about itself.

        Raises
        ------
        DamagedError
            Its first frame does not parse.
        FormatVersionError
            It is of a newer format.
        """
        frame = self.frame_at(0)
        if frame is None or frame.kind != Kind.SEGMENT:
            raise DamagedError(f"{self.path.name} does not begin as a segment. Run verify.", path=str(self.path))
        described: dict[str, str | int] = json.loads(self.payload(frame).head)
        version = int(described["format"])
        if version > FORMAT_VERSION:
            raise FormatVersionError(
                f"{self.path.name} has log format {version}, and this pacscore reads up to {FORMAT_VERSION}. Use a "
                "newer one.",
                path=str(self.path),
                expected=FORMAT_VERSION,
                found=version,
            )
        return described

    def _find_nonce(self) -> bytes:
        parsed = parse_header(self._bytes(0, HEADER_BYTES), 0)
        if parsed is not None:
            return parsed[1]
        for offset in self._find_all(MAGIC, 1):
            parsed = parse_header(self._bytes(offset, HEADER_BYTES), offset)
            if parsed is not None:
                return parsed[1]
        return bytes(NONCE_BYTES)

    def _find_frame(self, offset: int) -> Frame | None:
        for candidate in self._find_all(MAGIC + self.nonce, offset):
            frame = self.frame_at(candidate)
            if frame is not None:
                return frame
        return None

    def _find_all(self, pattern: bytes, offset: int) -> Iterator[int]:
        while offset < self.size:
            window = self._read(offset, min(_SEARCH_BYTES, self.size - offset))
            at = window.find(pattern)
            while at >= 0:
                yield offset + at
                at = window.find(pattern, at + 1)
            offset += max(1, len(window) - len(pattern) + 1)

    def _is_room(self, offset: int) -> bool:
        if not is_zero(self._bytes(offset, HEADER_BYTES)) or self.last_mark() is not None:
            return False  # A segment that was finished has none.
        return is_zero(self._read(offset, min(_ROOM_SEEN_BYTES, self.size - offset)))

    def tail_is_zero(self, offset: int) -> bool:
        """Whether nothing but zeros lies from there on."""
        places = range(offset, self.size, _SEARCH_BYTES)
        return all(is_zero(self._read(place, _SEARCH_BYTES)) for place in places)

    def _payload_is_valid(self, frame: Frame) -> bool:
        return checksum(self._bytes(frame.payload_offset, frame.payload_length)) == frame.payload_crc32c

    def _bytes(self, offset: int, length: int) -> bytes:
        start = offset - self._window_offset
        if start < 0 or start + length > len(self._window):
            self._window = self._read(offset, max(length, min(_WINDOW_BYTES, self.size - offset)))
            self._window_offset = offset
            start = 0
        return self._window[start : start + length]

    def _read(self, offset: int, length: int) -> bytes:
        try:
            return os.pread(self._descriptor, length, offset)
        except OSError as error:
            raise StorageError(
                f"cannot read {self.path.name} at {offset}: {error.strerror}.", path=str(self.path), offset=offset
            ) from error


def _tell_tail_from_damage(found: Survey, gaps: list[tuple[int, int]], *, from_start: bool) -> None:
    found.end = found.size
    if from_start and not found.frames:
        found.damage = gaps or [(0, 0)]  # S4: it cannot be a tail, and an empty file has lost its first frame.
        return
    for start, end in gaps:
        if start >= found.synced:
            found.end = start
            break
        found.damage.append((start, min(end, found.synced)))
        if end > found.synced:
            found.end = found.synced
            break
    found.frames = [frame for frame in found.frames if frame.offset < found.end]


def is_zero(data: bytes) -> bool:
    """Whether all bytes are zero."""
    return data == bytes(len(data))


def recover_segment(path: Path, fs: FileSystem) -> list[LogFinding]:
    """Drop the unacknowledged tail, report damage, and end the segment with a mark (S1 to S3).

    For the holder of the lock that guards the segment. Linear in the segment's length unless it ends with a mark.
    """
    with SegmentReader(path) as reader:
        with suppress(DamagedError):
            reader.first_frame()
        if reader.last_mark() is not None:
            return []
        found = reader.survey(check_payloads=True, to_the_end=True)
        nonce, is_room = reader.nonce, reader.tail_is_zero(found.end)
    findings = damage_findings(path, found)
    if not found.frames:
        return findings
    if found.end < found.size:
        fs.truncate(path, found.end)
    if found.end < found.size and not is_room:
        findings.append(
            LogFinding(
                LogFault.TAIL_DROPPED,
                f"{path.name} ended with {found.size - found.end} bytes that were never acknowledged: dropped.",
                path,
                found.end,
                found.size - found.end,
            )
        )
    with fs.open_append(path) as file:
        file.sync()  # What was found may lie in memory only, left there by a process that was killed.
        with suppress(StorageFullError):  # Without the mark the next recovery looks again, and finds the same.
            append_mark(file, nonce=nonce, sequence=found.frames[-1].sequence + 1, synced=file.size)
            file.sync()
    return findings


def damage_findings(path: Path, found: Survey) -> list[LogFinding]:
    """What a survey found to be damaged, as findings."""
    return [
        LogFinding(
            LogFault.DAMAGED,
            f"{path.name} is damaged from {start} to {end}: what was stored there is lost."
            if end > start
            else f"{path.name} lacks records before {start}.",
            path,
            start,
            end - start,
        )
        for start, end in found.damage
    ]


def read_record(path: Path, fs: FileSystem, *, offset: int, length: int) -> tuple[Frame, Content]:
    """One record by its place, in a single read.

    Raises
    ------
    NotFoundError
        The segment is gone.
    DamagedError
        There is no valid record of that length there.
    """
    (data,) = fs.read_ranges(path, [(offset, length)])
    found = record_in(data, offset)
    if found is None:
        raise DamagedError(
            f"There is no valid record in {path.name} at {offset}. Run verify.", path=str(path), offset=offset
        )
    return found


def record_in(data: bytes, offset: int) -> tuple[Frame, Content] | None:
    """The record that these bytes from ``offset`` of a segment are, its checksum compared; None where they are none."""
    length = len(data)
    parsed = parse_header(data[:HEADER_BYTES], offset)
    if parsed is not None and framed_length(parsed[0].payload_length) == length:
        frame = parsed[0]
        payload = memoryview(data)[HEADER_BYTES : HEADER_BYTES + frame.payload_length]
        if checksum(payload) == frame.payload_crc32c:
            return frame, take_apart(frame, payload)
    return None
