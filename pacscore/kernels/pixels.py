"""Kernels on pixel data: fragments of encapsulated values, unused bits, color.

The kernel that reads untrusted bytes (`list_fragments_into`) is its own border; the others rely on the checked
entries of ``dicom.pixels`` and ``dicom.colour``, which pin dtypes, contiguity and ranges. Arrays are read-only where
they are input, so that each kernel has one specialisation per word type.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels.unchecked_bytes import ITEM_TAG, SEQUENCE_DELIMITER, UNDEFINED, read_length, read_tag

DELIMITED = 0
"""The value ends with a sequence delimitation item, as PS3.5 A.4 asks."""
UNDELIMITED = 1
"""The bytes end behind the last whole item: some writers leave the delimiter out."""
ITEM_CUT = 2
"""An item is longer than what is left, or its own eight bytes are cut."""
NOT_AN_ITEM = 3
"""Something other than an item or the delimiter stands where an item must."""
ITEM_UNDEFINED = 4
"""An item of undefined length, which fragments must not have."""


@kernel
def list_fragments_into(
    value: NDArray[np.uint8], offsets: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[int, int, int]:
    """List the items of an encapsulated pixel value, the offset table's included.

    value : (bytes,) uint8, C order, from the first item's tag on; untrusted
    offsets, lengths : (n,) int64, the items' values from the start of ``value``; what does not fit is only counted

    Returns items found, status, and the position where the walk ended (status 0: just behind the delimiter).
    PS3.5 A.4 and 7.5: tag and length are little endian, 4 bytes each, under every transfer syntax.
    """
    size = value.shape[0]
    room = min(offsets.shape[0], lengths.shape[0])
    position = 0
    count = 0
    while position < size:
        if size - position < 8:
            return count, ITEM_CUT, position
        tag = int(read_tag(value, position, True))
        length = int(read_length(value, position + 4, True))
        if tag == SEQUENCE_DELIMITER:
            return count, DELIMITED, position + 8
        if tag != ITEM_TAG:
            return count, NOT_AN_ITEM, position
        if length == UNDEFINED:
            return count, ITEM_UNDEFINED, position
        if length > size - position - 8:  # Both sides are below 2**63: no sum can wrap.
            return count, ITEM_CUT, position
        if count < room:
            offsets[count] = position + 8
            lengths[count] = length
        count += 1
        position += 8 + length
    return count, UNDELIMITED, position


@kernel
def extract_bits_into(words: NDArray[np.int64], shift: int, mask: int, sign: int, out: NDArray[np.int64]) -> None:
    """Take the stored bits out of each word and extend their sign.

    words : (n,) any integer type, C order
    shift : lowest stored bit; mask : 2**bits - 1; sign : the value of the sign bit, 0 for unsigned samples
    out : (n,) same type; may be ``words`` itself, must not overlap it otherwise

    PS3.5 8.1.1: Bits Stored, High Bit. ``(x ^ s) - s`` extends sign bit s, and changes nothing when s is 0.
    """
    for i in range(words.shape[0]):
        x = (np.int64(words[i]) >> shift) & mask
        out[i] = (x ^ sign) - sign


@kernel
def count_altered_words(words: NDArray[np.int64], shift: int, mask: int, sign: int) -> int:
    """Count the words that `extract_bits_into` would change; arguments as there."""
    count = 0
    for i in range(words.shape[0]):
        word = np.int64(words[i])
        x = (word >> shift) & mask
        count += ((x ^ sign) - sign) != word
    return count


@kernel
def count_outside_into(words: NDArray[np.int64], low: int, high: int, counts: NDArray[np.int64]) -> None:
    """Count the words outside a range, frame by frame.

    words : (frames, n) any integer type of at most 32 bits, C order, n at least 1
    low, high : the least and the largest word inside
    counts : (frames,) int64

    Least and largest come first: that pass runs on vectors at the speed of memory, and mostly ends it.
    """
    for frame in range(words.shape[0]):
        row = words[frame]
        least = row[0]
        largest = row[0]
        for i in range(row.shape[0]):
            least = min(least, row[i])
            largest = max(largest, row[i])
        counts[frame] = 0
        if np.int64(least) < low or np.int64(largest) > high:
            for i in range(row.shape[0]):
                word = np.int64(row[i])
                counts[frame] += (word < low) | (word > high)


@kernel
def ybr_full_to_rgb_into(ybr: NDArray[np.uint16], maximum: int, out: NDArray[np.uint16]) -> None:
    """Turn YBR_FULL samples into RGB.

    ybr, out : (pixels, 3) uint8 or uint16, C order; ``out`` may be ``ybr`` itself
    maximum : the largest sample value, 2**Bits Stored - 1

    The inverse of PS3.3 C.7.6.3.1.2 (ITU-R BT.601 weights 0.299, 0.587, 0.114; chroma zero at half the range),
    rounded to nearest with ties up, clamped to 0…maximum.
    """
    middle = np.float64((maximum + 1) // 2)
    top = np.float64(maximum)
    for i in range(ybr.shape[0]):
        y = np.float64(ybr[i, 0]) + 0.5
        cb = np.float64(ybr[i, 1]) - middle
        cr = np.float64(ybr[i, 2]) - middle
        red = np.floor(y + 1.402 * cr)
        green = np.floor(y - (0.114 * 1.772 / 0.587) * cb - (0.299 * 1.402 / 0.587) * cr)
        blue = np.floor(y + 1.772 * cb)
        out[i, 0] = np.int64(min(max(red, 0.0), top))
        out[i, 1] = np.int64(min(max(green, 0.0), top))
        out[i, 2] = np.int64(min(max(blue, 0.0), top))
