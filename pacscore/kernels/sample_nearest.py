"""The nearest voxel along straight lines; the arguments are those of ``sample_lines``."""

# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels.sample_lines import BLOCK, clear_block, combine_lane, finish_block, inside_columns, is_inside


@kernel
def sample_nearest_into(
    array: NDArray[Any],
    corner: NDArray[np.int64],
    extent: NDArray[np.int64],
    lines: NDArray[np.float64],
    depths: int,
    combine: int,
    values: NDArray[np.float64],
    part: NDArray[np.int64],
    scratch: NDArray[np.float32],
    offsets: NDArray[np.int32],
    out: NDArray[Any],
) -> None:
    """Sample along lines, the nearest voxel (of two equally near, the later): see ``sample_lines``."""
    whole = depths == 1 or values[6] == 0
    for block in range(part[2], part[3], BLOCK):
        width = min(BLOCK, part[3] - block)
        for number in range(part[0], part[1]):
            line = lines[number]
            clear_block(combine, scratch)
            for depth in range(depths):
                first, last = inside_columns(line, depth, extent, block, block + width)
                for column in range(first, last):
                    z = line[0, 0] + depth * line[2, 0] + column * line[1, 0]
                    y = line[0, 1] + depth * line[2, 1] + column * line[1, 1]
                    x = line[0, 2] + depth * line[2, 2] + column * line[1, 2]
                    if is_inside(z, y, x, extent):
                        iz, iy, ix = int(z + 0.5) - corner[0], int(y + 0.5) - corner[1], int(x + 0.5) - corner[2]
                        value = np.float32(array[iz, iy, ix])
                        combine_lane(value, column - block, combine, whole, scratch)
            finish_block(combine, values, scratch, width, out[number, block : block + width])
