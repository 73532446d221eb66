"""Joseph's projector in planes: rays through stacks of slices that share their geometry, and the exact adjoint.

J1  A ray marches along the axis it is steepest in (dominant: rows or columns of pixels), and at each pixel of that axis
    interpolates between two pixels of the other: at ``a * p + b`` for march index ``p``. The sum times the length of a
    step is the line integral (Joseph 1982, IEEE Trans. Med. Imaging 1(3)).
J2  Rays are tables: ``lines`` (views, columns, 3) float32 holds ``a``, ``b`` and the step in mm; ``spans`` (views,
    columns, 3) int32 the first march index, the one after the last, and 1 where rows of pixels are marched. So the
    kernels know no geometry.
J3  The adjoint visits pixels, not rays: it takes the rays whose tent covers the pixel, with the weights of J1. Both
    directions only gather, no two calls write one place.
J4  Slices are lanes: images are (rows + 2, columns + 2, slices) float32 within a border of zeros, sinograms (views,
    columns, slices), slices a multiple of 8.

Unchecked: the checked entry is ``pacscore.recon.Projector``. Twins: ``tests/reference/tomography.py``.
"""

# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._vector import (
    absolute,
    constant_of,
    convert_to,
    floor,
    gather,
    load_of,
    maximum,
    minimum,
    select,
    splat_of,
    store,
)
from pacscore.kernels.backproject import CONTRACT, arc_tangent

load8, splat8 = load_of(8), splat_of(8)
lanes_float = constant_of("float32", tuple(range(8)))
to_float32, to_int32 = convert_to("float32"), convert_to("int32")
_RAYS, _PLANES = 64, 16


@kernel(fastmath=CONTRACT)
def forward_rays_into(
    image: NDArray[np.float32],
    lines: NDArray[np.float32],
    spans: NDArray[np.int32],
    order: NDArray[np.int64],
    out: NDArray[np.float32],
) -> None:
    """Line integrals of the views in ``order``, which must be zero before.

    Blocks of rays and march indices, so that the pixels they share stay in the second cache; slices by 32 where there
    are as many, whose sums then stay in registers along the march.
    """
    columns, lanes = lines.shape[1], image.shape[2]
    row = np.int64(image.shape[1]) * lanes
    length = max(image.shape[0], image.shape[1]) - 2
    for start in range(0, columns, _RAYS):
        for plane in range(0, length, _PLANES):
            for view in order:
                for column in range(start, min(columns, start + _RAYS)):
                    low = np.int64(max(plane, spans[view, column, 0]))
                    high = np.int64(min(plane + _PLANES, spans[view, column, 1]))
                    if high <= low:
                        continue
                    rows_marched = spans[view, column, 2] == 1
                    along = row if rows_marched else np.int64(lanes)
                    across = np.int64(lanes) if rows_marched else row
                    a, b = lines[view, column, 0], lines[view, column, 1] + np.float32(1)
                    target = (np.int64(view) * columns + column) * lanes
                    lane = 0
                    while lane < lanes:
                        four = lane + 32 <= lanes
                        s = splat8(np.float32(0))
                        if four:
                            t = u = v = s
                            for p in range(low, high):
                                at = a * np.float32(p) + b
                                whole = np.int64(at)
                                weight = at - np.float32(whole)
                                w1 = splat8(weight)
                                w0 = splat8(np.float32(1) - weight)
                                place = (p + 1) * along + whole * across + lane
                                other = place + across
                                s = s + load8(image, place) * w0 + load8(image, other) * w1
                                t = t + load8(image, place + 8) * w0 + load8(image, other + 8) * w1
                                u = u + load8(image, place + 16) * w0 + load8(image, other + 16) * w1
                                v = v + load8(image, place + 24) * w0 + load8(image, other + 24) * w1
                            step = splat8(lines[view, column, 2])
                            store(out, target + lane + 8, load8(out, target + lane + 8) + t * step)
                            store(out, target + lane + 16, load8(out, target + lane + 16) + u * step)
                            store(out, target + lane + 24, load8(out, target + lane + 24) + v * step)
                        else:
                            for p in range(low, high):
                                at = a * np.float32(p) + b
                                whole = np.int64(at)
                                weight = at - np.float32(whole)
                                place = (p + 1) * along + whole * across + lane
                                s = s + load8(image, place) * splat8(np.float32(1) - weight)
                                s = s + load8(image, place + across) * splat8(weight)
                            step = splat8(lines[view, column, 2])
                        store(out, target + lane, load8(out, target + lane) + s * step)
                        lane += 32 if four else 8


@kernel(inline=True)
def tent_weights(
    lines: NDArray[np.float32], rows: NDArray[np.int32], ray: Any, start: int, x: Any, y: Any, center: Any
) -> Any:
    """Weights with which eight pixels (x, y) lie on the rays numbered ``ray`` of the view that begins at ``start``.

    center : four numbers of a view whose rays are parallel (column of pixel (0, 0), columns per pixel of x and of y,
        tent heights per column), or with a last number of 0 of one whose rays are not
    """
    one = splat8(np.float32(1))
    if center[3] > 0:
        column = splat8(center[0]) + x * splat8(center[1]) + y * splat8(center[2])
        return maximum(one - absolute(column - to_float32(ray)) * splat8(center[3]), splat8(np.float32(0)))
    place = ray * splat8(np.int32(3))
    a, b = gather(lines, 3 * start, place), gather(lines, 3 * start + 1, place)
    marched = gather(rows, start, ray) == splat8(np.int32(1))
    along, across = select(marched, y, x), select(marched, x, y)
    return maximum(one - absolute(a * along + b - across), splat8(np.float32(0)))


@kernel(inline=True)
def place_rays(
    lines: NDArray[np.float32],
    rows: NDArray[np.int32],
    view: int,
    taps: Any,
    maps: NDArray[np.float32],
    tile: Any,
    y: int,
    places: NDArray[np.int32],
    numbers: NDArray[np.float32],
) -> None:
    """Two rays of one view for each pixel of a row, and their weights.

    taps : how far before the pixel's own column the first of the two lies, and how many there are in all
    maps : (9,) float32 of a view: numerator and denominator of the column, from the centre, as affine maps of (x, y,
        1), columns per radian of an arc or 0, the tent's heights per column where rays are parallel, else 0, and the
        column of the centre
    """
    columns = lines.shape[1]
    start = np.int64(view) * columns
    fy = splat8(np.float32(y))
    width = places.shape[1]
    zero, edge = splat8(np.int32(0)), splat8(np.int32(columns - 1))
    center = (maps[2] + maps[8], maps[0], maps[1], maps[7])
    step = lines[view, 0, 2]
    for offset in range(0, tile[3] - tile[2], 8):
        x = splat8(np.float32(tile[2] + offset)) + lanes_float()
        n = splat8(maps[2]) + x * splat8(maps[0]) + fy * splat8(maps[1])
        if maps[7] == 0:
            n = n / (splat8(maps[5]) + x * splat8(maps[3]) + fy * splat8(maps[4]))
            if maps[6] > 0:
                n = arc_tangent(n) * splat8(maps[6])
        n = n + splat8(maps[8])
        first = to_int32(floor(n)) + splat8(np.int32(taps))
        second = first + splat8(np.int32(1))
        a, b = minimum(maximum(first, zero), edge), minimum(maximum(second, zero), edge)
        wa = tent_weights(lines, rows, a, start, x, fy, center)
        wb = tent_weights(lines, rows, b, start, x, fy, center)
        if maps[7] > 0:
            wa, wb = wa * splat8(step), wb * splat8(step)
        else:
            wa = wa * gather(lines, 3 * start + 2, a * splat8(np.int32(3)))
            wb = wb * gather(lines, 3 * start + 2, b * splat8(np.int32(3)))
        nothing = splat8(np.float32(0))
        store(places, offset, a)
        store(places, width + offset, b)
        store(numbers, offset, select(a == first, wa, nothing))
        store(numbers, width + offset, select(b == second, wb, nothing))


@kernel(fastmath=CONTRACT)
def adjoint_tile_into(
    sinogram: NDArray[np.float32],
    lines: NDArray[np.float32],
    rows: NDArray[np.int32],
    maps: NDArray[np.float32],
    order: NDArray[np.int64],
    taps: int,
    tile: Any,
    places: NDArray[np.int32],
    numbers: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """The adjoint of ``forward_rays_into`` for one tile of pixels.

    rows : (views, columns) int32, the last of ``spans``
    maps : (views, 9) float32, see ``place_rays``
    order : (chosen,) int64, the views to take, an even number
    taps : an even number of rays that may cover a pixel
    tile : first row, row after the last, the same of columns
    places : (2, 2, columns rounded up) int32 scratch, numbers the same of float32
    out : (rows + 2, columns + 2, slices) float32, added to
    """
    y0, y1, x0, x1 = tile
    columns, lanes = lines.shape[1], out.shape[2]
    for number in range(0, order.size, 2):
        views = order[number], order[number + 1]
        for y in range(y0, y1):
            for tap in range(0, taps, 2):
                ahead = tap + 1 - taps // 2
                for k in range(2):
                    place_rays(lines, rows, views[k], ahead, maps[views[k]], tile, y, places[k], numbers[k])
                target = (np.int64(y + 1) * out.shape[1] + x0 + 1) * lanes
                start, other = np.int64(views[0]) * columns, np.int64(views[1]) * columns
                for x in range(x1 - x0):
                    w0, w1 = splat8(numbers[0, 0, x]), splat8(numbers[0, 1, x])
                    w2, w3 = splat8(numbers[1, 0, x]), splat8(numbers[1, 1, x])
                    p0, p1 = (start + places[0, 0, x]) * lanes, (start + places[0, 1, x]) * lanes
                    p2, p3 = (other + places[1, 0, x]) * lanes, (other + places[1, 1, x]) * lanes
                    for lane in range(0, lanes, 8):
                        s = load8(out, target + lane)
                        s = s + load8(sinogram, p0 + lane) * w0 + load8(sinogram, p1 + lane) * w1
                        t = load8(sinogram, p2 + lane) * w2 + load8(sinogram, p3 + lane) * w3
                        store(out, target + lane, s + t)
                    target += lanes
