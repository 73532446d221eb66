"""Picking some elements of a data set out of its table, and comparing them with those of the header before.

Offsets and lengths come from a table that a caller may have made by hand, so each is compared with the size of its
bytes before it is used.
"""

# mypy: disable-error-code="no-any-return, untyped-decorator, return-value"
# Reason: Numba types kernels, by their arguments; to mypy a NumPy scalar is no int, and ``kernel`` returns Any.

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._memory import bytes_at
from pacscore.kernels.unchecked_bytes import Bytes, Integers
from pacscore.kernels.walk import DEPTH, ITEM_COUNT, LENGTH, OFFSET, TAG, VR

# Rows of a choice, (9, wanted + 2) int64. Columns 0 and 1 are for the elements that steer how others are read, the rest
# for the wanted ones in the order of the file. Rows CHANGED to CHANGED + 3 list those of which the header before says
# something else.
ROW, CODE, START, SIZE, SEEN, CHANGED = 0, 1, 2, 3, 4, 5
CHOICE_ROWS = 9
FIRST = 2

# What the choice as a whole is like, or-ed together.
SAME_FORM = 1
"""The header before has the same elements, written with the same VR, and those that steer say the same."""
HAS_PRIVATE = 2
"""There are private creators."""

# What is found of each of many heads. Of its result, (RESULTS,) int64: what holds of all, how many columns changed, how
# many private creators there are, and whether they are those of the head before. Of its lists, (7, LIST_MAX) int64:
# row, code, start and size of what changed; code, start and size of the creators.
FLAGS, CHANGED_COUNT, CREATOR_COUNT, SAME_CREATORS = 0, 1, 2, 3
RESULTS = 4
CREATORS = 4
LIST_MAX = 24

CHARACTER_SET, PIXEL_REPRESENTATION = 0x00080005, 0x00280103


@kernel
def find_rows_into(cells: Integers, wanted: NDArray[np.uint32], rows: Integers) -> None:
    """Write the first row at depth 0 of each wanted tag, -1 where there is none.

    cells : (7, count) int64, an element table
    wanted, rows : (n,), n small
    """
    for index in range(wanted.shape[0]):
        rows[index] = -1
        for row in range(cells.shape[1]):
            if cells[TAG, row] == wanted[index] and cells[DEPTH, row] == 0:
                rows[index] = row
                break


@kernel
def find_places_into(cells: Integers, wanted: NDArray[np.uint32], places: Integers) -> None:
    """Write where the value of each wanted tag at depth 0 lies, and of the last row all.

    cells : (7, count) int64, an element table
    wanted : (n,)
    places : (n + 2, 3) int64; offset, length and 1 of each wanted one, zeros where it is absent; then tag, VR, depth
        and offset, length, 1 of the last row, zeros where there is none
    """
    places[:] = 0
    rows = cells.shape[1]
    for row in range(rows):
        if cells[DEPTH, row] == 0:
            for index in range(wanted.shape[0]):
                if cells[TAG, row] == wanted[index] and places[index, 2] == 0:
                    places[index, 0], places[index, 1], places[index, 2] = cells[OFFSET, row], cells[LENGTH, row], 1
    if rows > 0:
        last, at = rows - 1, wanted.shape[0]
        places[at, 0], places[at, 1], places[at, 2] = cells[TAG, last], cells[VR, last], cells[DEPTH, last]
        places[at + 1, 0], places[at + 1, 1], places[at + 1, 2] = cells[OFFSET, last], cells[LENGTH, last], 1


@kernel
def select_rows_into(  # noqa: PLR0917  # A compiled function has no keyword-only arguments.
    data: Bytes, cells: Integers, wanted: NDArray[np.uint32], kept_data: Bytes, kept: Integers, chosen: Integers
) -> tuple[int, int, int]:
    """Pick the wanted elements at depth 0 and say which of them differ from those of the header before.

    data, cells : the header and its element table, (7, count) int64
    wanted : (n,) tags, rising
    kept_data, kept : the header before and what was chosen of it, (9, any) int64; no columns if there was none
    chosen : (9, n + 2) int64

    Returns how many columns of ``chosen`` are filled, how many list what changed, and what holds of all. The first of
    equal tags counts. What changed is complete only with SAME_FORM; sequences always change.
    """
    chosen[ROW, 0] = chosen[ROW, 1] = -1
    chosen[SEEN] = 0
    count, at, flags = FIRST, 0, 0
    for row in range(cells.shape[1]):
        if cells[DEPTH, row] != 0:
            continue
        tag = cells[TAG, row]
        if tag & 0x1FF00 == 0x10000 and tag & 0xFF >= 0x10:
            flags |= HAS_PRIVATE
        steering = 0 if tag == CHARACTER_SET else 1
        if (tag in (CHARACTER_SET, PIXEL_REPRESENTATION)) and chosen[ROW, steering] < 0:
            _put(cells, row, chosen, steering)
        if at > 0 and wanted[at - 1] >= tag:
            at = 0  # Tags do not rise: PS3.5 7.1 forbids it.
        while at < wanted.shape[0] and wanted[at] < tag:
            at += 1
        if at < wanted.shape[0] and wanted[at] == tag and chosen[SEEN, at] == 0:
            chosen[SEEN, at] = 1
            _put(cells, row, chosen, count)
            count += 1
    changed = 0
    if kept.shape[1] != count:
        return count, changed, flags
    for column in range(count):
        if (chosen[ROW, column] < 0) != (kept[ROW, column] < 0):
            return count, changed, flags
        if chosen[ROW, column] < 0:
            continue
        if chosen[CODE, column] != kept[CODE, column]:
            return count, changed, flags
        if cells[ITEM_COUNT, chosen[ROW, column]] < 0 and _is_equal(data, kept_data, kept, chosen, column):
            continue
        if column < FIRST:
            return count, changed, flags
        for part in range(4):
            chosen[CHANGED + part, changed] = chosen[part, column]
        changed += 1
    return count, changed, flags | SAME_FORM


@kernel
def select_heads_into(  # noqa: PLR0917
    addresses: Integers,
    sizes: Integers,
    cells: Integers,
    rows: Integers,
    wanted: NDArray[np.uint32],
    kept_data: Bytes,
    kept: Integers,
    chosen: Integers,
    results: Integers,
    lists: Integers,
) -> None:
    """``select_rows_into`` for many headers, each compared with the same one, and their private creators.

    addresses, sizes : (n,) int64; where each header lies, and its bytes
    cells, rows : their element tables one behind the other, each (7, rows) in C order; (n,) int64, rows of each
    wanted, kept_data, kept, chosen : as for ``select_rows_into``
    results, lists : (n, RESULTS) and (n, 7, LIST_MAX) int64; SAME_FORM is not said where a list has no room
    """
    first = 0
    for index in range(addresses.shape[0]):
        data = bytes_at(addresses[index], sizes[index])
        behind = first + 7 * rows[index]
        table = cells[first:behind].reshape((7, rows[index]))
        first = behind
        _, changed, flags = select_rows_into(data, table, wanted, kept_data, kept, chosen)
        creators = find_creators_into(table, lists[index, CREATORS:]) if flags & HAS_PRIVATE else 0
        if changed > LIST_MAX or creators > LIST_MAX:
            flags &= ~SAME_FORM
        results[index, FLAGS] = flags
        results[index, CHANGED_COUNT] = changed = min(changed, LIST_MAX)
        results[index, CREATOR_COUNT] = min(creators, LIST_MAX)
        results[index, SAME_CREATORS] = 0
        if index > 0 and results[index, CREATOR_COUNT] == results[index - 1, CREATOR_COUNT]:
            before = bytes_at(addresses[index - 1], sizes[index - 1])
            if _are_same(
                data, before, lists[index, CREATORS:], lists[index - 1, CREATORS:], results[index, CREATOR_COUNT]
            ):
                results[index, SAME_CREATORS] = 1
        for part in range(4):
            for place in range(changed):
                lists[index, part, place] = chosen[CHANGED + part, place]


@kernel
def _are_same(data: Bytes, other: Bytes, places: Integers, others: Integers, count: int) -> bool:
    """Whether as many private creators have the same codes and bytes; places are those of ``find_creators_into``."""
    for place in range(count):
        start, before, size = places[1, place], others[1, place], places[2, place]
        if places[0, place] != others[0, place] or size != others[2, place] or size < 0:
            return False
        if size > data.shape[0] or size > other.shape[0]:
            return False
        if not (0 <= start <= data.shape[0] - size and 0 <= before <= other.shape[0] - size):
            return False
        for byte in range(size):
            if data[start + byte] != other[before + byte]:
                return False
    return True


@kernel
def find_elements_into(cells: Integers, rows: Integers, wanted: NDArray[np.uint32], places: Integers) -> None:
    """Write of each of many tables where the first of each wanted tag at depth 0 is.

    cells, rows : as for ``select_heads_into``
    wanted : (m,)
    places : (n, m, 4) int64; row, code, start and size, row -1 where there is none
    """
    first = 0
    for index in range(rows.shape[0]):
        behind = first + 7 * rows[index]
        table = cells[first:behind].reshape((7, rows[index]))
        first = behind
        for number in range(wanted.shape[0]):
            place = places[index, number]
            place[0] = -1
            for row in range(table.shape[1]):
                if table[TAG, row] == wanted[number] and table[DEPTH, row] == 0:
                    place[0], place[1] = row, table[TAG, row] << 16 | table[VR, row]
                    place[2], place[3] = table[OFFSET, row], table[LENGTH, row]
                    break


@kernel
def find_creators_into(cells: Integers, places: Integers) -> int:
    """Write code, offset and length of the elements at depth 0 that reserve private blocks, and return how many.

    cells : (7, count) int64, an element table
    places : (3, m) int64; no more than m are written, but all are counted

    PS3.5 7.8.1: (gggg,0010-00FF), gggg odd.
    """
    count = 0
    for row in range(cells.shape[1]):
        tag = cells[TAG, row]
        if cells[DEPTH, row] == 0 and tag & 0x1FF00 == 0x10000 and tag & 0xFF >= 0x10:
            if count < places.shape[1]:
                places[0, count] = tag << 16 | cells[VR, row]
                places[1, count], places[2, count] = cells[OFFSET, row], cells[LENGTH, row]
            count += 1
    return count


@kernel(inline=True)
def _put(cells: Integers, row: int, chosen: Integers, column: int) -> None:
    chosen[ROW, column] = row
    chosen[CODE, column] = cells[TAG, row] << 16 | cells[VR, row]
    chosen[START, column] = cells[OFFSET, row]
    chosen[SIZE, column] = cells[LENGTH, row]


@kernel(inline=True)
def _is_equal(data: Bytes, kept_data: Bytes, kept: Integers, chosen: Integers, column: int) -> bool:
    """Whether the bytes of two values are there as a whole and equal."""
    start, other, size = chosen[START, column], kept[START, column], chosen[SIZE, column]
    if size < 0 or size != kept[SIZE, column] or size > data.shape[0] or size > kept_data.shape[0]:
        return False
    if start < 0 or other < 0 or start > data.shape[0] - size or other > kept_data.shape[0] - size:
        return False
    difference = np.uint8(0)
    for byte in range(size):  # Without a way out of the loop it runs on vectors.
        difference |= data[start + byte] ^ kept_data[other + byte]
    return difference == 0
