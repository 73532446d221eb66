"""Kernels that find edges: gradient magnitude after Sobel, and the Laplacian.

Unchecked: the checked entries are in ``pacscore.imaging.arrays.filters``. Twins: ``tests/reference/filters.py``.
"""
# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel

Float32 = NDArray[np.float32]


@kernel
def sobel_rows_into(values: Float32, factors: Float32, lines: Float32, out: Float32, first: int, last: int) -> None:
    """Gradient magnitude: central differences along one axis, smoothed by (1 2 1) / 4 along the others.

    values, out : (slices, rows, columns) float32, C order
    factors : (3,) 1 / (2 * spacing) along slices, rows, columns; 0 leaves an axis out, and slices not smoothed over
    lines : (3, columns + 2) float32, scratch: smoothed, difference of rows, difference of slices
    first, last : the range of image rows, numbered through all slices

    Beyond the border the nearest value counts. Sobel and Feldman 1968, in Duda and Hart, Pattern Classification and
    Scene Analysis (1973) 271; three axes as in Zucker and Hummel, IEEE Trans. PAMI 3 (1981) 324.
    """
    slices, height, columns = values.shape
    quarter = np.float32(0.25)
    half = np.float32(0.5)
    smooth = lines[0]
    down = lines[1]
    through = lines[2]
    for line in range(first, last):
        z = line // height
        y = line % height
        above = max(y - 1, 0)
        below = min(y + 1, height - 1)
        smooth[:] = np.float32(0)
        down[:] = np.float32(0)
        through[:] = np.float32(0)
        for dz in range(-1, 2):
            if factors[0] == 0 and dz != 0:
                continue
            share = np.float32(1) if factors[0] == 0 else half if dz == 0 else quarter
            plane = values[min(max(z + dz, 0), slices - 1)]
            a = plane[above]
            b = plane[y]
            c = plane[below]
            ahead = factors[0] * np.float32(dz) * quarter
            sideways = factors[1] * share
            share = share * quarter
            for x in range(columns):
                total = a[x] + c[x] + b[x] + b[x]
                smooth[x + 1] += share * total
                down[x + 1] += sideways * (c[x] - a[x])
                through[x + 1] += ahead * total
        for place in range(3):
            lines[place, 0] = lines[place, 1]
            lines[place, columns + 1] = lines[place, columns]
        target = out[z, y]
        for x in range(columns):
            gx = (smooth[x + 2] - smooth[x]) * factors[2]
            gy = (down[x] + down[x + 2] + down[x + 1] + down[x + 1]) * quarter
            gz = (through[x] + through[x + 2] + through[x + 1] + through[x + 1]) * quarter
            target[x] = np.sqrt(gx * gx + gy * gy + gz * gz)


@kernel
def laplacian_rows_into(values: Float32, factors: Float32, out: Float32, first: int, last: int) -> None:
    """Sum of second differences.

    values, out : (slices, rows, columns) float32, C order
    factors : (3,) 1 / spacing ** 2 along slices, rows, columns; 0 leaves an axis out
    first, last : the range of image rows, numbered through all slices

    Beyond the border the nearest value counts.
    """
    slices, height, columns = values.shape
    two = np.float32(2)
    for line in range(first, last):
        z = line // height
        y = line % height
        center = values[z, y]
        above = values[z, max(y - 1, 0)]
        below = values[z, min(y + 1, height - 1)]
        before = values[max(z - 1, 0), y]
        behind = values[min(z + 1, slices - 1), y]
        target = out[z, y]
        for x in range(columns):
            twice = two * center[x]
            target[x] = (above[x] + below[x] - twice) * factors[1] + (before[x] + behind[x] - twice) * factors[0]
        for x in range(1, columns - 1):
            target[x] += (center[x - 1] + center[x + 1] - two * center[x]) * factors[2]
        if columns > 1:
            target[0] += (center[1] - center[0]) * factors[2]
            target[columns - 1] += (center[columns - 2] - center[columns - 1]) * factors[2]
