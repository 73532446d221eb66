"""Finding the end of the File Meta Information, in bytes nobody has checked."""

# mypy: disable-error-code="no-any-return, untyped-decorator, return-value"
# Reason: Numba types kernels, by their arguments; to mypy a NumPy scalar is no int, and ``kernel`` returns Any.

from __future__ import annotations

import numpy as np

from pacscore.kernels._compile import kernel
from pacscore.kernels.unchecked_bytes import (
    BAD_LENGTH,
    DONE,
    HEADER_OVERRUN,
    NEED_MORE,
    NEEDED,
    POSITION,
    SHORT_HEADER,
    UNDEFINED,
    VALUE_OVERRUN,
    Bytes,
    Integers,
    read_header,
    read_tag,
    read_u16,
    read_vr,
)


@kernel
def read_meta_into(data: Bytes, start: int, total: int, found: Integers, state: Integers) -> int:
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
