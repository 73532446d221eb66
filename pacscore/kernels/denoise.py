"""Kernels that average like with like: bilateral filter and non-local means, over planes and volumes.

Unchecked: the checked entries are in ``pacscore.imaging.arrays.denoise``. Twins: ``tests/reference/denoise.py``.
"""
# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._vector import (
    convert_to,
    load_of,
    maximum,
    minimum,
    reinterpret_as,
    rint,
    select,
    splat_of,
    store,
)

Float32 = NDArray[np.float32]

LANES = 16
load16, splat16 = load_of(LANES), splat_of(LANES)
to_int32, as_int32, as_float32 = convert_to("int32"), reinterpret_as("int32"), reinterpret_as("float32")
_CONTRACT = frozenset({"contract"})


@kernel(fastmath=_CONTRACT, inline=True)
def halved(power: Any) -> Any:
    """2 ** -power of each lane, power >= 0, within 3e-6 of it; 125 and above count as 125.

    A polynomial on [-0.5, 0.5] (minimax, degree 4), and the whole part added to the exponent bits.
    """
    exponent = splat16(np.float32(0)) - minimum(power, splat16(np.float32(125)))
    whole = rint(exponent)
    part = exponent - whole
    value = part * np.float32(0.0095701) + np.float32(0.05591786)
    value = value * part + np.float32(0.24024745)
    value = value * part + np.float32(0.69312181)
    value = value * part + np.float32(0.99999926)
    return as_float32(as_int32(value) + (to_int32(whole) << splat16(np.int32(23))))


@kernel(fastmath=_CONTRACT)
def bilateral_rows_into(
    padded: Float32,
    reach: NDArray[np.int64],
    offsets: NDArray[np.int64],
    exponents: Float32,
    scale: float,
    is_whole: bool,
    line: Float32,
    out: NDArray[Any],
    first: int,
    last: int,
) -> None:
    """Average of the neighbours, weighed by how near they are and how alike.

    padded : (slices + 2 * reach, rows + 2 * reach, columns + 2 * reach + 16 or more) float32, C order, scaled so that
        a neighbour's weight is 2 ** -(difference ** 2 + exponent)
    reach : (3,) how far the neighbourhood goes along slices, rows, columns
    offsets : (neighbours,) where a neighbour lies, counted from the voxel in ``padded``
    exponents : (neighbours,) float32, of its distance, not negative
    scale : what the values were scaled by
    is_whole : round to whole numbers, ties to even
    line : (columns rounded up to 16,) float32, scratch
    out : (slices, rows, columns), C order
    first, last : the range of image rows, numbered through all slices

    Tomasi and Manduchi, Bilateral filtering for gray and color images, ICCV 1998, 839.
    """
    _, height, columns = out.shape
    stride = padded.shape[2]
    inverse = np.float32(1.0 / scale)
    for row in range(first, last):
        z = row // height
        y = row % height
        begin = ((z + reach[0]) * padded.shape[1] + y + reach[1]) * stride + reach[2]
        for x in range(0, columns, LANES):
            place = begin + x
            center = load16(padded, place)
            total = splat16(np.float32(0))
            weights = total
            for neighbour in range(offsets.shape[0]):
                value = load16(padded, place + offsets[neighbour])
                difference = value - center
                weight = halved(difference * difference + exponents[neighbour])
                total = total + weight * value
                weights = weights + weight
            store(line, x, total / weights)
        target = out[z, y]
        for x in range(columns):
            value = line[x] * inverse
            target[x] = np.rint(value) if is_whole else value


@kernel(fastmath=_CONTRACT, inline=True)
def patch_row_into(
    padded: Float32,
    place: int,
    step: int,
    slabs: Float32,
    slab_lines: NDArray[np.int64],
    rows: Float32,
    row_lines: NDArray[np.int64],
    count: int,
    sums: Float32,
) -> None:
    """Squared differences of a row and its partner, summed over the patch's slices and rows.

    slabs, rows : what was found before; ``lines`` say where: first the line to fill, then those to add. Sums are made
    anew each time: taking the last line off a running sum would leave the rounding of what was large.
    """
    for x in range(0, count, LANES):
        difference = load16(padded, place + x) - load16(padded, place + step + x)
        total = difference * difference
        if slab_lines.shape[0] > 1:
            store(slabs, slab_lines[0] + x, total)
            for line in range(1, slab_lines.shape[0]):
                total = total + load16(slabs, slab_lines[line] + x)
        store(rows, row_lines[0] + x, total)
        for line in range(1, row_lines.shape[0]):
            total = total + load16(rows, row_lines[line] + x)
        store(sums, x, total)


@kernel(fastmath=_CONTRACT, inline=True)
def weight_row_into(
    sums: Float32, patch: int, factor: float, noise: float, cutoff: float, count: int, weights: Float32
) -> None:
    """Weights from the sums of a row: over the patch's columns, less the noise, as powers of two."""
    zero = splat16(np.float32(0))
    limit = splat16(np.float32(cutoff))
    for x in range(0, count, LANES):
        total = load16(sums, x)
        for column in range(1, patch):
            total = total + load16(sums, x + column)
        power = maximum(total * np.float32(factor) - np.float32(noise), zero)
        store(weights, x, select(power <= limit, halved(power), zero))


@kernel(fastmath=_CONTRACT, inline=True)
def gather_row(
    padded: Float32, place: int, weights: Float32, begin: int, count: int, totals: Float32, shares: Float32, line: int
) -> None:
    """Add weighted values to the totals of a row, and the weights to its shares."""
    for x in range(0, count, LANES):
        weight = load16(weights, begin + x)
        store(totals, line + x, load16(totals, line + x) + weight * load16(padded, place + x))
        store(shares, line + x, load16(shares, line + x) + weight)


@kernel(fastmath=_CONTRACT)
def nlm_offset(
    padded: Float32,
    pads: NDArray[np.int64],
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    offset: NDArray[np.int64],
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    factor: float,
    noise: float,
    cutoff: float,
    slabs: Float32,
    rows: Float32,
    sums: Float32,
    weights: Float32,
    slab_lines: NDArray[np.int64],
    row_lines: NDArray[np.int64],
    totals: Float32,
    shares: Float32,
) -> None:
    """Let every voxel of a tile meet the voxels at ``offset`` and at its opposite.

    The weight of a pair serves both of its voxels, so only half of the offsets are visited; pairs that only end in the
    tile are computed too. Arguments as in ``nlm_tiles_into``; begin, end are the tile.
    """
    height, width = padded.shape[1], padded.shape[2]
    stride = sums.shape[0]
    low_z, high_z = begin[0] - max(offset[0], 0), end[0] - min(offset[0], 0)
    low_y, high_y = begin[1] - max(offset[1], 0), end[1] - min(offset[1], 0)
    low_x, high_x = begin[2] - max(offset[2], 0), end[2] - min(offset[2], 0)
    step = (offset[0] * height + offset[1]) * width + offset[2]
    lines = high_y - low_y + before[1] + after[1]
    count = high_x - low_x
    columns = end[2] - begin[2]
    depth = end[1] - begin[1]
    for z in range(low_z - before[0], high_z + after[0]):
        level = z - low_z + before[0]
        for y in range(low_y - before[1], high_y + after[1]):
            line = y - low_y + before[1]
            for slab in range(slab_lines.shape[0]):
                slab_lines[slab] = ((level + slab_lines.shape[0] - slab) % slab_lines.shape[0] * lines + line) * stride
            for row in range(row_lines.shape[0]):
                row_lines[row] = (line + row_lines.shape[0] - row) % row_lines.shape[0] * stride
            place = ((z + pads[0]) * height + y + pads[1]) * width + low_x - before[2] + pads[2]
            patch_row_into(padded, place, step, slabs, slab_lines, rows, row_lines, count + before[2] + after[2], sums)
            base_z = z - after[0]
            base_y = y - after[1]
            if base_z < low_z or base_y < low_y:
                continue
            weight_row_into(sums, before[2] + after[2] + 1, factor, noise, cutoff, count, weights)
            here = ((base_z + pads[0]) * height + base_y + pads[1]) * width + pads[2]
            if begin[0] <= base_z < end[0] and begin[1] <= base_y < end[1]:
                target = ((base_z - begin[0]) * depth + base_y - begin[1]) * stride
                gather_row(padded, here + step + begin[2], weights, begin[2] - low_x, columns, totals, shares, target)
            base_z += offset[0]
            base_y += offset[1]
            if begin[0] <= base_z < end[0] and begin[1] <= base_y < end[1]:
                target = ((base_z - begin[0]) * depth + base_y - begin[1]) * stride
                from_x = begin[2] - offset[2]
                gather_row(padded, here + from_x, weights, from_x - low_x, columns, totals, shares, target)


@kernel
def nlm_tiles_into(
    padded: Float32,
    pads: NDArray[np.int64],
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    search: NDArray[np.int64],
    tile: NDArray[np.int64],
    factor: float,
    noise: float,
    cutoff: float,
    slabs: Float32,
    rows: Float32,
    sums: Float32,
    weights: Float32,
    lines: NDArray[np.int64],
    places: NDArray[np.int64],
    totals: Float32,
    shares: Float32,
    is_whole: bool,
    out: NDArray[Any],
    first: int,
    last: int,
) -> None:
    """Average of the voxels in a search box, weighed by how alike the patches around them are.

    padded : (slices, rows, columns) with ``pads`` more on each side, and 64 more columns, float32, C order
    pads : (3,) search + the larger of before and after, along slices, rows, columns
    before, after : (3,) how far a patch goes to each side
    search : (3,) how far the search box goes
    tile : (3,) slices, rows, columns of a tile
    factor : a patch's sum of squared differences times this is the exponent of its weight: 2 ** -exponent
    noise : what of the exponent is noise; the rest counts, if positive
    cutoff : exponents above it count as weight 0
    slabs : (patch slices * (tile rows + search + patch) * stride,) float32, scratch; 0 for patches of one slice
    rows : (patch rows * stride,), sums, weights : (stride,) float32, scratch; stride holds a tile, the search and the
        patch, and 64 more
    lines : (patch slices + patch rows,) int64, places : (9,) int64, scratch
    totals, shares : (tile slices * tile rows * stride,) float32, scratch
    is_whole : round to whole numbers, ties to even
    out : (slices, rows, columns), C order
    first, last : the range of tiles in C order

    Buades, Coll and Morel, A review of image denoising algorithms, Multiscale Model. Simul. 4 (2005) 490, with the
    patch distance summed along one axis after the other (Darbon et al., ISBI 2008, 1331).
    """
    depth, height, columns = out.shape
    stride = sums.shape[0]
    slab_lines = lines[: before[0] + after[0] + 1]
    row_lines = lines[before[0] + after[0] + 1 :]
    offset = places[0:3]
    begin = places[3:6]
    end = places[6:9]
    down = -(-height // tile[1])
    across = -(-columns // tile[2])
    for number in range(first, last):
        begin[0] = number // (down * across) * tile[0]
        begin[1] = number // across % down * tile[1]
        begin[2] = number % across * tile[2]
        end[0] = min(begin[0] + tile[0], depth)
        end[1] = min(begin[1] + tile[1], height)
        end[2] = min(begin[2] + tile[2], columns)
        totals[:] = np.float32(0)
        shares[:] = np.float32(0)
        for dz in range(search[0] + 1):
            for dy in range(-search[1] if dz > 0 else 0, search[1] + 1):
                for dx in range(-search[2] if dz > 0 or dy > 0 else 1, search[2] + 1):
                    offset[0] = dz
                    offset[1] = dy
                    offset[2] = dx
                    nlm_offset(
                        padded, pads, before, after, offset, begin, end, factor, noise, cutoff, slabs, rows, sums,
                        weights, slab_lines, row_lines, totals, shares,
                    )  # fmt: skip
        for z in range(begin[0], end[0]):
            for y in range(begin[1], end[1]):
                line = ((z - begin[0]) * (end[1] - begin[1]) + y - begin[1]) * stride
                own = padded[z + pads[0], y + pads[1], pads[2] + begin[2] :]
                target = out[z, y, begin[2] : end[2]]
                for x in range(target.shape[0]):
                    value = (totals[line + x] + own[x]) / (shares[line + x] + np.float32(1))
                    target[x] = np.rint(value) if is_whole else value
