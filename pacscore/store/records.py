"""Records on disk: the one framing that the journal and the event log share.

R1  A frame is a header of 64 bytes, a payload, and zeros up to a multiple of 8. It exists only if the header's
    checksum, the offset it states for itself, its segment's nonce, and the payload's checksum all agree.
R2  Every frame states the offset up to which its segment was known to be synced when the frame was written. It never
    lies beyond the frame itself.
R3  Sequence numbers begin at 0 in each segment and rise by exactly one.

Header, little endian: magic ``PCSR``, nonce (8 bytes, random per segment), kind u16, flags u16, offset u64, sequence
u64, synced u64, payload length u64, head length u32, CRC32C of the payload u32, zero u32, CRC32C of the 60 bytes before
u32. The payload is: the origin (segment, offset, length, each u64) if flag 1 is set; the head; the body.

The nonce makes a frame recognisable wherever a search begins, and keeps a stored object that happens to contain
frames from being taken for them. That the header has a checksum of its own lets a reader step over a damaged payload.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, TypeVar

import google_crc32c
import numpy as np

from pacscore.errors import LimitError
from pacscore.filesystem import Buffer

Item = TypeVar("Item")

MAGIC = b"PCSR"
HEADER_BYTES = 64
NONCE_BYTES = 8
HEAD_BYTES_MAX = 1 << 20
ALIGNMENT = 8
MOVED = 1
"""Flag: the record was copied forward; its payload begins with the origin."""

_HEADER = struct.Struct("<4s8sHHQQQQIIII")
_ORIGIN = struct.Struct("<QQQ")
_CHECKSUM = struct.Struct("<I")


class Kind(IntEnum):
    """What a frame holds. Append only."""

    SEGMENT = 1  # The first of its file: what the file is.
    MARK = 2  # Nothing; it only states how far the file is synced.
    DATA = 3
    SPOOL = 4  # An object in a file of its own.
    RETIRE = 5  # Positions that are not needed any more.
    EVENT = 6


class Frame(NamedTuple):
    """The header of a record, as it lies in a segment."""

    kind: int
    flags: int
    offset: int
    sequence: int
    synced: int
    payload_length: int
    head_length: int
    payload_crc32c: int

    @property
    def payload_offset(self) -> int:
        """Where the payload begins."""
        return self.offset + HEADER_BYTES

    @property
    def end(self) -> int:
        """Where the next frame begins."""
        return self.offset + framed_length(self.payload_length)


class Origin(NamedTuple):
    """Where a record that was copied forward lay before, in the same writer's journal."""

    segment: int
    offset: int
    length: int


class Content(NamedTuple):
    """A record's payload, taken apart."""

    origin: Origin | None
    head: bytes
    body: memoryview


@dataclass(frozen=True, slots=True)
class Draft:
    """A record that has no place yet, its checksum already taken."""

    kind: Kind
    flags: int
    parts: tuple[Buffer, ...]
    payload_length: int
    head_length: int
    payload_crc32c: int

    @property
    def length(self) -> int:
        """Bytes it will take, header and padding included."""
        return framed_length(self.payload_length)


def in_batches(items: Iterable[Item], length_of: Callable[[Item], int], bytes_max: int) -> Iterator[list[Item]]:
    """Items to be written or read together: at most so many bytes, unless one alone is longer."""
    batch: list[Item] = []
    length = 0
    for item in items:
        own = length_of(item)
        if batch and length + own > bytes_max:
            yield batch
            batch, length = [], 0
        batch.append(item)
        length += own
    if batch:
        yield batch


def framed_length(payload_length: int) -> int:
    """Bytes that a payload of this length takes in a segment."""
    return HEADER_BYTES + payload_length + -payload_length % ALIGNMENT


def checksum(*parts: Buffer, start: int = 0) -> int:
    """CRC32C of the parts as if they were one, continuing that of the bytes before them."""
    value = start
    for part in parts:
        view = memoryview(part)
        if view.nbytes:
            # The library takes bytes and arrays but no memoryviews; an array over the buffer copies nothing.
            data = part if isinstance(part, bytes) else np.frombuffer(view, np.uint8)
            value = google_crc32c.extend(value, data)
    return int(value)


def draft(kind: Kind, head: bytes, body: Sequence[Buffer], *, origin: Origin | None = None) -> Draft:
    """Make a record ready to be written; its checksum is taken here, outside every lock.

    Raises
    ------
    LimitError
        The head is larger than 1 MiB.
    """
    if len(head) > HEAD_BYTES_MAX:
        raise LimitError(
            f"The head of a record is {len(head)} bytes long, and {HEAD_BYTES_MAX} is the limit. Put it in the body.",
            expected=HEAD_BYTES_MAX,
            found=len(head),
        )
    prefix = b"" if origin is None else _ORIGIN.pack(*origin)
    parts = (prefix + head, *body)
    length = sum(memoryview(part).nbytes for part in parts)
    return Draft(kind, 0 if origin is None else MOVED, parts, length, len(head), checksum(*parts))


def place(record: Draft, *, nonce: bytes, offset: int, sequence: int, synced: int) -> tuple[Frame, list[Buffer]]:
    """The frame of a record at its place, and the buffers to write there."""
    frame = Frame(
        record.kind,
        record.flags,
        offset,
        sequence,
        synced,
        record.payload_length,
        record.head_length,
        record.payload_crc32c,
    )
    header = _HEADER.pack(
        MAGIC,
        nonce,
        frame.kind,
        frame.flags,
        offset,
        sequence,
        synced,
        frame.payload_length,
        frame.head_length,
        frame.payload_crc32c,
        0,
        0,
    )[:-4]
    padding = bytes(-record.payload_length % ALIGNMENT)
    return frame, [header + _CHECKSUM.pack(checksum(header)), *record.parts, padding]


def parse_header(header: bytes, offset: int) -> tuple[Frame, bytes] | None:
    """The frame and nonce that 64 bytes from ``offset`` of a segment hold; None if they are no header (R1, R2)."""
    if len(header) < HEADER_BYTES or not header.startswith(MAGIC):
        return None
    _, nonce, kind, flags, own, sequence, synced, length, head_length, crc, _, header_crc = _HEADER.unpack(header)
    prefix = _ORIGIN.size if flags & MOVED else 0
    if own != offset or synced > own or prefix + head_length > length or header_crc != checksum(header[:-4]):
        return None
    return Frame(kind, flags, own, sequence, synced, length, head_length, crc), nonce


def take_apart(frame: Frame, payload: memoryview) -> Content:
    """Split a payload, whose checksum has been compared, into origin, head and body."""
    start = 0
    origin = None
    if frame.flags & MOVED:
        origin = Origin(*_ORIGIN.unpack_from(payload))
        start = _ORIGIN.size
    return Content(
        origin, bytes(payload[start : start + frame.head_length]), payload[start + frame.head_length :].toreadonly()
    )
