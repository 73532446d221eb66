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
ONWARD = 1
DONE = 0
NEED_MORE = 2
TABLE_FULL = 3
TOO_DEEP = 4
UNDELIMITED = 5  # Fragments that run to the end of the data without the Sequence Delimitation Item.
HEADER_OVERRUN = -1
VALUE_OVERRUN = -2
BAD_VR = -3
NOT_AN_ITEM = -4
STRAY_DELIMITER = -5
BAD_LENGTH = -6
BAD_GROUP = -7

# Rows of the table of elements, (7, capacity) int64.
TAG, VR, OFFSET, LENGTH, DEPTH, ITEM, ITEM_COUNT = 0, 1, 2, 3, 4, 5, 6

# Columns of the stack, (depth_max + 1, 8) int64: one row per open sequence, row 0 for the data set itself.
LIMIT, SEQUENCE_END, ITEM_END, ROW, EXPLICIT, KIND, INDEX, LITTLE = 0, 1, 2, 3, 4, 5, 6, 7
OUTSIDE = -2  # ITEM_END between two items.
UNDEFINED = -1  # A length of FFFFFFFFH, and the end that follows from it.
CERTAIN, PROVISIONAL, UNKNOWN_VR = 0, 1, 2  # KIND: by its VR or length; W3; UN of undefined length.

# Entries of the state, (6,) int64.
COUNT, POSITION, NEEDED, LEVEL, IMAGE, TOTAL = 0, 1, 2, 3, 4, 5

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
    if little:
        return np.int64(data[position]) | np.int64(data[position + 1]) << 8
    return np.int64(data[position]) << 8 | np.int64(data[position + 1])


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
    return group << 16 | np.int64(read_u16(data, position + 2, little))


@kernel(inline=True)
def are_letters(data: NDArray[np.uint8], position: int) -> bool:
    """Whether the two bytes at ``position`` are upper-case letters, as every VR is (PS3.5 6.2)."""
    return 65 <= data[position] <= 90 and 65 <= data[position + 1] <= 90


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
def read_header(
    data: NDArray[np.uint8], position: int, end: int, explicit: bool, little: bool
) -> tuple[int, int, int, int]:
    """Tag, VR, length and header size of the element at ``position``; at least 8 bytes lie before ``end``.

    The size is SHORT_HEADER where a header of 12 bytes passes ``end`` and NO_VR where the VR is not two letters.
    A VR unknown to PS3.5 has a 16-bit length: those of today that have 32 bits are all known, and writers of older
    private VRs had no other form.
    """
    tag = np.int64(read_tag(data, position, little))
    if not explicit or tag >> 16 == 0xFFFE:
        return tag, np.int64(0), np.int64(read_length(data, position + 4, little)), np.int64(8)
    if not are_letters(data, position + 4):
        return tag, np.int64(0), np.int64(0), np.int64(NO_VR)
    vr = np.int64(data[position + 4]) << 8 | np.int64(data[position + 5])
    if not has_long_length(vr):
        return tag, vr, np.int64(read_u16(data, position + 6, little)), np.int64(8)
    if position + 12 > end:
        return tag, vr, np.int64(0), np.int64(SHORT_HEADER)
    return tag, vr, np.int64(read_length(data, position + 8, little)), np.int64(12)


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
    tag, vr, length, header = read_header(data, position, min(limit, size), True, little)
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
    return 1 if after > tag and are_letters(data, following + 4) else 0


@kernel
def skip_fragments_into(data: NDArray[np.uint8], start: int, limit: int, little: bool, state: NDArray[np.int64]) -> int:
    """Go from the first item of an encapsulated value to behind its Sequence Delimitation Item (PS3.5 A.4).

    data : (size,) uint8
    state : (6,) int64; POSITION gets the end, or the offset of what is wrong; NEEDED the bytes wanted on NEED_MORE

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
    stack : (depth_max + 1, 8) int64 scratch
    state : (6,) int64; COUNT and POSITION are the rows written and the offset reached, or that of what is wrong

    PS3.5 7.1 (elements), 7.5 (sequences), 6.2.2 (UN of undefined length is implicit VR little endian).
    """
    state[COUNT] = 0
    state[POSITION] = start
    state[NEEDED] = total
    state[LEVEL] = 0
    state[IMAGE] = 0
    state[TOTAL] = total
    stack[0, LIMIT] = total
    stack[0, ITEM_END] = total
    stack[0, SEQUENCE_END] = total
    stack[0, EXPLICIT] = 1 if explicit else 0
    stack[0, LITTLE] = 1 if little else 0
    stack[0, KIND] = CERTAIN
    stack[0, INDEX] = 0
    while True:
        status = _step(data, stop_at_pixels, table, stack, state)
        if status == ONWARD:
            continue
        if status < 0 and _take_back(table, stack, state):
            continue
        return status


@kernel
def _step(
    data: NDArray[np.uint8],
    stop_at_pixels: bool,
    table: NDArray[np.int64],
    stack: NDArray[np.int64],
    state: NDArray[np.int64],
) -> int:
    """Close what ends here, or read one item or element header."""
    level = state[LEVEL]
    position = state[POSITION]
    between_items = stack[level, ITEM_END] == OUTSIDE
    if level > 0 and position == stack[level, SEQUENCE_END if between_items else ITEM_END]:
        if between_items:
            state[LEVEL] = level - 1
        else:
            _close_item(stack, level)
        return ONWARD
    limit = stack[level, LIMIT]
    size = data.shape[0]
    if position + 8 > limit:
        if level > 0:
            return HEADER_OVERRUN
        # Fewer than eight bytes are no element: they are the trailer. The last value must be in hand.
        state[NEEDED] = position
        return NEED_MORE if position > size else DONE
    if position + 8 > size:
        state[NEEDED] = position + 8
        return NEED_MORE
    if between_items:
        return _open_item(data, table, stack, state)
    return _read_element(data, stop_at_pixels, table, stack, state)


@kernel(inline=True)
def _close_item(stack: NDArray[np.int64], level: int) -> None:
    """Go back between items: the bound is the sequence's own, or its parent's."""
    stack[level, ITEM_END] = OUTSIDE
    ending = stack[level, SEQUENCE_END]
    stack[level, LIMIT] = stack[level - 1, LIMIT] if ending == UNDEFINED else ending


@kernel
def _open_item(
    data: NDArray[np.uint8], table: NDArray[np.int64], stack: NDArray[np.int64], state: NDArray[np.int64]
) -> int:
    """Read an item's header, or the delimiter that ends its sequence."""
    level = state[LEVEL]
    position = state[POSITION]
    limit = stack[level, LIMIT]
    little = stack[level, LITTLE] == 1
    tag = np.int64(read_tag(data, position, little))
    length = np.int64(read_length(data, position + 4, little))
    if tag == SEQUENCE_DELIMITER:
        # Some writers end a sequence of defined length with a delimiter too, and count it.
        if stack[level, SEQUENCE_END] != UNDEFINED and stack[level, SEQUENCE_END] != position + 8:
            return STRAY_DELIMITER
        state[POSITION] = position + 8
        state[LEVEL] = level - 1
        return ONWARD
    if tag != ITEM_TAG:
        return NOT_AN_ITEM
    begin = position + 8
    if length != UNDEFINED and begin + length > limit:
        state[NEEDED] = begin + length
        return VALUE_OVERRUN
    end = begin + length if length != UNDEFINED else limit
    explicit = _item_encoding(data, begin, end, stack, level)
    if explicit < 0:
        state[NEEDED] = min(max(begin, data.shape[0]) + 65536, state[TOTAL])
        return NEED_MORE
    stack[level, EXPLICIT] = explicit
    stack[level, LIMIT] = end
    stack[level, ITEM_END] = UNDEFINED if length == UNDEFINED else end
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
    parent_explicit = stack[level - 1, EXPLICIT] == 1
    if not parent_explicit or begin + 8 > end:
        return 1 if parent_explicit else 0
    little = stack[level, LITTLE] == 1
    if stack[level, KIND] == UNKNOWN_VR:
        return proves_explicit(data, begin, end, little)
    if begin + 8 > data.shape[0]:
        return -1
    return 1 if are_letters(data, begin + 4) or read_u16(data, begin, little) == 0xFFFE else 0


@kernel
def _read_element(
    data: NDArray[np.uint8],
    stop_at_pixels: bool,
    table: NDArray[np.int64],
    stack: NDArray[np.int64],
    state: NDArray[np.int64],
) -> int:
    """Read an element's header, write its row, and enter or pass its value."""
    level = state[LEVEL]
    position = state[POSITION]
    limit = stack[level, LIMIT]
    little = stack[level, LITTLE] == 1
    size = data.shape[0]
    tag, vr, length, header = read_header(data, position, min(limit, size), stack[level, EXPLICIT] == 1, little)
    if header <= 0:
        if header == SHORT_HEADER and position + 12 <= limit:
            state[NEEDED] = position + 12
            return NEED_MORE
        if header == SHORT_HEADER:
            return HEADER_OVERRUN
        return _judge_no_vr(data, tag, state)
    if tag >> 16 == 0xFFFE:
        return _end_item(tag, stack, state)
    if level == 0 and tag >> 16 == 0:
        return _judge_no_vr(data, tag, state)
    count = state[COUNT]
    if count >= table.shape[1]:
        return TABLE_FULL
    value = position + header
    table[TAG, count] = tag
    table[VR, count] = vr
    table[OFFSET, count] = value
    table[LENGTH, count] = length
    table[DEPTH, count] = level
    table[ITEM, count] = stack[level, INDEX]
    table[ITEM_COUNT, count] = -1
    state[COUNT] = count + 1
    if level == 0 and tag == ROWS_TAG:
        state[IMAGE] = 1
    if level == 0 and stop_at_pixels and tag in (FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA, PIXEL_DATA):
        state[POSITION] = value
        return DONE
    return _enter_value(data, table, stack, state)


@kernel
def _judge_no_vr(data: NDArray[np.uint8], tag: int, state: NDArray[np.int64]) -> int:
    """Decide whether bytes that are no element are a trailer (DONE) or damage.

    Zeros to the end are padding. Otherwise only an object that is no image may end in what is no element: an image
    whose walk breaks off before its pixel element is damaged, and to end there would hide its pixels.
    """
    if state[LEVEL] > 0 or state[COUNT] == 0:
        return BAD_VR
    position = state[POSITION]
    if tag >> 16 == 0:
        for index in range(position, data.shape[0]):
            if data[index] != 0:
                return BAD_GROUP
        return DONE
    return BAD_VR if state[IMAGE] == 1 else DONE


@kernel(inline=True)
def _end_item(tag: int, stack: NDArray[np.int64], state: NDArray[np.int64]) -> int:
    """Take an Item Delimitation Item, also one that ends an item of defined length and is counted in it."""
    level = state[LEVEL]
    behind = state[POSITION] + 8
    ending = stack[level, ITEM_END]
    if tag != ITEM_DELIMITER or level == 0 or ending not in (UNDEFINED, behind):
        return STRAY_DELIMITER
    state[POSITION] = behind
    _close_item(stack, level)
    return ONWARD


@kernel
def _enter_value(
    data: NDArray[np.uint8],
    table: NDArray[np.int64],
    stack: NDArray[np.int64],
    state: NDArray[np.int64],
) -> int:
    """Open the sequence that is the value of the last row, or go behind a plain value or encapsulated frames."""
    level = state[LEVEL]
    limit = stack[level, LIMIT]
    little = stack[level, LITTLE] == 1
    row = state[COUNT] - 1
    vr = table[VR, row]
    value = table[OFFSET, row]
    length = table[LENGTH, row]
    if length == UNDEFINED:
        if table[TAG, row] == PIXEL_DATA or (vr >> 8 == 0x4F and has_long_length(vr)):
            status = skip_fragments_into(data, value, limit, little, state)
            if status == DONE or (status == UNDELIMITED and level == 0):
                return ONWARD
            return HEADER_OVERRUN if status == UNDELIMITED else status
        if vr not in (0, VR_SQ, VR_UN):
            return BAD_LENGTH
        return _open_sequence(UNKNOWN_VR if vr == VR_UN else CERTAIN, table, stack, state)
    end = value + length
    if end > limit:
        state[NEEDED] = end
        return VALUE_OVERRUN
    if vr == VR_SQ:
        return _open_sequence(CERTAIN, table, stack, state)
    if vr == 0 and length >= 8:
        if value + 4 > data.shape[0]:
            state[NEEDED] = value + 4
            return NEED_MORE
        if read_tag(data, value, little) == ITEM_TAG:
            return _open_sequence(PROVISIONAL, table, stack, state)
    state[POSITION] = end
    return ONWARD


@kernel
def _open_sequence(kind: int, table: NDArray[np.int64], stack: NDArray[np.int64], state: NDArray[np.int64]) -> int:
    """Push the sequence of the last row."""
    row = state[COUNT] - 1
    level = state[LEVEL] + 1
    if level >= stack.shape[0]:
        return TOO_DEEP
    value = table[OFFSET, row]
    length = table[LENGTH, row]
    stack[level, SEQUENCE_END] = UNDEFINED if length == UNDEFINED else value + length
    stack[level, ROW] = row
    stack[level, KIND] = kind
    stack[level, INDEX] = -1
    stack[level, EXPLICIT] = stack[level - 1, EXPLICIT]
    stack[level, LITTLE] = 1 if kind == UNKNOWN_VR else stack[level - 1, LITTLE]
    _close_item(stack, level)
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
    state : (6,) int64; POSITION gets the end, or the offset of what is wrong

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
        explicit = are_letters(data, position + 4)
        tag, _, length, header = read_header(data, position, min(total, size), explicit, True)
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
