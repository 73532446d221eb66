"""Helical scans: rays of a fan rebinned to parallel ones, and their weighted backprojection.

H1  Rebinned view ``m`` stands at angle ``m * pi / half`` from the first; views ``half`` apart look the other way. A ray
    of view ``m`` at signed distance ``s`` from the axis came from the source when this stood at a turn of ``asin(s /
    source_to_axis)`` more.
H2  Along the slices of a voxel column the detector row is affine, as in a circular cone (``kernels/backproject.py``).
H3  All views that see a voxel under one direction share it: their values count with the weights of their rows, divided
    by the sum of these (Stierstorfer et al. 2004, Phys. Med. Biol. 49(11)).

Unchecked: the checked entry is ``pacscore.recon.wfbp``. Twins: ``tests/reference/tomography.py``.
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
    load_of,
    maximum,
    minimum,
    pairs_along,
    select,
    splat_of,
    store,
)
from pacscore.kernels.backproject import CONTRACT, FIXED, fractions

load8, splat8 = load_of(8), splat_of(8)
lanes_float = constant_of("float32", tuple(range(8)))
COLUMNS_AT_ONCE = 16
_STEP_MAX = 1.9
"""Rows per slice up to which seven slices more stay within the 18 zeros after a view."""


@kernel(fastmath=CONTRACT)
def rebin_view_into(
    projections: NDArray[np.float32],
    views: NDArray[np.float64],
    columns: NDArray[np.float64],
    out: NDArray[np.float32],
) -> None:
    """One parallel view from a fan: linear between views and between columns.

    projections : (views, rows, columns) float32
    views, columns : (parallel columns,) float64, where each parallel ray lies among the measured ones, within them
    out : (rows, parallel columns) float32
    """
    last_view, last_column = projections.shape[0] - 1, projections.shape[2] - 1
    for ray in range(columns.size):
        v, c = min(np.int64(views[ray]), max(0, last_view - 1)), min(np.int64(columns[ray]), max(0, last_column - 1))
        fv, fc = np.float32(views[ray] - v), np.float32(columns[ray] - c)
        v1, c1 = min(v + 1, last_view), min(c + 1, last_column)
        for row in range(out.shape[0]):
            a = projections[v, row, c] + fc * (projections[v, row, c1] - projections[v, row, c])
            b = projections[v1, row, c] + fc * (projections[v1, row, c1] - projections[v1, row, c])
            out[row, ray] = a + fv * (b - a)


@kernel(fastmath=CONTRACT)
def rebin_flying_view_into(
    projections: NDArray[np.float32],
    views: NDArray[np.int64],
    places: NDArray[np.float64],
    parts: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """One parallel view where the focal spot flies: each ray between two views, in each at a place of its own.

    projections : (views, rows, columns) float32
    views : (2, parallel columns) int64, within them
    places : (2, parallel columns, 3) float64: column, row at row 0 of ``out``, rows a row; those beyond an edge are its
    parts : (parallel columns,) float32, how far from the first to the second
    out : (rows, parallel columns) float32
    """
    last_row, last_column = projections.shape[1] - 1, projections.shape[2] - 1
    for ray in range(parts.size):
        for side in range(2):
            column, first, step = places[side, ray, 0], places[side, ray, 1], places[side, ray, 2]
            c = np.int64(min(max(column, 0.0), max(0.0, last_column - 1.0)))
            c1, fc = min(c + 1, last_column), np.float32(min(max(column, 0.0), last_column + 0.0) - c)
            image, weight = projections[views[side, ray]], parts[ray] if side == 1 else np.float32(1) - parts[ray]
            for row in range(out.shape[0]):
                at = min(max(first + row * step, 0.0), last_row + 0.0)
                r = min(np.int64(at), max(0, last_row - 1))
                r1, fr = min(r + 1, last_row), np.float32(at - r)
                a = image[r, c] + fc * (image[r, c1] - image[r, c])
                b = image[r1, c] + fc * (image[r1, c1] - image[r1, c])
                value = weight * (a + fr * (b - a))
                out[row, ray] = value if side == 0 else out[row, ray] + value


@kernel(inline=True)
def falling_weights(far: Any, fall: Any) -> Any:
    """1 up to ``fall[1]`` rows from the middle, then falling to 0 like 1 - 3 x² + 2 x³, of eight distances."""
    zero, one = splat8(np.float32(0)), splat8(np.float32(1))
    part = (far - splat8(np.float32(fall[1]))) * splat8(np.float32(fall[2]))
    part = minimum(maximum(part, zero), one)
    return one - part * part * (splat8(np.float32(3)) - part - part)


@kernel(inline=True)
def slices_seen(row: float, step: float, stride: int, slices: int) -> Any:
    """First slice whose row lies on the detector, and the one after the last, made up to whole vectors if it may be."""
    z = max(np.int64(0), np.int64(np.ceil((1.0 - row) / step)))
    last = min(np.int64(slices), np.int64(np.floor((stride - 19.0 - row) / step)) + 1)
    if last <= z:
        return np.int64(slices), np.int64(0)
    # Where rows are not much finer than slices the zeros around a view take whole vectors at its end.
    return z, z + (last - z + 7) // 8 * 8 if step <= _STEP_MAX else last


@kernel(inline=True)
def add_line(
    line: NDArray[np.float32],
    fall: Any,
    row: float,
    step: float,
    span: Any,
    values: NDArray[np.float32],
    sums: NDArray[np.float32],
) -> None:
    """Add what a view shows of a voxel column, times the weights of its rows, and the weights."""
    z, stop = span
    ahead = np.int64(step * FIXED)
    position = np.int64(row * FIXED) + z * ahead
    steps = lanes_float() * splat8(np.float32(step))
    while z + 8 <= stop:
        left, right = pairs_along(line, position, ahead)
        value = left + fractions(position, ahead) * (right - left)
        far = absolute(splat8(np.float32(row + step * z - fall[0])) + steps)
        weight = falling_weights(far, fall)
        store(values, z, load8(values, z) + value * weight)
        store(sums, z, load8(sums, z) + weight)
        z += 8
        position += 8 * ahead
    while z < stop:
        at = np.uint64(position) >> np.uint64(32)
        fraction = np.float32((position & 0xFFFFFFFF) * (1.0 / FIXED))
        part = min(1.0, max(0.0, (abs(row + step * z - fall[0]) - fall[1]) * fall[2]))
        single = np.float32(1.0 - part * part * (3.0 - 2.0 * part))
        values[z] += (line[at] + fraction * (line[at + np.uint64(1)] - line[at])) * single
        sums[z] += single
        z += 1
        position += ahead


@kernel(inline=True)
def views_within(scan: NDArray[np.float64], first: int, half: int, shape: Any, low: float, high: float) -> Any:
    """Of the views ``first``, ``first + half`` …, those whose rows may reach from ``low`` to ``high`` along z."""
    last = first + (shape[0] - 1 - first) // half * half
    rise = scan[3] * np.pi
    if abs(rise) < 1e-9:
        return first, last + 1
    reach = 2.0 * scan[1] * max(scan[6], shape[2] - 18.0 - scan[6]) / scan[7] + abs(rise)
    start = scan[2] + scan[3] * (scan[0] + first * np.pi / half)
    a, b = (low - reach - start) / rise, (high + reach - start) / rise
    begin, end = np.int64(np.floor(min(a, b))), np.int64(np.ceil(max(a, b)))
    return first + max(np.int64(0), begin) * half, min(last, first + end * half) + 1


@kernel(inline=True)
def add_quotients(
    values: NDArray[np.float32], sums: NDArray[np.float32], low: int, high: int, total: Any, at: int
) -> None:
    """Add values over sums to a voxel column where anything was seen, and leave both as zeros."""
    zero, least = splat8(np.float32(0)), splat8(np.float32(1e-6))
    for z in range(low // 8 * 8, high, 8):
        weight = load8(sums, z)
        part = load8(values, z) / maximum(weight, least)
        store(total, at + z, load8(total, at + z) + select(weight > least, part, zero))
        store(values, z, zero)
        store(sums, z, zero)


@kernel(inline=True)
def blend_columns(
    views: NDArray[np.float32],
    scan: NDArray[np.float64],
    half: int,
    view: int,
    sign: float,
    bottom: float,
    per_slice: float,
    slices: int,
    some: int,
    lines: NDArray[np.float32],
    columns: NDArray[np.float64],
    spans: NDArray[np.int64],
) -> None:
    """Where some voxel columns lie on a view, and their detector columns blended into ``lines[2]``."""
    width, stride = views.shape[1], views.shape[2]
    for x in range(some):
        column = sign * columns[0, x] * scan[4] + scan[5]
        spans[2, x], spans[3, x] = slices, 0
        if not 1.0 <= column < width - 2.0:
            continue
        height = scan[2] + scan[3] * (scan[0] + view * np.pi / half + sign * columns[2, x])
        scale = scan[7] / (columns[3, x] + sign * columns[1, x])
        row, step = (bottom - height) * scale + scan[6], per_slice * scale
        z, stop = slices_seen(row, step, stride, slices)
        if stop <= z:
            continue
        columns[4, x], columns[5, x] = row, step
        spans[2, x], spans[3, x] = z, stop
        spans[0, x], spans[1, x] = min(spans[0, x], z), max(spans[1, x], stop)
        whole = np.int64(column)
        later = np.float32(column - whole)
        w0, w1 = splat8(np.float32(1) - later), splat8(later)
        place, end = np.int64(row + step * z), np.int64(row + step * (stop - 1)) + 2
        source = (np.int64(view) * width + whole) * stride
        line = lines[2, x]
        while place < end:
            store(line, place, load8(views, source + place) * w0 + load8(views, source + stride + place) * w1)
            place += 8


@kernel(fastmath=CONTRACT)
def helical_tile_into(
    views: NDArray[np.float32],
    scan: NDArray[np.float64],
    half: int,
    places: NDArray[np.float64],
    tile: Any,
    total: NDArray[np.float32],
    lines: NDArray[np.float32],
    columns: NDArray[np.float64],
    spans: NDArray[np.int64],
    volume: NDArray[np.float32],
) -> None:
    """Backproject rebinned and filtered views into one tile.

    views : (views, columns + 2, rows + 20) float32 with the zeros of ``kernels/ramp.py``, of which the two next to the
        rows hold copies of the outermost
    scan : angle of view 0; source to axis in mm; z of the source at angle 0 (H1); its rise in mm per radian; columns
        per mm; index of the column at s = 0 and of the row at the source's height, zeros counted; rows per tangent;
        index of the middle row, rows from there at which weights begin to fall, one over the rows over which they do
    half : views in half a turn
    places : (3, 4) float64, x, y, z in mm of (column, row, slice, 1); z does not depend on the first two
    tile : first slice, slice after the last, the same of rows and columns
    total : (columns, slices rounded up to 8, and 16 more) float32 scratch
    lines : (3, ``COLUMNS_AT_ONCE``, the larger of slices and rows, + 64) float32, zeros; left as zeros but for the last
    columns : (6, ``COLUMNS_AT_ONCE``) float64, spans (4, same) int64, scratch
    volume : (slices, rows, columns) float32, overwritten

    Some columns at a time: all are blended before any is interpolated, since a value that has just been stored and is
    read across two stores keeps the processor waiting.
    """
    z0, z1, y0, y1, x0, x1 = tile
    slices, count = z1 - z0, x1 - x0
    per_slice = places[2, 2]
    bottom = places[2, 3] + per_slice * z0
    fall = scan[8], scan[9], scan[10]
    for y in range(y0, y1):
        total[:, :] = np.float32(0)
        for first in range(half):
            angle = scan[0] + first * np.pi / half
            c, s = np.cos(angle), np.sin(angle)
            begin, end = views_within(scan, first, half, views.shape, bottom, bottom + per_slice * (slices - 1))
            for left in range(0, count, COLUMNS_AT_ONCE):
                some = min(COLUMNS_AT_ONCE, count - left)
                for x in range(some):
                    px = places[0, 0] * (x0 + left + x) + places[0, 1] * y + places[0, 3]
                    py = places[1, 0] * (x0 + left + x) + places[1, 1] * y + places[1, 3]
                    columns[0, x], columns[1, x] = px * c + py * s, py * c - px * s
                    columns[2, x] = np.arcsin(columns[0, x] / scan[1])
                    columns[3, x] = np.sqrt(scan[1] ** 2 - columns[0, x] ** 2)
                    spans[0, x], spans[1, x] = slices, 0
                sign = 1.0 if (begin - first) // half % 2 == 0 else -1.0
                for view in range(begin, end, half):
                    blend_columns(views, scan, half, view, sign, bottom, per_slice, slices, some, lines, columns, spans)
                    for x in range(some):
                        if spans[3, x] > spans[2, x]:
                            span = spans[2, x], spans[3, x]
                            add_line(lines[2, x], fall, columns[4, x], columns[5, x], span, lines[0, x], lines[1, x])
                    sign = -sign
                for x in range(some):
                    at = np.int64(left + x) * total.shape[1]
                    add_quotients(lines[0, x], lines[1, x], spans[0, x], spans[1, x], total, at)
        for z in range(slices):
            for x in range(count):
                volume[z0 + z, y, x0 + x] = total[x, z]
