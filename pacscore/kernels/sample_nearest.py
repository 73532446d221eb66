"""The nearest voxel along straight lines; the arguments are those of ``sample_lines``."""

# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._vector import gather
from pacscore.kernels.line_spans import BLOCK, is_inside, span_in_block, span_lines
from pacscore.kernels.sample_lines import (
    clear_block,
    combine8,
    combine_lane,
    combine_some,
    finish_block,
    load8,
    numbers8,
    place_run,
    splat8,
    to_float32,
)


@kernel(inline=True)
def add_nearest(
    array: NDArray[Any],
    corner: NDArray[np.int64],
    extent: NDArray[np.int64],
    line: NDArray[np.float64],
    depth: int,
    combine: int,
    whole: bool,
    block: int,
    width: int,
    scratch: NDArray[np.float32],
    offsets: NDArray[np.int32],
    span: NDArray[np.int32],
) -> None:
    """Take the samples of one line at one depth into the values of one block."""
    first, begin, end, last = span_in_block(span, block, width)
    if first >= last:
        return
    z0, y0, x0 = line[0, 0] + depth * line[2, 0], line[0, 1] + depth * line[2, 1], line[0, 2] + depth * line[2, 2]
    dz, dy, dx = line[1, 0], line[1, 1], line[1, 2]
    for number in range(first, last - (end - begin)):
        column = number if number < begin else number + (end - begin)
        z, y, x = z0 + column * dz, y0 + column * dy, x0 + column * dx
        if is_inside(z, y, x, extent):
            iz, iy, ix = int(z + 0.5) - corner[0], int(y + 0.5) - corner[1], int(x + 0.5) - corner[2]
            combine_lane(np.float32(array[iz, iy, ix]), column - block, combine, whole, scratch)
    if begin >= end:
        return
    stride_y, stride_z = array.shape[2], array.shape[1] * array.shape[2]
    if extent[0] == 1:
        z0, dz, stride_z = 0.0, 0.0, 0
    if extent[1] == 1:
        y0, dy, stride_y = 0.0, 0.0, 0
    iz, iy, ix = int(z0 + begin * dz), int(y0 + begin * dy), int(x0 + begin * dx)
    base = (iz - corner[0]) * stride_z + (iy - corner[1]) * stride_y + ix - corner[2]
    # Half a voxel on, the voxel before a sample is the one nearest to it.
    start = (z0 + begin * dz - iz + 0.5, y0 + begin * dy - iy + 0.5, x0 + begin * dx - ix + 0.5)
    place_run(stride_z, stride_y, start, (dz, dy, dx), end - begin, scratch, offsets)
    for group in range(0, end - begin, 8):
        value = to_float32(gather(array, base, load8(offsets, group)))
        if group + 8 <= end - begin:
            combine8(value, begin + group - block, combine, whole, scratch)
        else:
            held = numbers8() < splat8(np.int32(end - begin - group))
            combine_some(value, held, begin + group - block, combine, whole, scratch)


@kernel
def sample_nearest_into(
    array: NDArray[Any],
    corner: NDArray[np.int64],
    extent: NDArray[np.int64],
    lines: NDArray[np.float64],
    depths: int,
    combine: int,
    values: NDArray[np.float64],
    part: NDArray[np.int64],
    scratch: NDArray[np.float32],
    offsets: NDArray[np.int32],
    spans: NDArray[np.int32],
    out: NDArray[Any],
) -> None:
    """Sample along lines, the nearest voxel (of two equally near either): see ``sample_lines``."""
    whole = depths == 1 or values[6] == 0
    span_lines(lines, depths, array.shape, extent, 0, part, spans)
    for block in range(part[2], part[3], BLOCK):
        width = min(BLOCK, part[3] - block)
        for number in range(part[0], part[1]):
            line = lines[number]
            clear_block(combine, scratch)
            for depth in range(depths):
                span = spans[number - part[0], depth]
                add_nearest(array, corner, extent, line, depth, combine, whole, block, width, scratch, offsets, span)
            finish_block(combine, values, scratch, width, out[number, block : block + width])
