"""Which elements of one header another header repeats, byte for byte.

C1  Rows and bytes come from files: each span is compared with the length of its bytes before it is read.
C2  Nothing is decoded. What equal bytes mean can still differ, where one of the elements that steer the meaning of
    others does: then the kernel says so and judges nothing.
"""

# mypy: disable-error-code="no-any-return, untyped-decorator, return-value"
# Reason: Numba types kernels, by their arguments; to mypy a NumPy scalar is no int, and ``kernel`` returns Any.

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels.unchecked_bytes import has_long_length

STEERED = -1
"""An element that steers the meaning of others differs, or is there in one header only."""
UNORDERED = -2
"""The tags at depth 0 do not rise."""
OUT_OF_BOUNDS = -3
"""A value passes the end of the bytes."""


@kernel(inline=True)
def is_steering(tag: np.int64) -> bool:
    """Specific Character Set, Pixel Representation, and the private creators (gggg,0010-00FF), gggg odd."""
    element = tag & 0xFFFF
    return tag in (0x00080005, 0x00280103) or ((tag >> 16) & 1 == 1 and 0x10 <= element <= 0xFF)


@kernel(inline=True)
def is_pixel_data(tag: np.int64) -> bool:
    """Float, Double Float or Pixel Data, (7FE0,0008/0009/0010), whose value is no part of a header."""
    return tag in (0x7FE00008, 0x7FE00009, 0x7FE00010)


@kernel
def top_spans_into(  # noqa: PLR0917  # A compiled function has no keyword-only arguments.
    vrs: NDArray[np.int64],
    offsets: NDArray[np.int64],
    lengths: NDArray[np.int64],
    depths: NDArray[np.int64],
    end: int,
    rows: NDArray[np.int64],
    stops: NDArray[np.int64],
) -> int:
    """Write the rows at depth 0 and where their values end; return how many there are.

    vrs, offsets, lengths, depths : (n,) columns of an element table that ends at ``end``
    rows, stops : (n or more,) int64

    A sequence of undefined length ends where the next element's header begins, its delimiter included.
    """
    found = 0
    for row in range(vrs.shape[0]):
        if depths[row] != 0:
            continue
        if found > 0 and stops[found - 1] < 0:
            stops[found - 1] = offsets[row] - (12 if has_long_length(vrs[row]) else 8)  # PS3.5 7.1.2 and 7.1.3.
        rows[found] = row
        stops[found] = offsets[row] + lengths[row] if lengths[row] >= 0 else -1
        found += 1
    if found > 0 and stops[found - 1] < 0:
        stops[found - 1] = end
    return found


@kernel
def compare_headers_into(  # noqa: PLR0917  # A compiled function has no keyword-only arguments.
    first: NDArray[np.uint8],
    first_tags: NDArray[np.int64],
    first_vrs: NDArray[np.int64],
    first_spans: NDArray[np.int64],
    data: NDArray[np.uint8],
    tags: NDArray[np.int64],
    vrs: NDArray[np.int64],
    offsets: NDArray[np.int64],
    lengths: NDArray[np.int64],
    depths: NDArray[np.int64],
    end: int,
    constant: NDArray[np.uint8],
    scratch: NDArray[np.int64],
) -> int:
    """Clear ``constant`` where a header does not repeat an element of the first; list the rows the first lacks.

    first, first_tags, first_vrs, first_spans : bytes of the first header, its n top-level elements, rising by tag, and
        (n, 2) where their values start and stop
    data, tags, vrs, offsets, lengths, depths, end : bytes of the other header, its table of at most m rows
    constant : (n,) uint8; where it is 0 already nothing is compared
    scratch : (3, m) int64; the first row receives the rows that the first header lacks

    Returns how many rows these are, or STEERED, UNORDERED, OUT_OF_BOUNDS. One pass over both.
    """
    extra, rows, stops = scratch[0], scratch[1], scratch[2]
    count = top_spans_into(vrs, offsets, lengths, depths, end, rows, stops)
    known, extras = 0, 0
    previous = np.int64(-1)
    for index in range(count):
        row = rows[index]
        tag = tags[row]
        if np.int64(tag) <= previous:
            return UNORDERED
        previous = np.int64(tag)
        while known < first_tags.shape[0] and first_tags[known] < tag:
            if is_steering(first_tags[known]):
                return STEERED
            constant[known] = 0
            known += 1
        if known == first_tags.shape[0] or first_tags[known] != tag:
            if is_pixel_data(tag):
                continue
            if is_steering(tag):
                return STEERED
            extra[extras] = row
            extras += 1
            continue
        if constant[known] != 0 or is_steering(tag):
            start, other = first_spans[known, 0], offsets[row]
            size = first_spans[known, 1] - start
            if start < 0 or size < 0 or size > first.shape[0] - start:
                return OUT_OF_BOUNDS
            if other < 0 or stops[index] < other or stops[index] > data.shape[0]:
                return OUT_OF_BOUNDS
            differs = vrs[row] != first_vrs[known] or stops[index] - other != size
            if not differs:
                left, right = first[start : start + size], data[other : other + size]
                difference = np.uint8(0)
                for byte in range(size):  # Without a way out of the loop it runs on vectors.
                    difference |= left[byte] ^ right[byte]
                differs = difference != 0
            if differs:
                if is_steering(tag):
                    return STEERED
                constant[known] = 0
        known += 1
    while known < first_tags.shape[0]:
        if is_steering(first_tags[known]):
            return STEERED
        constant[known] = 0
        known += 1
    return extras
