"""Filtering projections along their columns: one short matrix product for each view, from rows to the layout of
backprojection.

Filters of tomography are linear and the same for all rows, so a view is filtered by multiplying it with one matrix.
Every second tap of the band-limited ramp is 0. Output columns are taken by fours of equal parity, which share their
zeros, and what all four lack is not in the list: half of the products. The result is turned on the way, columns first,
because backprojection reads along detector rows.

Unchecked: the checked entry is ``pacscore.recon.filtering.filter_views``. Twins: ``tests/reference/tomography.py``.
"""

# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._vector import load_of, splat_of, store

load8, splat8 = load_of(8), splat_of(8)
CONTRACT = frozenset({"contract"})
COLUMNS_BEFORE, COLUMNS_AFTER = 1, 1
ROWS_BEFORE, ROWS_AFTER = 2, 18
"""Zeros around a filtered view, so that backprojection needs no tests at its border."""


@kernel(inline=True)
def turn_rows(
    view: NDArray[np.float32],
    cosines: NDArray[np.float32],
    factors: NDArray[np.float32],
    reverse: bool,
    turned: NDArray[np.float32],
) -> None:
    """``turned[column, row] = view[row, column] * cosines[row, column] * factors[column]``, zero beyond the rows."""
    rows, columns = view.shape
    for first in range(0, rows, 16):
        last = min(rows, first + 16)
        for column in range(columns):
            factor = factors[column]
            for row in range(first, last):
                source = rows - 1 - row if reverse else row
                turned[column, row] = view[source, column] * cosines[source, column] * factor
    for column in range(columns):
        for row in range(rows, turned.shape[1]):
            turned[column, row] = np.float32(0)


@kernel(fastmath=CONTRACT)
def filter_view_into(
    view: NDArray[np.float32],
    cosines: NDArray[np.float32],
    factors: NDArray[np.float32],
    reverse: bool,
    columns_of: NDArray[np.int32],
    counts: NDArray[np.int32],
    taps: NDArray[np.float32],
    turned: NDArray[np.float32],
    row_shift: int,
    out: NDArray[np.float32],
) -> None:
    """Weight and filter one view.

    view, cosines : (rows, columns) float32; factors (columns,) float32
    reverse : take the rows from the last to the first
    columns_of : (blocks, longest) int32, the input columns of a block of four outputs, ``counts`` of them; the outputs
        of block ``b`` are columns ``8 * (b // 2) + b % 2 + (0, 2, 4, 6)``
    taps : (blocks, longest, 4) float32
    turned : (columns, rows rounded up to 8) float32, scratch
    row_shift : where row 0 lies in ``out``
    out : (columns, more rows) float32; written from ``row_shift``, rows rounded up to 8
    """
    columns = out.shape[0]
    wide, stride = turned.shape[1], out.shape[1]
    turn_rows(view, cosines, factors, reverse, turned)
    for block in range(counts.size):
        base = 8 * (block // 2) + block % 2
        count = counts[block]
        row = 0
        while row < wide:
            three = row + 24 <= wide
            a0 = a1 = a2 = b0 = b1 = b2 = splat8(np.float32(0))
            c0 = c1 = c2 = d0 = d1 = d2 = splat8(np.float32(0))
            if three:
                for number in range(count):
                    place = np.int64(columns_of[block, number]) * wide + row
                    x0, x1, x2 = load8(turned, place), load8(turned, place + 8), load8(turned, place + 16)
                    ta, tb = splat8(taps[block, number, 0]), splat8(taps[block, number, 1])
                    tc, td = splat8(taps[block, number, 2]), splat8(taps[block, number, 3])
                    a0, a1, a2 = a0 + ta * x0, a1 + ta * x1, a2 + ta * x2
                    b0, b1, b2 = b0 + tb * x0, b1 + tb * x1, b2 + tb * x2
                    c0, c1, c2 = c0 + tc * x0, c1 + tc * x1, c2 + tc * x2
                    d0, d1, d2 = d0 + td * x0, d1 + td * x1, d2 + td * x2
            else:
                for number in range(count):
                    x0 = load8(turned, np.int64(columns_of[block, number]) * wide + row)
                    a0 = a0 + splat8(taps[block, number, 0]) * x0
                    b0 = b0 + splat8(taps[block, number, 1]) * x0
                    c0 = c0 + splat8(taps[block, number, 2]) * x0
                    d0 = d0 + splat8(taps[block, number, 3]) * x0
            place = base * stride + row_shift + row
            if base < columns:
                store_three(out, place, three, a0, a1, a2)
            if base + 2 < columns:
                store_three(out, place + 2 * stride, three, b0, b1, b2)
            if base + 4 < columns:
                store_three(out, place + 4 * stride, three, c0, c1, c2)
            if base + 6 < columns:
                store_three(out, place + 6 * stride, three, d0, d1, d2)
            row += 24 if three else 8


@kernel(inline=True)
def store_three(out: NDArray[np.float32], place: int, three: bool, a: Any, b: Any, c: Any) -> None:
    """Put one vector, or three side by side."""
    store(out, place, a)
    if three:
        store(out, place + 8, b)
        store(out, place + 16, c)


@kernel
def mirror_rows_into(views: NDArray[np.float32], first: int, twice: int, out: NDArray[np.float32]) -> None:
    """Rows from one on beside their mirror images, of one view or of several side by side.

    views : (n, columns, rows) float32
    first : row that ``out`` begins with
    twice : the sum of the indices of a row and its mirror image
    out : (columns, 2 * n * more rows) float32: for each row that of all views, then the mirror images; 0 where a view
        has none
    """
    count, columns, rows = views.shape
    for column in range(columns):
        target = out[column]
        for view in range(np.uint64(count)):
            values = views[view, column]
            place = np.uint64(view)
            for row in range(first, first + target.size // (2 * count)):
                mirror = twice - row
                target[place] = values[np.uint64(row)] if row < rows else np.float32(0)
                target[place + np.uint64(count)] = values[np.uint64(mirror)] if mirror >= 0 else np.float32(0)
                place += np.uint64(2 * count)


@kernel
def exchange_rows_into(
    first: int, last: int, values: NDArray[np.float32], line: NDArray[np.float32], moved: NDArray[np.bool_]
) -> None:
    """Rows (first, last) of an array become rows (last, first), in place.

    values : (first * last, length) float32
    line : (length,) float32, scratch
    moved : (first * last,) bool, False
    """
    length = line.size
    for start in range(first * last):
        if moved[start]:
            continue
        row = values[start]
        for place in range(length):
            line[place] = row[place]
        to = start
        while True:
            moved[to] = True
            source = to % first * last + to // first
            row, other = values[to], line if source == start else values[source]
            for place in range(length):
                row[place] = other[place]
            if source == start:
                break
            to = source
