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
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel

# Status of a walk. Below zero: the bytes are wrong there.
DONE = 0
NEED_MORE = 1
TABLE_FULL = 2
TOO_DEEP = 3
UNDELIMITED = 4  # Fragments that run to the end of the data without the Sequence Delimitation Item.
ONWARD = 5
HEADER_OVERRUN = -1
VALUE_OVERRUN = -2
BAD_VR = -3
NOT_AN_ITEM = -4
STRAY_DELIMITER = -5
BAD_LENGTH = -6
BAD_GROUP = -7

# What makes _run hand over to a slower function.
NO_ROOM, NO_ELEMENT, DELIMITER, SEQUENCE, UNDEFINED_VALUE = 11, 12, 13, 14, 15

# Rows of the table of elements, (7, capacity) int64.
TAG, VR, OFFSET, LENGTH, DEPTH, ITEM, ITEM_COUNT = 0, 1, 2, 3, 4, 5, 6

# Columns of the stack, (depth_max + 1, 9) int64: one row per open sequence, row 0 for the data set itself.
# BOUND is what nothing in the sequence may pass, LIMIT the same for what is open now: the sequence or its item.
LIMIT, BOUND, SEQUENCE_END, ITEM_END, ROW, EXPLICIT, KIND, INDEX, LITTLE = 0, 1, 2, 3, 4, 5, 6, 7, 8
OUTSIDE = -2  # ITEM_END between two items.
UNDEFINED = -1  # A length of FFFFFFFFH, and the end that follows from it.
CERTAIN, PROVISIONAL, UNKNOWN_VR = 0, 1, 2  # KIND: by its VR or length; W3; UN of undefined length.

# Entries of the state, (5,) int64.
COUNT, POSITION, NEEDED, LEVEL, TOTAL = 0, 1, 2, 3, 4

ITEM_TAG = 0xFFFEE000
ITEM_DELIMITER = 0xFFFEE00D
SEQUENCE_DELIMITER = 0xFFFEE0DD
ROWS_TAG = 0x00280010
FLOAT_PIXEL_DATA = 0x7FE00008
DOUBLE_FLOAT_PIXEL_DATA = 0x7FE00009
PIXEL_DATA = 0x7FE00010

VR_SQ = 0x5351
VR_UN = 0x554E

# Results of read_header in place of the header's length.
SHORT_HEADER = 0
NO_VR = -1


@kernel(inline=True)
def read_u16(data: NDArray[np.uint8], position: int, little: bool) -> int:
    """The unsigned 16-bit number at ``position``, whose two bytes the caller has found inside."""
    first = np.int64(data[position])
    second = np.int64(data[position + 1])
    return first | second << 8 if little else first << 8 | second


@kernel(inline=True)
def read_u32(data: NDArray[np.uint8], position: int, little: bool) -> int:
    """The unsigned 32-bit number at ``position``, whose four bytes the caller has found inside."""
    low = np.int64(read_u16(data, position, little))
    high = np.int64(read_u16(data, position + 2, little))
    return low | high << 16 if little else low << 16 | high


@kernel(inline=True)
def read_length(data: NDArray[np.uint8], position: int, little: bool) -> int:
    """A 32-bit value length, -1 for FFFFFFFFH (PS3.5 7.1.1)."""
    length = np.int64(read_u32(data, position, little))
    return np.int64(-1) if length == 0xFFFFFFFF else length


@kernel(inline=True)
def read_tag(data: NDArray[np.uint8], position: int, little: bool) -> int:
    """The tag at ``position``: group in the high half, whatever the byte order."""
    group = np.int64(read_u16(data, position, little))
    element = np.int64(read_u16(data, position + 2, little))
    return group << 16 | element


@kernel(inline=True)
def read_vr(data: NDArray[np.uint8], position: int) -> int:
    """The VR at ``position``, 0 unless it is two upper-case letters, as every VR is (PS3.5 6.2)."""
    first = np.int64(data[position])
    second = np.int64(data[position + 1])
    return first << 8 | second if 65 <= first <= 90 and 65 <= second <= 90 else np.int64(0)


@kernel(inline=True)
def has_long_length(vr: int) -> bool:
    """Whether a VR's length has 32 bits behind two reserved bytes (PS3.5 Table 7.1-1)."""
    first = vr >> 8
    second = vr & 0xFF
    if first == 0x4F:  # O: OB OD OF OL OV OW
        return second in (0x42, 0x44, 0x46, 0x4C, 0x56, 0x57)
    if first == 0x55:  # U: UC UN UR UT UV, but neither UI nor UL nor US
        return second in (0x43, 0x4E, 0x52, 0x54, 0x56)
    return vr in (VR_SQ, 0x5356)  # SQ SV


@kernel
def is_known_vr(vr: int) -> bool:
    """Whether PS3.5 6.2 knows the VR."""
    if has_long_length(vr):
        return True
    first = vr >> 8
    second = vr & 0xFF
    if first == 0x41:  # AE AS AT
        return second in (0x45, 0x53, 0x54)
    if first == 0x44:  # DA DS DT
        return second in (0x41, 0x53, 0x54)
    if first == 0x53:  # SH SL SS ST
        return second in (0x48, 0x4C, 0x53, 0x54)
    if first == 0x55:  # UI UL US
        return second in (0x49, 0x4C, 0x53)
    return vr in (0x4353, 0x464C, 0x4644, 0x4953, 0x4C4F, 0x4C54, 0x504E, 0x544D)  # CS FL FD IS LO LT PN TM


@kernel
def read_header(data: NDArray[np.uint8], position: int, end: int, explicit: bool, little: bool) -> tuple[int, int, int]:
    """VR, length and header size of the element at ``position``; at least 8 bytes lie before ``end``.

    The size is SHORT_HEADER where a header of 12 bytes passes ``end`` and NO_VR where the VR is not two letters.
    A VR unknown to PS3.5 has a 16-bit length: those of today that have 32 bits are all known, and writers of older
    private VRs had no other form.
    """
    if not explicit:
        return np.int64(0), np.int64(read_length(data, position + 4, little)), np.int64(8)
    vr = np.int64(read_vr(data, position + 4))
    if vr == 0:
        return vr, np.int64(0), np.int64(NO_VR)
    if not has_long_length(vr):
        return vr, np.int64(read_u16(data, position + 6, little)), np.int64(8)
    if position + 12 > end:
        return vr, np.int64(0), np.int64(SHORT_HEADER)
    return vr, np.int64(read_length(data, position + 8, little)), np.int64(12)


@kernel
def proves_explicit(data: NDArray[np.uint8], position: int, limit: int, little: bool) -> int:
    """Whether explicit VR is the only sound reading of the element at ``position``: 1, 0, or -1 if data are missing.

    Sound: a known VR, a value inside ``limit``, and behind it the end, a delimiter, or a greater tag with a VR.
    """
    size = data.shape[0]
    if position + 8 > limit:
        return 0
    if position + 12 > size and limit > size:
        return -1
    tag = np.int64(read_tag(data, position, little))
    vr, length, header = read_header(data, position, min(limit, size), True, little)
    if header <= 0 or tag >> 16 == 0xFFFE or not is_known_vr(vr):
        return 0
    following = position + header + max(length, np.int64(0))
    if following == limit:
        return 1
    if following + 8 > limit:
        return 0
    if following + 8 > size:
        return -1
    after = np.int64(read_tag(data, following, little))
    if length == UNDEFINED:
        return 1 if after in (ITEM_TAG, SEQUENCE_DELIMITER) else 0
    if after in (ITEM_DELIMITER, SEQUENCE_DELIMITER):
        return 1
    return 1 if after > tag and read_vr(data, following + 4) != 0 else 0


@kernel
def skip_fragments_into(data: NDArray[np.uint8], start: int, limit: int, little: bool, state: NDArray[np.int64]) -> int:
    """Go from the first item of an encapsulated value to behind its Sequence Delimitation Item (PS3.5 A.4).

    data : (size,) uint8
    state : (5,) int64; POSITION gets the end, or the offset of what is wrong; NEEDED the bytes wanted on NEED_MORE

    A value that simply stops where the data do ends there: UNDELIMITED.
    """
    position = np.int64(start)
    while True:
        state[POSITION] = position
        if position + 8 > limit:
            return UNDELIMITED
        if position + 8 > data.shape[0]:
            state[NEEDED] = position + 8
            return NEED_MORE
        tag = np.int64(read_tag(data, position, little))
        length = np.int64(read_length(data, position + 4, little))
        if tag == SEQUENCE_DELIMITER:
            state[POSITION] = position + 8
            return DONE
        if tag != ITEM_TAG:
            return NOT_AN_ITEM
        if length == UNDEFINED:
            return BAD_LENGTH
        if position + 8 + length > limit:
            state[NEEDED] = position + 8 + length
            return VALUE_OVERRUN
        position += 8 + length


@kernel
def walk_into(  # noqa: PLR0917  # A compiled function has no keyword-only arguments.
    data: NDArray[np.uint8],
    start: int,
    total: int,
    explicit: bool,
    little: bool,
    stop_at_pixels: bool,
    table: NDArray[np.int64],
    stack: NDArray[np.int64],
    state: NDArray[np.int64],
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
def _run(
    data: NDArray[np.uint8],
    stop_at_pixels: bool,
    table: NDArray[np.int64],
    stack: NDArray[np.int64],
    state: NDArray[np.int64],
) -> int:
    """Read elements, and close what ends, until something comes that needs a second look.

    This is the loop that takes the time. It calls no helper that branches on an array: Numba would count references
    in each, which was measured to cost six times the work itself.
    """
    size = data.shape[0]
    count = state[COUNT]
    position = state[POSITION]
    level = state[LEVEL]
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
    state[COUNT] = count
    state[POSITION] = position
    state[LEVEL] = level
    return status


@kernel
def _judge_room(data: NDArray[np.uint8], stack: NDArray[np.int64], state: NDArray[np.int64]) -> int:
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
def _judge_no_element(data: NDArray[np.uint8], table: NDArray[np.int64], state: NDArray[np.int64]) -> int:
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
        return DONE
    for row in range(count):
        if table[TAG, row] == ROWS_TAG and table[DEPTH, row] == 0:
            return BAD_VR
    return DONE


@kernel
def _take_delimiter(
    data: NDArray[np.uint8], table: NDArray[np.int64], stack: NDArray[np.int64], state: NDArray[np.int64]
) -> int:
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
def _open_item(
    data: NDArray[np.uint8], table: NDArray[np.int64], stack: NDArray[np.int64], state: NDArray[np.int64]
) -> int:
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
def _item_encoding(data: NDArray[np.uint8], begin: int, end: int, stack: NDArray[np.int64], level: int) -> int:
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
def _enter_undefined(
    data: NDArray[np.uint8], table: NDArray[np.int64], stack: NDArray[np.int64], state: NDArray[np.int64]
) -> int:
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
def _open_sequence(kind: int, table: NDArray[np.int64], stack: NDArray[np.int64], state: NDArray[np.int64]) -> int:
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
def _take_back(table: NDArray[np.int64], stack: NDArray[np.int64], state: NDArray[np.int64]) -> bool:
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


@kernel
def read_meta_into(
    data: NDArray[np.uint8], start: int, total: int, found: NDArray[np.int64], state: NDArray[np.int64]
) -> int:
    """Find the end of the File Meta Information, and the values of its elements 0002, 0003 and 0010.

    data : (size,) uint8
    start, total : offset of the first meta element; size of the whole, of which ``data`` may be a head
    found : (3, 2) int64; offset and length of Media Storage SOP Class UID, Media Storage SOP Instance UID and
        Transfer Syntax UID, (-1, 0) for one that is absent
    state : (5,) int64; POSITION gets the end, or the offset of what is wrong

    PS3.10 7.1: explicit VR little endian. The group length is not believed, as writers get it wrong or leave it out:
    the meta information ends with its last element of group 0002. Elements without a VR are read as implicit.
    """
    size = data.shape[0]
    position = np.int64(start)
    found[:, 0] = -1
    found[:, 1] = 0
    while True:
        state[POSITION] = position
        if position + 8 > total:
            return DONE
        if position + 8 > size:
            state[NEEDED] = position + 8
            return NEED_MORE
        if read_u16(data, position, True) != 2:
            return DONE
        tag = np.int64(read_tag(data, position, True))
        explicit = read_vr(data, position + 4) != 0
        _, length, header = read_header(data, position, min(total, size), explicit, True)
        if header == SHORT_HEADER and position + 12 <= total:
            state[NEEDED] = position + 12
            return NEED_MORE
        if header == SHORT_HEADER:
            return HEADER_OVERRUN
        if length == UNDEFINED:
            return BAD_LENGTH
        value = position + header
        state[NEEDED] = value + length
        if value + length > total:
            return VALUE_OVERRUN
        if value + length > size:
            return NEED_MORE
        which = 0 if tag == 0x00020002 else 1 if tag == 0x00020003 else 2 if tag == 0x00020010 else -1
        if which >= 0:
            found[which, 0] = value
            found[which, 1] = length
        position = value + length


@kernel
def find_rows_into(
    tags: NDArray[np.uint32], depths: NDArray[np.int16], wanted: NDArray[np.uint32], rows: NDArray[np.int64]
) -> None:
    """Write the first row at depth 0 of each wanted tag, -1 where there is none.

    tags, depths : (count,) columns of an element table
    wanted, rows : (n,), n small
    """
    for index in range(wanted.shape[0]):
        rows[index] = -1
        for row in range(tags.shape[0]):
            if tags[row] == wanted[index] and depths[row] == 0:
                rows[index] = row
                break
