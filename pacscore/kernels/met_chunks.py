"""Which chunks of a stored volume samples along lines need, and which part of each."""

# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._vector import floor
from pacscore.kernels.line_spans import MARGIN, inside_columns, is_inside


@kernel
def taps_of(
    line: NDArray[np.float64], depth: int, column: int, extent: NDArray[np.int64], reach: int, taps: NDArray[np.int64]
) -> None:
    """The first and last voxel that one sample uses along each axis, (2, 3)."""
    for axis in range(3):
        place = line[0, axis] + depth * line[2, axis] + column * line[1, axis]
        last = extent[axis] - 1
        taps[0, axis] = min(max(int(floor(place - MARGIN)) - reach, 0), last)
        taps[1, axis] = min(max(int(floor(place + MARGIN)) + 1 + reach, 0), last)


@kernel
def note_taps(taps: NDArray[np.int64], chunk: NDArray[np.int64], spans: NDArray[np.int32]) -> None:
    """Widen the spans of the chunks in which taps (2, 3) lie."""
    for a in range(taps[0, 0] // chunk[0], taps[1, 0] // chunk[0] + 1):
        for b in range(taps[0, 1] // chunk[1], taps[1, 1] // chunk[1] + 1):
            for c in range(taps[0, 2] // chunk[2], taps[1, 2] // chunk[2] + 1):
                span = spans[a, b, c]
                corner = (a * chunk[0], b * chunk[1], c * chunk[2])
                for axis in range(3):
                    first, last = max(taps[0, axis], corner[axis]), min(taps[1, axis], corner[axis] + chunk[axis] - 1)
                    span[axis] = min(span[axis], np.int32(first))
                    span[3 + axis] = max(span[3 + axis], np.int32(last + 1))


@kernel(inline=True)
def _inside(line: NDArray[np.float64], depth: int, column: int, extent: NDArray[np.int64]) -> bool:
    z = line[0, 0] + depth * line[2, 0] + column * line[1, 0]
    y = line[0, 1] + depth * line[2, 1] + column * line[1, 1]
    x = line[0, 2] + depth * line[2, 2] + column * line[1, 2]
    return bool(is_inside(z, y, x, extent))


@kernel
def columns_alike(
    extent: NDArray[np.int64],
    chunk: NDArray[np.int64],
    line: NDArray[np.float64],
    depth: int,
    column: int,
    reach: int,
    taps: NDArray[np.int64],
) -> float:
    """About how many columns on the taps (2, 3) of ``column`` stay within their chunks; 1e9 where they never leave."""
    most = 1e9
    for axis in range(3):
        step = line[1, axis]
        if step == 0.0:
            continue
        place = line[0, axis] + depth * line[2, axis] + column * step
        for side in range(2):
            edge = place - MARGIN - reach if side == 0 else place + MARGIN + 1 + reach
            number = taps[side, axis] // chunk[axis]
            if step > 0 and (number + 1) * chunk[axis] < extent[axis]:
                most = min(most, ((number + 1) * chunk[axis] - edge) / step)
            elif step < 0 and number > 0:
                most = min(most, (number * chunk[axis] - edge) / step)
    return most


@kernel
def same_chunks(one: NDArray[np.int64], other: NDArray[np.int64], chunk: NDArray[np.int64]) -> bool:
    """Two samples' taps (2, 3) lie in the same chunks."""
    for axis in range(3):
        for side in range(2):
            if one[side, axis] // chunk[axis] != other[side, axis] // chunk[axis]:
                return False
    return True


@kernel
def meet_along(
    extent: NDArray[np.int64],
    chunk: NDArray[np.int64],
    line: NDArray[np.float64],
    depth: int,
    first: int,
    last: int,
    reach: int,
    taps: NDArray[np.int64],
    spans: NDArray[np.int32],
) -> None:
    """Note what the samples of one line at one depth use, from column ``first`` to ``last``.

    Indices change along a line in one direction only, so what two of its samples share holds for all between them: the
    line is cut where taps go over to other chunks.
    """
    column = first
    while column <= last:
        taps_of(line, depth, column, extent, reach, taps[0])
        alike = columns_alike(extent, chunk, line, depth, column, reach, taps[0])
        end = min(last, column + int(max(0.0, min(alike, 1e9))))
        taps_of(line, depth, end, extent, reach, taps[1])
        while end > column and not same_chunks(taps[0], taps[1], chunk):
            end -= 1
            taps_of(line, depth, end, extent, reach, taps[1])
        for axis in range(3):
            taps[2, 0, axis] = min(taps[0, 0, axis], taps[1, 0, axis])
            taps[2, 1, axis] = max(taps[0, 1, axis], taps[1, 1, axis])
        note_taps(taps[2], chunk, spans)
        column = end + 1


@kernel
def meet_chunks_into(
    extent: NDArray[np.int64],
    chunk: NDArray[np.int64],
    lines: NDArray[np.float64],
    depths: int,
    reach: int,
    part: NDArray[np.int64],
    taps: NDArray[np.int64],
    spans: NDArray[np.int32],
) -> None:
    """Note for each chunk the box of voxels that samples along lines use.

    extent, chunk : (3,) int64, shape of the volume and of its chunks
    lines, depths, part : as in ``sample_lines``
    reach : how many voxels before and behind the two around a sample it uses as well
    taps : (3, 2, 3) int64
    spans : (chunks along slices, rows, columns, 6) int32, first and last + 1 of each axis; where nothing was noted,
        the first lies behind the last
    """
    for number in range(part[0], part[1]):
        line = lines[number]
        for depth in range(depths):
            first, last = inside_columns(line, depth, extent, part[2], part[3])
            while first < last and not _inside(line, depth, first, extent):
                first += 1
            while first < last and not _inside(line, depth, last - 1, extent):
                last -= 1
            if first < last:
                meet_along(extent, chunk, line, depth, first, last - 1, reach, taps, spans)
