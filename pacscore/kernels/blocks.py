"""Kernels about cells: what a volume holds in each of its 4 × 4 × 4 parts, so that rays pass over what cannot matter.

Cell ``c`` of an axis covers the voxels ``4 c`` to ``4 c + 4``, both included: the voxel shared with the next cell makes
the limits hold for every value interpolated at positions from ``4 c`` to ``4 c + 4``.

Rays are tested in groups of samples. ``spread_*_into`` lets each cell hold the limits of all cells that a group can
touch which begins in it, so that one look decides about a whole group; how far a group reaches is the same for all
parallel rays of a view. Four voxels a cell, not eight: a group is a window of about 10 voxels then, not of 16, and
the limits of a 100 MB volume still fit a second-level cache.

Unchecked: the checked entries are in ``pacscore.imaging.arrays``. Twins: ``tests/reference/rays.py``.
"""

# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._vector import load_of, select, store

load16 = load_of(16)


@kernel
def cell_limits_into(
    values: NDArray[Any], start: int, stop: int, scratch: NDArray[Any], low: NDArray[Any], high: NDArray[Any]
) -> None:
    """The smallest and largest value of each cell.

    values : (slices, rows, columns) numbers, C order
    start, stop : which layers of cells
    scratch : (2, columns) of the same dtype; output of no meaning
    low, high : (cells, cells, cells) of the same dtype, (voxels + 2) // 4 of them along an axis

    Exact. Lines are folded first, sixteen columns at once; the columns of the few folded lines one by one.
    """
    slices, rows, columns = values.shape
    full = columns // 16 * 16
    least, most = scratch[0], scratch[1]
    for layer in range(start, stop):
        for line in range(low.shape[1]):
            first = True
            for z in range(layer * 4, min(layer * 4 + 5, slices)):
                for y in range(line * 4, min(line * 4 + 5, rows)):
                    source = values[z, y]
                    if first:
                        least[:] = source
                        most[:] = source
                        first = False
                        continue
                    for column in range(0, full, 16):
                        lanes = load16(source, column)
                        smaller, larger = load16(least, column), load16(most, column)
                        store(least, column, select(lanes < smaller, lanes, smaller))
                        store(most, column, select(lanes > larger, lanes, larger))
                    for column in range(full, columns):
                        least[column] = min(least[column], source[column])
                        most[column] = max(most[column], source[column])
            for cell in range(low.shape[2]):
                smallest, largest = least[cell * 4], most[cell * 4]
                for column in range(cell * 4 + 1, min(cell * 4 + 5, columns)):
                    smallest = min(smallest, least[column])
                    largest = max(largest, most[column])
                low[layer, line, cell] = smallest
                high[layer, line, cell] = largest


@kernel
def spread_maximum_into(
    cells: NDArray[Any], reach: tuple[int, int, int], start: int, stop: int, scratch: NDArray[Any], out: NDArray[Any]
) -> None:
    """The largest of each cell and of those that follow it, within ``reach`` along each axis.

    cells : (layers, lines, columns) numbers, C order
    reach : how many cells beyond itself, along each axis
    start, stop : which layers of ``out``
    scratch : (2, columns) of the same dtype; output of no meaning
    out : shape and dtype of cells
    """
    layers, lines, columns = cells.shape
    line_best = scratch[0]
    for layer in range(start, stop):
        for line in range(lines):
            line_best[:] = cells[layer, line]
            for z in range(layer, min(layer + reach[0] + 1, layers)):
                for y in range(line, min(line + reach[1] + 1, lines)):
                    source = cells[z, y]
                    for column in range(columns):
                        line_best[column] = max(line_best[column], source[column])
            target = out[layer, line]
            target[:] = line_best
            for shift in range(1, min(reach[2] + 1, columns)):
                shifted, held = line_best[shift:], target[: columns - shift]
                for column in range(held.shape[0]):
                    held[column] = max(held[column], shifted[column])


@kernel
def spread_minimum_into(
    cells: NDArray[Any], reach: tuple[int, int, int], start: int, stop: int, scratch: NDArray[Any], out: NDArray[Any]
) -> None:
    """The smallest of each cell and of those that follow it; as ``spread_maximum_into``."""
    layers, lines, columns = cells.shape
    line_best = scratch[0]
    for layer in range(start, stop):
        for line in range(lines):
            line_best[:] = cells[layer, line]
            for z in range(layer, min(layer + reach[0] + 1, layers)):
                for y in range(line, min(line + reach[1] + 1, lines)):
                    source = cells[z, y]
                    for column in range(columns):
                        line_best[column] = min(line_best[column], source[column])
            target = out[layer, line]
            target[:] = line_best
            for shift in range(1, min(reach[2] + 1, columns)):
                shifted, held = line_best[shift:], target[: columns - shift]
                for column in range(held.shape[0]):
                    held[column] = min(held[column], shifted[column])


@kernel
def visible_cells_into(
    low: NDArray[Any],
    high: NDArray[Any],
    scale: float,
    offset: float,
    opaque_before: NDArray[np.int32],
    out: NDArray[np.uint8],
) -> None:
    """Which cells can show something: 1 where any table entry that their values reach has an opacity.

    low, high : (cells,) limits
    scale, offset : entry of a value: value * scale + offset, rounded, held within the table
    opaque_before : (entries + 1,) how many entries before each have an opacity
    out : (cells,) uint8

    One entry to either side is counted as reached, so that no rounding of a sample can pass the limits.
    """
    last = opaque_before.shape[0] - 2
    for cell in range(out.shape[0]):
        a = np.float64(low[cell]) * scale + offset
        b = np.float64(high[cell]) * scale + offset
        a, b = min(a, b), max(a, b)
        first = np.int64(min(max(a - 1.5, 0.0), np.float64(last)))
        beyond = np.int64(min(max(b + 1.5, 0.0), np.float64(last)))
        out[cell] = np.uint8(opaque_before[beyond + 1] > opaque_before[first])


@kernel
def cell_depths_into(
    visible: NDArray[np.uint8],
    to_view: NDArray[np.float64],
    tile: int,
    start: int,
    stop: int,
    near: NDArray[np.int32],
    far: NDArray[np.int32],
) -> None:
    """Where along the rays of each tile of a picture visible cells lie.

    visible : (layers, lines, columns) uint8
    to_view : (3, 4) float64, voxel index (slice, row, column, 1) to (picture row, picture column, sample)
    tile : pixels along a side of a tile
    start, stop : which layers of cells
    near, far : (tile rows, tile columns) int32; lowered to the first sample and raised to the last

    Each cell counts with the box around its eight corners: never too small.
    """
    reach_row = 2.0 * (abs(to_view[0, 0]) + abs(to_view[0, 1]) + abs(to_view[0, 2])) + 0.01
    reach_column = 2.0 * (abs(to_view[1, 0]) + abs(to_view[1, 1]) + abs(to_view[1, 2])) + 0.01
    reach_sample = 2.0 * (abs(to_view[2, 0]) + abs(to_view[2, 1]) + abs(to_view[2, 2])) + 0.01
    for layer in range(start, stop):
        for line in range(visible.shape[1]):
            cells = visible[layer, line]
            for column in range(cells.shape[0]):
                if cells[column] == 0:
                    continue
                z, y, x = 4.0 * layer + 2.0, 4.0 * line + 2.0, 4.0 * column + 2.0
                i = to_view[0, 0] * z + to_view[0, 1] * y + to_view[0, 2] * x + to_view[0, 3]
                j = to_view[1, 0] * z + to_view[1, 1] * y + to_view[1, 2] * x + to_view[1, 3]
                k = to_view[2, 0] * z + to_view[2, 1] * y + to_view[2, 2] * x + to_view[2, 3]
                first_row = np.int64(max(i - reach_row, 0.0)) // tile
                last_row = min(np.int64(max(i + reach_row, -1.0)) // tile, near.shape[0] - 1)
                first_column = np.int64(max(j - reach_column, 0.0)) // tile
                last_column = min(np.int64(max(j + reach_column, -1.0)) // tile, near.shape[1] - 1)
                first, last = np.int32(k - reach_sample), np.int32(k + reach_sample + 1.0)
                for row in range(first_row, last_row + 1):
                    for across in range(first_column, last_column + 1):
                        near[row, across] = min(near[row, across], first)
                        far[row, across] = max(far[row, across], last)
