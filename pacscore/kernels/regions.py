"""Kernels that draw regions into masks: polygons by the even-odd rule, and seeds that grow.

Unchecked: the checked entries are in ``pacscore.imaging.arrays.regions``. Twins: ``tests/reference/regions.py``.
"""

# mypy: disable-error-code="untyped-decorator"
# Reason: ``kernel`` returns Any, as Numba types kernels by their arguments.

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel


@kernel
def fill_polygon_into(points: NDArray[np.float64], crossings: NDArray[np.float64], mask: NDArray[np.uint8]) -> None:
    """Turn round every pixel whose centre lies within a polygon: drawn twice, nothing remains; a hole is drawn again.

    points : (points, 2) float64, (row, column) in pixels, centres at whole numbers, closed by itself, finite
    crossings : (points,) float64, scratch
    mask : (rows, columns) uint8 of 0 and 1, C order

    Even-odd rule. A centre exactly on an edge counts as inside on the polygon's upper and left side only, so that
    polygons that share an edge share no pixel.
    """
    rows, columns = mask.shape
    count = points.shape[0]
    top, bottom = np.inf, -np.inf
    for point in range(count):
        top = min(top, points[point, 0])
        bottom = max(bottom, points[point, 0])
    first = np.int64(max(0.0, np.ceil(min(top, np.float64(rows)))))
    last = np.int64(min(np.float64(rows - 1), np.floor(max(bottom, -1.0))))
    for row in range(first, last + 1):
        found = 0
        for point in range(count):
            before = count - 1 if point == 0 else point - 1
            start, end = points[before, 0], points[point, 0]
            if (start <= row) != (end <= row):
                share = (row - start) / (end - start)
                place = points[before, 1] + share * (points[point, 1] - points[before, 1])
                at = found
                while at > 0 and crossings[at - 1] > place:  # Few edges cross a row: insertion sorts them soonest.
                    crossings[at] = crossings[at - 1]
                    at -= 1
                crossings[at] = place
                found += 1
        target = mask[row]
        for pair in range(0, found - 1, 2):
            left = np.int64(np.ceil(min(max(crossings[pair], 0.0), np.float64(columns))))
            right = np.int64(np.ceil(min(max(crossings[pair + 1], 0.0), np.float64(columns))))
            for column in range(left, right):
                target[column] ^= np.uint8(1)
