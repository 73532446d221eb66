"""What all kernels over bytes nobody has checked share: reading numbers, tags and headers, and saying how it went.

The readers of numbers trust their caller to have compared the position with the end; ``read_header`` and
``proves_explicit`` compare for themselves.
"""

# mypy: disable-error-code="no-any-return, untyped-decorator, return-value"
# Reason: Numba types kernels, by their arguments; to mypy a NumPy scalar is no int, and ``kernel`` returns Any.

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel

Bytes: TypeAlias = NDArray[np.uint8]  # One-dimensional.
Integers: TypeAlias = NDArray[np.int64]

# How it went. Below zero: the bytes are wrong there.
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

# Entries of the state, (5,) int64.
COUNT, POSITION, NEEDED, LEVEL, TOTAL = 0, 1, 2, 3, 4

UNDEFINED = -1  # A length of FFFFFFFFH (PS3.5 7.1.1).

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
def read_u16(data: Bytes, position: int, little: bool) -> int:
    """The unsigned 16-bit number at ``position``, whose two bytes the caller has found inside."""
    first = np.int64(data[position])
    second = np.int64(data[position + 1])
    return first | second << 8 if little else first << 8 | second


@kernel(inline=True)
def read_u32(data: Bytes, position: int, little: bool) -> int:
    """The unsigned 32-bit number at ``position``, whose four bytes the caller has found inside."""
    low = np.int64(read_u16(data, position, little))
    high = np.int64(read_u16(data, position + 2, little))
    return low | high << 16 if little else low << 16 | high


@kernel(inline=True)
def read_length(data: Bytes, position: int, little: bool) -> int:
    """A 32-bit value length, -1 for FFFFFFFFH (PS3.5 7.1.1)."""
    length = np.int64(read_u32(data, position, little))
    return np.int64(-1) if length == 0xFFFFFFFF else length


@kernel(inline=True)
def read_tag(data: Bytes, position: int, little: bool) -> int:
    """The tag at ``position``: group in the high half, whatever the byte order."""
    group = np.int64(read_u16(data, position, little))
    element = np.int64(read_u16(data, position + 2, little))
    return group << 16 | element


@kernel(inline=True)
def read_vr(data: Bytes, position: int) -> int:
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
def read_header(data: Bytes, position: int, end: int, explicit: bool, little: bool) -> tuple[int, int, int]:
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
def proves_explicit(data: Bytes, position: int, limit: int, little: bool) -> int:
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
