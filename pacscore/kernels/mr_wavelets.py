"""Kernels of sparsity: orthonormal periodic wavelets along each axis, soft thresholds, total variation.

Arrays have three axes (slice, row, column); planes have one slice. A level of a wavelet transform works on the first
``sizes`` of each axis of the whole array and leaves the low half before the high half. Unchecked: the checked entries
are in ``pacscore.recon.magnetic_resonance``, ``wavelets`` and ``total_variation``. Twins: ``tests/reference/mr.py``.
"""
# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel

Complex64 = NDArray[np.complex64]
Float32 = NDArray[np.float32]

_FAST = frozenset({"contract", "reassoc", "nsz"})


@kernel(fastmath=_FAST)
def analyse_columns_into(source: Float32, rows: int, size: int, low: Any, high: Any, first: int, stop: int,
                         out: Float32) -> None:  # fmt: skip
    """Split lines along the column axis.

    source, out : (slices, rows, 2 * columns) float32, pairs of real and imaginary part
    rows : how many rows of each slice the level has; size : how many columns, even, at least as many as taps
    low, high : tuples of float32 taps, of even length; their length is compiled in
    first, stop : which lines, counted as slice * rows + row
    """
    half = size // 2
    taps = len(low)
    inner = half - taps // 2 + 1
    for line in range(first, stop):
        given = source[line // rows, line % rows]
        made = out[line // rows, line % rows]
        for place in range(half):
            for part in range(2):
                a = np.float32(0)
                b = np.float32(0)
                if place < inner:
                    for tap in range(taps):
                        value = given[4 * place + 2 * tap + part]
                        a += low[tap] * value
                        b += high[tap] * value
                else:
                    for tap in range(taps):
                        at = 2 * place + tap
                        value = given[2 * (at - size if at >= size else at) + part]
                        a += low[tap] * value
                        b += high[tap] * value
                made[2 * place + part] = a
                made[2 * (half + place) + part] = b


@kernel(fastmath=_FAST)
def synthesize_columns_into(source: Float32, rows: int, size: int, low: Any, high: Any, first: int, stop: int,
                            out: Float32) -> None:  # fmt: skip
    """Undo ``analyse_columns_into``; arguments as there."""
    half = size // 2
    pairs = len(low) // 2
    for line in range(first, stop):
        given = source[line // rows, line % rows]
        made = out[line // rows, line % rows]
        for place in range(half):
            for part in range(2):
                even = np.float32(0)
                odd = np.float32(0)
                for pair in range(pairs):
                    at = place - pair
                    at = at + half if at < 0 else at
                    a = given[2 * at + part]
                    b = given[2 * (half + at) + part]
                    even += low[2 * pair] * a + high[2 * pair] * b
                    odd += low[2 * pair + 1] * a + high[2 * pair + 1] * b
                made[4 * place + part] = even
                made[4 * place + 2 + part] = odd


@kernel(inline=True)
def line_of(array: Float32, axis: int, line: int, place: int) -> Float32:
    """The contiguous row at ``place`` along ``axis`` (0 or 1) and at ``line`` along the other."""
    row: Float32 = array[place, line] if axis == 0 else array[line, place]
    return row


@kernel(fastmath=_FAST)
def analyse_rows_into(source: Float32, axis: int, size: int, width: int, low: Any, high: Any, first: int, stop: int,
                      out: Float32) -> None:  # fmt: skip
    """Split along the slice axis (0) or the row axis (1), whole rows at a time.

    source, out : (slices, rows, 2 * columns) float32
    size : length of the axis in this level, even; width : floats of each row that belong to it
    first, stop : which results, counted as line * (size / 2) + place, with line along the other of the two axes
    """
    half = size // 2
    taps = len(low)
    for number in range(first, stop):
        line = number // half
        place = number % half
        a = line_of(out, axis, line, place)
        b = line_of(out, axis, line, half + place)
        for x in range(width):
            a[x] = 0
            b[x] = 0
        for tap in range(taps):
            at = 2 * place + tap
            given = line_of(source, axis, line, at % size)
            below = low[tap]
            above = high[tap]
            for x in range(width):
                a[x] += below * given[x]
                b[x] += above * given[x]


@kernel(fastmath=_FAST)
def synthesize_rows_into(source: Float32, axis: int, size: int, width: int, low: Any, high: Any, first: int, stop: int,
                         out: Float32) -> None:  # fmt: skip
    """Undo ``analyse_rows_into``; arguments as there."""
    half = size // 2
    pairs = len(low) // 2
    for number in range(first, stop):
        line = number // half
        place = number % half
        even = line_of(out, axis, line, 2 * place)
        odd = line_of(out, axis, line, 2 * place + 1)
        for x in range(width):
            even[x] = 0
            odd[x] = 0
        for pair in range(pairs):
            at = (place - pair + size) % half
            a = line_of(source, axis, line, at)
            b = line_of(source, axis, line, half + at)
            l0 = low[2 * pair]
            h0 = high[2 * pair]
            l1 = low[2 * pair + 1]
            h1 = high[2 * pair + 1]
            for x in range(width):
                even[x] += l0 * a[x] + h0 * b[x]
                odd[x] += l1 * a[x] + h1 * b[x]


@kernel(fastmath=_FAST)
def shrink_into(
    coefficients: Complex64, threshold: Any, slices: int, rows: int, columns: int, first: int, stop: int
) -> None:
    """Draw coefficients towards zero by ``threshold``, in place, all but the first slices × rows × columns of them.

    coefficients : (slices, rows, columns) complex64; first, stop : which lines, counted as slice * rows + row
    """
    height = coefficients.shape[1]
    width = coefficients.shape[2]
    for line in range(first, stop):
        z = line // height
        y = line % height
        row = coefficients[z, y]
        for x in range(columns if z < slices and y < rows else 0, width):
            value = row[x]
            size = np.sqrt(value.real * value.real + value.imag * value.imag)
            factor = np.float32(max(size - threshold, np.float32(0))) / max(size, np.float32(1e-30))
            row[x] = complex(value.real * factor, value.imag * factor)


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
