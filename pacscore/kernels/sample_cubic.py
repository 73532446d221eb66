"""Samples along straight lines from 4 × 4 × 4 voxels: Catmull-Rom, and cubic B-splines from their coefficients.

The arguments are those of ``sample_lines``, and these:

polynomials : (4, 4) float32; the weight of tap ``n`` (voxels -1 to 2 from the one before the sample) at fraction ``t``
    is ``p[0, n] + t * (p[1, n] + t * (p[2, n] + t * p[3, n]))``
mirrored : beyond its outermost voxels the volume is continued by its mirror image (as B-spline coefficients are), not
    by those voxels themselves

R. Keys, "Cubic convolution interpolation for digital image processing", IEEE Trans. ASSP 29 (1981) 1153, eq. 15;
M. Unser, "Splines: a perfect fit for signal and image processing", IEEE Signal Process. Mag. 16 (1999) 22, eq. 7.
"""

# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._vector import convert_to, floor, lane_sum, load_of, shuffle_by, splat_of
from pacscore.kernels.line_spans import BLOCK, is_inside, span_in_block, span_lines
from pacscore.kernels.sample_lines import (
    clear_block,
    combine_lane,
    finish_block,
)

load4, splat4 = load_of(4), splat_of(4)
joined = shuffle_by(tuple(range(8)))
low_half, high_half = shuffle_by((0, 1, 2, 3)), shuffle_by((4, 5, 6, 7))
lanes01, lanes23 = shuffle_by((0, 0, 0, 0, 1, 1, 1, 1)), shuffle_by((2, 2, 2, 2, 3, 3, 3, 3))
lane0, lane1, lane2, lane3 = (shuffle_by((number,) * 8) for number in range(4))
to_float32 = convert_to("float32")
_FAST = frozenset({"contract", "nsz"})


@kernel(inline=True)
def continued(index: int, length: int, mirrored: bool) -> int:
    """Where the voxel at an index from -2 to ``length + 1`` is taken from."""
    if mirrored:
        if length == 1:
            return 0
        if index < 0:
            index = -index
        if index >= length:
            index = 2 * (length - 1) - index
        if index < 0:
            index = -index
        return index
    return min(max(index, 0), length - 1)


@kernel(inline=True)
def tap_weight(polynomials: NDArray[np.float32], tap: int, fraction: np.float32) -> Any:
    """The weight of one tap."""
    return polynomials[0, tap] + fraction * (
        polynomials[1, tap] + fraction * (polynomials[2, tap] + fraction * polynomials[3, tap])
    )


@kernel
def edge_cubic(
    array: NDArray[Any],
    corner: NDArray[np.int64],
    extent: NDArray[np.int64],
    polynomials: NDArray[np.float32],
    mirrored: bool,
    z: float,
    y: float,
    x: float,
) -> np.float32:
    """One sample anywhere inside."""
    iz, iy, ix = int(floor(z)), int(floor(y)), int(floor(x))
    tz, ty, tx = np.float32(z - iz), np.float32(y - iy), np.float32(x - ix)
    total = np.float32(0)
    for a in range(4):
        plane = np.float32(0)
        at_z = continued(iz + a - 1, extent[0], mirrored) - corner[0]
        for b in range(4):
            row = np.float32(0)
            at_y = continued(iy + b - 1, extent[1], mirrored) - corner[1]
            for c in range(4):
                at_x = continued(ix + c - 1, extent[2], mirrored) - corner[2]
                row += np.float32(array[at_z, at_y, at_x]) * tap_weight(polynomials, c, tx)
            plane += row * tap_weight(polynomials, b, ty)
        total += plane * tap_weight(polynomials, a, tz)
    return total


@kernel(inline=True)
def tap_weights(p0: Any, p1: Any, p2: Any, p3: Any, fraction: np.float32) -> Any:
    """The weights of four taps."""
    t = splat4(fraction)
    return p0 + t * (p1 + t * (p2 + t * p3))


@kernel(inline=True)
def two_rows(array: NDArray[Any], place: int, stride: int) -> Any:
    """Four voxels of a row and four of the next."""
    return to_float32(joined(load4(array, place), load4(array, place + stride)))


@kernel(inline=True)
def one_plane(array: NDArray[Any], place: int, stride: int, weights01: Any, weights23: Any) -> Any:
    """The rows of one plane, weighed: two sums of four columns."""
    return two_rows(array, place, stride) * weights01 + two_rows(array, place + 2 * stride, stride) * weights23


@kernel(inline=True, fastmath=_FAST)
def cubic1(array: NDArray[Any], place: int, stride_z: int, stride_y: int, wz: Any, wy: Any, wx: Any) -> Any:
    """One sample; ``place`` is its first tap."""
    weights01, weights23 = lanes01(wy, wy), lanes23(wy, wy)
    total = one_plane(array, place, stride_y, weights01, weights23) * lane0(wz, wz)
    total = total + one_plane(array, place + stride_z, stride_y, weights01, weights23) * lane1(wz, wz)
    total = total + one_plane(array, place + 2 * stride_z, stride_y, weights01, weights23) * lane2(wz, wz)
    total = total + one_plane(array, place + 3 * stride_z, stride_y, weights01, weights23) * lane3(wz, wz)
    return lane_sum((low_half(total, total) + high_half(total, total)) * wx)


@kernel(inline=True, fastmath=_FAST)
def add_cubic(
    array: NDArray[Any],
    corner: NDArray[np.int64],
    extent: NDArray[np.int64],
    polynomials: NDArray[np.float32],
    mirrored: bool,
    line: NDArray[np.float64],
    depth: int,
    combine: int,
    whole: bool,
    block: int,
    width: int,
    scratch: NDArray[np.float32],
    span: NDArray[np.int32],
) -> None:
    """Take the samples of one line at one depth into the values of one block."""
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
            value = edge_cubic(array, corner, extent, polynomials, mirrored, z, y, x)
            combine_lane(value, column - block, combine, whole, scratch)
    first_z, first_y, first_x = corner[0] + 1, corner[1] + 1, corner[2] + 1
    if extent[0] == 1:  # All four taps are the only plane: their weights sum to one.
        z0, dz, stride_z, first_z = 0.0, 0.0, 0, 0
    if extent[1] == 1:
        y0, dy, stride_y, first_y = 0.0, 0.0, 0, 0
    p0, p1, p2, p3 = load4(polynomials, 0), load4(polynomials, 4), load4(polynomials, 8), load4(polynomials, 12)
    for column in range(begin, end):
        z, y, x = z0 + column * dz, y0 + column * dy, x0 + column * dx
        iz, iy, ix = int(z), int(y), int(x)
        wz = tap_weights(p0, p1, p2, p3, np.float32(z - iz))
        wy = tap_weights(p0, p1, p2, p3, np.float32(y - iy))
        wx = tap_weights(p0, p1, p2, p3, np.float32(x - ix))
        place = (iz - first_z) * stride_z + (iy - first_y) * stride_y + ix - first_x
        value = cubic1(array, place, stride_z, stride_y, wz, wy, wx)
        combine_lane(value, column - block, combine, whole, scratch)


@kernel
def sample_cubic_into(
    array: NDArray[Any],
    corner: NDArray[np.int64],
    extent: NDArray[np.int64],
    lines: NDArray[np.float64],
    depths: int,
    combine: int,
    polynomials: NDArray[np.float32],
    mirrored: bool,
    values: NDArray[np.float64],
    part: NDArray[np.int64],
    scratch: NDArray[np.float32],
    offsets: NDArray[np.int32],
    spans: NDArray[np.int32],
    out: NDArray[Any],
) -> None:
    """Sample along lines by four taps each way: see the top of the module."""
    whole = depths == 1 or values[6] == 0
    span_lines(lines, depths, array.shape, extent, 1, part, spans)
    for block in range(part[2], part[3], BLOCK):
        width = min(BLOCK, part[3] - block)
        for number in range(part[0], part[1]):
            line = lines[number]
            clear_block(combine, scratch)
            for depth in range(depths):
                add_cubic(
                    array,
                    corner,
                    extent,
                    polynomials,
                    mirrored,
                    line,
                    depth,
                    combine,
                    whole,
                    block,
                    width,
                    scratch,
                    spans[number - part[0], depth],
                )
            finish_block(combine, values, scratch, width, out[number, block : block + width])
