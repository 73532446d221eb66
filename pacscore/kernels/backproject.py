"""Backprojection of filtered views, voxel by voxel: cone beams along detector rows, stacks of slices, single slices.

B1  A map takes voxel indices to detector indices: (3, 4) float32 for each view; its products with (column, row, slice,
    1) are ``n``, ``b``, ``w``, of which slices enter ``b`` only. Flat detectors: column ``n / w``, row ``b / w``.
    Cylindrical ones: column ``atan(n / w) * curve``, row ``b / r`` with ``r`` the length of ``(n, w)``. To both come
    the indices of the detector's centre. The weight of a voxel is 1 / w², or 1 / r².
B2  So along the slices of one voxel column weight and detector column are constant and the detector row is affine: two
    columns are blended once, and the rest is linear interpolation along a line (``pairs_along``).
B3  Positions along it are fixed-point, 32 bits after the point. The zeros around a filtered view (``kernels/ramp.py``)
    take what reaches over its border by less than a pixel; voxels that project farther out get nothing.
B4  A voxel belongs to one call, and views are added in their order, so results do not depend on threads.

Unchecked: checked entries are in ``pacscore.recon``. Twins: ``tests/reference/tomography.py``.
"""

# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._vector import (
    constant_of,
    convert_to,
    floor,
    load_of,
    maximum,
    minimum,
    pairs_along,
    reinterpret_as,
    select,
    splat_of,
    square_root,
    store,
)

load8, splat8 = load_of(8), splat_of(8)
lanes_float, lanes_uint = constant_of("float32", tuple(range(8))), constant_of("uint32", tuple(range(8)))
to_float32, to_int32, as_int32 = convert_to("float32"), convert_to("int32"), reinterpret_as("int32")

CONTRACT = frozenset({"contract"})
FIXED = 4294967296.0


@kernel(inline=True)
def arc_tangent(t: Any) -> Any:
    """atan of eight float32 within ±1.2, to 2e-7: twice the arc tangent of half the angle, by its series."""
    one = splat8(np.float32(1))
    x = t / (one + square_root(one + t * t))
    s = x * x
    series = splat8(np.float32(1 / 13)) - s * splat8(np.float32(1 / 15))
    series = splat8(np.float32(1 / 9)) - s * (splat8(np.float32(1 / 11)) - s * series)
    series = splat8(np.float32(1 / 5)) - s * (splat8(np.float32(1 / 7)) - s * series)
    return splat8(np.float32(2)) * x * (one - s * (splat8(np.float32(1 / 3)) - s * series))


@kernel(inline=True)
def fractions(position: int, step: int) -> Any:
    """The parts after the point of eight fixed-point positions."""
    low = splat8(np.uint32(position & 0xFFFFFFFF)) + splat8(np.uint32(step & 0xFFFFFFFF)) * lanes_uint()
    return to_float32(as_int32(low >> splat8(np.uint32(1)))) * splat8(np.float32(2.0**-31))


@kernel(inline=True)
def detector_columns(n: Any, w: Any, curve: float) -> Any:
    """Column (from the centre) and 1 / w or 1 / r, of eight voxels (B1); ``curve`` is 0 for flat detectors."""
    one = splat8(np.float32(1))
    if curve > 0:
        r = one / square_root(n * n + w * w)
        return arc_tangent(n / w) * splat8(np.float32(curve)), r
    r = one / w
    return n * r, r


@kernel(inline=True)
def place_columns(
    m: NDArray[np.float32],
    y: int,
    x0: int,
    z0: int,
    count: int,
    slices: int,
    size: Any,
    center: Any,
    curve: float,
    places: NDArray[np.int32],
    numbers: NDArray[np.float32],
) -> None:
    """What eight voxel columns at a time need of one view.

    places : (3, count rounded up) int32: detector column, first slice, slice after the last
    numbers : (4, same) float32: weights of that column and of the next; row at slice ``z0``, rows per slice
    """
    fy, fz = np.float32(y), np.float32(z0)
    n0 = m[0, 1] * fy + m[0, 3]
    w0 = m[2, 1] * fy + m[2, 3]
    b0 = m[1, 1] * fy + m[1, 2] * fz + m[1, 3]
    zero, one = splat8(np.float32(0)), splat8(np.float32(1))
    limit = splat8(np.float32(size[0] + 1))
    width = places.shape[1]
    for start in range(0, count, 8):
        x = splat8(np.float32(x0 + start)) + lanes_float()
        n = splat8(n0) + x * splat8(m[0, 0])
        w = splat8(w0) + x * splat8(m[2, 0])
        b = splat8(b0) + x * splat8(m[1, 0])
        column, r = detector_columns(n, w, curve)
        column = column + splat8(np.float32(center[0]))
        inside = (column >= zero) & (column < limit)
        column = select(inside, column, zero)
        whole = to_int32(column)
        weight = r * r
        later = weight * (column - to_float32(whole))
        row = b * r + splat8(np.float32(center[1]))
        step = r * splat8(m[1, 2])
        first = maximum(zero, floor((one - row) / step) + one)
        last = minimum(splat8(np.float32(slices)), floor((splat8(np.float32(size[1] + 2)) - row) / step))
        store(places, start, whole)
        store(places, width + start, to_int32(minimum(first, splat8(np.float32(slices)))))
        store(places, 2 * width + start, to_int32(maximum(select(inside, last, zero), zero)))
        store(numbers, start, weight - later)
        store(numbers, width + start, later)
        store(numbers, 2 * width + start, row)
        store(numbers, 3 * width + start, step)


@kernel(inline=True)
def blend_columns(
    views: NDArray[np.float32], source: int, stride: int, w0: Any, w1: Any, place: int, end: int, line: Any
) -> None:
    """Two detector columns weighted into ``line``, from ``place`` to ``end`` and up to 15 beyond."""
    while place < end:
        a, b = load8(views, source + place), load8(views, source + stride + place)
        c, d = load8(views, source + place + 8), load8(views, source + stride + place + 8)
        store(line, place, a * w0 + b * w1)
        store(line, place + 8, c * w0 + d * w1)
        place += 16


@kernel(fastmath=CONTRACT)
def cone_lines_into(
    views: NDArray[np.float32],
    maps: NDArray[np.float32],
    center: Any,
    curve: float,
    part: Any,
    line: NDArray[np.float32],
    places: NDArray[np.int32],
    numbers: NDArray[np.float32],
    lines: NDArray[np.float32],
) -> None:
    """Add filtered cone-beam views to some voxel columns of a volume.

    views : (views, columns + 2, rows + 20) float32, filtered, with the zeros of ``kernels/ramp.py``
    maps : (views, 3, 4) float32 (B1), rows per slice above 0
    center : detector index of the centre, (column, row), with the zeros counted
    curve : columns per radian of a cylindrical detector, else 0
    part : first row, row after the last, the same of columns
    line : (rows + 64,) float32 scratch; places, numbers : scratch of ``place_columns``
    lines : (rows, columns, slices) float32, added to

    View by view, so that its detector columns are read once while the lines of the part stay in the second cache.
    """
    y0, y1, x0, x1 = part
    count, slices = x1 - x0, lines.shape[2]
    columns, stride = views.shape[1], views.shape[2]
    size = (columns - 2, stride - 20)
    for view in range(views.shape[0]):
        for y in range(y0, y1):
            place_columns(maps[view], y, x0, 0, count, slices, size, center, curve, places, numbers)
            for x in range(count):
                z, last = np.int64(places[1, x]), np.int64(places[2, x])
                if last <= z:
                    continue
                row, step = np.float64(numbers[2, x]), np.float64(numbers[3, x])
                place = np.int64(row + step * z)
                end = np.int64(row + step * (last - 1)) + np.int64(2)
                source = (np.int64(view) * columns + places[0, x]) * stride
                blend_columns(views, source, stride, splat8(numbers[0, x]), splat8(numbers[1, x]), place, end, line)
                ahead = np.int64(step * FIXED)
                position = np.int64(row * FIXED) + z * ahead
                target = (np.int64(y) * lines.shape[1] + x0 + x) * slices
                while z + 8 <= last:
                    left, right = pairs_along(line, position, ahead)
                    some = left + fractions(position, ahead) * (right - left)
                    store(lines, target + z, load8(lines, target + z) + some)
                    z += 8
                    position += 8 * ahead
                while z < last:
                    whole = np.uint64(position) >> np.uint64(32)
                    fraction = np.float32((position & 0xFFFFFFFF) * (1.0 / FIXED))
                    left = line[whole]
                    lines[y, x0 + x, z] += left + fraction * (line[whole + np.uint64(1)] - left)
                    z += 1
                    position += ahead


@kernel(inline=True)
def place_pixels(
    m: NDArray[np.float32],
    y: int,
    x0: int,
    count: int,
    columns: int,
    center: float,
    curve: float,
    places: NDArray[np.int32],
    numbers: NDArray[np.float32],
) -> None:
    """Detector column of eight pixels at a time, and the weights of it and the next; 0 off the detector."""
    n0 = m[0, 1] * np.float32(y) + m[0, 2]
    w0 = m[1, 1] * np.float32(y) + m[1, 2]
    zero, limit = splat8(np.float32(0)), splat8(np.float32(columns - 1))
    width = places.size
    for start in range(0, count, 8):
        x = splat8(np.float32(x0 + start)) + lanes_float()
        column, r = detector_columns(splat8(n0) + x * splat8(m[0, 0]), splat8(w0) + x * splat8(m[1, 0]), curve)
        column = column + splat8(np.float32(center))
        inside = (column >= zero) & (column < limit)
        column = select(inside, column, zero)
        whole = to_int32(column)
        weight = select(inside, r * r, zero)
        later = weight * (column - to_float32(whole))
        store(places, start, whole)
        store(numbers, start, weight - later)
        store(numbers, width + start, later)


@kernel(fastmath=CONTRACT)
def stack_tile_into(
    views: NDArray[np.float32],
    maps: NDArray[np.float32],
    center: float,
    curve: float,
    tile: Any,
    sums: NDArray[np.float32],
    places: NDArray[np.int32],
    numbers: NDArray[np.float32],
    volume: NDArray[np.float32],
) -> None:
    """Backproject a stack of sinograms that share their geometry into one tile: slices are the lanes.

    views : (views, columns + 2, slices) float32; views a multiple of 4, slices of 8, the first and last column zero
    maps : (views, 2, 3) float32: ``n`` and ``w`` of (column, row, 1) as in B1
    center : detector index of the centre, the zero column counted
    tile : first row, row after the last, the same of columns
    sums : (rows, columns, slices) float32 scratch; places (4, columns rounded up), numbers (4, 2, same) scratch
    volume : (slices, rows, columns) float32, overwritten; may have fewer slices

    Four views at a time: their columns stay in the first cache while the sums stream through it.
    """
    y0, y1, x0, x1 = tile
    count, lanes = x1 - x0, views.shape[2]
    columns = views.shape[1]
    sums[:, :, :] = np.float32(0)
    for view in range(0, views.shape[0], 4):
        for y in range(y0, y1):
            for k in range(4):
                place_pixels(maps[view + k], y, x0, count, columns, center, curve, places[k], numbers[k])
            row = np.int64(y - y0) * sums.shape[1] * lanes
            first = np.int64(view) * columns
            for x in range(count):
                p0 = (first + places[0, x]) * lanes
                p1 = (first + columns + places[1, x]) * lanes
                p2 = (first + 2 * columns + places[2, x]) * lanes
                p3 = (first + 3 * columns + places[3, x]) * lanes
                a0, b0 = splat8(numbers[0, 0, x]), splat8(numbers[0, 1, x])
                a1, b1 = splat8(numbers[1, 0, x]), splat8(numbers[1, 1, x])
                a2, b2 = splat8(numbers[2, 0, x]), splat8(numbers[2, 1, x])
                a3, b3 = splat8(numbers[3, 0, x]), splat8(numbers[3, 1, x])
                target = row + x * lanes
                for lane in range(0, lanes, 8):
                    s = load8(sums, target + lane)
                    s = s + load8(views, p0 + lane) * a0 + load8(views, p0 + lanes + lane) * b0
                    t = load8(views, p1 + lane) * a1 + load8(views, p1 + lanes + lane) * b1
                    s = s + load8(views, p2 + lane) * a2 + load8(views, p2 + lanes + lane) * b2
                    t = t + load8(views, p3 + lane) * a3 + load8(views, p3 + lanes + lane) * b3
                    store(sums, target + lane, s + t)
    for y in range(y1 - y0):
        for lane in range(volume.shape[0]):
            for x in range(count):
                volume[lane, y0 + y, x0 + x] = sums[y, x, lane]


@kernel(fastmath=CONTRACT)
def parallel_rows_into(
    views: NDArray[np.float32], maps: NDArray[np.float64], first: int, last: int, out: NDArray[np.float32]
) -> None:
    """Backproject one parallel sinogram into some rows of a slice.

    views : (views, columns + 16) float32; two zeros before the columns, the rest after them
    maps : (views, 3) float64: detector column, the two zeros counted, of (column, row, 1)
    out : (rows, columns) float32; rows ``first`` to ``last`` are added to

    Along a row of the slice the detector column is affine: the same interpolation as along a cone's voxel column.
    """
    count = out.shape[1]
    high = views.shape[1] - 13.0
    for batch in range(0, views.shape[0], 120):
        for y in range(first, last):
            for view in range(batch, min(views.shape[0], batch + 120)):
                step = maps[view, 0]
                start = maps[view, 1] * y + maps[view, 2]
                low_x, high_x = 0.0, count - 1.0
                if abs(step) > 1e-9:
                    ends = (1.0 - start) / step, (high - start) / step
                    low_x, high_x = max(low_x, min(ends)), min(high_x, max(ends))
                elif start < 1.0 or start > high:
                    continue
                if high_x < low_x:
                    continue
                x, end = np.int64(np.ceil(low_x)), np.int64(np.floor(high_x)) + 1
                line = views[view]
                ahead = np.int64(step * FIXED)
                position = np.int64(start * FIXED) + x * ahead
                target = np.int64(y) * count
                while x + 8 <= end:
                    left, right = pairs_along(line, position, ahead)
                    part = left + fractions(position, ahead) * (right - left)
                    store(out, target + x, load8(out, target + x) + part)
                    x += 8
                    position += 8 * ahead
                while x < end:
                    whole = np.uint64(position) >> np.uint64(32)
                    fraction = np.float32((position & 0xFFFFFFFF) * (1.0 / FIXED))
                    left = line[whole]
                    out[y, x] += left + fraction * (line[whole + np.uint64(1)] - left)
                    x += 1
                    position += ahead
