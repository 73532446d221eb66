"""Samples of a volume along straight lines: what planes, slabs, curved sections and oblique grids are made of.

All kernels here take the same arguments:

array : (slices, rows, columns) int16, uint16 or float32, C order; the part of the volume that starts at ``corner``,
    holding at least every voxel that a sample uses
corner, extent : (3,) int64, the first index of that part, and the shape of the whole volume
lines : (lines, 3, 3) float64, finite: of each line its first sample, the step from column to column, and the step in
    depth, each as (slice, row, column) indices of the whole volume
depths, combine : how many samples in depth make one value, and how: ``MEAN``, ``SUM``, ``MAXIMUM``, ``MINIMUM``
values : (7,) float64; the result is ``sample * [0] + [1]``, [2] where no sample lies inside the volume, held between
    [3] and [4], and rounded to the nearest whole number (ties to even) where [5] is not 0; samples are looked at for
    NaN where [6] is not 0
part : (4,) int64, first and last line, first and last column (exclusive), the first column a multiple of ``BLOCK``
scratch, offsets : (5, BLOCK + 8) float32, (BLOCK + 8,) int32
spans : (lines of the part, depths, 4) int32, scratch
out : (lines, columns), int16, uint16 or float32, C order

A sample lies inside where each index is at least -0.5 and below its length less 0.5; beyond its outermost voxels the
volume is continued by them. Of several samples in depth those outside, and NaN, are left out; a single one stays NaN.

Blocks of columns (and not whole lines) keep what neighbouring lines read in the cache. Where a line runs strictly
inside, eight samples are computed at once without asking for borders; the rest goes one by one. Where that is, is found
for whole lines before all else (``span_lines``): asked anew in each block, the divisions and calls took as long as the
samples, and blocks of 64 columns in place of 256 take half as much time again.
A result depends on its line and column only: not on ``corner``, nor on how the lines are divided.
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
    gather_pairs,
    load_of,
    maximum,
    minimum,
    rint,
    select,
    splat_of,
    store,
)
from pacscore.kernels.line_spans import BLOCK, is_inside, span_in_block, span_lines

_RUN = 64
MEAN, SUM, MAXIMUM, MINIMUM = range(4)

load8, splat8, ramp8 = load_of(8), splat_of(8), constant_of("float32", tuple(range(8)))
numbers8 = constant_of("int32", tuple(range(8)))
to_float32, to_int32 = convert_to("float32"), convert_to("int32")
_FAST = frozenset({"contract", "nsz"})


@kernel(inline=True)
def lerp(a: Any, b: Any, weight: Any) -> Any:
    """Between ``a`` at 0 and ``b`` at 1."""
    return a + (b - a) * weight


@kernel(inline=True)
def combine_lane(value: Any, place: int, combine: int, whole: bool, scratch: NDArray[np.float32]) -> None:
    """Take one sample into the value at ``place``; it counts also if it is NaN where ``whole``."""
    if not whole and np.isnan(value):
        return
    if combine <= SUM:
        scratch[0, place] += value
    elif combine == MAXIMUM:
        scratch[0, place] = max(scratch[0, place], value)
    else:
        scratch[0, place] = min(scratch[0, place], value)
    scratch[1, place] += np.float32(1)


@kernel(inline=True)
def clear_block(combine: int, scratch: NDArray[np.float32]) -> None:
    """Begin the values of one line in one block: what was combined, and from how many samples."""
    begin = np.float32(0)
    if combine == MAXIMUM:
        begin = np.float32(-np.inf)
    elif combine == MINIMUM:
        begin = np.float32(np.inf)
    for place in range(scratch.shape[1]):
        scratch[0, place] = begin
        scratch[1, place] = 0


@kernel(inline=True)
def finish_block(
    combine: int, values: NDArray[np.float64], scratch: NDArray[np.float32], width: int, out: NDArray[Any]
) -> None:
    """Write the values of one line in one block.

    out : (width,)
    """
    slope, intercept, background = np.float32(values[0]), np.float32(values[1]), np.float32(values[2])
    low, high, rounds = np.float32(values[3]), np.float32(values[4]), values[5] != 0
    totals, counts = scratch[0], scratch[1]
    for place in range(width):
        total = totals[place]
        if combine == MEAN:
            total = total / max(counts[place], np.float32(1))
        # Each sample of a sum has its own intercept.
        value = total * slope + (intercept * counts[place] if combine == SUM else intercept)
        value = low if value < low else value
        value = high if value > high else value
        value = value if counts[place] > 0 else background
        if rounds:
            value = rint(value)
        out[place] = value


@kernel
def edge_linear(
    array: NDArray[Any], corner: NDArray[np.int64], extent: NDArray[np.int64], z: float, y: float, x: float
) -> np.float32:
    """One sample anywhere inside."""
    z, y, x = min(max(z, 0.0), extent[0] - 1.0), min(max(y, 0.0), extent[1] - 1.0), min(max(x, 0.0), extent[2] - 1.0)
    iz, iy, ix = int(z), int(y), int(x)
    wz, wy, wx = np.float32(z - iz), np.float32(y - iy), np.float32(x - ix)
    jz, jy, jx = min(iz + 1, extent[0] - 1), min(iy + 1, extent[1] - 1), min(ix + 1, extent[2] - 1)
    iz, jz, iy, jy = iz - corner[0], jz - corner[0], iy - corner[1], jy - corner[1]
    ix, jx = ix - corner[2], jx - corner[2]
    # A voxel of weight 0 may be NaN or lie outside what was read: it is not asked.
    if wz == 0:
        jz = iz
    if wy == 0:
        jy = iy
    if wx == 0:
        jx = ix
    near = lerp(
        lerp(np.float32(array[iz, iy, ix]), np.float32(array[iz, iy, jx]), wx),
        lerp(np.float32(array[iz, jy, ix]), np.float32(array[iz, jy, jx]), wx),
        wy,
    )
    far = lerp(
        lerp(np.float32(array[jz, iy, ix]), np.float32(array[jz, iy, jx]), wx),
        lerp(np.float32(array[jz, jy, ix]), np.float32(array[jz, jy, jx]), wx),
        wy,
    )
    return np.float32(lerp(near, far, wz))


@kernel(inline=True, fastmath=_FAST)
def place_run(
    stride_z: int,
    stride_y: int,
    start: tuple[float, float, float],
    step: tuple[float, float, float],
    count: int,
    scratch: NDArray[np.float32],
    offsets: NDArray[np.int32],
) -> None:
    """Where samples in a row lie: the offset of the voxel before each, and the fractions beyond it.

    start, step : (z, y, x), relative to the voxel from which offsets count
    scratch : its rows 2, 3 and 4 take the fractions along z, y and x

    In float32 from a new voxel for every run of 64 samples, so that positions stay small numbers.
    """
    size = scratch.shape[1]
    dz, dy, dx = splat8(np.float32(step[0])), splat8(np.float32(step[1])), splat8(np.float32(step[2]))
    for run in range(0, count, _RUN):
        length = min(_RUN, count - run)
        z0, y0, x0 = start[0] + run * step[0], start[1] + run * step[1], start[2] + run * step[2]
        jz, jy, jx = (
            int(floor(z0 + min(0.0, (length - 1) * step[0]))),
            int(floor(y0 + min(0.0, (length - 1) * step[1]))),
            int(floor(x0 + min(0.0, (length - 1) * step[2]))),
        )
        base = splat8(np.int32(jz * stride_z + jy * stride_y + jx))
        first_z, first_y, first_x = (
            splat8(np.float32(z0 - jz)),
            splat8(np.float32(y0 - jy)),
            splat8(np.float32(x0 - jx)),
        )
        for group in range(run, run + length, 8):
            number = ramp8() + splat8(np.float32(group - run))
            z, y, x = first_z + number * dz, first_y + number * dy, first_x + number * dx
            iz, iy, ix = to_int32(z), to_int32(y), to_int32(x)
            offset = base + iz * splat8(np.int32(stride_z)) + iy * splat8(np.int32(stride_y)) + ix
            held = numbers8() < splat8(np.int32(count - group))
            store(offsets, group, select(held, offset, splat8(np.int32(0))))
            store(scratch, 2 * size + group, z - to_float32(iz))
            store(scratch, 3 * size + group, y - to_float32(iy))
            store(scratch, 4 * size + group, x - to_float32(ix))


@kernel(inline=True, fastmath=_FAST)
def bilinear8(array: NDArray[Any], base: int, stride_y: int, offset: Any, wy: Any, wx: Any) -> Any:
    """Eight samples within one slice."""
    a, b = gather_pairs(array, base, offset)
    c, d = gather_pairs(array, base + stride_y, offset)
    return lerp(lerp(to_float32(a), to_float32(b), wx), lerp(to_float32(c), to_float32(d), wx), wy)


@kernel(inline=True, fastmath=_FAST)
def linear8(
    array: NDArray[Any],
    base: int,
    stride_z: int,
    stride_y: int,
    group: int,
    scratch: NDArray[np.float32],
    offsets: NDArray[np.int32],
) -> Any:
    """Eight samples whose places ``place_run`` noted."""
    size = scratch.shape[1]
    offset, wz = load8(offsets, group), load8(scratch, 2 * size + group)
    wy, wx = load8(scratch, 3 * size + group), load8(scratch, 4 * size + group)
    near = bilinear8(array, base, stride_y, offset, wy, wx)
    far = bilinear8(array, base + stride_z, stride_y, offset, wy, wx)
    return lerp(near, far, wz)


@kernel(inline=True)
def combine_some(value: Any, held: Any, place: int, combine: int, whole: bool, scratch: NDArray[np.float32]) -> None:
    """Take eight samples, those that are ``held``, into the values from ``place`` on."""
    counts = scratch.shape[1] + place
    if not whole:
        held = held & (value == value)  # noqa: PLR0124  # Not a NaN.
    total = load8(scratch, place)
    if combine <= SUM:
        total = total + select(held, value, splat8(np.float32(0)))
    elif combine == MAXIMUM:
        total = select(held, maximum(value, total), total)
    else:
        total = select(held, minimum(value, total), total)
    store(scratch, place, total)
    store(scratch, counts, load8(scratch, counts) + select(held, splat8(np.float32(1)), splat8(np.float32(0))))


@kernel(inline=True)
def combine8(value: Any, place: int, combine: int, whole: bool, scratch: NDArray[np.float32]) -> None:
    """Take eight samples into the values from ``place`` on."""
    if not whole:
        combine_some(value, value == value, place, combine, whole, scratch)  # noqa: PLR0124  # Not a NaN.
        return
    counts = scratch.shape[1] + place
    total = load8(scratch, place)
    if combine <= SUM:
        total = total + value
    elif combine == MAXIMUM:
        total = maximum(value, total)
    else:
        total = minimum(value, total)
    store(scratch, place, total)
    store(scratch, counts, load8(scratch, counts) + splat8(np.float32(1)))


@kernel(inline=True, fastmath=_FAST)
def add_linear(
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
    """Take the samples of one line at one depth into the values of one block, trilinear."""
    first, begin, end, last = span_in_block(span, block, width)
    if first >= last:
        return
    stride_y, stride_z = array.shape[2], array.shape[1] * array.shape[2]
    z0, y0, x0 = line[0, 0] + depth * line[2, 0], line[0, 1] + depth * line[2, 1], line[0, 2] + depth * line[2, 2]
    dz, dy, dx = line[1, 0], line[1, 1], line[1, 2]
    for number in range(first, last - (end - begin)):
        column = number if number < begin else number + (end - begin)
        z, y, x = z0 + column * dz, y0 + column * dy, x0 + column * dx
        if is_inside(z, y, x, extent):
            combine_lane(edge_linear(array, corner, extent, z, y, x), column - block, combine, whole, scratch)
    if begin >= end:
        return
    if extent[0] == 1:
        z0, dz, stride_z = 0.0, 0.0, 0
    if extent[1] == 1:
        y0, dy, stride_y = 0.0, 0.0, 0
    iz, iy, ix = int(z0 + begin * dz), int(y0 + begin * dy), int(x0 + begin * dx)
    base = (iz - corner[0]) * stride_z + (iy - corner[1]) * stride_y + ix - corner[2]
    start = (z0 + begin * dz - iz, y0 + begin * dy - iy, x0 + begin * dx - ix)
    # All places first: a group's chain from place to value is long, and its parts overlap better one kind at a time.
    place_run(stride_z, stride_y, start, (dz, dy, dx), end - begin, scratch, offsets)
    full = (end - begin) // 8 * 8
    for group in range(0, full, 8):
        value = linear8(array, base, stride_z, stride_y, group, scratch, offsets)
        combine8(value, begin + group - block, combine, whole, scratch)
    if begin + full < end:
        value = linear8(array, base, stride_z, stride_y, full, scratch, offsets)
        held = numbers8() < splat8(np.int32(end - begin - full))
        combine_some(value, held, begin + full - block, combine, whole, scratch)


@kernel
def sample_linear_into(
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
    """Sample along lines, trilinear: see the top of the module."""
    whole = depths == 1 or values[6] == 0
    span_lines(lines, depths, array.shape, extent, 0, part, spans)
    for block in range(part[2], part[3], BLOCK):
        width = min(BLOCK, part[3] - block)
        for number in range(part[0], part[1]):
            line = lines[number]
            clear_block(combine, scratch)
            for depth in range(depths):
                span = spans[number - part[0], depth]
                add_linear(array, corner, extent, line, depth, combine, whole, block, width, scratch, offsets, span)
            finish_block(combine, values, scratch, width, out[number, block : block + width])
