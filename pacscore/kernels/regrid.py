"""Resampling onto a grid whose axes run along the array's own, and spline coefficients.

Where the axes agree, a value is a product of three weighted sums, one along each axis, so that most work is shared:
slices are blended into rows once, rows once for a row of the result, and only then columns, by tables of the taps.
"""

# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._vector import gather_pairs, load_of, rint, store

POLE = np.float32(np.sqrt(3.0) - 2.0)
HORIZON = 24
"""After so many samples a power of the pole no longer shows in float64's tenth digit."""
_FAST = frozenset({"contract", "nsz"})

load8 = load_of(8)


@kernel(inline=True)
def blend(first: Any, second: Any, weights: Any, begins: bool, out: Any) -> None:
    """Add two weighted rows to ``out``, or begin it with them."""
    a, b = np.float32(weights[0]), np.float32(weights[1])
    if begins:
        for column in range(out.size):
            out[column] = np.float32(first[column]) * a + np.float32(second[column]) * b
    else:
        for column in range(out.size):
            out[column] += np.float32(first[column]) * a + np.float32(second[column]) * b


@kernel(inline=True)
def blend_last(row: Any, weight: Any, begins: bool, out: Any) -> None:
    """Add one weighted row to ``out``, or begin it with that."""
    a = np.float32(weight)
    if begins:
        for column in range(out.size):
            out[column] = np.float32(row[column]) * a
    else:
        for column in range(out.size):
            out[column] += np.float32(row[column]) * a


@kernel(fastmath=_FAST)
def blend_slices(array: NDArray[Any], first: int, row: int, weights: NDArray[np.float32], out: Any) -> None:
    """Blend one row of consecutive slices.

    weights : (slices,)
    out : (columns,)
    """
    taps = weights.size
    for tap in range(0, taps - 1, 2):
        blend(array[first + tap, row], array[first + tap + 1, row], weights[tap : tap + 2], tap == 0, out)
    if taps % 2:
        blend_last(array[first + taps - 1, row], weights[taps - 1], taps == 1, out)


@kernel(fastmath=_FAST)
def blend_rows(plane: NDArray[np.float32], first: int, weights: NDArray[np.float32], out: Any) -> None:
    """Blend consecutive rows.

    weights : (rows,)
    out : (columns,)
    """
    taps = weights.size
    for tap in range(0, taps - 1, 2):
        blend(plane[first + tap], plane[first + tap + 1], weights[tap : tap + 2], tap == 0, out)
    if taps % 2:
        blend_last(plane[first + taps - 1], weights[taps - 1], taps == 1, out)


@kernel(fastmath=_FAST)
def blend_columns(
    row: NDArray[np.float32], firsts: NDArray[np.int32], weights: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Weighted sums along a row.

    row : (columns + 1,), finite behind its end
    firsts : (n,) int32, n a multiple of 8
    weights : (taps, n), taps even
    out : (n,)
    """
    count = firsts.size
    for start in range(0, count, 8):
        places = load8(firsts, start)
        a, b = gather_pairs(row, 0, places)
        total = a * load8(weights, start) + b * load8(weights, count + start)
        for tap in range(2, weights.shape[0], 2):
            a, b = gather_pairs(row, tap, places)
            total = total + (a * load8(weights, tap * count + start) + b * load8(weights, (tap + 1) * count + start))
        store(out, start, total)


@kernel
def finish_row(row: NDArray[np.float32], values: NDArray[np.float64], out: NDArray[Any]) -> None:
    """Write a row of the result; ``values`` as in ``sample_lines``."""
    slope, intercept = np.float32(values[0]), np.float32(values[1])
    low, high = np.float32(values[3]), np.float32(values[4])
    source = row[: out.size]
    if values[5] != 0:
        for column in range(out.size):
            value = source[column] * slope + intercept
            value = low if value < low else value
            value = high if value > high else value
            out[column] = rint(value)
    else:
        for column in range(out.size):
            value = source[column] * slope + intercept
            value = low if value < low else value
            out[column] = high if value > high else value


@kernel
def regrid_into(
    array: NDArray[Any],
    slice_firsts: NDArray[np.int32],
    slice_weights: NDArray[np.float32],
    row_firsts: NDArray[np.int32],
    row_weights: NDArray[np.float32],
    column_firsts: NDArray[np.int32],
    column_weights: NDArray[np.float32],
    inside: NDArray[np.int64],
    values: NDArray[np.float64],
    plane: NDArray[np.float32],
    row: NDArray[np.float32],
    line: NDArray[np.float32],
    out: NDArray[Any],
) -> None:
    """Resample along the three axes.

    array : (slices, rows, columns) int16, uint16 or float32, C order
    slice_firsts, row_firsts : (slices), (rows) of the result, int32: the first voxel used; those of rows never fall
    slice_weights, row_weights : (slices, taps), (rows, taps) float32
    column_firsts, column_weights : (n,) int32 and (taps, n) float32: the columns of the result from the first one
        inside on, n a multiple of 8, taps even
    inside : (3, 2) int64, which slices, rows and columns of the result lie inside the array
    values : (7,) float64, as in ``sample_lines``
    plane : (rows, columns) float32, of the array; row : (columns + 1,) float32, ending in 0; line : (n,) float32
    out : (slices, rows, columns), int16, uint16 or float32, C order
    """
    columns = array.shape[2]
    left, right = inside[2, 0], inside[2, 1]
    for number in range(out.shape[0]):
        ready = 0
        for target in range(out.shape[1]):
            result = out[number, target]
            whole = inside[0, 0] <= number < inside[0, 1] and inside[1, 0] <= target < inside[1, 1] and left < right
            if not whole:
                for column in range(result.size):
                    result[column] = values[2]
                continue
            ready = max(ready, row_firsts[target])
            while ready < row_firsts[target] + row_weights.shape[1]:
                blend_slices(array, slice_firsts[number], ready, slice_weights[number], plane[ready])
                ready += 1
            blend_rows(plane, row_firsts[target], row_weights[target], row[:columns])
            blend_columns(row, column_firsts, column_weights, line)
            for column in range(left):
                result[column] = values[2]
            finish_row(line, values, result[left:right])
            for column in range(right, result.size):
                result[column] = values[2]


@kernel(inline=True)
def power_of_pole(count: int, length: int) -> np.float32:
    """The weight of sample ``count`` in the first causal coefficient of a mirrored signal."""
    pole = np.sqrt(3.0) - 2.0
    if length > HORIZON:
        return np.float32(pole**count)
    mirrored = pole**count
    if 0 < count < length - 1:
        mirrored += pole ** (2 * length - 2 - count)
    return np.float32(mirrored / (1.0 - pole ** (2 * length - 2)))


@kernel(fastmath=_FAST)
def filter_rows(rows: NDArray[np.float32], begin: int, end: int) -> None:
    """Turn columns ``begin`` to ``end`` of ``rows``, (n, columns) float32, n > 1, into spline coefficients / 6."""
    length = rows.shape[0]
    first = rows[0][begin:end]
    weight = power_of_pole(0, length)
    for column in range(first.size):
        first[column] *= weight
    for number in range(1, min(length, HORIZON)):
        row, weight = rows[number][begin:end], power_of_pole(number, length)
        for column in range(first.size):
            first[column] += weight * row[column]
    for number in range(1, length):
        row, before = rows[number][begin:end], rows[number - 1][begin:end]
        for column in range(row.size):
            row[column] += POLE * before[column]
    last, before = rows[length - 1][begin:end], rows[length - 2][begin:end]
    factor = POLE / (POLE * POLE - np.float32(1))
    for column in range(last.size):
        last[column] = factor * (last[column] + POLE * before[column])
    for number in range(length - 2, -1, -1):
        row, behind = rows[number][begin:end], rows[number + 1][begin:end]
        for column in range(row.size):
            row[column] = POLE * (behind[column] - row[column])


@kernel
def filter_plane_into(plane: NDArray[np.float32], scratch: NDArray[np.float32]) -> None:
    """Turn samples into B-spline coefficients along rows and columns, in place, less the factor of 6 for each axis.

    plane : (rows, columns) float32, C order; an axis of one sample stays as it is
    scratch : (columns, 16) float32

    The plane is continued by its mirror image about its outermost samples. Unser, as in ``sample_cubic``, fig. 2.
    """
    rows, columns = plane.shape
    if rows > 1:
        filter_rows(plane, 0, columns)
    if columns > 1:
        for start in range(0, rows, 16):
            held = min(16, rows - start)
            for lane in range(16):
                row = plane[start + min(lane, held - 1)]
                for column in range(columns):
                    scratch[column, lane] = row[column]
            filter_rows(scratch, 0, 16)
            for lane in range(held):
                row = plane[start + lane]
                for column in range(columns):
                    row[column] = scratch[column, lane]


@kernel
def filter_slices_into(slices: NDArray[np.float32], begin: int, end: int) -> None:
    """The same along slices, for pixels ``begin`` to ``end`` of each; (slices, pixels), more than one slice."""
    filter_rows(slices, begin, end)
