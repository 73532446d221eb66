"""Kernels that weigh neighbours along each axis in turn: Gaussian, box; and differences of them: edges.

Unchecked: the checked entries are in ``pacscore.imaging.arrays.filters``. Twins: ``tests/reference/filters.py``.
"""
# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._vector import convert_to, load_of, splat_of, store

LANES = 16
GROUP = 4

Float32 = NDArray[np.float32]

load16, splat16, to_float32 = load_of(16), splat_of(16), convert_to("float32")
_CONTRACT = frozenset({"contract"})


@kernel(fastmath=_CONTRACT, inline=True)
def weigh_group(
    source: NDArray[Any],
    offsets: NDArray[np.int64],
    weights: Float32,
    taps: int,
    column: int,
    out: Float32,
    place: int,
    stride: int,
) -> None:
    """Weigh ``taps + 3`` rows into 4 rows, each one row further on, for 16 columns.

    offsets : (taps + 3,) where the source's rows begin
    weights : (taps + 6,) three zeros, the taps, three zeros: the zeros spare a case for the ends of the group
    """
    zero = splat16(np.float32(0))
    a = zero
    b = zero
    c = zero
    d = zero
    for tap in range(taps + 3):
        values = to_float32(load16(source, offsets[tap] + column))
        a = a + values * weights[tap + 3]
        b = b + values * weights[tap + 2]
        c = c + values * weights[tap + 1]
        d = d + values * weights[tap]
    store(out, place, a)
    store(out, place + stride, b)
    store(out, place + 2 * stride, c)
    store(out, place + 3 * stride, d)


@kernel(fastmath=_CONTRACT)
def weigh_strip_into(
    values: NDArray[Any],
    plane_weights: Float32,
    row_weights: Float32,
    column_weights: Float32,
    offsets: NDArray[np.int64],
    planes: Float32,
    rows: Float32,
    out: Float32,
    first: int,
    last: int,
) -> None:
    """Weigh neighbours along slices, rows and columns in one sweep over a strip of rows.

    values : (slices, rows, columns) int16 or float32, C order, at least 16 columns
    plane_weights, row_weights, column_weights : (taps + 6,) float32, an odd number of taps between three zeros each
    offsets : (largest taps + 3,) int64, scratch
    planes : (4, strip + row taps + 2, width) float32, scratch: 4 slices, weighed along the slices
    rows : (4, width + column taps) float32, scratch: 4 rows, weighed along slices and rows
    out : (slices, rows, columns) float32, C order
    first, last : the strip

    width is columns rounded up to 16. Beyond the border the nearest value counts. Four rows at once share their loads
    and stay in registers; a row at a time, or pairs of equal weight added first, wait for memory instead. The weights
    of one row are summed in ascending order of the taps, in float32, whatever the strip.
    """
    slices, height, columns = values.shape
    plane_taps = plane_weights.shape[0] - 6
    row_taps = row_weights.shape[0] - 6
    column_taps = column_weights.shape[0] - 6
    width = planes.shape[2]
    plane_stride = planes.shape[1] * width
    row_stride = rows.shape[1]
    reach = row_taps // 2
    side = column_taps // 2
    blocks = (columns + 15) // 16
    for z in range(0, slices, 4):
        for y in range(first - reach, last + reach):
            row = min(max(y, 0), height - 1) * columns
            for tap in range(plane_taps + 3):
                offsets[tap] = min(max(z + tap - plane_taps // 2, 0), slices - 1) * (height * columns) + row
            place = (y - first + reach) * width
            for block in range(blocks):
                column = min(16 * block, columns - 16)
                weigh_group(values, offsets, plane_weights, plane_taps, column, planes, place + column, plane_stride)
        for depth in range(min(4, slices - z)):
            for y in range(first, last, 4):
                for tap in range(row_taps + 3):
                    offsets[tap] = depth * plane_stride + min(y - first + tap, last - first + 2 * reach - 1) * width
                for block in range(blocks):
                    column = min(16 * block, columns - 16)
                    weigh_group(planes, offsets, row_weights, row_taps, column, rows, side + column, row_stride)
                for beside in range(min(4, last - y)):
                    line = rows[beside]
                    line[:side] = line[side]
                    line[side + columns : side + columns + side] = line[side + columns - 1]
                    begin = ((z + depth) * height + y + beside) * columns
                    for block in range(blocks):
                        column = min(16 * block, columns - 16)
                        total = splat16(np.float32(0))
                        for tap in range(column_taps):
                            total = total + load16(rows, beside * row_stride + column + tap) * column_weights[tap + 3]
                        store(out, begin + column, total)
