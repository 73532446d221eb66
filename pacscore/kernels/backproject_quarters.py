"""Cone-beam backprojection of equiangular full circles: four voxels that lie a quarter turn apart share their work.

Where the views repeat after a quarter turn, a voxel turned by 90° is seen by the view 90° on at the same place of the
detector, with the same weight. Four such views lie side by side (``interleave_views_into``), so that one blend and one
interpolation serve four voxels, and lanes are voxels: nothing is gathered. Measured 1.4 times as fast as
``backproject.cone_tile_into``, whose B1 to B4 hold here too.

Unchecked: the checked entry is ``pacscore.recon.fdk``. Twins: ``tests/reference/tomography.py``.
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
    load_of,
    reinterpret_as,
    shuffle_by,
    splat_of,
    store,
)
from pacscore.kernels.backproject import CONTRACT, FIXED, VIEWS_AT_ONCE, place_columns

load8, splat8 = load_of(8), splat_of(8)
to_float32, as_int32 = convert_to("float32"), reinterpret_as("int32")
lower_upper = constant_of("uint32", (0, 0, 0, 0, 1, 1, 1, 1))
left_fours, right_fours = shuffle_by((0, 1, 2, 3, 8, 9, 10, 11)), shuffle_by((4, 5, 6, 7, 12, 13, 14, 15))
turned_once = shuffle_by((1, 2, 3, 0, 5, 6, 7, 4))
turned_twice = shuffle_by((2, 3, 0, 1, 6, 7, 4, 5))
turned_thrice = shuffle_by((3, 0, 1, 2, 7, 4, 5, 6))


@kernel(inline=True)
def blend_fours(
    views: NDArray[np.float32], source: int, stride: int, w0: Any, w1: Any, turn: int, place: int, end: int, line: Any
) -> None:
    """Blend two detector columns of four views each; lane ``j`` takes view ``(j + turn) % 4``."""
    if turn == 0:
        while place < end:
            store(line, place, load8(views, source + place) * w0 + load8(views, source + stride + place) * w1)
            place += 8
    elif turn == 1:
        while place < end:
            x = load8(views, source + place) * w0 + load8(views, source + stride + place) * w1
            store(line, place, turned_once(x, x))
            place += 8
    elif turn == 2:
        while place < end:
            x = load8(views, source + place) * w0 + load8(views, source + stride + place) * w1
            store(line, place, turned_twice(x, x))
            place += 8
    else:
        while place < end:
            x = load8(views, source + place) * w0 + load8(views, source + stride + place) * w1
            store(line, place, turned_thrice(x, x))
            place += 8


@kernel(inline=True)
def two_slices(line: NDArray[np.float32], position: int, ahead: int) -> Any:
    """Interpolated values of four voxels at two slices."""
    lower = load8(line, (position >> 32) << 2)
    upper = load8(line, ((position + ahead) >> 32) << 2)
    low = splat8(np.uint32(position & 0xFFFFFFFF)) + splat8(np.uint32(ahead & 0xFFFFFFFF)) * lower_upper()
    part = to_float32(as_int32(low >> splat8(np.uint32(1)))) * splat8(np.float32(2.0**-31))
    left = left_fours(lower, upper)
    return left + part * (right_fours(lower, upper) - left)


@kernel(fastmath=CONTRACT)
def quarter_tile_into(
    views: NDArray[np.float32],
    maps: NDArray[np.float32],
    turns: NDArray[np.int64],
    center: Any,
    curve: float,
    tile: Any,
    sums: NDArray[np.float32],
    line: NDArray[np.float32],
    places: NDArray[np.int32],
    numbers: NDArray[np.float32],
    volume: NDArray[np.float32],
) -> None:
    """Add sets of four filtered views to a tile of the first quarter of a volume, and to its three turned copies.

    views : (sets, columns + 2, 4 * (rows + 20)) float32, interleaved
    maps : (4, sets, 3, 4) float32, of the views of each set
    turns : (4,) 0 to 3; how far on each view of a set lies
    tile : first slice, slice after the last, the same of rows and columns of the first quarter
    sums : (rows, columns, 4 * slices) float32 scratch
    volume : (slices, n, n) float32, added to
    center, curve, line, places, numbers : as in ``cone_tile_into``; line four times as long
    """
    z0, z1, y0, y1, x0, x1 = tile
    slices, count, last_index = z1 - z0, x1 - x0, volume.shape[1] - 1
    columns, stride = views.shape[1], views.shape[2]
    size = (columns - 2, stride // 4 - 20)
    sums[:, :, :] = np.float32(0)
    for batch in range(0, views.shape[0], VIEWS_AT_ONCE):
        for y in range(y0, y1):
            for number in range(4 * batch, 4 * min(views.shape[0], batch + VIEWS_AT_ONCE)):
                view, turn = number >> 2, number & 3
                place_columns(maps[turn, view], y, x0, z0, count, slices, size, center, curve, places, numbers)
                for x in range(count):
                    z, last = np.int64(places[1, x]), np.int64(places[2, x])
                    if last <= z:
                        continue
                    row, step = np.float64(numbers[2, x]), np.float64(numbers[3, x])
                    place = 4 * np.int64(row + step * z)
                    end = 4 * (np.int64(row + step * (last - 1)) + 2)
                    source = (np.int64(view) * columns + places[0, x]) * stride
                    w0, w1 = splat8(numbers[0, x]), splat8(numbers[1, x])
                    blend_fours(views, source, stride, w0, w1, turns[turn], place, end, line)
                    ahead = np.int64(step * FIXED)
                    position = np.int64(row * FIXED) + z * ahead
                    target = (np.int64(y - y0) * sums.shape[1] + x) * sums.shape[2]
                    while z + 2 <= last:
                        at = target + 4 * z
                        store(sums, at, load8(sums, at) + two_slices(line, position, ahead))
                        z += 2
                        position += 2 * ahead
                    if z < last:
                        lower = np.uint64(position) >> np.uint64(32) << np.uint64(2)
                        fraction = np.float32((position & 0xFFFFFFFF) * (1.0 / FIXED))
                        for lane in range(np.uint64(4)):
                            left = line[lower + lane]
                            part = left + fraction * (line[lower + np.uint64(4) + lane] - left)
                            sums[y - y0, x, 4 * z + np.int64(lane)] += part
    # Layer by layer, so that the lines of the three turned copies are filled while they are in the cache.
    for layer in range(slices):
        first = 4 * layer
        for y in range(y0, y1):
            for x in range(x0, x1):
                volume[z0 + layer, y, x] += sums[y - y0, x - x0, first]
                volume[z0 + layer, x, last_index - y] += sums[y - y0, x - x0, first + 1]
                volume[z0 + layer, last_index - y, last_index - x] += sums[y - y0, x - x0, first + 2]
                volume[z0 + layer, last_index - x, y] += sums[y - y0, x - x0, first + 3]
