"""The ray reducer: parallel rays through a volume, reduced to a maximum, a minimum, a sum, or composited to a picture.

R1  A ray is a line of samples ``k = 0, 1, 2 …``, at ``origin + i * row_step + j * column_step + k * sample_step`` in
    voxel indices (slice, row, column); its samples from the first to the last inside the volume count. Inside is where
    the eight voxels around a position exist: 0 to n - 1 along each axis, both ends included, within 1e-9 of a step.
R2  Samples are taken by eights, beginning at the first sample of the ray. So a sample has one position, computed in one
    way, whatever was looked at before it: results depend neither on threads nor on seeds.
R3  Nothing is passed over that could change the result: limits of cells (``kernels/blocks.py``) hold for all
    interpolated values, and what is compared with them was rounded toward visiting.
R4  Trilinear weights are held within 0 and 1, so a sample leaves the range of its eight voxels by no more than a
    rounding of float32.

``grid`` is (4, 3) float64: origin, row step, column step, sample step. Volumes are int16 or float32, C order, given
flat beside their shape. Unchecked: the checked entries are ``project_rays`` and ``render_rays`` of
``pacscore.imaging.arrays``. Twins: ``tests/reference/rays.py``.
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
    gather,
    gather_pairs,
    lane_maximum,
    lane_sum,
    mask_bits,
    maximum,
    minimum,
    select,
    splat_of,
    trailing_zeros,
)

splat8 = splat_of(8)
lanes_float = constant_of("float32", tuple(range(8)))
to_float32 = convert_to("float32")
to_int32 = convert_to("int32")

CONTRACT = frozenset({"contract"})
_SCAN_SLACK = 0.01
"""Voxels by which float32 may miss a position when groups are tested; the spread of cells allows for twice as much."""


@kernel(inline=True)
def inside_span(start: float, step: float, length: int, first: float, last: float) -> tuple[float, float]:
    """Narrow ``first`` to ``last``, as samples, to where a coordinate lies within 0 and ``length - 1``."""
    high = length - 1.0
    if abs(step) < 1e-12:
        if start < -1e-9 or start > high + 1e-9:
            return 1.0, 0.0
        return first, last
    a = -start / step
    b = (high - start) / step
    return max(first, min(a, b)), min(last, max(a, b))


@kernel(inline=True)
def ray_span(z: float, y: float, x: float, grid: NDArray[np.float64], shape: Any, samples: int) -> Any:
    """First sample inside the volume, and how many there are (R1)."""
    first, last = 0.0, samples - 1.0
    first, last = inside_span(z, grid[3, 0], shape[0], first, last)
    first, last = inside_span(y, grid[3, 1], shape[1], first, last)
    first, last = inside_span(x, grid[3, 2], shape[2], first, last)
    if last - first < -2e-9:
        return 0, 0
    start = np.int64(np.ceil(first - 1e-9))
    return start, max(0, np.int64(np.floor(last + 1e-9)) + 1 - start)


@kernel(inline=True)
def corner_of(start: float, step: float, lanes: Any, length: int) -> Any:
    """Lower voxel and weight of the upper one, along one axis, of the lanes of a group.

    start, step : float64 coordinate of the group's first sample, and of a step
    lanes : float32 numbers of the samples within the group
    """
    whole = np.floor(start)
    position = splat8(np.float32(start - whole)) + lanes * splat8(np.float32(step))
    position = minimum(maximum(position, splat8(np.float32(-whole))), splat8(np.float32(length - 1.0 - whole)))
    corner = minimum(floor(position), splat8(np.float32(length - 2.0 - whole)))
    return to_int32(corner) + splat8(np.int32(whole)), position - corner


@kernel(inline=True)
def lerp(a: Any, b: Any, weight: Any) -> Any:
    """From ``a`` to ``b``."""
    return a + weight * (b - a)


@kernel(inline=True)
def line_of(values: NDArray[Any], base: int, offsets: Any, weight: Any) -> Any:
    """Values interpolated along the columns."""
    left, right = gather_pairs(values, base, offsets)
    return lerp(to_float32(left), to_float32(right), weight)


@kernel(inline=True)
def values_of(values: NDArray[Any], shape: Any, offsets: Any, wz: Any, wy: Any, wx: Any) -> Any:
    """Trilinear values at the lanes."""
    columns, plane = shape[2], shape[1] * shape[2]
    upper = lerp(line_of(values, 0, offsets, wx), line_of(values, columns, offsets, wx), wy)
    lower = lerp(line_of(values, plane, offsets, wx), line_of(values, plane + columns, offsets, wx), wy)
    return lerp(upper, lower, wz)


@kernel(inline=True)
def cells_of_groups(batch: int, z: float, y: float, x: float, grid: NDArray[np.float64], shape: Any, cells: Any) -> Any:
    """The cell that each of eight consecutive groups begins in, a little lower rather than higher (R3).

    z, y, x : coordinates of the ray's first sample, each lowered to the lowest that a group reaches

    Returns places in the flat array of cells, and the number of each group's first sample.
    """
    number = (lanes_float() + splat8(np.float32(batch * 8))) * splat8(np.float32(8))
    zero = splat8(np.float32(0))
    pz = splat8(np.float32(z)) + number * splat8(np.float32(grid[3, 0]))
    py = splat8(np.float32(y)) + number * splat8(np.float32(grid[3, 1]))
    px = splat8(np.float32(x)) + number * splat8(np.float32(grid[3, 2]))
    cz = to_int32(minimum(maximum(pz, zero), splat8(np.float32(shape[0] - 2)))) >> splat8(np.int32(2))
    cy = to_int32(minimum(maximum(py, zero), splat8(np.float32(shape[1] - 2)))) >> splat8(np.int32(2))
    cx = to_int32(minimum(maximum(px, zero), splat8(np.float32(shape[2] - 2)))) >> splat8(np.int32(2))
    return (cz * splat8(np.int32(cells[1])) + cy) * splat8(np.int32(cells[2])) + cx, number


@kernel(inline=True)
def lowest_of_group(start: float, step: float) -> float:
    """The lowest coordinate of a group that begins at ``start``, lowered by the slack of a scan."""
    return start + min(0.0, 7.0 * step) - _SCAN_SLACK


@kernel(fastmath=CONTRACT)
def extreme_rays_into(
    values: NDArray[Any],
    shape: tuple[int, int, int],
    limits: NDArray[Any],
    spread: NDArray[Any],
    grid: NDArray[np.float64],
    samples: int,
    sign: float,
    seeded: bool,
    tile: tuple[int, int, int, int],
    out: NDArray[np.float32],
) -> None:
    """The largest or smallest sample of each ray.

    values : (voxels,) int16 or float32, flat
    shape : slices, rows, columns; each at least 2
    limits : (layers, lines, columns) of cells, what each holds at most (smallest: at least)
    spread : the same of all cells that a group can touch which begins in it
    sign : 1 for the largest, -1 for the smallest
    seeded : begin where the last ray had its extreme; faster, the same result
    tile : first row, row after the last, first column, column after the last
    out : (rows, columns) float32; rays without samples get NaN

    Each ray first reads the group where its neighbour found the extreme; what follows is mostly passed over, eight
    groups at a look. Measured against one cell of 8 voxels after another: 93 ms, not 230.
    """
    cells = limits.shape
    factor = np.float32(sign)
    factors = splat8(factor)
    dz, dy, dx = grid[3, 0], grid[3, 1], grid[3, 2]
    flat_limits, flat_spread = limits.reshape(limits.size), spread.reshape(spread.size)
    stride_y, stride_z = splat8(np.int32(shape[2])), splat8(np.int32(shape[1] * shape[2]))
    cell_y, cell_z = splat8(np.int32(cells[2])), splat8(np.int32(cells[1] * cells[2]))
    two = splat8(np.int32(2))
    found_at = np.int64(-1)
    for i in range(tile[0], tile[1]):
        for j in range(tile[2], tile[3]):
            z0 = grid[0, 0] + i * grid[1, 0] + j * grid[2, 0]
            y0 = grid[0, 1] + i * grid[1, 1] + j * grid[2, 1]
            x0 = grid[0, 2] + i * grid[1, 2] + j * grid[2, 2]
            first, count = ray_span(z0, y0, x0, grid, shape, samples)
            if count == 0:
                out[i, j] = np.nan
                continue
            z0, y0, x0 = z0 + first * dz, y0 + first * dy, x0 + first * dx
            low_z, low_y, low_x = lowest_of_group(z0, dz), lowest_of_group(y0, dy), lowest_of_group(x0, dx)
            best = np.float32(-np.inf)
            group = np.int64(-1)
            if seeded and found_at >= 0:
                group = max(np.int64(0), min(found_at - first, count - 1)) >> 3
            batch, batches = np.int64(-1), (count + 63) >> 6
            bits = np.uint64(0)
            bounds = splat8(np.float32(0))
            while True:
                if group < 0:
                    while bits == 0 and batch < batches - 1:
                        batch += 1
                        places, number = cells_of_groups(batch, low_z, low_y, low_x, grid, shape, cells)
                        bounds = to_float32(gather(flat_spread, 0, places)) * factors
                        bits = mask_bits((bounds > splat8(best)) & (number < splat8(np.float32(count))))
                    if bits == 0:
                        break
                    group = batch * 8 + trailing_zeros(bits)
                    bits &= bits - np.uint64(1)
                sample = group * 8
                lanes = minimum(lanes_float(), splat8(np.float32(count - 1 - sample)))
                group = np.int64(-1)
                iz, wz = corner_of(z0 + sample * dz, dz, lanes, shape[0])
                iy, wy = corner_of(y0 + sample * dy, dy, lanes, shape[1])
                ix, wx = corner_of(x0 + sample * dx, dx, lanes, shape[2])
                holding = (iz >> two) * cell_z + (iy >> two) * cell_y + (ix >> two)
                if lane_maximum(to_float32(gather(flat_limits, 0, holding)) * factors) <= best:
                    continue
                offsets = iz * stride_z + iy * stride_y + ix
                most = lane_maximum(values_of(values, shape, offsets, wz, wy, wx) * factors)
                if most > best:
                    best = most
                    found_at = first + sample
                    bits &= mask_bits(bounds > splat8(best))
            out[i, j] = best * factor


@kernel(fastmath=CONTRACT)
def sum_rays_into(
    values: NDArray[Any],
    shape: tuple[int, int, int],
    grid: NDArray[np.float64],
    samples: int,
    tile: tuple[int, int, int, int],
    counts: NDArray[np.int32],
    out: NDArray[np.float32],
) -> None:
    """The sum of the samples of each ray, and how many there are.

    values, shape, tile : as in ``extreme_rays_into``
    counts : (rows, columns) int32
    out : (rows, columns) float32; 0 where a ray has no samples

    Eight partial sums a ray, float32.
    """
    dz, dy, dx = grid[3, 0], grid[3, 1], grid[3, 2]
    stride_y, stride_z = splat8(np.int32(shape[2])), splat8(np.int32(shape[1] * shape[2]))
    zero = splat8(np.float32(0))
    for i in range(tile[0], tile[1]):
        for j in range(tile[2], tile[3]):
            z0 = grid[0, 0] + i * grid[1, 0] + j * grid[2, 0]
            y0 = grid[0, 1] + i * grid[1, 1] + j * grid[2, 1]
            x0 = grid[0, 2] + i * grid[1, 2] + j * grid[2, 2]
            first, count = ray_span(z0, y0, x0, grid, shape, samples)
            z0, y0, x0 = z0 + first * dz, y0 + first * dy, x0 + first * dx
            sums = zero
            for sample in range(0, count, 8):
                last = splat8(np.float32(count - 1 - sample))
                lanes = minimum(lanes_float(), last)
                iz, wz = corner_of(z0 + sample * dz, dz, lanes, shape[0])
                iy, wy = corner_of(y0 + sample * dy, dy, lanes, shape[1])
                ix, wx = corner_of(x0 + sample * dx, dx, lanes, shape[2])
                offsets = iz * stride_z + iy * stride_y + ix
                found = values_of(values, shape, offsets, wz, wy, wx)
                sums = sums + select(lanes_float() > last, zero, found)
            counts[i, j] = count
            out[i, j] = lane_sum(sums)
