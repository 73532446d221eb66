"""Kernels of the Laplacian pyramid: halving, doubling, and what is done to the detail between two sizes.

Unchecked: the checked entry is ``pacscore.imaging.arrays.amplify_detail``. Twins: ``tests/reference/contrast.py``.
"""
# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel

Float32 = NDArray[np.float32]


@kernel
def halve_into(image: Float32, row: Float32, out: Float32, first: int, last: int) -> None:
    """Smooth by (1 4 6 4 1) / 16 both ways and keep every second pixel: REDUCE of the Laplacian pyramid.

    image : (rows, columns) float32, C order; beyond the border the nearest pixel counts
    row : (columns,) float32, scratch
    out : (ceil(rows / 2), ceil(columns / 2)) float32, C order
    first, last : the range of output rows

    Burt and Adelson, The Laplacian pyramid as a compact image code, IEEE Trans. Commun. 31 (1983) 532, equation 1
    with a = 3/8.
    """
    rows, columns = image.shape
    for y in range(first, last):
        a = image[max(2 * y - 2, 0)]
        b = image[max(2 * y - 1, 0)]
        c = image[2 * y]
        d = image[min(2 * y + 1, rows - 1)]
        e = image[min(2 * y + 2, rows - 1)]
        for x in range(columns):
            row[x] = (a[x] + e[x] + np.float32(4) * (b[x] + d[x]) + np.float32(6) * c[x]) * np.float32(0.0625)
        target = out[y]
        for x in range(target.shape[0]):
            left = row[max(2 * x - 2, 0)] + np.float32(4) * row[max(2 * x - 1, 0)]
            right = row[min(2 * x + 2, columns - 1)] + np.float32(4) * row[min(2 * x + 1, columns - 1)]
            target[x] = (left + right + np.float32(6) * row[2 * x]) * np.float32(0.0625)


@kernel
def double_into(coarse: Float32, sign: float, row: Float32, image: Float32, first: int, last: int) -> None:
    """Add the coarse image, interpolated to twice its size, times ``sign``: EXPAND of the Laplacian pyramid.

    coarse : (ceil(rows / 2), ceil(columns / 2)) float32, C order
    sign : -1 leaves the detail that the coarse image lacks, 1 puts the image together again
    row : (coarse columns,) float32, scratch
    image : (rows, columns) float32, C order, changed in place
    first, last : the range of rows of ``image``

    Burt and Adelson 1983, equation 2: even pixels weigh (1 6 1) / 8 of the coarse ones, odd ones (1 1) / 2.
    """
    height, width = coarse.shape
    eighth = np.float32(0.125)
    factor = np.float32(sign)
    for y in range(first, last):
        middle = coarse[y // 2]
        below = coarse[min(y // 2 + 1, height - 1)]
        if y % 2:
            for x in range(width):
                row[x] = (middle[x] + below[x]) * np.float32(0.5)
        else:
            above = coarse[max(y // 2 - 1, 0)]
            for x in range(width):
                row[x] = (above[x] + below[x] + np.float32(6) * middle[x]) * eighth
        target = image[y]
        for x in range(target.shape[0]):
            center = row[x // 2]
            after = row[min(x // 2 + 1, width - 1)]
            if x % 2:
                value = (center + after) * np.float32(0.5)
            else:
                value = (row[max(x // 2 - 1, 0)] + after + np.float32(6) * center) * eighth
            target[x] += factor * value


@kernel
def amplify_detail_into(detail: Float32, limit: float, exponent: float, core: float, gain: float) -> None:
    """Raise faint detail and hold back strong detail, in place.

    detail : (pixels,) float32, C order, coefficients of one pyramid level
    limit : magnitude that keeps its value, above 0
    exponent : 0 < exponent <= 1; 1 changes nothing
    core : magnitude below which the gain no longer grows, 0 < core <= limit: noise is not raised for ever
    gain : factor on the whole level

    Vuylsteke and Schoeters, Multiscale image contrast amplification (MUSICA), Proc. SPIE 2167 (1994) 551: y = sign(x) *
    limit * (abs(x) / limit) ** exponent. Below ``core`` the curve goes on as the straight line to zero.
    """
    steep = gain * (core / limit) ** (exponent - 1.0)
    for pixel in range(detail.shape[0]):
        value = np.float64(detail[pixel])
        size = abs(value)
        if size <= core:
            detail[pixel] = np.float32(value * steep)
        else:
            detail[pixel] = np.float32(value * gain * (size / limit) ** (exponent - 1.0))
