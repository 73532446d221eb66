"""Rank filters of any window by halving: for every voxel of a row at once, the value that so many do not exceed.

Also the order of floats as integers. Unchecked: the checked entries are in ``pacscore.imaging.arrays.filters``. Twins:
``tests/reference/filters.py``.
"""
# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel


@kernel
def order_floats_into(bits: NDArray[np.int32], out: NDArray[np.int32]) -> None:
    """Turn the bits of floats into integers of the same order, NaN of either sign after infinity.

    bits, out : (pixels,) int32, the words of float32

    Positive floats ascend as their bits do, negative ones descend: all bits but the sign are inverted for those.
    """
    for pixel in range(bits.shape[0]):
        word = bits[pixel]
        magnitude = word & np.int32(0x7FFFFFFF)
        if magnitude > np.int32(0x7F800000):
            word = magnitude
        out[pixel] = word ^ ((word >> np.int32(31)) & np.int32(0x7FFFFFFF))


@kernel
def restore_floats_into(ordered: NDArray[np.int32]) -> None:
    """Undo ``order_floats_into``, in place."""
    for pixel in range(ordered.shape[0]):
        word = ordered[pixel]
        ordered[pixel] = word ^ ((word >> np.int32(31)) & np.int32(0x7FFFFFFF))


@kernel
def rank_rows_into(
    values: NDArray[Any],
    reach: NDArray[np.int64],
    rank: int,
    low: int,
    high: int,
    window: NDArray[Any],
    least: NDArray[Any],
    most: NDArray[Any],
    middle: NDArray[Any],
    counts: NDArray[np.int32],
    out: NDArray[Any],
    first: int,
    last: int,
) -> None:
    """The value of a rank among those in a box around each voxel.

    values, out : (slices, rows, columns) int16 or int32, C order
    reach : (3,) how far the box goes to each side along slices, rows, columns
    rank : from 0, the smallest
    low, high : smallest and largest of all values
    window : (rows of the box, columns + 2 * reach[2]), of the values' dtype, scratch
    least, most, middle : (columns,) of the values' dtype, scratch
    counts : (columns,) int32, scratch
    first, last : the range of image rows, numbered through all slices

    Beyond the border the nearest value counts. Exact. The answer lies between ``least`` and ``most``, and counting the
    values up to the middle of the two says in which half: 16 rounds at most for 16 bits, whatever the box. The loops
    are plain and work on whole rows, so they vectorise.
    """
    slices, height, columns = values.shape
    side = reach[2]
    for line in range(first, last):
        z = line // height
        y = line % height
        row = 0
        for dz in range(-reach[0], reach[0] + 1):
            for dy in range(-reach[1], reach[1] + 1):
                source = values[min(max(z + dz, 0), slices - 1), min(max(y + dy, 0), height - 1)]
                target = window[row]
                target[:side] = source[0]
                target[side : side + columns] = source
                target[side + columns :] = source[columns - 1]
                row += 1
        least[:] = low
        most[:] = high
        span = np.int64(high) - np.int64(low)
        while span > 0:
            span = span // 2
            for x in range(columns):
                middle[x] = (least[x] & most[x]) + ((least[x] ^ most[x]) >> 1)
                counts[x] = 0
            for row in range(window.shape[0]):
                for shift in range(2 * side + 1):
                    near = window[row][shift : shift + columns]
                    for x in range(columns):
                        counts[x] += np.int32(near[x] <= middle[x])
            for x in range(columns):
                is_enough = counts[x] > rank
                most[x] = middle[x] if is_enough else most[x]
                least[x] = least[x] if is_enough else middle[x] + 1
        out[z, y, :] = least
