"""Median filters of 3 × 3 × 3 and 5 × 5 × 5 by sorting networks, 16 voxels of a row at once.

Neighbouring windows share most of their values, so what is sorted is kept: a column of the window along the slices,
then a plane of it, then pairs of planes; only ranks that can still be the median are carried on. Unchecked: the checked
entry is ``pacscore.imaging.arrays.median``. Twin: ``tests/reference/filters.py``.

Both kernels take integers; floats come as the int32 of the same order (see ``rank``).
"""
# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._networks import load_list_of, merge, select_rank, store_list
from pacscore.kernels._vector import store

WIDTH = 128
"""Columns of a tile: with more, the sorted planes leave the nearest cache."""
LINE = WIDTH + 32
"""Items of a line of sorted columns: the tile and 16 on both sides."""

one, three, five = load_list_of(16, 1), load_list_of(16, 3), load_list_of(16, 5)
nine, ten, fifty, twenty_five, twenty_six = (load_list_of(16, count) for count in (9, 10, 50, 25, 26))


@kernel
def fill_sides(columns: NDArray[Any], count: int, begin: int, end: int, reach: int, width: int) -> None:
    """Repeat the outermost sorted columns beyond the border of the image.

    columns : (count * LINE,), of which places 16 + begin to 16 + end are filled; 16 - reach to 16 + width + reach are
        wanted
    """
    for rank in range(count):
        line = columns[rank * LINE : (rank + 1) * LINE]
        for place in range(16 - reach, 16 + begin):
            line[place] = line[16 + begin]
        for place in range(16 + end, 16 + width + reach):
            line[place] = line[15 + end]


@kernel
def median3_into(
    values: NDArray[Any],
    plane_reach: int,
    columns: NDArray[Any],
    planes: NDArray[Any],
    out: NDArray[Any],
    first: int,
    last: int,
) -> None:
    """Median of the 27 values around each voxel.

    values, out : (slices, rows, columns) int16 or int32, C order, at least 16 columns
    plane_reach : 1; 0 takes the slice itself for its neighbours, which gives the 3 × 3 median of each slice
    columns : (3 * LINE,), scratch: columns along the slices, sorted
    planes : (4 * 9 * WIDTH,), scratch: planes across a row, sorted, of four rows
    first, last : the range of slices

    Beyond the border the nearest value counts. Exact.
    """
    slices, height, across = values.shape
    area = height * across
    width = min(WIDTH, across)
    plane = 9 * WIDTH
    for z in range(first, last):
        before = min(z, plane_reach) * area
        behind = min(slices - 1 - z, plane_reach) * area
        for start in range(0, across, WIDTH):
            left = min(start, across - width)
            begin = max(left - 1, 0)
            end = min(left + width + 1, across)
            for y in range(-1, height + 1 + height % 2):
                row = z * area + min(max(y, 0), height - 1) * across
                for block in range((end - begin + 15) // 16):
                    x = min(begin + 16 * block, end - 16)
                    pair = merge(one(values, row + x - before, 0), one(values, row + x, 0))
                    store_list(columns, 16 + x - left, LINE, merge(pair, one(values, row + x + behind, 0)))
                fill_sides(columns, 3, begin - left, end - left, 1, width)
                for block in range((width + 15) // 16):
                    x = min(16 * block, width - 16)
                    pair = merge(three(columns, x + 15, LINE), three(columns, x + 16, LINE))
                    store_list(planes, (y & 3) * plane + x, WIDTH, merge(pair, three(columns, x + 17, LINE)))
                if y < 2 or y % 2:
                    continue
                target = (z * height + y - 2) * across + left
                for block in range((width + 15) // 16):
                    x = min(16 * block, width - 16)
                    inner = nine(planes, ((y - 2) & 3) * plane + x, WIDTH)
                    shared = merge(inner, nine(planes, ((y - 1) & 3) * plane + x, WIDTH))[4:14]
                    store(out, target + x, select_rank(shared, nine(planes, ((y - 3) & 3) * plane + x, WIDTH)))
                    if y - 1 < height:
                        lower = nine(planes, (y & 3) * plane + x, WIDTH)
                        store(out, target + across + x, select_rank(shared, lower))


@kernel
def median5_into(
    values: NDArray[Any],
    plane_reach: int,
    columns: NDArray[Any],
    pairs: NDArray[Any],
    planes: NDArray[Any],
    doubles: NDArray[Any],
    middle: NDArray[Any],
    out: NDArray[Any],
    first: int,
    last: int,
) -> None:
    """Median of the 125 values around each voxel.

    values, out : (slices, rows, columns) int16 or int32, C order, at least 16 columns
    plane_reach : 2; 0 takes the slice itself for its neighbours, which gives the 5 × 5 median of each slice
    columns : (5 * LINE,), scratch: columns along the slices, sorted
    pairs : (10 * LINE,), scratch: two neighbouring columns, sorted
    planes : (8 * 25 * WIDTH,), scratch: planes across a row, sorted, of eight rows
    doubles : (2 * 50 * WIDTH,), scratch: two neighbouring planes, sorted
    middle : (26 * WIDTH,), scratch: of four planes the ranks that can be the median
    first, last : the range of slices

    Beyond the border the nearest value counts. Exact.
    """
    slices, height, across = values.shape
    area = height * across
    width = min(WIDTH, across)
    plane = 25 * WIDTH
    double = 50 * WIDTH
    for z in range(first, last):
        before = min(z, 1, plane_reach) * area
        before2 = min(z, plane_reach) * area
        behind = min(slices - 1 - z, 1, plane_reach) * area
        behind2 = min(slices - 1 - z, plane_reach) * area
        for start in range(0, across, WIDTH):
            left = min(start, across - width)
            begin = max(left - 2, 0)
            end = min(left + width + 2, across)
            for y in range(-2, height + 2 + height % 2):
                row = z * area + min(max(y, 0), height - 1) * across
                for block in range((end - begin + 15) // 16):
                    x = min(begin + 16 * block, end - 16)
                    upper = merge(one(values, row + x - before2, 0), one(values, row + x - before, 0))
                    lower = merge(one(values, row + x + behind, 0), one(values, row + x + behind2, 0))
                    inner = merge(upper, one(values, row + x, 0))
                    store_list(columns, 16 + x - left, LINE, merge(inner, lower))
                fill_sides(columns, 5, begin - left, end - left, 2, width)
                for block in range((width + 17) // 16):
                    x = min(16 * block, width - 14)
                    pair = merge(five(columns, x + 14, LINE), five(columns, x + 15, LINE))
                    store_list(pairs, x, LINE, pair)
                for block in range((width + 15) // 16):
                    x = min(16 * block, width - 16)
                    four = merge(ten(pairs, x, LINE), ten(pairs, x + 2, LINE))
                    store_list(planes, (y & 7) * plane + x, WIDTH, merge(four, five(columns, x + 18, LINE)))
                if y >= 0 and y % 2 == 0:
                    for block in range((width + 15) // 16):
                        x = min(16 * block, width - 16)
                        upper_plane = twenty_five(planes, ((y - 1) & 7) * plane + x, WIDTH)
                        both = merge(upper_plane, twenty_five(planes, (y & 7) * plane + x, WIDTH))
                        store_list(doubles, ((y >> 1) & 1) * double + x, WIDTH, both)
                if y < 3 or y % 2 == 0:
                    continue
                target = (z * height + y - 3) * across + left
                for block in range((width + 15) // 16):
                    x = min(16 * block, width - 16)
                    four_planes = merge(fifty(doubles, x, WIDTH), fifty(doubles, double + x, WIDTH))
                    store_list(middle, x, WIDTH, four_planes[37:63])
                    shared = twenty_six(middle, x, WIDTH)
                    above = twenty_five(planes, ((y - 5) & 7) * plane + x, WIDTH)
                    store(out, target + x, select_rank(shared, above))
                    if y - 2 < height:
                        below = twenty_five(planes, (y & 7) * plane + x, WIDTH)
                        store(out, target + across + x, select_rank(shared, below))
