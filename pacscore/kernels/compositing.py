"""Direct volume rendering: the samples of a ray composited front to back, lit where they show something.

The ray reducer of ``kernels/rays.py`` with another way to reduce; its rules R1 to R4 hold, and beside them:

C1  A sample's opacity and colour are those of the nearest entry of a table over its value (post-classification).
C2  Gradients are central differences of the trilinear values one voxel apart; at the border the voxel itself stands for
    the one that is missing. They are computed only in groups that show something, about one a ray, so that there is no
    volume of gradients to compute and keep.
C3  The light is at the viewer and shines on both sides of a surface: ambient + diffuse * n·v, times the colour, plus
    specular * (n·v) ** power in white (Phong's model with the halfway vector of Blinn, SIGGRAPH 1977; with the light at
    the viewer it is the view itself).
C4  A ray ends after the group of eight samples behind which less than ``opaque`` of the light would pass.

Levoy, "Display of Surfaces from Volume Data", IEEE CG&A 8(3), 1988; front to back and early ends: Levoy, "Efficient Ray
Tracing of Volume Data", ACM TOG 9(3), 1990. Unchecked: the checked entry is ``pacscore.imaging.arrays.render_rays``.
Twin: ``tests/reference/rays.py``.
"""

# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._vector import (
    absolute,
    floor,
    gather,
    gather_pairs,
    lane,
    lane_maximum,
    lane_sum,
    mask_bits,
    maximum,
    minimum,
    select,
    shuffle_by,
    square_root,
    trailing_zeros,
)
from pacscore.kernels.rays import (
    CONTRACT,
    cells_of_groups,
    corner_of,
    lanes_float,
    lerp,
    line_of,
    lowest_of_group,
    ray_span,
    splat8,
    to_float32,
    to_int32,
    values_of,
)

one_later = shuffle_by((8, 0, 1, 2, 3, 4, 5, 6))
two_later = shuffle_by((8, 8, 0, 1, 2, 3, 4, 5))
four_later = shuffle_by((8, 8, 8, 8, 0, 1, 2, 3))


@kernel(inline=True)
def gradient_of(values: NDArray[Any], shape: Any, iz: Any, iy: Any, ix: Any, wz: Any, wy: Any, wx: Any) -> Any:
    """Twice the gradient at the lanes, along slices, rows and columns, per voxel (C2).

    Lines along the columns are interpolated once and shared by the three components: 20 accesses, where six further
    trilinear samples would take 24. Away from the border 16 at fixed distances would do, which gains 3 % for twice the
    code.
    """
    one, two, zero = splat8(np.int32(1)), splat8(np.int32(2)), splat8(np.int32(0))
    stride_y, stride_z = splat8(np.int32(shape[2])), splat8(np.int32(shape[1] * shape[2]))
    z0, z3 = maximum(iz - one, zero) * stride_z, minimum(iz + two, splat8(np.int32(shape[0] - 1))) * stride_z
    y0, y3 = maximum(iy - one, zero) * stride_y, minimum(iy + two, splat8(np.int32(shape[1] - 1))) * stride_y
    x0, x3 = maximum(ix - one, zero), minimum(ix + two, splat8(np.int32(shape[2] - 1)))
    z1, y1 = iz * stride_z, iy * stride_y
    z2, y2 = z1 + stride_z, y1 + stride_y
    a, along_a = sloping_line(values, z1 + y1, x0, ix, x3, wx)
    b, along_b = sloping_line(values, z1 + y2, x0, ix, x3, wx)
    c, along_c = sloping_line(values, z2 + y1, x0, ix, x3, wx)
    d, along_d = sloping_line(values, z2 + y2, x0, ix, x3, wx)
    gx = lerp(lerp(along_a, along_b, wy), lerp(along_c, along_d, wy), wz)
    before = lerp(line_of(values, 0, z1 + y0 + ix, wx), line_of(values, 0, z2 + y0 + ix, wx), wz)
    after = lerp(line_of(values, 0, z1 + y3 + ix, wx), line_of(values, 0, z2 + y3 + ix, wx), wz)
    first, second = lerp(a, c, wz), lerp(b, d, wz)
    gy = lerp(second - before, after - first, wy)
    before = lerp(line_of(values, 0, z0 + y1 + ix, wx), line_of(values, 0, z0 + y2 + ix, wx), wy)
    after = lerp(line_of(values, 0, z3 + y1 + ix, wx), line_of(values, 0, z3 + y2 + ix, wx), wy)
    first, second = lerp(a, b, wy), lerp(c, d, wy)
    gz = lerp(second - before, after - first, wz)
    return gz, gy, gx


@kernel(inline=True)
def sloping_line(values: NDArray[Any], line: Any, x0: Any, x1: Any, x3: Any, weight: Any) -> Any:
    """Values interpolated along the columns, and twice their slope, from the four voxels around."""
    left, right = gather_pairs(values, 0, line + x1)
    b, c = to_float32(left), to_float32(right)
    a, d = to_float32(gather(values, 0, line + x0)), to_float32(gather(values, 0, line + x3))
    return lerp(b, c, weight), lerp(c - a, d - b, weight)


@kernel(inline=True)
def power_of(base: Any, exponent: int) -> Any:
    """``base`` to a whole power, by squaring."""
    result = splat8(np.float32(1))
    while exponent > 0:
        if exponent & 1:
            result = result * base
        base = base * base
        exponent >>= 1
    return result


@kernel(inline=True)
def light_of(gz: Any, gy: Any, gx: Any, light: NDArray[np.float32]) -> Any:
    """What the colour is multiplied with and the white that is added, at the lanes (C3)."""
    facing = absolute(gz * splat8(light[6]) + gy * splat8(light[7]) + gx * splat8(light[8]))
    square = gz * (gz * splat8(light[9]) + gy * splat8(light[12]) + gx * splat8(light[13]))
    square = square + gy * (gy * splat8(light[10]) + gx * splat8(light[14])) + gx * gx * splat8(light[11])
    cosine = minimum(facing / square_root(square + splat8(light[5])), splat8(np.float32(1)))
    shade = splat8(light[0]) + splat8(light[1]) * cosine
    return shade, splat8(light[2]) * power_of(cosine, np.int64(light[3]))


@kernel(inline=True)
def passing_before(alpha: Any) -> Any:
    """What passes all lanes before each, and what passes all eight: products of ``1 - alpha``, in three doublings."""
    ones = splat8(np.float32(1))
    clear = ones - alpha
    clear = clear * one_later(clear, ones)
    clear = clear * two_later(clear, ones)
    clear = clear * four_later(clear, ones)
    return one_later(clear, ones), lane(clear, 7)


@kernel(inline=True)
def composite_ray(
    values: NDArray[Any],
    shape: Any,
    visible: NDArray[np.uint8],
    spread: NDArray[np.uint8],
    start: Any,
    count: int,
    grid: NDArray[np.float64],
    opacities: NDArray[np.float32],
    colours: NDArray[np.float32],
    entry_of: Any,
    light: NDArray[np.float32],
) -> Any:
    """Composite ``count`` samples of one ray: red, green, blue, and what passes through all of them."""
    cells = visible.shape
    flat_visible, flat_spread = visible.reshape(visible.size), spread.reshape(spread.size)
    dz, dy, dx = grid[3, 0], grid[3, 1], grid[3, 2]
    low_z, low_y, low_x = lowest_of_group(start[0], dz), lowest_of_group(start[1], dy), lowest_of_group(start[2], dx)
    none, two, bits, batch = splat8(np.float32(0)), splat8(np.int32(2)), np.uint64(0), np.int64(-1)
    last_entry = splat8(np.float32(opacities.shape[0] - 1))
    red, green, blue = none, none, none
    passing, batches = np.float32(1), (count + 63) >> 6
    while passing > light[4]:
        while bits == 0 and batch < batches - 1:
            batch += 1
            places, number = cells_of_groups(batch, low_z, low_y, low_x, grid, shape, cells)
            showing = to_float32(gather(flat_spread, 0, places)) > none
            bits = mask_bits(showing & (number < splat8(np.float32(count))))
        if bits == 0:
            break
        sample = (batch * 8 + trailing_zeros(bits)) * 8
        bits &= bits - np.uint64(1)
        last = splat8(np.float32(count - 1 - sample))
        within = minimum(lanes_float(), last)
        iz, wz = corner_of(start[0] + sample * dz, dz, within, shape[0])
        iy, wy = corner_of(start[1] + sample * dy, dy, within, shape[1])
        ix, wx = corner_of(start[2] + sample * dx, dx, within, shape[2])
        holding = ((iz >> two) * splat8(np.int32(cells[1])) + (iy >> two)) * splat8(np.int32(cells[2])) + (ix >> two)
        if lane_maximum(gather(flat_visible, 0, holding)) == 0:
            continue
        offsets = (iz * splat8(np.int32(shape[1])) + iy) * splat8(np.int32(shape[2])) + ix
        found = values_of(values, shape, offsets, wz, wy, wx)
        found = found * splat8(np.float32(entry_of[0])) + splat8(np.float32(entry_of[1]))
        entries = floor(minimum(maximum(found, none), last_entry) + splat8(np.float32(0.5)))
        entries = to_int32(entries)
        alpha = select(lanes_float() > last, none, gather(opacities, 0, entries))
        if lane_maximum(alpha) > np.float32(0):
            gz, gy, gx = gradient_of(values, shape, iz, iy, ix, wz, wy, wx)
            shade, gleam = light_of(gz, gy, gx, light)
            before, through = passing_before(alpha)
            part = before * alpha * splat8(passing)
            places = entries * splat8(np.int32(3))
            of_red, of_green = gather_pairs(colours, 0, places)
            red = red + part * (shade * of_red + gleam)
            green = green + part * (shade * of_green + gleam)
            blue = blue + part * (shade * gather(colours, 2, places) + gleam)
            passing = passing * through
    return lane_sum(red), lane_sum(green), lane_sum(blue), passing


@kernel(inline=True)
def shown_colour(light: float, passing: float, behind: float) -> Any:
    """8 bits of one colour, with what is seen of the background."""
    colour = light + passing * np.float32(behind)
    return np.uint8(min(colour, np.float32(1)) * np.float32(255) + np.float32(0.5))


@kernel(fastmath=CONTRACT)
def composite_rays_into(
    values: NDArray[Any],
    shape: tuple[int, int, int],
    visible: NDArray[np.uint8],
    spread: NDArray[np.uint8],
    depths: NDArray[np.int32],
    grid: NDArray[np.float64],
    samples: int,
    opacities: NDArray[np.float32],
    colours: NDArray[np.float32],
    entry_of: tuple[float, float],
    light: NDArray[np.float32],
    background: tuple[float, float, float],
    tile: tuple[int, int, int, int],
    out: NDArray[np.uint8],
) -> None:
    """Composite each ray front to back into a colour.

    values : (voxels,) int16 or float32, flat
    shape : slices, rows, columns; each at least 2
    visible : (layers, lines, columns) of cells, 1 where something in it has an opacity
    spread : the same of all cells that a group can touch which begins in it
    depths : (2, tile rows, tile columns) first and last sample that can show something, for tiles of 8 × 8 pixels
    opacities, colours : (entries,) opacity of one sample, and (entries * 3,) red, green, blue of each; 0 to 1
    entry_of : scale and offset from a value to its entry, which is rounded and held within the table
    light : (15,) ambient, diffuse, specular, power, opaque (C4); a square below which a gradient fades; three
        coefficients of n·v (unnormalised) in the gradient; its squared length's coefficients of z², y², x², zy, zx, yx
    background : red, green, blue behind everything, 0 to 1
    tile : first row, row after the last, first column, column after the last
    out : (rows, columns, 3) uint8
    """
    for i in range(tile[0], tile[1]):
        for j in range(tile[2], tile[3]):
            near, far = np.int64(depths[0, i >> 3, j >> 3]), np.int64(depths[1, i >> 3, j >> 3])
            red, green, blue, passing = np.float32(0), np.float32(0), np.float32(0), np.float32(1)
            if near <= far:
                z = grid[0, 0] + i * grid[1, 0] + j * grid[2, 0]
                y = grid[0, 1] + i * grid[1, 1] + j * grid[2, 1]
                x = grid[0, 2] + i * grid[1, 2] + j * grid[2, 2]
                first, count = ray_span(z, y, x, grid, shape, samples)
                # Whole groups are left out, so that what is passed over changes no sample (R2).
                skipped = (max(np.int64(0), near - first) >> 3) << 3
                count = min(count, far + 1 - first) - skipped
                first += skipped
                start = (z + first * grid[3, 0], y + first * grid[3, 1], x + first * grid[3, 2])
                red, green, blue, passing = composite_ray(
                    values, shape, visible, spread, start, count, grid, opacities, colours, entry_of, light
                )
            out[i, j, 0] = shown_colour(red, passing, background[0])
            out[i, j, 1] = shown_colour(green, passing, background[1])
            out[i, j, 2] = shown_colour(blue, passing, background[2])
