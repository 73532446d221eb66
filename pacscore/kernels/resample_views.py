"""One detector seen through another: projections resampled by a homography.

Unchecked: the checked entry is ``pacscore.recon.upright``. Twins: ``tests/reference/tomography.py``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel


@kernel
def resample_view_into(view: NDArray[np.float32], mapping: NDArray[np.float64], out: NDArray[np.float32]) -> None:
    """``out[row, column]`` from the place that ``mapping`` (3, 3) takes ``(column, row, 1)`` to, bilinear.

    view, out : (rows, columns) float32; what lies outside ``view`` is 0
    """
    rows, columns = view.shape
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            depth = mapping[2, 0] * j + mapping[2, 1] * i + mapping[2, 2]
            x = (mapping[0, 0] * j + mapping[0, 1] * i + mapping[0, 2]) / depth
            y = (mapping[1, 0] * j + mapping[1, 1] * i + mapping[1, 2]) / depth
            if not (depth > 0 and 0 <= x <= columns - 1 and 0 <= y <= rows - 1):
                out[i, j] = np.float32(0)
                continue
            c, r = min(np.int64(x), max(0, columns - 2)), min(np.int64(y), max(0, rows - 2))
            c1, r1 = min(c + 1, columns - 1), min(r + 1, rows - 1)
            fx, fy = np.float32(x - c), np.float32(y - r)
            upper = view[r, c] + fx * (view[r, c1] - view[r, c])
            lower = view[r1, c] + fx * (view[r1, c1] - view[r1, c])
            out[i, j] = upper + fy * (lower - upper)
