"""Twins of ``pacscore.kernels.components`` and ``.regions``: flooding from voxel to voxel, and crossing numbers."""

from __future__ import annotations

from collections import deque
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray


def label(mask: NDArray[Any], connectivity: int) -> tuple[NDArray[np.uint32], int]:
    """Flood each voxel that has no label yet, in C order."""
    steps = [
        step for step in product((-1, 0, 1), repeat=3) if 0 < sum(map(abs, step)) <= {6: 1, 18: 2, 26: 3}[connectivity]
    ]
    labels = np.zeros(mask.shape, np.uint32)
    count = 0
    for start in np.argwhere(mask):
        if labels[tuple(start)]:
            continue
        count += 1
        labels[tuple(start)] = count
        waiting = deque([tuple(start.tolist())])
        while waiting:
            place = waiting.popleft()
            for step in steps:
                near = tuple(a + b for a, b in zip(place, step, strict=True))
                if all(0 <= a < n for a, n in zip(near, mask.shape, strict=True)) and mask[near] and not labels[near]:
                    labels[near] = count
                    waiting.append(near)
    return labels, count


def polygon(points: list[tuple[float, float]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Even-odd rule: how many edges cross a pixel's row to the left of its centre, or at it."""
    rows, columns = np.indices(shape)
    crossed = np.zeros(shape, np.int64)
    for (r0, c0), (r1, c1) in zip(points, points[1:] + points[:1], strict=True):
        if r0 != r1:
            crossed += ((r0 <= rows) != (r1 <= rows)) & (c0 + (rows - r0) / (r1 - r0) * (c1 - c0) <= columns)
    return crossed % 2 == 1
