"""The elements of a data set as a table: where each value lies, nothing decoded, nothing copied.

This is the checked entry of the kernels in ``pacscore.kernels.walk``. It relies on them to stay inside the bytes,
and turns their status into an error that names the offset and the reason.
"""

from __future__ import annotations

import ctypes
import mmap
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError, InvalidDicomError, LimitError
from pacscore.kernels import unchecked_bytes as unchecked
from pacscore.kernels import walk as kernels
from pacscore.kernels.select import find_rows_into
from pacscore.settings import Settings

Scalar = TypeVar("Scalar", bound=np.generic)

Buffer: TypeAlias = bytes | bytearray | memoryview | mmap.mmap | NDArray[np.uint8]

DEFAULTS = Settings()

# Float Pixel Data, Double Float Pixel Data, Pixel Data (PS3.3 C.7.6.3, C.7.6.24, C.7.6.25).
PIXEL_TAGS = (unchecked.FLOAT_PIXEL_DATA, unchecked.DOUBLE_FLOAT_PIXEL_DATA, unchecked.PIXEL_DATA)


class NeedMore(Exception):
    """The data given are only the head of an object, and too short a head: read on and call again.

    Not an error and no ``PacscoreError``: it never leaves the loop that reads. That loop should at least double what it
    gives each time, as every call begins anew.

    Attributes
    ----------
    at_least : int
        How many bytes from the start of the object the next call must be given; more than it was given, and at most
        the object's length.
    """

    def __init__(self, at_least: int) -> None:
        super().__init__(at_least)
        self.at_least = at_least


@dataclass(frozen=True, slots=True, eq=False)
class ElementTable:
    """One row per element, in file order; the elements of a sequence's items follow the row of the sequence.

    Delimiters and item headers have no row. All columns are read-only int64 and have one entry per row.

    Attributes
    ----------
    cells : NDArray[np.int64]
        (7, rows), C order: the columns, in the order of ``kernels.walk``. One array, because a scan of a header takes
        10 µs and seven arrays took three of them.
    little_endian, explicit : bool
        How the data set is written. In a sequence of VR UN and undefined length it is always little endian.
    end : int
        Offset just behind the last element walked; behind the pixel element's header where the walk stopped there.
    """

    cells: NDArray[np.int64]
    little_endian: bool
    explicit: bool
    end: int

    def __len__(self) -> int:
        return int(self.cells.shape[1])

    @property
    def tag(self) -> NDArray[np.int64]:
        """``0xGGGGEEEE``."""
        return self._column(kernels.TAG)

    @property
    def vr(self) -> NDArray[np.int64]:
        """The two ASCII bytes, the first in the high byte.

        0 where the element is written without one: everywhere under implicit VR, and under explicit VR in sequences
        whose items are implicit (PS3.5 6.2.2).
        """
        return self._column(kernels.VR)

    @property
    def offset(self) -> NDArray[np.int64]:
        """Of the value, from the start of the buffer walked. Of a sequence: of its first item's header."""
        return self._column(kernels.OFFSET)

    @property
    def length(self) -> NDArray[np.int64]:
        """Of the value in bytes as written; -1 = undefined length."""
        return self._column(kernels.LENGTH)

    @property
    def depth(self) -> NDArray[np.int64]:
        """0 = data set; an item's elements have the depth of their sequence + 1."""
        return self._column(kernels.DEPTH)

    @property
    def item(self) -> NDArray[np.int64]:
        """0-based index of the item in its sequence, 0 at depth 0."""
        return self._column(kernels.ITEM)

    @property
    def item_count(self) -> NDArray[np.int64]:
        """How many items a sequence has, empty ones included; -1 for a value that is no sequence."""
        return self._column(kernels.ITEM_COUNT)

    def behind(self, count: int) -> ElementTable:
        """The same elements ``count`` bytes further on."""
        cells = self.cells.copy()
        cells[kernels.OFFSET] += count
        cells.flags.writeable = False
        return ElementTable(cells, self.little_endian, self.explicit, self.end + count)

    def _column(self, number: int) -> NDArray[np.int64]:
        column: NDArray[np.int64] = self.cells[number]
        return column

    def rows(self, tags: NDArray[np.uint32]) -> NDArray[np.int64]:
        """The first row of each tag at depth 0, -1 for those that are absent. Linear in tags × rows.

        Parameters
        ----------
        tags
            (n,) uint32.
        """
        found = np.empty(len(tags), np.int64)
        find_rows_into(read_only(self.cells), read_only(tags), found)
        return found


class Scratch(threading.local):
    """Per thread: the table that a walk fills before its rows are copied out, and the stack of open sequences."""

    def __init__(self) -> None:
        self.table = np.empty((7, 2048), np.int64)
        self.stack = np.empty((DEFAULTS.depth_max + 1, 9), np.int64)
        self.state = np.empty(5, np.int64)

    def fit(self, settings: Settings) -> None:
        """Make the stack as deep as these settings ask for."""
        if len(self.stack) != settings.depth_max + 1:
            self.stack = np.empty((settings.depth_max + 1, 9), np.int64)


_scratch = Scratch()

# What a thread keeps between walks: 64 Ki rows are 3.5 MiB, and more than any header but a DICOMDIR's or a large
# structured report's has.
_KEPT_ROWS = 65_536


def as_bytes(data: Buffer) -> NDArray[np.uint8]:
    """``data`` as a read-only array of bytes, without a copy: the one form the kernels are compiled for."""
    return read_only(np.frombuffer(data, np.uint8))


def read_only(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """``array``, or a view of it that cannot be written: one specialisation of each kernel serves both."""
    if not array.flags.writeable:
        return array
    view = array.view()
    view.flags.writeable = False
    return view


def places_of(heads: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Address and size of each, for kernels that take many; valid as long as the caller holds them.

    Raises
    ------
    InputError
        One is no ``bytes``: of other buffers the place cannot be told.
    """
    if heads and set(map(type, heads)) != {bytes}:
        raise InputError("Headers taken together are bytes, not other buffers.")
    pointers = (ctypes.c_char_p * len(heads))(*heads)
    addresses = np.frombuffer(memoryview(pointers).cast("B"), np.int64) if len(heads) else np.empty(0, np.int64)
    return addresses, np.fromiter(map(len, heads), np.int64, len(heads))


def walk(
    data: Buffer,
    start: int,
    *,
    explicit: bool,
    little_endian: bool,
    settings: Settings = DEFAULTS,
    stop_at_pixels: bool = True,
    total_length: int | None = None,
) -> ElementTable:
    """Find every element from ``start`` on. Linear in the bytes before the pixels.

    Sequences are entered whatever the form of their length. Under implicit VR, where nothing marks a sequence, a value
    of defined length that consists of items, exactly, is one. A private VR of two letters that PS3.5 does not know
    has a 16-bit length.

    Parameters
    ----------
    data
        The object's bytes, or its first ones.
    start
        Offset of the first element.
    explicit, little_endian
        How the data set is written.
    stop_at_pixels
        End with the row of Float, Double Float or Pixel Data, (7FE0,0008/0009/0010), of the data set itself; its value
        is not looked at. Else the walk goes behind it and to the end.
    total_length
        How long the object is, where ``data`` is only its head.

    Raises
    ------
    InvalidDicomError
        The bytes are no well-formed elements; ``offset`` says where.
    LimitError
        More elements or nested sequences than ``settings`` allows.
    NeedMore
        ``data`` is a head and ends before the walk can.

    Notes
    -----
    PS3.5 7.1 and 7.5. Fewer than eight bytes behind the last element, zeros up to the end, and under explicit VR
    anything without a VR behind an object that has no Rows are a trailer, where ``end`` lies.
    """
    view = as_bytes(data)
    total = len(view) if total_length is None else total_length
    form = (explicit, little_endian)
    return walk_view(view, start, total, form, settings=settings, stop_at_pixels=stop_at_pixels)


def walk_view(
    view: NDArray[np.uint8],
    start: int,
    total: int,
    form: tuple[bool, bool],
    *,
    settings: Settings,
    stop_at_pixels: bool = True,
) -> ElementTable:
    """``walk`` for those who have a view made by ``as_bytes``; ``form`` is explicit and little endian."""
    if not 0 <= start <= total or len(view) > total:
        raise _out_of_bounds(start, len(view), total)
    explicit, little_endian = form
    scratch = _scratch
    scratch.fit(settings)
    table, state = scratch.table, scratch.state
    while True:
        status = kernels.walk_into(
            view, start, total, explicit, little_endian, stop_at_pixels, table, scratch.stack, state
        )
        if status != unchecked.TABLE_FULL or table.shape[1] >= settings.element_count_max:
            break
        table = np.empty((7, min(4 * table.shape[1], settings.element_count_max)), np.int64)
        if table.shape[1] <= _KEPT_ROWS:
            scratch.table = table
    count = state.item(unchecked.COUNT)
    if count > settings.element_count_max:
        status = unchecked.TABLE_FULL
    if status != unchecked.DONE:
        raise_for(status, view, state, total, settings, little_endian=little_endian)
    cells = table[:, :count].copy()
    cells.flags.writeable = False
    return ElementTable(cells, little_endian, explicit, state.item(unchecked.POSITION))


def _out_of_bounds(start: int, size: int, total: int) -> InvalidDicomError:
    return InvalidDicomError(
        f"A walk from offset {start} needs {start} bytes or more, and no more than the object's {total}: "
        f"{size} were given.",
        offset=start,
        expected=total,
        found=size,
    )


_REASONS = {
    unchecked.HEADER_OVERRUN: "the header of the next element or item passes the end of what holds it",
    unchecked.VALUE_OVERRUN: "the value passes the end of what holds it",
    unchecked.BAD_VR: "there is no VR of two upper-case letters",
    unchecked.NOT_AN_ITEM: "an item or sequence delimiter must come here and does not",
    unchecked.STRAY_DELIMITER: "a delimiter delimits nothing here",
    unchecked.BAD_LENGTH: "the length is undefined, which is not allowed here",
    unchecked.BAD_GROUP: "an element of group 0000 has no place in a data set",
}


def raise_for(
    status: int,
    view: NDArray[np.uint8],
    state: NDArray[np.int64],
    total: int,
    settings: Settings,
    *,
    little_endian: bool,
) -> None:
    """Turn a status other than DONE into what the caller gets to see."""
    position = int(state[unchecked.POSITION])
    needed = int(state[unchecked.NEEDED])
    if status == unchecked.NEED_MORE:
        raise NeedMore(min(max(needed, len(view) + 1), total))
    if status == unchecked.TABLE_FULL:
        raise LimitError(
            f"The object has more than {settings.element_count_max} elements: the limit is reached at offset "
            f"{position}. Raise element_count_max if it is genuine.",
            offset=position,
            expected=settings.element_count_max,
        )
    if status == unchecked.TOO_DEEP:
        raise LimitError(
            f"Sequences are nested more than {settings.depth_max} deep at offset {position}. Raise depth_max if the "
            "object is genuine.",
            offset=position,
            expected=settings.depth_max,
        )
    fields: dict[str, int | str] = {"offset": position, "reason": _REASONS[status]}
    where = f"offset {position}"
    if position + 4 <= len(view):
        tag = unchecked.read_tag.python(view, position, little_endian)
        fields["tag"] = f"{tag:08X}"
        where = f"({tag >> 16:04X},{tag & 0xFFFF:04X}) at offset {position}"
    if status == unchecked.VALUE_OVERRUN:
        fields |= {"expected": needed, "found": total}
        where += f" (it claims to end at {needed}; the data end at {total})"
    raise InvalidDicomError(
        f"Not well-formed: {where}: {_REASONS[status]}. The object is cut short, damaged, or in another transfer "
        "syntax than stated.",
        **fields,
    )
