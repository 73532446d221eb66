"""Protocol data units without copies: whole ones out of a stream, headers for those to be sent (PS3.8 9.3)."""

from __future__ import annotations

import mmap
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from pacscore.errors import InvalidDicomError

HEADER = struct.Struct(">BBI")
P_DATA_TF = 4
COMMAND, LAST = 1, 2  # Bits of a message control header (PS3.8 annex E.2).

_ITEM = struct.Struct(">IBB")
_PDU_AND_ITEM = struct.Struct(">BBIIBB")
_PARTS_PER_WRITE = 512  # IOV_MAX is 1024 on Linux.
_PDU_KINDS = frozenset(range(1, 8))

PduBody = tuple[int, memoryview]


class PduBuffer:
    """Whole PDUs out of a stream of bytes, without a copy: bodies are views that the next ``fill`` takes back."""

    def __init__(self, pdu_bytes_max: int) -> None:
        self._pdu_bytes_max = pdu_bytes_max
        # Mapped, so that an association takes only the pages that its PDUs reach: clearing two megabytes took longer
        # than answering a query.
        self._buffer = memoryview(mmap.mmap(-1, 2 * (pdu_bytes_max + HEADER.size)))
        self._start = self._end = 0

    @property
    def is_empty(self) -> bool:
        """Whether no byte of a further PDU is here."""
        return self._start == self._end

    def take(self) -> PduBody | None:
        """Type and body of the next PDU, None until it is complete.

        Raises
        ------
        InvalidDicomError
            There is no such PDU type, or the PDU is longer than allowed (D1).
        """
        have = self._end - self._start
        if have < HEADER.size:
            return None
        kind, _, length = HEADER.unpack_from(self._buffer, self._start)
        if kind not in _PDU_KINDS or length > self._pdu_bytes_max:
            raise InvalidDicomError(
                f"a PDU of type {kind} and {length} bytes: types are 1 to 7, and {self._pdu_bytes_max} bytes allowed.",
                expected=self._pdu_bytes_max,
                found=length,
            )
        if have < HEADER.size + length:
            return None
        begin = self._start + HEADER.size
        self._start = begin + length
        return kind, self._buffer[begin : self._start]

    def fill(self, connection: socket.socket) -> int:
        """Receive what is there, 0 when the peer has closed."""
        if self._start == self._end:
            self._start = self._end = 0
        elif len(self._buffer) - self._start < self._pdu_bytes_max + HEADER.size:
            rest = bytes(self._buffer[self._start : self._end])
            self._buffer[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        count = connection.recv_into(self._buffer[self._end :])
        self._end += count
        return count


def fragments_of(body: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Presentation context, control byte and bytes of each fragment in a P-DATA PDU (PS3.8 9.3.5).

    Raises
    ------
    InvalidDicomError
        An item is too short, or passes the end of the PDU.
    """
    position, end = 0, len(body)
    while position < end:
        if end - position < _ITEM.size:
            raise InvalidDicomError("a P-DATA PDU ends within an item.", offset=position)
        length, context_id, control = _ITEM.unpack_from(body, position)
        if length < 2 or length > end - position - 4:
            raise InvalidDicomError(
                "an item of a P-DATA PDU is empty or passes its end.", offset=position, found=length
            )
        yield context_id, control, body[position + _ITEM.size : position + 4 + length]
        position += 4 + length


def pdus_of(
    context_id: int, control: int, pieces: Iterable[bytes | memoryview], fragment_bytes: int
) -> Iterator[list[Any]]:
    """Headers and bytes of the PDUs that carry a message, some PDUs at a time: one item a PDU, no copy.

    A fragment goes on from one piece into the next, so every PDU but the last is as long as the peer takes it.
    """
    parts: list[Any] = []
    room = fragment_bytes
    full = _pdu_header(context_id, control, fragment_bytes)
    for piece in pieces:
        length = len(piece)
        if length <= room:  # Most commands, headers and tails.
            parts.append(piece)
            room -= length
            continue
        view = memoryview(piece)
        if room:
            parts.append(view[:room])
        found = [full, *parts]
        last = room + (length - room - 1) // fragment_bytes * fragment_bytes  # What is behind it may be the very last.
        for position in range(room, last, fragment_bytes):
            found += (full, view[position : position + fragment_bytes])
        yield found
        parts, room = [view[last:]], fragment_bytes - (length - last)
    yield [_pdu_header(context_id, control | LAST, fragment_bytes - room), *parts]


def _pdu_header(context_id: int, control: int, length: int) -> bytes:
    return _PDU_AND_ITEM.pack(P_DATA_TF, 0, length + 6, length + 2, context_id, control)


def send_all(connection: socket.socket, parts: list[Any]) -> None:
    """Send parts in order by gathering writes, however few bytes the system takes at a time."""
    for at in range(0, len(parts), _PARTS_PER_WRITE):
        left = parts[at : at + _PARTS_PER_WRITE]
        while left:
            written = connection.sendmsg(left)
            if written == sum(map(len, left)):
                break
            done = 0
            while done < len(left) and written >= len(left[done]):
                written -= len(left[done])
                done += 1
            left = left[done:]
            if written:
                left[0] = memoryview(left[0])[written:]
