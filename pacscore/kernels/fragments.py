"""Walking the fragments of encapsulated pixel data, in bytes nobody has checked."""

# mypy: disable-error-code="no-any-return, untyped-decorator, return-value"
# Reason: Numba types kernels, by their arguments; to mypy a NumPy scalar is no int, and ``kernel`` returns Any.

from __future__ import annotations

import numpy as np

from pacscore.kernels._compile import kernel
from pacscore.kernels.unchecked_bytes import (
    BAD_LENGTH,
    DONE,
    ITEM_TAG,
    NEED_MORE,
    NEEDED,
    NOT_AN_ITEM,
    POSITION,
    SEQUENCE_DELIMITER,
    UNDEFINED,
    UNDELIMITED,
    VALUE_OVERRUN,
    Bytes,
    Integers,
    read_length,
    read_tag,
)


@kernel
def skip_fragments_into(data: Bytes, start: int, limit: int, little: bool, state: Integers) -> int:
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
