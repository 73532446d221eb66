"""Total variation: the dual variables of its proximal map, one pass each.

Arrays are (chunks, n0, n1, n2) float32; ``box`` (3, 2) int64 bounds the voxels proper along the last three axes, and
``weights`` (3,) float32 are those of the differences along them, 0 for an axis that is left out. The difference at
the last voxel of an axis is 0. The divergence is the negative adjoint of the differences.

Unchecked: the checked entry is ``pacscore.recon.variation``. Twins: ``tests/reference/tomography.py``.
"""

# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels.backproject import CONTRACT


@kernel(fastmath=CONTRACT)
def ascend_into(
    values: NDArray[np.float32],
    box: NDArray[np.int64],
    weights: NDArray[np.float32],
    step: float,
    limit: float,
    first: int,
    last: int,
    dual: NDArray[np.float32],
) -> None:
    """Add ``step`` times the weighted differences of ``values`` to ``dual``, and shorten to ``limit`` what is longer.

    dual : (3, chunks, n0, n1, n2) float32
    first, last : of the first axis of the box, from 0
    """
    w0, w1, w2 = weights[0] * np.float32(step), weights[1] * np.float32(step), weights[2] * np.float32(step)
    bound, one = np.float32(limit), np.float32(1)
    low, high = box[2, 0], box[2, 1]
    for chunk in range(values.shape[0]):
        for i in range(box[0, 0] + first, box[0, 0] + last):
            di = np.float32(0) if i + 1 >= box[0, 1] else w0
            for j in range(box[1, 0], box[1, 1]):
                dj = np.float32(0) if j + 1 >= box[1, 1] else w1
                here = values[chunk, i, j]
                below = values[chunk, min(i + 1, values.shape[1] - 1), j]
                beside = values[chunk, i, min(j + 1, values.shape[2] - 1)]
                p, q, r = dual[0, chunk, i, j], dual[1, chunk, i, j], dual[2, chunk, i, j]
                for k in range(low, high):
                    value = here[k]
                    after = here[k + 1] - value if k + 1 < high else np.float32(0)
                    a = p[k] + di * (below[k] - value)
                    b = q[k] + dj * (beside[k] - value)
                    c = r[k] + w2 * after
                    length = np.sqrt(a * a + b * b + c * c)
                    scale = bound / length if length > bound else one
                    p[k] = a * scale
                    q[k] = b * scale
                    r[k] = c * scale


@kernel(fastmath=CONTRACT)
def add_divergence_into(
    dual: NDArray[np.float32],
    box: NDArray[np.int64],
    weights: NDArray[np.float32],
    first: int,
    last: int,
    values: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """``out = values + divergence(dual)`` within the box; arrays as in ``ascend_into``."""
    low, high = box[2, 0], box[2, 1]
    nothing = np.float32(0)
    for chunk in range(values.shape[0]):
        for i in range(box[0, 0] + first, box[0, 0] + last):
            wi, wi_before = (nothing if i + 1 >= box[0, 1] else weights[0]), (nothing if i == box[0, 0] else weights[0])
            for j in range(box[1, 0], box[1, 1]):
                wj = nothing if j + 1 >= box[1, 1] else weights[1]
                wj_before = nothing if j == box[1, 0] else weights[1]
                p, q, r = dual[0, chunk, i, j], dual[1, chunk, i, j], dual[2, chunk, i, j]
                above, before = dual[0, chunk, max(i - 1, 0), j], dual[1, chunk, i, max(j - 1, 0)]
                source, target = values[chunk, i, j], out[chunk, i, j]
                for k in range(low, high):
                    wk = nothing if k + 1 >= high else weights[2]
                    earlier = r[k - 1] * weights[2] if k > low else nothing
                    total = wi * p[k] - wi_before * above[k] + wj * q[k] - wj_before * before[k]
                    target[k] = source[k] + total + wk * r[k] - earlier
