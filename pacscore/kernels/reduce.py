"""Kernels that reduce an array along one of its axes: the largest, the smallest, the sum.

Each folds values into what ``out`` already holds, so that an array may come in parts, one after the other: fill ``out``
with the neutral value first (the lowest of its dtype, the highest, zero). Unchecked: the checked entry is
``pacscore.imaging.arrays.project_axis``. Twins: NumPy's own ``max``, ``min`` and ``sum``.

All read every value once and are bound by memory, so the axis decides how they go: along an axis before the last, whole
lines are folded; along the last, eight or sixteen values at once.
"""

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
    select,
    splat_of,
)

load16, splat16 = load_of(16), splat_of(16)
load8, splat8 = load_of(8), splat_of(8)
to_float64 = convert_to("float64")


@kernel
def fold_maximum_into(values: NDArray[Any], blocks: tuple[int, int], span: tuple[int, int], out: NDArray[Any]) -> None:
    """Raise ``out`` to the largest value along the middle axis.

    values : (blocks, lines, width) numbers, C order; NaN is passed over
    blocks, span : which blocks, and which part of each line: from, to
    out : (blocks, width) of the same dtype, holding the largest so far; must not overlap values

    Exact. Four lines at once: each pass over ``out`` costs as much as a line.
    """
    lines = values.shape[1]
    for block in range(blocks[0], blocks[1]):
        target = out[block, span[0] : span[1]]
        for line in range(0, lines - 3, 4):
            a = values[block, line, span[0] : span[1]]
            b = values[block, line + 1, span[0] : span[1]]
            c = values[block, line + 2, span[0] : span[1]]
            d = values[block, line + 3, span[0] : span[1]]
            for place in range(target.shape[0]):
                best = target[place]
                best = a[place] if a[place] > best else best
                best = b[place] if b[place] > best else best
                best = c[place] if c[place] > best else best
                target[place] = d[place] if d[place] > best else best
        for line in range(lines - lines % 4, lines):
            a = values[block, line, span[0] : span[1]]
            for place in range(target.shape[0]):
                target[place] = a[place] if a[place] > target[place] else target[place]


@kernel
def fold_minimum_into(values: NDArray[Any], blocks: tuple[int, int], span: tuple[int, int], out: NDArray[Any]) -> None:
    """Lower ``out`` to the smallest value along the middle axis; as ``fold_maximum_into``."""
    lines = values.shape[1]
    for block in range(blocks[0], blocks[1]):
        target = out[block, span[0] : span[1]]
        for line in range(0, lines - 3, 4):
            a = values[block, line, span[0] : span[1]]
            b = values[block, line + 1, span[0] : span[1]]
            c = values[block, line + 2, span[0] : span[1]]
            d = values[block, line + 3, span[0] : span[1]]
            for place in range(target.shape[0]):
                best = target[place]
                best = a[place] if a[place] < best else best
                best = b[place] if b[place] < best else best
                best = c[place] if c[place] < best else best
                target[place] = d[place] if d[place] < best else best
        for line in range(lines - lines % 4, lines):
            a = values[block, line, span[0] : span[1]]
            for place in range(target.shape[0]):
                target[place] = a[place] if a[place] < target[place] else target[place]


@kernel
def fold_sum_into(
    values: NDArray[Any], blocks: tuple[int, int], span: tuple[int, int], out: NDArray[np.float64]
) -> None:
    """Add the values along the middle axis to ``out``.

    values : (blocks, lines, width) numbers, C order; NaN spreads
    blocks, span : which blocks, and which part of each line: from, to
    out : (blocks, width) float64, holding the sum so far

    In float64, so sums of integers are exact below 2**53; line by line, so the order of additions is the array's own.
    """
    lines = values.shape[1]
    for block in range(blocks[0], blocks[1]):
        target = out[block, span[0] : span[1]]
        for line in range(0, lines - 3, 4):
            a = values[block, line, span[0] : span[1]]
            b = values[block, line + 1, span[0] : span[1]]
            c = values[block, line + 2, span[0] : span[1]]
            d = values[block, line + 3, span[0] : span[1]]
            for place in range(target.shape[0]):
                total = target[place] + np.float64(a[place]) + np.float64(b[place])
                target[place] = total + np.float64(c[place]) + np.float64(d[place])
        for line in range(lines - lines % 4, lines):
            a = values[block, line, span[0] : span[1]]
            for place in range(target.shape[0]):
                target[place] += np.float64(a[place])


@kernel
def maximum_of_rows_into(values: NDArray[Any], start: int, stop: int, out: NDArray[Any]) -> None:
    """Raise ``out`` to the largest value of each row.

    values : (rows, columns) numbers, C order; NaN is passed over
    start, stop : which rows
    out : (rows,) of the same dtype, holding the largest so far
    """
    columns = values.shape[1]
    full = columns // 16 * 16
    for row in range(start, stop):
        best = splat16(out[row])
        for column in range(0, full, 16):
            lanes = load16(values, row * columns + column)
            best = select(lanes > best, lanes, best)
        largest = lane_maximum(best)
        for column in range(full, columns):
            largest = values[row, column] if values[row, column] > largest else largest
        out[row] = largest


@kernel
def minimum_of_rows_into(values: NDArray[Any], start: int, stop: int, out: NDArray[Any]) -> None:
    """Lower ``out`` to the smallest value of each row; as ``maximum_of_rows_into``."""
    columns = values.shape[1]
    full = columns // 16 * 16
    for row in range(start, stop):
        best = splat16(out[row])
        for column in range(0, full, 16):
            lanes = load16(values, row * columns + column)
            best = select(lanes < best, lanes, best)
        smallest = lane_minimum(best)
        for column in range(full, columns):
            smallest = values[row, column] if values[row, column] < smallest else smallest
        out[row] = smallest


@kernel
def sum_of_rows_into(values: NDArray[Any], start: int, stop: int, out: NDArray[np.float64]) -> None:
    """Add the values of each row to ``out``.

    values : (rows, columns) numbers, C order; NaN spreads
    start, stop : which rows
    out : (rows,) float64, holding the sum so far

    In float64, eight partial sums a row, always the same ones.
    """
    columns = values.shape[1]
    full = columns // 8 * 8
    for row in range(start, stop):
        sums = splat8(np.float64(0.0))
        for column in range(0, full, 8):
            sums = sums + to_float64(load8(values, row * columns + column))
        total = lane_sum(sums)
        for column in range(full, columns):
            total += np.float64(values[row, column])
        out[row] += total
