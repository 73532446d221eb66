"""Kernels of sparsity: orthonormal periodic wavelets along each axis, soft thresholds, total variation.

Arrays have three axes (slice, row, column); planes have one slice. A level of a wavelet transform works on the first
samples of each axis of the whole array and leaves the low half before the high half. Filters have four taps; shorter
ones end in zeros, so that one compiled body serves all. Unchecked: the checked entries
are in ``pacscore.recon.magnetic_resonance``, ``wavelets`` and ``total_variation``. Twins: ``tests/reference/mr.py``.
"""
# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._vector import load_of, maximum, shuffle_by, splat_of, square_root, store

Complex64 = NDArray[np.complex64]
Float32 = NDArray[np.float32]

load16, splat16 = load_of(16), splat_of(16)
# Samples are pairs: real and imaginary part.
even_pairs = shuffle_by((0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29))
odd_pairs = shuffle_by((2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31))
low_pairs = shuffle_by((0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23))
high_pairs = shuffle_by((8, 9, 24, 25, 10, 11, 26, 27, 12, 13, 28, 29, 14, 15, 30, 31))
swapped = shuffle_by((1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14))

_FAST = frozenset({"contract", "reassoc", "nsz"})


@kernel(fastmath=_FAST)
def mix_rows(source: Float32, first: int, second: int, third: int, fourth: int, width: int, filters: Float32,
             which: int, out: Float32, at: int) -> None:  # fmt: skip
    """``out[at:]`` becomes the sum of four rows of ``source``, which begin there, weighed by one of the filters."""
    a, b = source[first : first + width], source[second : second + width]
    c, d = source[third : third + width], source[fourth : fourth + width]
    made = out[at : at + width]
    w0, w1, w2, w3 = filters[which, 0], filters[which, 1], filters[which, 2], filters[which, 3]
    for x in range(width):
        made[x] = w0 * a[x] + w1 * b[x] + w2 * c[x] + w3 * d[x]


@kernel(fastmath=_FAST)
def split_line(line: Float32, size: int, filters: Float32, out: Float32, at: int) -> None:
    """Split a line: ``size`` complex samples and the first two again, flat."""
    half = size // 2
    l0, l1, l2, l3 = filters[0, 0], filters[0, 1], filters[0, 2], filters[0, 3]
    h0, h1, h2, h3 = filters[1, 0], filters[1, 1], filters[1, 2], filters[1, 3]
    full = half // 8 * 8
    for place in range(0, full, 8):
        start = 4 * place
        a, b = load16(line, start), load16(line, start + 16)
        c, d = load16(line, start + 4), load16(line, start + 20)
        w, x, y, z = even_pairs(a, b), odd_pairs(a, b), even_pairs(c, d), odd_pairs(c, d)
        store(out, at + 2 * place, w * l0 + x * l1 + y * l2 + z * l3)
        store(out, at + 2 * (half + place), w * h0 + x * h1 + y * h2 + z * h3)
    for index in range(2 * full, 2 * half):
        start = 2 * index - index % 2
        e, f, g, h = line[start], line[start + 2], line[start + 4], line[start + 6]
        out[at + index] = e * l0 + f * l1 + g * l2 + h * l3
        out[at + 2 * half + index] = e * h0 + f * h1 + g * h2 + h * h3


@kernel(fastmath=_FAST)
def unite_line(line: Float32, low: int, high: int, size: int, filters: Float32, out: Float32, at: int) -> None:
    """Undo ``split_line``: halves begin at ``low`` and ``high``, before each stands its last sample."""
    half = size // 2
    e0, e1, e2, e3 = filters[0, 0], filters[0, 1], filters[0, 2], filters[0, 3]
    o0, o1, o2, o3 = filters[1, 0], filters[1, 1], filters[1, 2], filters[1, 3]
    full = half // 8 * 8
    for place in range(0, full, 8):
        a, b = load16(line, low + 2 * place), load16(line, high + 2 * place)
        c, d = load16(line, low + 2 * place - 2), load16(line, high + 2 * place - 2)
        even, odd = a * e0 + b * e1 + c * e2 + d * e3, a * o0 + b * o1 + c * o2 + d * o3
        store(out, at + 4 * place, low_pairs(even, odd))
        store(out, at + 4 * place + 16, high_pairs(even, odd))
    for index in range(2 * full, 2 * half):
        to = at + 2 * index - index % 2
        w, x, y, z = line[low + index], line[high + index], line[low + index - 2], line[high + index - 2]
        out[to] = w * e0 + x * e1 + y * e2 + z * e3
        out[to + 2] = w * o0 + x * o1 + y * o2 + z * o3


@kernel(fastmath=_FAST)
def analyse_into(source: Float32, plane_pitch: int, pitch: int, rows: int, columns: int, by_rows: bool,
                 by_columns: bool, filters: Float32, first: int, stop: int, scratch: Float32, out: Float32,
                 ) -> None:  # fmt: skip
    """A level of the transform along one or both axes of planes, in one pass.

    source, out : flat float32, pairs of real and imaginary part
    plane_pitch, pitch : floats from one plane and from one row to the next
    rows, columns : of each plane that belong to the level; even and at least 4 along an axis that is split
    by_rows, by_columns : whether rows are joined with their neighbours below, columns with those to the right
    filters : (3, 4) float32: low pass, high pass, and 1, 0, 0, 0
    first, stop : which results, counted as plane * lines + line; lines are rows / 2 with ``by_rows``
    scratch : (2 * columns + 4,) float32
    """
    width = 2 * columns
    lines = rows // 2 if by_rows else rows
    for number in range(first, stop):
        start = number // lines * plane_pitch
        line = number % lines
        a = start + line * pitch
        b, c, d, which = a, a, a, 2
        for part in range(2 if by_rows else 1):
            to = start + (line + part * lines) * pitch
            if by_rows:
                a, b = start + 2 * line * pitch, start + (2 * line + 1) * pitch
                c, d = start + (2 * line + 2) % rows * pitch, start + (2 * line + 3) % rows * pitch
                which = part
            if by_columns:
                mix_rows(source, a, b, c, d, width, filters, which, scratch, 0)
                for x in range(4):
                    scratch[width + x] = scratch[x]
                split_line(scratch, columns, filters, out, to)
            else:
                mix_rows(source, a, b, c, d, width, filters, which, out, to)


@kernel(fastmath=_FAST)
def synthesize_into(source: Float32, plane_pitch: int, pitch: int, rows: int, columns: int, by_rows: bool,
                    by_columns: bool, filters: Float32, first: int, stop: int, scratch: Float32, out: Float32,
                    ) -> None:  # fmt: skip
    """Undo ``analyse_into``; arguments as there, but for the filters.

    filters : (3, 4) float32: weights of low and high half at a place, and of both at the place before, for even samples
        and for odd ones; and 1, 0, 0, 0
    """
    width = 2 * columns
    lines = rows // 2 if by_rows else rows
    for number in range(first, stop):
        start = number // lines * plane_pitch
        line = number % lines
        a = start + line * pitch
        to = a
        b, c, d, which = a, a, a, 2
        for part in range(2 if by_rows else 1):
            if by_rows:
                before = (line + lines - 1) % lines
                b, c, d = a + lines * pitch, start + before * pitch, start + (before + lines) * pitch
                which = part
                to = start + (2 * line + part) * pitch
            if by_columns:
                for side in range(0, columns + 1, columns):  # Each half lies behind room for its last sample.
                    at = side + 2 + side // columns * 2
                    mix_rows(source, a + side, b + side, c + side, d + side, columns, filters, which, scratch, at)
                    scratch[at - 2] = scratch[at + columns - 2]
                    scratch[at - 1] = scratch[at + columns - 1]
                unite_line(scratch, 2, columns + 4, columns, filters, out, to)
            else:
                mix_rows(source, a, b, c, d, width, filters, which, out, to)


@kernel(fastmath=_FAST)
def shrink_into(
    coefficients: Float32, threshold: float, slices: int, rows: int, columns: int, first: int, stop: int
) -> None:
    """Draw coefficients towards zero by ``threshold``, in place, all but the first slices × rows × columns of them.

    coefficients : (slices, rows, 2 * columns) float32, pairs of real and imaginary part
    first, stop : which lines, counted as slice * rows + row
    """
    height, width = coefficients.shape[1], coefficients.shape[2]
    limit = np.float32(threshold)
    zero, least = splat16(np.float32(0)), splat16(np.float32(1e-30))
    for line in range(first, stop):
        z, y = line // height, line % height
        row = coefficients[z, y]
        begin = 2 * columns if z < slices and y < rows else 0
        full = begin + (width - begin) // 16 * 16
        for x in range(begin, full, 16):
            value = load16(row, x)
            squares = value * value
            size = square_root(squares + swapped(squares, squares))
            store(row, x, value * (maximum(size - limit, zero) / maximum(size, least)))
        for x in range(full, width, 2):
            real, imag = row[x], row[x + 1]
            length = np.sqrt(real * real + imag * imag)
            factor = max(length - limit, np.float32(0)) / max(length, np.float32(1e-30))
            row[x] = real * factor
            row[x + 1] = imag * factor


@kernel(fastmath=_FAST)
def absolute_sum(coefficients: Complex64, slices: int, rows: int, columns: int) -> np.float64:
    """The sum of magnitudes of all coefficients but the first slices × rows × columns, in float64."""
    total = np.float64(0)
    for z in range(coefficients.shape[0]):
        for y in range(coefficients.shape[1]):
            row = coefficients[z, y]
            for x in range(columns if z < slices and y < rows else 0, coefficients.shape[2]):
                value = row[x]
                total += np.float64(np.sqrt(value.real * value.real + value.imag * value.imag))
    return total


@kernel(fastmath=_FAST)
def denoised_of_dual_into(
    given: Complex64, dual: Complex64, weight: Any, first: int, stop: int, out: Complex64
) -> None:
    """``out = given - weight * D' dual`` with D the forward differences along (slice, row, column), zero at the ends.

    given, out : (slices, rows, columns) complex64; dual : (3, slices, rows, columns)
    first, stop : which lines, counted as slice * rows + row

    Beck and Teboulle 2009 (Fast gradient-based algorithms for constrained total variation), equation 4.6.
    """
    rows = given.shape[1]
    columns = given.shape[2]
    for line in range(first, stop):
        z = line // rows
        y = line % rows
        row = given[z, y]
        along_z = dual[0, z, y]
        above_z = dual[0, max(z - 1, 0), y]
        along_y = dual[1, z, y]
        above_y = dual[1, z, max(y - 1, 0)]
        along_x = dual[2, z, y]
        made = out[z, y]
        has_z = np.float32(1 if z > 0 else 0)
        has_y = np.float32(1 if y > 0 else 0)
        for x in range(columns):
            before = along_x[x - 1] if x > 0 else np.complex64(0)
            real = (
                has_z * above_z[x].real - along_z[x].real + has_y * above_y[x].real - along_y[x].real
                + before.real - along_x[x].real
            )  # fmt: skip
            imag = (
                has_z * above_z[x].imag - along_z[x].imag + has_y * above_y[x].imag - along_y[x].imag
                + before.imag - along_x[x].imag
            )  # fmt: skip
            made[x] = complex(row[x].real - weight * real, row[x].imag - weight * imag)


@kernel(fastmath=_FAST)
def climb_dual_into(
    image: Complex64, point: Complex64, last: Complex64, scale: Any, momentum: Any, first: int, stop: int
) -> None:
    """One projected, accelerated step of the dual of total variation, in place.

    image : (slices, rows, columns), from ``denoised_of_dual_into`` at ``point``
    point : (3, slices, rows, columns) where the step begins; becomes the next point
    last : (3, slices, rows, columns) the projected dual before; becomes the projected dual after
    scale : 1 / (4 * dimensions * weight); momentum : (t - 1) / t_next

    Isotropic: the three differences of a voxel are projected together onto the unit ball. Beck and Teboulle 2009, FGP.
    """
    slices, rows, columns = image.shape
    for line in range(first, stop):
        z = line // rows
        y = line % rows
        here = image[z, y]
        below_z = image[min(z + 1, slices - 1), y]
        below_y = image[z, min(y + 1, rows - 1)]
        for x in range(columns):
            value = here[x]
            a = point[0, z, y, x] + scale * (below_z[x] - value)
            b = point[1, z, y, x] + scale * (below_y[x] - value)
            c = point[2, z, y, x] + scale * (here[min(x + 1, columns - 1)] - value)
            squares = (
                a.real * a.real + a.imag * a.imag + b.real * b.real + b.imag * b.imag + c.real * c.real
                + c.imag * c.imag
            )  # fmt: skip
            factor = np.float32(1) / max(np.float32(1), np.sqrt(squares))
            a = a * factor
            b = b * factor
            c = c * factor
            point[0, z, y, x] = a + momentum * (a - last[0, z, y, x])
            point[1, z, y, x] = b + momentum * (b - last[1, z, y, x])
            point[2, z, y, x] = c + momentum * (c - last[2, z, y, x])
            last[0, z, y, x] = a
            last[1, z, y, x] = b
            last[2, z, y, x] = c
