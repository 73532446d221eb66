"""Which columns of straight lines lie inside a volume, and which of them need no question about its borders.

The arguments are those of ``sample_lines``. What is found for whole lines (``span_lines``) is cut to each block of
columns (``span_in_block``).
"""

# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._vector import floor

BLOCK = 256
MARGIN = 1e-4
"""How far from the last voxel the unchecked path stays: float32 positions within a run are good to 3e-5."""
_STEP_MAX = 8.0
_OFFSET_MAX = 1 << 30


@kernel(inline=True)
def narrowed(start: float, step: float, low: float, high: float, first: int, last: int) -> tuple[int, int]:
    """Of columns ``first`` to ``last`` (exclusive) those where ``low <= start + column * step <= high``."""
    if low > high:  # An axis too short to be free of its borders.
        return first, first
    if abs(step) < 1e-12:
        if low <= start <= high:
            return first, last
        return first, first
    enter, leave = (low - start) / step, (high - start) / step
    if enter > leave:
        enter, leave = leave, enter
    enter, leave = max(enter, first - 1.0), min(leave, last + 1.0)
    if enter > leave:
        return first, first
    begin, end = max(first, -int(floor(-enter))), min(last, int(floor(leave)) + 1)
    if begin >= end:
        return first, first
    return begin, end


@kernel(inline=True)
def is_inside(z: float, y: float, x: float, extent: NDArray[np.int64]) -> bool:
    """A voxel is this near."""
    return bool(-0.5 <= z < extent[0] - 0.5 and -0.5 <= y < extent[1] - 0.5 and -0.5 <= x < extent[2] - 0.5)


@kernel
def inside_columns(
    line: NDArray[np.float64], depth: int, extent: NDArray[np.int64], first: int, last: int
) -> tuple[int, int]:
    """The columns that may lie inside the volume: at most one too many at either end."""
    begin, end = first, last
    for axis in range(3):
        start = line[0, axis] + depth * line[2, axis]
        begin, end = narrowed(start, line[1, axis], -0.5 - MARGIN, extent[axis] - 0.5 + MARGIN, begin, end)
    return begin, end


@kernel
def free_columns(
    line: NDArray[np.float64],
    depth: int,
    array_shape: tuple[int, int, int],
    extent: NDArray[np.int64],
    taps_before: int,
    first: int,
    last: int,
) -> tuple[int, int]:
    """The columns whose samples need no question about borders.

    taps_before : how many voxels before and behind the two around a sample it uses as well
    """
    begin, end = first, last
    if extent[2] == 1:
        return first, first
    reach = 0.0
    strides = (array_shape[1] * array_shape[2], array_shape[2], 1)
    for axis in range(3):
        start, step = line[0, axis] + depth * line[2, axis], line[1, axis]
        low = taps_before + (MARGIN if step != 0.0 else 0.0)
        high = extent[axis] - 1 - taps_before - MARGIN
        if extent[axis] == 1:  # The only voxel lies on all sides of a sample.
            low, high = -0.5 + MARGIN, 0.5 - MARGIN
        begin, end = narrowed(start, step, low, high, begin, end)
        reach += (BLOCK * abs(step) + 2) * strides[axis]
        if abs(step) > _STEP_MAX:
            return first, first
    if reach > _OFFSET_MAX or begin >= end:
        return first, first
    return begin, end


@kernel
def span_lines(
    lines: NDArray[np.float64],
    depths: int,
    array_shape: tuple[int, int, int],
    extent: NDArray[np.int64],
    taps_before: int,
    part: NDArray[np.int64],
    spans: NDArray[np.int32],
) -> None:
    """Note of each line at each depth the columns inside the volume (first, last), and those free of its borders."""
    for number in range(part[0], part[1]):
        for depth in range(depths):
            first, last = inside_columns(lines[number], depth, extent, part[2], part[3])
            begin, end = first, first
            if first < last:
                begin, end = free_columns(lines[number], depth, array_shape, extent, taps_before, first, last)
            span = spans[number - part[0], depth]
            span[0], span[1], span[2], span[3] = first, last, begin, end


@kernel(inline=True)
def span_in_block(span: NDArray[np.int32], block: int, width: int) -> tuple[int, int, int, int]:
    """What of a span lies in one block: first, begin, end, last; where none is free, begin and end are last."""
    first, last = max(int(span[0]), block), min(int(span[1]), block + width)
    begin, end = max(int(span[2]), first), min(int(span[3]), last)
    if begin >= end:
        begin, end = last, last
    return first, begin, end, last
