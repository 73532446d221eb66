"""Headers of a series, compressed together: Zstd frames of up to 64 objects, found by a table, not by decoding all.

A record is an object's header and, behind it, what followed its pixel value. The headers of a series differ in a few
values only, so a frame is hardly larger than one header, and one object's is reached by decoding one frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import google_crc32c

from pacscore.errors import ProofError
from pacscore.store.compression import compress, decompress
from pacscore.store.manifest import ZSTD, ObjectRow, Span

FRAME_OBJECTS_MAX = 64
FRAME_BYTES_MAX = 1 << 20
MEMBER_BYTES_MAX = 32 << 20


class HeaderPacker:
    """Collects records in the order they come and makes members of them.

    Attributes
    ----------
    spans : list of Span
        One for each frame that is closed.
    """

    def __init__(self, rows: Sequence[ObjectRow]) -> None:
        self._rows = rows
        self.spans: list[Span] = []
        self._records: list[bytes] = []
        self._record_bytes = 0
        self._frames: list[bytes] = []
        self._frame_bytes = 0
        self._members = 0

    def add(self, index: int, record: bytes) -> None:
        """Take one object's record."""
        if self._records and self._record_bytes + len(record) > FRAME_BYTES_MAX:
            self._close_frame()
        row = self._rows[index]
        row.header_span = len(self.spans)
        row.header_start = self._record_bytes
        self._records.append(record)
        self._record_bytes += len(record)
        if len(self._records) == FRAME_OBJECTS_MAX:
            self._close_frame()

    @property
    def is_full(self) -> bool:
        """Whether a member should be written before more is taken."""
        return self._frame_bytes > MEMBER_BYTES_MAX

    def take_member(self) -> tuple[str, list[bytes]] | None:
        """Name and content of the member that is due, or None when nothing has come since the last."""
        if self._records:
            self._close_frame()
        if not self._frames:
            return None
        frames, self._frames, self._frame_bytes = self._frames, [], 0
        name = self._member_name()
        self._members += 1
        return name, frames

    def _member_name(self) -> str:
        return "headers.bin" if self._members == 0 else f"headers.{self._members}.bin"

    def _close_frame(self) -> None:
        raw = b"".join(self._records)
        frame = compress(raw)
        if decompress(frame, len(raw)) != raw:
            raise ProofError("Compressed headers do not decompress to what they were made from.")
        crc = google_crc32c.value(frame)
        self.spans.append(Span(self._member_name(), self._frame_bytes, len(frame), len(raw), crc, ZSTD))
        self._frames.append(frame)
        self._frame_bytes += len(frame)
        self._records, self._record_bytes = [], 0
