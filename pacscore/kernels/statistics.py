"""Kernels that gather numbers of many voxels: histograms, moments under a mask, places and moments of labels.

Unchecked: the checked entries are in ``pacscore.imaging.arrays.statistics``. Twins: ``tests/reference/statistics.py``.
"""

# mypy: disable-error-code="untyped-decorator"
# Reason: ``kernel`` returns Any, as Numba types kernels by their arguments.

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._vector import (
    convert_to,
    lane_maximum,
    lane_minimum,
    lane_sum,
    load_of,
    mask_bits,
    maximum,
    minimum,
    population_count,
    select,
    splat_of,
)

MOMENT_VALUES_MAX = 1 << 18
"""How many values ``moments_int16_into`` may be given at once."""

_load64, _splat64, _load32, _splat32 = load_of(64), splat_of(64), load_of(32), splat_of(32)
_to_int32, _to_int64 = convert_to("int32"), convert_to("int64")


@kernel
def count_words(words: NDArray[np.uint16], counts: NDArray[np.uint32]) -> None:
    """Count how often each 16-bit word occurs.

    words : (pixels,) uint16, C order, fewer than 2**32
    counts : (4, 65536) uint32; word k of every four is added to row k

    Four rows, because equal neighbours would wait for each other's count to be written; unsigned indices, because the
    wraparound of signed ones takes 1.6 times as long.
    """
    first, second, third, fourth = counts[0], counts[1], counts[2], counts[3]
    full = words.shape[0] // 4 * 4
    for pixel in range(0, full, 4):
        first[np.uint64(words[np.uint64(pixel)])] += np.uint32(1)
        second[np.uint64(words[np.uint64(pixel + 1)])] += np.uint32(1)
        third[np.uint64(words[np.uint64(pixel + 2)])] += np.uint32(1)
        fourth[np.uint64(words[np.uint64(pixel + 3)])] += np.uint32(1)
    for pixel in range(full, words.shape[0]):
        first[words[pixel]] += np.uint32(1)


@kernel
def count_masked_words(words: NDArray[np.uint16], mask: NDArray[np.uint8], counts: NDArray[np.uint32]) -> None:
    """Count how often each 16-bit word occurs where the mask holds.

    words : (pixels,) uint16; mask : (pixels,) uint8, any value but 0 counts
    counts : (4, 65536) uint32
    """
    zero = _splat64(np.uint8(0))
    full = words.shape[0] // 64 * 64
    for start in range(0, full, 64):
        if mask_bits(_load64(mask, start) != zero) != np.uint64(0):
            for pixel in range(start, start + 64):
                counts[pixel & 3, words[pixel]] += np.uint32(mask[pixel] != 0)
    for pixel in range(full, words.shape[0]):
        counts[pixel & 3, words[pixel]] += np.uint32(mask[pixel] != 0)


@kernel
def word_counts_into(
    words: NDArray[np.uint16],
    mask: NDArray[np.uint8],
    half: int,
    rows: NDArray[np.uint32],
    out: NDArray[np.int64],
) -> None:
    """Count how often each 16-bit word occurs, all words or those where a mask holds, from the smallest value on.

    words : (pixels,) uint16, C order, fewer than 2**32, each below ``len(out)``
    mask : (pixels,) uint8, any value but 0 counts; (0,) where all words count
    half : 0, or half of ``len(out)`` where words are the bits of signed values: the negative ones come first then
    rows : (4, 65536) uint32, scratch
    out : (256,) or (65536,) int64

    One call from clearing to adding up, none of it under the interpreter lock.
    """
    rows[:] = np.uint32(0)
    if mask.shape[0] > 0:
        count_masked_words(words, mask, rows)
    else:
        count_words(words, rows)
    first = rows[0]
    for row in range(1, 4):
        first += rows[row]
    other = out.shape[0] - half
    out[half:] = first[:other]
    out[:half] = first[other : other + half]


@kernel
def moments_int16_into(
    values: NDArray[np.int16], flip: int, mask: NDArray[np.uint8], masked: bool, out: NDArray[np.int64]
) -> None:
    """Count, sum, sum of squares, minimum and maximum of values where a mask holds.

    values : (pixels,) int16, C order, at most ``MOMENT_VALUES_MAX``
    flip : 0, or -32768 where ``values`` are the bits of unsigned words: they are taken less 32768 then
    mask : (pixels,) uint8, any value but 0 counts; not looked at unless ``masked``
    out : (5,) int64

    Exact. Squares are added up in two halves of 16 bits, so that 32 lanes of 32 bits suffice. Values of which no mask
    of 64 holds are not even loaded: of a bone mask that is nine tenths.
    """
    zero64, flips = _splat64(np.uint8(0)), _splat32(np.int16(flip))
    zero8 = _splat32(np.uint8(0))
    zero, largest, smallest = _splat32(np.int16(0)), _splat32(np.int16(32767)), _splat32(np.int16(-32768))
    low, high = largest, smallest
    total = _to_int32(zero)
    upper, lower = total, total
    halves, sixteen = _splat32(np.int32(0xFFFF)), _splat32(np.int32(16))
    count = np.int64(0)
    full = values.shape[0] // 64 * 64
    for start in range(0, full, 64):
        bits = ~np.uint64(0)
        if masked:
            bits = mask_bits(_load64(mask, start) != zero64)
        if bits == np.uint64(0):
            continue
        count += population_count(bits)
        for half in range(start, start + 64, 32):
            value = _load32(values, half) ^ flips
            if bits != ~np.uint64(0):
                held = _load32(mask, half) != zero8
                low = minimum(low, select(held, value, largest))
                high = maximum(high, select(held, value, smallest))
                value = select(held, value, zero)
            else:
                low = minimum(low, value)
                high = maximum(high, value)
            wide = _to_int32(value)
            square = wide * wide
            total = total + wide
            upper = upper + (square >> sixteen)
            lower = lower + (square & halves)
    out[0] = count
    out[1] = lane_sum(_to_int64(total))
    out[2] = (lane_sum(_to_int64(upper)) << np.int64(16)) + lane_sum(_to_int64(lower))
    out[3], out[4] = lane_minimum(low), lane_maximum(high)
    for pixel in range(full, values.shape[0]):
        if not masked or mask[pixel] != 0:
            single = np.int64(values[pixel] ^ np.int16(flip))
            out[0] += 1
            out[1] += single
            out[2] += single * single
            out[3] = min(out[3], single)
            out[4] = max(out[4], single)


@kernel
def moments_float_into(
    values: NDArray[Any], mask: NDArray[np.uint8], masked: bool, shift: float, out: NDArray[np.float64]
) -> None:
    """Count, sums of ``value - shift`` and of its square, minimum and maximum of finite values where a mask holds.

    values : (pixels,) float32 or float64, C order; NaN and infinities are left out
    mask : (pixels,) uint8, any value but 0 counts; not looked at unless ``masked``
    shift : a value near the mean, so that squares do not cancel
    out : (5,) float64

    Accumulated in float64, in the order of the values.
    """
    count, total, squares = 0.0, 0.0, 0.0
    low, high = np.inf, -np.inf
    for pixel in range(values.shape[0]):
        value = np.float64(values[pixel])
        if (not masked or mask[pixel] != 0) and np.isfinite(value):
            count += 1.0
            total += value - shift
            squares += (value - shift) * (value - shift)
            low = min(low, value)
            high = max(high, value)
    out[0], out[1], out[2], out[3], out[4] = count, total, squares, low, high


@kernel
def label_moments_into(labels: NDArray[Any], values: NDArray[np.float32], out: NDArray[np.float64]) -> None:
    """Count, sum, sum of squares, minimum and maximum of the values of each label.

    labels : (pixels,) uint16 or uint32, at most the rows of ``out``; 0 is background
    values : (pixels,) float32; NaN and infinities are left out
    out : (labels, 5) float64, label 1 first; on entry 0, 0, 0, infinity, -infinity

    Accumulated in float64, in the order of the values.
    """
    for pixel in range(labels.shape[0]):
        if labels[pixel] != 0:
            value = np.float64(values[pixel])
            if np.isfinite(value):
                row = out[np.int64(labels[pixel]) - 1]
                row[0] += 1.0
                row[1] += value
                row[2] += value * value
                row[3] = min(row[3], value)
                row[4] = max(row[4], value)


@kernel
def measure_labels_into(
    labels: NDArray[Any],
    rows: int,
    counts: NDArray[np.int64],
    sums: NDArray[np.int64],
    boxes: NDArray[np.int64],
) -> None:
    """Add up the size, the sums of coordinates and the bounding box of each label.

    labels : (slices * rows, columns) uint16 or uint32, at most as many as there are counts
    counts : (labels,) int64, label 1 first, zeros on entry
    sums : (labels, 3) int64 of 2 × (slice, row, column), zeros on entry
    boxes : (labels, 6) int64, first and last slice, row, column; on entry largest and smallest numbers
    """
    columns = labels.shape[1]
    for line in range(labels.shape[0]):
        source = labels[line]
        index, row = line // rows, line % rows
        first = 0
        while first < columns:
            label = source[first]
            last = first
            while last + 1 < columns and source[last + 1] == label:
                last += 1
            if label != 0:
                place, length = np.int64(label) - 1, last - first + 1
                counts[place] += length
                sums[place, 0] += 2 * index * length
                sums[place, 1] += 2 * row * length
                sums[place, 2] += (first + last) * length
                boxes[place, 0] = min(boxes[place, 0], index)
                boxes[place, 1] = max(boxes[place, 1], index)
                boxes[place, 2] = min(boxes[place, 2], row)
                boxes[place, 3] = max(boxes[place, 3], row)
                boxes[place, 4] = min(boxes[place, 4], first)
                boxes[place, 5] = max(boxes[place, 5], last)
            first = last + 1
