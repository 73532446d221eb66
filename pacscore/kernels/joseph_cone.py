"""Joseph's projector for cone beams whose detector rows lie along the slices, and its adjoint.

All rays of one detector column cross a plane of voxels at one place within the slice, and at slices that are affine in
the detector row: so two voxel columns are blended once for all rows, and the rest is interpolation along a line. Both
kernels work on blocks of planes. Marches are as in ``kernels/joseph.py`` (J1); here ``lines`` is (views, columns, 4)
float64: the place ``a * p + b`` across the march, and the part ``c * p + d`` of the way from the source to the detector
at march index ``p``; ``heights`` (views, 3) float64: slice of the source, slices from there to detector row 0, slices
per row. The step in mm of a ray is ``|c|`` times its length from the source to the detector, ``lengths`` (1 or views,
columns, rows) float32.

Volumes are (rows, columns, slices + 24) float32: 8 zeros before the slices and 16 after. Projections are (views,
columns, rows + 16) float32.

Unchecked: the checked entry is ``pacscore.recon.Projector``. Twins: ``tests/reference/tomography.py``.
"""

# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._vector import load_of, pairs_along, splat_of, store
from pacscore.kernels.backproject import CONTRACT, FIXED, fractions

load8, splat8 = load_of(8), splat_of(8)
SLICES_BEFORE, SLICES_AFTER, ROWS_AFTER = 8, 16, 16
_PLANES = 32


@kernel(inline=True)
def rows_within(start: float, step: float, rows: int, slices: int) -> Any:
    """First detector row, and the one after the last, whose ray crosses within a slice of the volume."""
    low, high = SLICES_BEFORE - 1.0, SLICES_BEFORE + 0.0 + slices
    if abs(step) < 1e-12:
        return (np.int64(0), np.int64(rows)) if low < start < high else (np.int64(0), np.int64(0))
    a, b = (low - start) / step, (high - start) / step
    first, last = max(0.0, np.ceil(min(a, b))), min(rows - 1.0, np.floor(max(a, b)))
    return np.int64(first), max(np.int64(first), np.int64(last) + 1)


@kernel(inline=True)
def crossing(line: NDArray[np.float64], height: NDArray[np.float64], p: int, across: int) -> Any:
    """Where a column's rays cross plane ``p``: lower voxel and two weights, slice at row 0, slices per row."""
    at = line[0] * p + line[1]
    way = line[2] * p + line[3]
    lower = np.int64(min(max(at, 0.0), max(0.0, across - 2.0)))
    w0 = np.float32(max(0.0, 1.0 - abs(at - lower)))
    w1 = np.float32(max(0.0, 1.0 - abs(at - lower - 1.0))) if across > 1 else np.float32(0)
    return lower, w0, w1, height[0] + way * height[1] + SLICES_BEFORE, way * height[2]


@kernel(fastmath=CONTRACT)
def forward_columns_into(
    volume: NDArray[np.float32],
    lines: NDArray[np.float64],
    heights: NDArray[np.float64],
    spans: NDArray[np.int32],
    lengths: NDArray[np.float32],
    order: NDArray[np.int64],
    line: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Line integrals of the views in ``order``, which must be zero before.

    spans : (views, columns, 3) int32 as in ``kernels/joseph.py``
    line : (slices + 64,) float32 scratch
    """
    rows_of_voxels, width, depth = volume.shape
    slices, rows = depth - SLICES_BEFORE - SLICES_AFTER, out.shape[2] - ROWS_AFTER
    for plane in range(0, max(rows_of_voxels, width), _PLANES):
        for view in order:
            for column in range(lines.shape[1]):
                low = np.int64(max(plane, spans[view, column, 0]))
                high = np.int64(min(plane + _PLANES, spans[view, column, 1]))
                marched = spans[view, column, 2] == 1
                across = width if marched else rows_of_voxels
                target = (np.int64(view) * lines.shape[1] + column) * out.shape[2]
                for p in range(low, high):
                    lower, w0, w1, start, step = crossing(lines[view, column], heights[view], p, across)
                    begin, end = rows_within(start, step, rows, slices)
                    if end <= begin:
                        continue
                    place = (np.int64(p) * width + lower if marched else lower * width + p) * depth
                    beside = place + (depth if marched else width * depth) if across > 1 else place
                    ends = start + step * begin, start + step * (end - 1)
                    z, top = np.int64(min(ends)), np.int64(max(ends)) + 2
                    v0, v1 = splat8(w0), splat8(w1)
                    while z < top:
                        store(line, z, load8(volume, place + z) * v0 + load8(volume, beside + z) * v1)
                        z += 8
                    ahead = np.int64(step * FIXED)
                    row = begin
                    position = np.int64(start * FIXED) + row * ahead
                    while row + 8 <= end:
                        left, right = pairs_along(line, position, ahead)
                        part = left + fractions(position, ahead) * (right - left)
                        store(out, target + row, load8(out, target + row) + part)
                        row += 8
                        position += 8 * ahead
                    while row < end:
                        whole = np.uint64(position) >> np.uint64(32)
                        fraction = np.float32((position & 0xFFFFFFFF) * (1.0 / FIXED))
                        left = line[whole]
                        out[view, column, row] += left + fraction * (line[whole + np.uint64(1)] - left)
                        row += 1
                        position += ahead
    for view in order:
        for column in range(lines.shape[1]):
            step = np.float32(abs(lines[view, column, 2]))
            length = lengths[view % lengths.shape[0], column]
            values = out[view, column]
            for row in range(rows):
                values[row] *= length[row] * step


@kernel(fastmath=CONTRACT)
def adjoint_planes_into(
    projections: NDArray[np.float32],
    lines: NDArray[np.float64],
    heights: NDArray[np.float64],
    spans: NDArray[np.int32],
    lengths: NDArray[np.float32],
    order: NDArray[np.int64],
    planes: Any,
    marched_rows: bool,
    scratch: NDArray[np.float32],
    volume: NDArray[np.float32],
) -> None:
    """The adjoint of ``forward_columns_into``, for the planes that one axis of march has in a range.

    planes : first march index, and the one after the last
    marched_rows : take the rays that march rows, else those that march columns
    scratch : (2, slices + 64) float32, zeros; left as zeros
    volume : added to, in those planes only

    The two taps of a row go to lines of their own, which are added once: a sum would have to wait for the one before.
    """
    rows_of_voxels, width, depth = volume.shape
    slices, rows = depth - SLICES_BEFORE - SLICES_AFTER, projections.shape[2] - ROWS_AFTER
    across = width if marched_rows else rows_of_voxels
    lower_line, upper_line = scratch[0], scratch[1]
    for view in order:
        for column in range(lines.shape[1]):
            if (spans[view, column, 2] == 1) != marched_rows:
                continue
            values = projections[view, column]
            length, scale = lengths[view % lengths.shape[0], column], np.float32(abs(lines[view, column, 2]))
            for p in range(max(planes[0], spans[view, column, 0]), min(planes[1], spans[view, column, 1])):
                lower, w0, w1, start, step = crossing(lines[view, column], heights[view], p, across)
                begin, end = rows_within(start, step, rows, slices)
                if end <= begin:
                    continue
                ends = start + step * begin, start + step * (end - 1)
                z0, z1 = np.int64(min(ends)), np.int64(max(ends)) + 2
                ahead = np.int64(step * FIXED)
                position = np.int64(start * FIXED) + begin * ahead
                for row in range(begin, end):
                    whole = np.uint64(position) >> np.uint64(32)
                    fraction = np.float32((position & 0xFFFFFFFF) >> 1) * np.float32(2.0**-31)
                    value = values[np.uint64(row)] * (length[np.uint64(row)] * scale)
                    later = fraction * value
                    lower_line[whole] += value - later
                    upper_line[whole + np.uint64(1)] += later
                    position += ahead
                place = (np.int64(p) * width + lower if marched_rows else lower * width + p) * depth
                beside = place + (depth if marched_rows else width * depth)
                v0, v1, nothing = splat8(w0), splat8(w1), splat8(np.float32(0))
                for z in range(z0, z1, 8):
                    both = load8(lower_line, z) + load8(upper_line, z)
                    store(lower_line, z, nothing)
                    store(upper_line, z, nothing)
                    store(volume, place + z, load8(volume, place + z) + both * v0)
                    if across > 1:
                        store(volume, beside + z, load8(volume, beside + z) + both * v1)
