"""Many headers in one call: file meta, elements, who the object is and where its pixels begin.

What a call from Python costs is paid once for all. Only the plain case is done here: a file with preamble and meta
whose transfer syntax is the one named, and a walk without a fault. For all else the status says so, and the object is
looked at by itself (``pacscore.dicom.scan``), which also words what is wrong.
"""

# mypy: disable-error-code="no-any-return, untyped-decorator, return-value"
# Reason: Numba types kernels, by their arguments; to mypy a NumPy scalar is no int, and ``kernel`` returns Any.

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._memory import bytes_at
from pacscore.kernels.file_meta import read_meta_into
from pacscore.kernels.unchecked_bytes import (
    COUNT,
    DONE,
    DOUBLE_FLOAT_PIXEL_DATA,
    FLOAT_PIXEL_DATA,
    PIXEL_DATA,
    POSITION,
    Bytes,
    Integers,
)
from pacscore.kernels.walk import DEPTH, LENGTH, OFFSET, TAG, VR, walk_into

# Columns of what was found of a head, (n, FOUND_COLUMNS) int64. SPANS are start and stop of seven values: the three of
# the file meta, and the four wanted ones; equal where one is absent. HAS_PIXELS and what follows speak of the last row.
STATUS, FIRST, ROWS, END, META_END, SPANS = 0, 1, 2, 3, 4, 5
HAS_PIXELS = SPANS + 14
FOUND_COLUMNS = HAS_PIXELS + 5  # And its tag, VR, offset and length.

# Limits of what may be believed, (3,) int64.
VALUE_BYTES_MAX, ELEMENTS_MAX, HEADER_BYTES_MAX = 0, 1, 2

NOT_PLAIN = 1
"""A status: to be looked at alone."""

_PREAMBLE = 128


@kernel
def walk_heads_into(  # noqa: PLR0917  # A compiled function has no keyword-only arguments.
    addresses: Integers,
    sizes: Integers,
    starts: Integers,
    explicit: bool,
    little: bool,
    table: Integers,
    stack: Integers,
    state: Integers,
    cells: Integers,
    found: Integers,
) -> int:
    """Walk data sets up to their pixels, and return how many were done before ``cells`` was full.

    addresses, sizes, starts : (n,) int64; where each object lies, its bytes, where its data set begins
    table : (7, capacity), stack : (depth_max + 1, 9), state : (5,) int64; scratch of ``walk_into``
    cells : (m,) int64; the tables one behind the other, each (7, rows) in C order
    found : (n, FOUND_COLUMNS) int64; STATUS, FIRST (of ``cells``), ROWS and END are written
    """
    used = 0
    for index in range(addresses.shape[0]):
        if starts[index] < 0 or starts[index] > sizes[index]:
            found[index, STATUS] = NOT_PLAIN
            found[index, FIRST] = found[index, ROWS] = 0
            continue
        data = bytes_at(addresses[index], sizes[index])
        status = walk_into(data, starts[index], sizes[index], explicit, little, True, table, stack, state)
        rows = state[COUNT]
        if used + 7 * rows > cells.shape[0] and index > 0:
            return index
        found[index, STATUS] = DONE if status == DONE and used + 7 * rows <= cells.shape[0] else NOT_PLAIN
        used = _keep(table, rows, used, cells, found[index])
        found[index, END] = state[POSITION]
    return addresses.shape[0]


@kernel
def scan_heads_into(  # noqa: PLR0917
    addresses: Integers,
    sizes: Integers,
    totals: Integers,
    syntax: Bytes,
    explicit: bool,
    little: bool,
    wanted: NDArray[np.uint32],
    limits: Integers,
    table: Integers,
    stack: Integers,
    state: Integers,
    cells: Integers,
    found: Integers,
) -> int:
    """Scan the heads of files, and return how many were done before ``cells`` was full.

    addresses, sizes, totals : (n,) int64; where each head lies, its bytes, and those of the whole object
    syntax : (any,) uint8; the Transfer Syntax UID, without padding, of those to be scanned
    wanted : (4,) uint32; tags of which SPANS gets the places
    limits : (3,) int64; what is longer, or more, is not plain
    table, stack, state, cells : as for ``walk_heads_into``
    found : (n, FOUND_COLUMNS) int64

    PS3.10 7.1, PS3.5 7.1.
    """
    used = 0
    for index in range(addresses.shape[0]):
        found[index, STATUS] = NOT_PLAIN
        found[index, FIRST] = found[index, ROWS] = 0
        size, total = sizes[index], totals[index]
        if size < _PREAMBLE + 4 or size > total:
            continue
        data = bytes_at(addresses[index], size)
        if not _has_prefix(data):
            continue
        meta = found[index, SPANS : SPANS + 6].reshape((3, 2))
        if read_meta_into(data, _PREAMBLE + 4, total, meta, state) != DONE:
            continue
        start = state[POSITION]
        if start > size or not _is_text(data, meta[2, 0], meta[2, 1], syntax):
            continue
        if walk_into(data, start, total, explicit, little, True, table, stack, state) != DONE:
            continue
        rows = state[COUNT]
        if rows == 0 or rows > limits[ELEMENTS_MAX]:
            continue
        if used + 7 * rows > cells.shape[0]:
            if index > 0:
                return index
            continue
        used = _keep(table, rows, used, cells, found[index])
        found[index, END] = state[POSITION]
        found[index, META_END] = start
        is_plain = _find_known(table, rows, wanted, limits, found[index])
        if is_plain and _is_place_plain(table[:, rows - 1], size, total, limits, found[index]):
            found[index, STATUS] = DONE
    return addresses.shape[0]


@kernel(inline=True)
def _has_prefix(data: Bytes) -> bool:
    return data[128] == 0x44 and data[129] == 0x49 and data[130] == 0x43 and data[131] == 0x4D  # DICM


@kernel
def _is_text(data: Bytes, start: int, length: int, text: Bytes) -> bool:
    """Whether a value that lies inside ``data`` is ``text``, with or without one byte of padding."""
    size = text.shape[0]
    if start < 0 or length < size or length > size + 1:
        return False
    for place in range(size):
        if data[start + place] != text[place]:
            return False
    return length == size or data[start + size] == 0 or data[start + size] == 0x20


@kernel
def _keep(table: Integers, rows: int, used: int, cells: Integers, found: Integers) -> int:
    """Copy the rows of a table behind those that are kept already, and return how much is used then.

    found : (FOUND_COLUMNS,) int64, of this head
    """
    found[FIRST] = used
    found[ROWS] = rows
    if used + 7 * rows > cells.shape[0]:
        return used
    for column in range(7):
        source = table[column]
        target = cells[used + column * rows : used + (column + 1) * rows]
        for row in range(rows):
            target[row] = source[row]
    return used + 7 * rows


@kernel
def _find_known(table: Integers, rows: int, wanted: NDArray[np.uint32], limits: Integers, found: Integers) -> bool:
    """Make spans of the places in the file meta and of the first of each wanted tag; False if one is too long.

    found : (FOUND_COLUMNS,) int64, of this head
    """
    for number in range(wanted.shape[0]):
        place = SPANS + 6 + 2 * number
        found[place] = found[place + 1] = 0
        for row in range(rows):
            if table[TAG, row] == wanted[number] and table[DEPTH, row] == 0:
                found[place], found[place + 1] = table[OFFSET, row], table[LENGTH, row]
                break
    for place in range(SPANS, HAS_PIXELS, 2):
        if found[place + 1] > limits[VALUE_BYTES_MAX]:
            return False
        found[place + 1] = found[place] + max(0, found[place + 1])
    return True


@kernel
def _is_place_plain(last: Integers, size: int, total: int, limits: Integers, found: Integers) -> bool:
    """Write what the last row says of the pixels, and whether that can be believed as it is.

    An encapsulated value that is there as a whole cannot: its end is still to be found.
    """
    tag, offset, length = last[TAG], last[OFFSET], last[LENGTH]
    has_pixels = last[DEPTH] == 0 and tag in (FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA, PIXEL_DATA)
    found[HAS_PIXELS] = 1 if has_pixels else 0
    found[HAS_PIXELS + 1], found[HAS_PIXELS + 2] = tag, last[VR]
    found[HAS_PIXELS + 3], found[HAS_PIXELS + 4] = offset, length
    if (offset if has_pixels else total) > limits[HEADER_BYTES_MAX]:
        return False
    return not has_pixels or (offset + length <= total and (length >= 0 or size < total))
