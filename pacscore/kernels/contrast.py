"""Kernels that change contrast value by value: CLAHE, gamma, sharpening.

Unchecked: the checked entries are in ``pacscore.imaging.arrays.contrast``. Twins: ``tests/reference/contrast.py``.
"""
# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel

Float32 = NDArray[np.float32]


@kernel
def clahe_tables_into(
    image: NDArray[Any],
    low: int,
    levels: int,
    clip: int,
    counts: NDArray[np.int32],
    tables: NDArray[Any],
    first: int,
    last: int,
) -> None:
    """Make the clipped equalisation table of each context region.

    image : (rows, columns) uint8 or uint16, C order, a whole number of regions each way
    low : the smallest value of the image; the largest is low + bins - 1
    levels : 256 or 65536, over which clipped counts are spread
    clip : largest count of a level, 0 for no limit
    counts : (2, bins) int32, scratch
    tables : (regions down, regions across, bins) of the image's dtype
    first, last : the range of regions in C order that this call makes

    Pizer et al., Adaptive histogram equalization and its variations, CVGIP 39 (1987) 355; counts above the limit are
    spread as OpenCV does: evenly, the remainder one each at equal steps from level 0. Levels outside the image's
    range hold no pixels, but are given their part of what was clipped, so their sum is known without a table for them.
    """
    across = tables.shape[1]
    rows = image.shape[0] // tables.shape[0]
    columns = image.shape[1] // across
    bins = tables.shape[2]
    scale = np.float32(levels - 1) / np.float32(rows * columns)
    offset = np.uint64(low)
    even = counts[0]
    odd = counts[1]
    for region in range(first, last):
        top = region // across * rows
        left = region % across * columns
        even[:] = 0
        odd[:] = 0
        for row in range(top, top + rows):
            values = image[row, left : left + columns]
            pairs = columns // 2 * 2
            for column in range(0, pairs, 2):
                even[np.uint64(values[column]) - offset] += np.int32(1)
                odd[np.uint64(values[column + 1]) - offset] += np.int32(1)
            if pairs < columns:
                even[np.uint64(values[pairs]) - offset] += np.int32(1)
        clipped = 0
        for level in range(bins):
            count = int(even[level]) + int(odd[level])
            kept = clip if 0 < clip < count else count
            clipped += count - kept
            even[level] = kept
        batch = clipped // levels
        rest = clipped - batch * levels
        running = batch * low
        if rest > 0:
            step = levels // rest if rest < levels else 1
            begin = -(-low // step)
            running += min(rest, begin)
            for place in range(begin, rest):
                level = place * step - low
                if level >= bins:
                    break
                even[level] += np.int32(1)
        table = tables[region // across, region % across]
        for level in range(bins):
            running += int(even[level]) + batch
            even[level] = np.int32(running)
        for level in range(bins):
            table[level] = np.int32(np.rint(np.float32(even[level]) * scale))


@kernel
def clahe_cells_into(
    image: NDArray[Any],
    tables: NDArray[Any],
    low: int,
    row_starts: NDArray[np.int64],
    row_weights: Float32,
    column_starts: NDArray[np.int64],
    column_weights: Float32,
    corners: Float32,
    out: NDArray[Any],
    first: int,
    last: int,
) -> None:
    """Map each pixel through the tables of the four regions around it, blended bilinearly.

    image, out : (rows, columns) uint8 or uint16, C order
    tables, low : of ``clahe_tables_into``
    row_starts, column_starts : (regions + 2,) where the cells between region centers begin, and the end
    row_weights, column_weights : (rows,), (columns,) float32, weight of the lower and right-hand region
    corners : (4 * bins,) float32, scratch: the four tables side by side, over the range of the cell's values
    first, last : the range of cells in C order that this call maps

    In float32 and in the order of operations of OpenCV, so that the results are the same; ties round to even.
    """
    down = tables.shape[0]
    across = tables.shape[1]
    one = np.float32(1)
    for cell in range(first, last):
        y = cell // (across + 1)
        x = cell % (across + 1)
        top = row_starts[y]
        bottom = row_starts[y + 1]
        left = column_starts[x]
        right = column_starts[x + 1]
        if top == bottom or left == right:
            continue
        smallest = image[top, left]
        largest = smallest
        for row in range(top, bottom):
            values = image[row, left:right]
            for column in range(values.shape[0]):
                smallest = min(smallest, values[column])
                largest = max(largest, values[column])
        begin = np.int64(smallest) - low
        end = np.int64(largest) - low + 1
        upper_left = tables[max(y - 1, 0), max(x - 1, 0)][begin:end]
        upper_right = tables[max(y - 1, 0), min(x, across - 1)][begin:end]
        lower_left = tables[min(y, down - 1), max(x - 1, 0)][begin:end]
        lower_right = tables[min(y, down - 1), min(x, across - 1)][begin:end]
        for level in range(end - begin):
            corners[4 * level] = np.float32(upper_left[level])
            corners[4 * level + 1] = np.float32(upper_right[level])
            corners[4 * level + 2] = np.float32(lower_left[level])
            corners[4 * level + 3] = np.float32(lower_right[level])
        weights = column_weights[left:right]
        for row in range(top, bottom):
            below = row_weights[row]
            above = one - below
            values = image[row, left:right]
            target = out[row, left:right]
            for column in range(values.shape[0]):
                place = (np.uint64(values[column]) - np.uint64(smallest)) * np.uint64(4)
                after = weights[column]
                before = one - after
                upper = corners[place] * before + corners[place + np.uint64(1)] * after
                lower = corners[place + np.uint64(2)] * before + corners[place + np.uint64(3)] * after
                target[column] = np.int32(np.rint(upper * above + lower * below))


@kernel
def gamma_into(values: Float32, low: float, high: float, exponent: float, out: Float32) -> None:
    """Bend the range from low to high by a power; what lies outside is clamped to it.

    values, out : (pixels,) float32, C order; may be the same array
    low, high : finite, high > low
    exponent : above 0; below 1 brightens

    out = low + (high - low) * ((value - low) / (high - low)) ** exponent, in float64, rounded once. NaN stays.
    """
    for pixel in range(values.shape[0]):
        place = (np.float64(values[pixel]) - low) / (high - low)
        if place <= 0.0:
            out[pixel] = np.float32(low)
        elif place >= 1.0:
            out[pixel] = np.float32(high)
        else:
            out[pixel] = np.float32(low + (high - low) * place**exponent)  # NaN too.


@kernel
def sharpen_into(values: Float32, smooth: Float32, amount: float, threshold: float, out: Float32) -> None:
    """Add what smoothing took away: out = value + amount * (value - smooth), where the difference exceeds threshold.

    values, smooth, out : (pixels,) float32, C order; out may be one of the others
    """
    for pixel in range(values.shape[0]):
        value = values[pixel]
        detail = value - smooth[pixel]
        if abs(detail) > np.float32(threshold):
            value += np.float32(amount) * detail
        out[pixel] = value
