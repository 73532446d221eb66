"""Which fragments of an encapsulated pixel value make up which frame.

E1  A map is made only from what is proven: an offset table is believed if it fits the items, the frame count and the
    codestreams' own first bytes, and is otherwise set aside for the next of: one fragment per frame, one frame of all
    fragments, first bytes. If none fits, there is no map and an error says so; frames are never guessed.
E2  Every fragment belongs to exactly one frame, in order, none is left out.

Source: PS3.5 A.4 (fragments, Basic Offset Table), PS3.3 C.7.6.3.1.8 (Extended Offset Table).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pacscore.dicom.codestream import END_MARKS, START_MARKS, FrameFormat, frame_format
from pacscore.errors import InputError, InvalidDicomError, UnsupportedError
from pacscore.kernels.pixels import (
    DELIMITED,
    ITEM_CUT,
    ITEM_UNDEFINED,
    UNDELIMITED,
    list_fragments_into,
)

Buffer: TypeAlias = bytes | bytearray | memoryview | NDArray[np.uint8]
Table: TypeAlias = bytes | memoryview | NDArray[np.uint64] | None


class MapSource(StrEnum):
    """What a frame map was made from."""

    EXTENDED_TABLE = "extended-table"
    BASIC_TABLE = "basic-table"
    FRAGMENT_PER_FRAME = "fragment-per-frame"
    SINGLE_FRAME = "single-frame"
    CODESTREAMS = "codestreams"


@dataclass(frozen=True, slots=True, eq=False)
class FrameMap:
    """Where the bytes of each compressed frame lie.

    Attributes
    ----------
    offset, length : (fragments,) int64
        Of each fragment's bytes, item header excluded, from the start of the pixel value (its first item's tag).
    first : (frames + 1,) int64
        Frame f consists of the fragments first[f] to first[f + 1] - 1.
    source
        What told frames apart.
    table_ignored
        An offset table was there but did not fit, and was not used.
    delimited
        The value ended with a sequence delimitation item.
    """

    offset: NDArray[np.int64]
    length: NDArray[np.int64]
    first: NDArray[np.int64]
    source: MapSource
    table_ignored: bool
    delimited: bool

    @property
    def frame_count(self) -> int:
        """How many frames are mapped."""
        return len(self.first) - 1

    def fragments(self, frame_index: int) -> list[tuple[int, int]]:
        """(offset, length) of each fragment of a frame.

        Raises
        ------
        InputError
            There is no such frame.
        """
        if not 0 <= frame_index < self.frame_count:
            raise InputError(
                f"There is no frame with index {frame_index}: this object has {self.frame_count}, counted from 0.",
                expected=self.frame_count,
                found=frame_index,
            )
        span = slice(int(self.first[frame_index]), int(self.first[frame_index + 1]))
        return list(zip(self.offset[span].tolist(), self.length[span].tolist(), strict=True))

    def frame(self, value: Buffer, frame_index: int) -> bytes:
        """The bytes of one compressed frame, taken out of the whole pixel value."""
        view = np.frombuffer(value, np.uint8).data
        return b"".join(view[offset : offset + length] for offset, length in self.fragments(frame_index))


def map_frames(
    value: Buffer,
    frame_count: int,
    transfer_syntax_uid: str,
    *,
    extended_offsets: Table = None,
    extended_lengths: Table = None,
) -> FrameMap:
    """Find the fragments of each frame.

    Parameters
    ----------
    value
        The encapsulated pixel value, from the tag of its first item (the Basic Offset Table) on; untrusted.
    frame_count
        Number of Frames, at least 1.
    transfer_syntax_uid
        Tells how a frame begins.
    extended_offsets, extended_lengths
        Values of (7FE0,0001) and (7FE0,0002) if the object has them: bytes as in the file, or uint64.

    Raises
    ------
    InputError
        ``frame_count`` is below 1.
    InvalidDicomError
        The items are malformed or cut (``offset``), or the fragments cannot be told apart by frame.
    UnsupportedError
        A video: its stream has no frames that could be taken out.
    """
    if frame_count < 1:
        raise InputError(f"frame_count must be at least 1; it is {frame_count}.", found=frame_count)
    kind = frame_format(transfer_syntax_uid)
    if kind is FrameFormat.VIDEO:
        raise UnsupportedError(
            f"Transfer syntax {transfer_syntax_uid} is a video stream, which has no separate frames. "
            "Fetch the stored bytes and give them to a video player.",
            transfer_syntax_uid=transfer_syntax_uid,
        )
    table, fragments = _read_fragments(np.frombuffer(value, np.uint8), kind)
    has_table = len(table) > 0 or extended_offsets is not None
    count = len(fragments.offset)
    for source, first in (
        (
            MapSource.EXTENDED_TABLE,
            _by_extended_table(fragments, frame_count, offsets=extended_offsets, lengths=extended_lengths),
        ),
        (MapSource.BASIC_TABLE, _by_basic_table(fragments, frame_count, table=table)),
        (MapSource.SINGLE_FRAME, np.array([0, count], np.int64) if frame_count == 1 else None),
        (MapSource.FRAGMENT_PER_FRAME, np.arange(count + 1, dtype=np.int64) if count == frame_count else None),
        (MapSource.CODESTREAMS, _by_codestreams(fragments, frame_count) if frame_count > 1 else None),
    ):
        if first is not None and _fits_codestreams(fragments, first):
            ignored = has_table and source not in (MapSource.EXTENDED_TABLE, MapSource.BASIC_TABLE)
            return FrameMap(fragments.offset, fragments.length, first, source, ignored, fragments.delimited)
    raise InvalidDicomError(
        f"{count} fragments cannot be divided among {frame_count} frames: no offset table fits them, and neither "
        "do their own first bytes. The stored bytes can be fetched.",
        tag="7FE00010",
        expected=frame_count,
        found=count,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Fragments:
    """The fragments of one value, the Basic Offset Table's item left out."""

    data: NDArray[np.uint8]
    offset: NDArray[np.int64]
    length: NDArray[np.int64]
    kind: FrameFormat | None
    delimited: bool

    def item_starts(self) -> NDArray[np.int64]:
        """Where each fragment's item tag lies, counted from the first one's as offset tables do."""
        starts: NDArray[np.int64] = self.offset - self.offset[0]
        return starts

    def begins(self) -> NDArray[np.bool_] | None:
        """For each fragment, whether it begins as a frame must; None where the format has no such mark."""
        marks = () if self.kind is None else START_MARKS.get(self.kind, ())
        if not marks:
            return None
        found = np.zeros(len(self.offset), np.bool_)
        for mark in marks:
            found |= self._holds(mark, self.offset)
        return found

    def ends(self) -> NDArray[np.bool_]:
        """For each fragment, whether it ends as a frame must, up to seven pad bytes aside."""
        found = np.zeros(len(self.offset), np.bool_)
        mark = b"" if self.kind is None else END_MARKS.get(self.kind, b"")
        for pad in range(8 if mark else 0):
            whole = mark + bytes(pad)
            found |= self._holds(whole, self.offset + self.length - len(whole))
        return found

    def _holds(self, mark: bytes, start: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the bytes from ``start`` on are ``mark``, all within the fragment."""
        found: NDArray[np.bool_] = (start >= self.offset) & (start + len(mark) <= self.offset + self.length)
        for index, octet in enumerate(mark):
            here = np.flatnonzero(found)  # Few pass the first byte: later ones are looked at only there.
            found[here] = self.data[start[here] + index] == octet
        return found


def _read_fragments(data: NDArray[np.uint8], kind: FrameFormat | None) -> tuple[NDArray[np.uint8], _Fragments]:
    """The Basic Offset Table's bytes, and the fragments; counted before anything is allocated for them."""
    readonly = data.view()
    readonly.flags.writeable = False
    nothing = np.empty(0, np.int64)
    count, status, position = list_fragments_into(readonly, nothing, nothing)
    if status not in (DELIMITED, UNDELIMITED):
        reason = {
            ITEM_CUT: "a fragment is longer than the rest of the value",
            ITEM_UNDEFINED: "a fragment has an undefined length",
        }.get(status, "there is no item tag (FFFE,E000)")
        raise InvalidDicomError(
            f"Encapsulated pixel data is malformed at byte {position} of its value: {reason}.",
            tag="7FE00010",
            offset=int(position),
        )
    if count < 2:
        raise InvalidDicomError(
            f"Encapsulated pixel data has {count} items but needs an offset table and at least one fragment.",
            tag="7FE00010",
            expected=2,
            found=int(count),
        )
    offset, length = np.empty(count, np.int64), np.empty(count, np.int64)
    list_fragments_into(readonly, offset, length)
    table = readonly[offset[0] : offset[0] + length[0]]
    return table, _Fragments(readonly, offset[1:], length[1:], kind, status == DELIMITED)


def _by_extended_table(
    fragments: _Fragments, frame_count: int, *, offsets: Table, lengths: Table
) -> NDArray[np.int64] | None:
    """PS3.3 C.7.6.3.1.8: one fragment per frame, lengths without the pad byte."""
    if offsets is None or lengths is None:
        return None
    starts, sizes = _as_uint64(offsets), _as_uint64(lengths)
    if not len(starts) == len(sizes) == len(fragments.offset) == frame_count:
        return None
    if not np.array_equal(starts, fragments.item_starts().astype(np.uint64)):
        return None
    spare = fragments.length.astype(np.uint64) - sizes  # Wraps to something huge where a size exceeds its fragment.
    return np.arange(frame_count + 1, dtype=np.int64) if bool((spare <= 1).all()) else None


def _as_uint64(table: bytes | memoryview | NDArray[np.uint64]) -> NDArray[np.uint64]:
    if isinstance(table, np.ndarray):
        return table.astype(np.uint64, copy=False)
    return np.frombuffer(table[: len(table) // 8 * 8], "<u8").astype(np.uint64, copy=False)


def _by_basic_table(fragments: _Fragments, frame_count: int, *, table: NDArray[np.uint8]) -> NDArray[np.int64] | None:
    """PS3.5 A.4: where each frame's first item begins, 4 bytes each."""
    if len(table) != 4 * frame_count:
        return None
    starts = np.frombuffer(table.tobytes(), "<u4").astype(np.int64)
    items = fragments.item_starts()
    first = np.searchsorted(items, starts)
    if starts[0] != 0 or (np.diff(starts) <= 0).any() or first[-1] >= len(items):
        return None
    if not np.array_equal(items[first], starts):
        return None
    return np.append(first, len(items)).astype(np.int64)


def _by_codestreams(fragments: _Fragments, frame_count: int) -> NDArray[np.int64] | None:
    """Frames begin where a fragment begins like one and the fragment before it ended like one.

    The second half guards against a frame's middle that happens to look like a beginning; writers that leave out end
    markers are met by beginnings alone, if those come out at the frame count.
    """
    begins = fragments.begins()
    if begins is None or not begins[0]:
        return None
    for marked in (begins, begins & _behind_end(fragments)):
        if np.count_nonzero(marked) == frame_count:
            return np.append(np.flatnonzero(marked), len(marked)).astype(np.int64)
    return None


def _behind_end(fragments: _Fragments) -> NDArray[np.bool_]:
    """For each fragment, whether it is the first or the one before it ended a frame."""
    return np.append(True, fragments.ends()[:-1])


def _fits_codestreams(fragments: _Fragments, first: NDArray[np.int64]) -> bool:
    """Whether every frame begins as its format must, and no frame holds a second beginning right behind an end.

    A single frame has no other reading and always fits.
    """
    if len(first) == 2:
        return True
    begins = fragments.begins()
    if begins is None:
        return True
    starts = np.zeros(len(begins), np.bool_)
    starts[first[:-1]] = True
    return not bool((starts & ~begins).any() or (begins & _behind_end(fragments) & ~starts).any())
