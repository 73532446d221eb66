"""Walking the elements of a data set: bytes in, rows out.

These kernels read bytes that nobody has checked, so each is its own border: every offset is compared with the end of
what it may read before it is used, all arithmetic is on 64-bit signed numbers that come from 32-bit ones, nothing
is allocated, and what is wrong comes back as a status and an offset. Their checked entries are in ``pacscore.dicom``.

W1  Every read lies inside ``data``; every value lies inside its item, its sequence and ``total``.
W2  Each step goes forward or closes what is open, so a walk takes time linear in the bytes and ends.
W3  Under implicit VR nothing says whether a value of defined length is a sequence. One that begins with an item tag
    is walked as a sequence provisionally; where its items do not fill it exactly it becomes an opaque value again
    and the walk goes on behind it, never before: W2 holds.
"""

# mypy: disable-error-code="no-any-return, untyped-decorator, return-value"
# Reason: Numba types kernels, by their arguments; to mypy a NumPy scalar is no int, and ``kernel`` returns Any.

from __future__ import annotations

import numpy as np

from pacscore.kernels._compile import kernel
from pacscore.kernels.fragments import skip_fragments_into
from pacscore.kernels.unchecked_bytes import (
    BAD_GROUP,
    BAD_LENGTH,
    BAD_VR,
    COUNT,
    DONE,
    DOUBLE_FLOAT_PIXEL_DATA,
    FLOAT_PIXEL_DATA,
    HEADER_OVERRUN,
    ITEM_DELIMITER,
    ITEM_TAG,
    LEVEL,
    NEED_MORE,
    NEEDED,
    NOT_AN_ITEM,
    ONWARD,
    PIXEL_DATA,
    POSITION,
    ROWS_TAG,
    SEQUENCE_DELIMITER,
    STRAY_DELIMITER,
    TABLE_FULL,
    TOO_DEEP,
    TOTAL,
    UNDEFINED,
    UNDELIMITED,
    VALUE_OVERRUN,
    VR_SQ,
    VR_UN,
    Bytes,
    Integers,
    has_long_length,
    proves_explicit,
    read_length,
    read_tag,
    read_u16,
    read_vr,
)

# What makes _run hand over to a slower function.
NO_ROOM, NO_ELEMENT, DELIMITER, SEQUENCE, UNDEFINED_VALUE = 11, 12, 13, 14, 15

# Rows of the table of elements, (7, capacity) int64.
TAG, VR, OFFSET, LENGTH, DEPTH, ITEM, ITEM_COUNT = 0, 1, 2, 3, 4, 5, 6

# Columns of the stack, (depth_max + 1, 9) int64: one row per open sequence, row 0 for the data set itself.
# BOUND is what nothing in the sequence may pass, LIMIT the same for what is open now: the sequence or its item.
LIMIT, BOUND, SEQUENCE_END, ITEM_END, ROW, EXPLICIT, KIND, INDEX, LITTLE = 0, 1, 2, 3, 4, 5, 6, 7, 8
OUTSIDE = -2  # ITEM_END between two items.
CERTAIN, PROVISIONAL, UNKNOWN_VR = 0, 1, 2  # KIND: by its VR or length; W3; UN of undefined length.


@kernel
def walk_into(  # noqa: PLR0917  # A compiled function has no keyword-only arguments.
    data: Bytes,
    start: int,
    total: int,
    explicit: bool,
    little: bool,
    stop_at_pixels: bool,
    table: Integers,
    stack: Integers,
    state: Integers,
) -> int:
    """Write one row per element from ``start`` on, nested ones behind their sequence, and return a status.

    data : (size,) uint8, the whole or its first bytes
    start, total : offset of the first element; size of the whole, of which ``data`` may be a head
    stop_at_pixels : end with the header of the first pixel element of the data set
    table : (7, capacity) int64, rows TAG … ITEM_COUNT
    stack : (depth_max + 1, 9) int64 scratch
    state : (5,) int64; COUNT and POSITION are the rows written and the offset reached, or that of what is wrong

    PS3.5 7.1 (elements), 7.5 (sequences), 6.2.2 (UN of undefined length is implicit VR little endian).
    """
    state[COUNT] = 0
    state[POSITION] = start
    state[NEEDED] = total
    state[LEVEL] = 0
    state[TOTAL] = total
    stack[0, LIMIT] = total
    stack[0, BOUND] = total
    stack[0, SEQUENCE_END] = total
    stack[0, ITEM_END] = total
    stack[0, EXPLICIT] = 1 if explicit else 0
    stack[0, KIND] = CERTAIN
    stack[0, INDEX] = 0
    stack[0, LITTLE] = 1 if little else 0
    while True:
        status = _run(data, stop_at_pixels, table, stack, state)
        if status == DELIMITER:
            status = _take_delimiter(data, table, stack, state)
        elif status == SEQUENCE:
            status = _open_sequence(
                CERTAIN if table[VR, state[COUNT] - 1] == VR_SQ else PROVISIONAL, table, stack, state
            )
        elif status == UNDEFINED_VALUE:
            status = _enter_undefined(data, table, stack, state)
        elif status == NO_ROOM:
            status = _judge_room(data, stack, state)
        elif status == NO_ELEMENT:
            status = _judge_no_element(data, table, state)
        if status == ONWARD or (status < 0 and _take_back(table, stack, state)):
            continue
        return status


@kernel
def _run(data: Bytes, stop_at_pixels: bool, table: Integers, stack: Integers, state: Integers) -> int:
    """Read elements, and close what ends, until something comes that needs a second look.

    This is the loop that takes the time. It calls no helper that branches on an array: Numba would count references
    in each, which was measured to cost six times the work itself.
    """
    size = data.shape[0]
    count, position, level = state[COUNT], state[POSITION], state[LEVEL]
    status = ONWARD
    while status == ONWARD:
        between_items = stack[level, ITEM_END] == OUTSIDE
        if level > 0 and position == stack[level, SEQUENCE_END if between_items else ITEM_END]:
            stack[level, ITEM_END] = OUTSIDE
            stack[level, LIMIT] = stack[level, BOUND]
            level -= 1 if between_items else 0
            continue
        limit = stack[level, LIMIT]
        end = min(limit, size)
        if position + 8 > end:
            status = NO_ROOM
            continue
        little = stack[level, LITTLE] == 1
        tag = np.int64(read_tag(data, position, little))
        if between_items or tag >> 16 == 0xFFFE:
            status = DELIMITER
            continue
        explicit = stack[level, EXPLICIT] == 1
        vr = np.int64(read_vr(data, position + 4)) if explicit else np.int64(0)
        if (explicit and vr == 0) or (level == 0 and tag >> 16 == 0):
            status = NO_ELEMENT
            continue
        value = position + (12 if has_long_length(vr) else 8)
        if value > end or count >= table.shape[1]:
            status = NO_ROOM if value > end else TABLE_FULL
            continue
        if explicit and value == position + 8:
            length = np.int64(read_u16(data, position + 6, little))
        else:
            length = np.int64(read_length(data, value - 4, little))
        table[TAG, count] = tag
        table[VR, count] = vr
        table[OFFSET, count] = value
        table[LENGTH, count] = length
        table[DEPTH, count] = level
        table[ITEM, count] = stack[level, INDEX]
        table[ITEM_COUNT, count] = -1
        count += 1
        if level == 0 and stop_at_pixels and tag in (FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA, PIXEL_DATA):
            position = value
            status = DONE
        elif length == UNDEFINED:
            status = UNDEFINED_VALUE
        elif value + length > limit:
            state[NEEDED] = value + length
            status = VALUE_OVERRUN
        elif vr == VR_SQ:
            status = SEQUENCE
        elif vr == 0 and length >= 8 and (value + 4 > size or read_tag(data, value, little) == ITEM_TAG):
            state[NEEDED] = value + 4
            status = NEED_MORE if value + 4 > size else SEQUENCE
        else:
            position = value + length
    state[COUNT], state[POSITION], state[LEVEL] = count, position, level
    return status


@kernel
def _judge_room(data: Bytes, stack: Integers, state: Integers) -> int:
    """Decide what it means that no whole header is left: the end, too short a head, or damage."""
    level = state[LEVEL]
    position = state[POSITION]
    limit = stack[level, LIMIT]
    size = data.shape[0]
    if position + 8 > limit and level == 0:
        # Fewer than eight bytes are no element: they are the trailer. The last value must be in hand.
        state[NEEDED] = position
        return NEED_MORE if position > size else DONE
    header = 8 if position + 8 > min(limit, size) else 12
    state[NEEDED] = position + header
    return HEADER_OVERRUN if position + header > limit else NEED_MORE


@kernel
def _judge_no_element(data: Bytes, table: Integers, state: Integers) -> int:
    """Decide whether bytes that are no element are a trailer (DONE) or damage.

    Zeros to the end are padding. Otherwise only an object that is no image may end in what is no element: an image
    whose walk breaks off before its pixel element is damaged, and to end there would hide its pixels.
    """
    count = state[COUNT]
    position = state[POSITION]
    if state[LEVEL] > 0 or count == 0:
        return BAD_VR
    if data[position] == 0 and data[position + 1] == 0:
        for index in range(position, data.shape[0]):
            if data[index] != 0:
                return BAD_GROUP
        return DONE if data.shape[0] == state[TOTAL] else NEED_MORE
    for row in range(count):
        if table[TAG, row] == ROWS_TAG and table[DEPTH, row] == 0:
            return BAD_VR
    return DONE


@kernel
def _take_delimiter(data: Bytes, table: Integers, stack: Integers, state: Integers) -> int:
    """Open an item, or end an item or a sequence by its delimiter.

    Some writers end an item or a sequence of defined length with a delimiter too, and count it in the length.
    """
    level = state[LEVEL]
    position = state[POSITION]
    little = stack[level, LITTLE] == 1
    tag = np.int64(read_tag(data, position, little))
    behind = position + 8
    if stack[level, ITEM_END] != OUTSIDE:
        if level == 0 or tag != ITEM_DELIMITER or stack[level, ITEM_END] not in (UNDEFINED, behind):
            return STRAY_DELIMITER
        stack[level, ITEM_END] = OUTSIDE
        stack[level, LIMIT] = stack[level, BOUND]
        state[POSITION] = behind
        return ONWARD
    if tag == SEQUENCE_DELIMITER:
        if stack[level, SEQUENCE_END] not in (UNDEFINED, behind):
            return STRAY_DELIMITER
        state[LEVEL] = level - 1
        state[POSITION] = behind
        return ONWARD
    if tag != ITEM_TAG:
        return NOT_AN_ITEM
    return _open_item(data, table, stack, state)


@kernel
def _open_item(data: Bytes, table: Integers, stack: Integers, state: Integers) -> int:
    """Open the item whose header lies here."""
    level = state[LEVEL]
    begin = state[POSITION] + 8
    bound = stack[level, BOUND]
    length = np.int64(read_length(data, begin - 4, stack[level, LITTLE] == 1))
    end = bound if length == UNDEFINED else begin + length
    if end > bound:
        state[NEEDED] = end
        return VALUE_OVERRUN
    explicit = _item_encoding(data, begin, end, stack, level)
    if explicit < 0:
        state[NEEDED] = min(max(begin, data.shape[0]) + 65536, state[TOTAL])
        return NEED_MORE
    stack[level, LIMIT] = end
    stack[level, ITEM_END] = UNDEFINED if length == UNDEFINED else end
    stack[level, EXPLICIT] = explicit
    stack[level, INDEX] += 1
    table[ITEM_COUNT, stack[level, ROW]] += 1
    state[POSITION] = begin
    return ONWARD


@kernel
def _item_encoding(data: Bytes, begin: int, end: int, stack: Integers, level: int) -> int:
    """1 if the elements of the item that begins here have a VR, 0 if not, -1 if data are missing.

    Implicit VR below a VR of UN is the rule (PS3.5 6.2.2), explicit VR there a mistake of some writers: it must be
    proven. Implicit VR below an explicit SQ is another: the bytes of a VR that are no letters show it.
    """
    explicit = stack[level - 1, EXPLICIT]
    if explicit == 0 or begin + 8 > end:
        return explicit
    little = stack[level, LITTLE] == 1
    if stack[level, KIND] == UNKNOWN_VR:
        return proves_explicit(data, begin, end, little)
    if begin + 8 > data.shape[0]:
        return -1
    return 1 if read_vr(data, begin + 4) != 0 or read_u16(data, begin, little) == 0xFFFE else 0


@kernel
def _enter_undefined(data: Bytes, table: Integers, stack: Integers, state: Integers) -> int:
    """Open the last row's sequence of undefined length, or go behind its encapsulated frames."""
    row = state[COUNT] - 1
    level = state[LEVEL]
    vr = table[VR, row]
    if table[TAG, row] == PIXEL_DATA or vr >> 8 == 0x4F:  # Pixel Data; OB, OW and their like.
        little = stack[level, LITTLE] == 1
        status = skip_fragments_into(data, table[OFFSET, row], stack[level, LIMIT], little, state)
        if status == DONE or (status == UNDELIMITED and level == 0):
            return ONWARD
        return HEADER_OVERRUN if status == UNDELIMITED else status
    if vr in (0, VR_SQ):
        return _open_sequence(CERTAIN, table, stack, state)
    return _open_sequence(UNKNOWN_VR, table, stack, state) if vr == VR_UN else BAD_LENGTH


@kernel
def _open_sequence(kind: int, table: Integers, stack: Integers, state: Integers) -> int:
    """Push the sequence that is the value of the last row."""
    row = state[COUNT] - 1
    parent = state[LEVEL]
    level = parent + 1
    if level >= stack.shape[0]:
        return TOO_DEEP
    value = table[OFFSET, row]
    length = table[LENGTH, row]
    bound = stack[parent, LIMIT] if length == UNDEFINED else value + length
    stack[level, LIMIT] = bound
    stack[level, BOUND] = bound
    stack[level, SEQUENCE_END] = UNDEFINED if length == UNDEFINED else bound
    stack[level, ITEM_END] = OUTSIDE
    stack[level, ROW] = row
    stack[level, EXPLICIT] = stack[parent, EXPLICIT]
    stack[level, KIND] = kind
    stack[level, INDEX] = -1
    stack[level, LITTLE] = 1 if kind == UNKNOWN_VR else stack[parent, LITTLE]
    table[ITEM_COUNT, row] = 0
    state[LEVEL] = level
    state[POSITION] = value
    return ONWARD


@kernel
def _take_back(table: Integers, stack: Integers, state: Integers) -> bool:
    """Turn the innermost provisional sequence back into a value and go behind it (W3); False if there is none."""
    level = state[LEVEL]
    while level > 0 and stack[level, KIND] != PROVISIONAL:
        level -= 1
    if level == 0:
        return False
    row = stack[level, ROW]
    table[ITEM_COUNT, row] = -1
    state[COUNT] = row + 1
    state[POSITION] = stack[level, SEQUENCE_END]
    state[LEVEL] = level - 1
    return True
