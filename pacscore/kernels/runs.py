"""Rows of a mask as bits, blocks of rows as runs.

A row of the mask becomes one bit a voxel in 64-bit words. Rows are taken together in *blocks* of ``size`` × ``size``
(neighbouring slices × neighbouring rows), whose bits are or-ed: 2 × 2 where voxels that share a corner are neighbours,
for then whatever lies in a block at one column or the next is connected, and a quarter of the rows is to be joined;
else 1 × 1. Where a word differs from itself shifted by one, a run of a block begins or ends.

Run arrays are shared by all kernels: ``firsts[block]`` is the number of the first run of a block (blocks in C order of
``(slice, row)``, one more at the end), ``edges[2 * run]`` the first column of a run and ``edges[2 * run + 1]`` the one
behind its last.

Unchecked: the checked entries are in ``pacscore.imaging.arrays.components``.
"""

# mypy: disable-error-code="untyped-decorator"
# Reason: ``kernel`` returns Any, as Numba types kernels by their arguments.

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._vector import load_of, mask_bits, population_count, splat_of, trailing_zeros

_load64, _splat64 = load_of(64), splat_of(64)
Bits: TypeAlias = NDArray[np.uint64]


@kernel
def pack_rows_into(mask: NDArray[np.uint8], bits: Bits) -> None:
    """Turn rows of bytes into rows of bits.

    mask : (rows, columns) uint8, C order; any value but 0 is in the mask
    bits : (rows, words) uint64, C order, words = ceil(columns / 64); bit k of word w is column 64 w + k, 0 beyond
    """
    columns = mask.shape[1]
    flat = mask.reshape(mask.size)
    zero, one = _splat64(np.uint8(0)), np.uint64(1)
    for row in range(mask.shape[0]):
        for word in range(bits.shape[1]):
            start = row * columns + 64 * word
            inside = columns - 64 * word
            if start + 64 <= flat.size:
                value = mask_bits(_load64(flat, start) != zero)
                if inside < 64:  # The rest belongs to the next row.
                    value &= (one << np.uint64(inside)) - one
            else:
                value = np.uint64(0)
                for k in range(min(64, inside)):
                    value |= np.uint64(flat[start + k] != 0) << np.uint64(k)
            bits[row, word] = value


@kernel
def merge_blocks_into(  # noqa: PLR0917  # A compiled function has no keyword-only arguments.
    bits: Bits, slices: int, rows: int, size: int, merged: Bits, counts: NDArray[np.int64], start: int, stop: int
) -> None:
    """Or the rows of each block of block slices ``start`` to ``stop``, and count the runs.

    bits : (slices * rows, words) uint64
    merged : (blocks, words) uint64
    counts : (blocks,) int64
    """
    across = (rows + size - 1) // size
    one, top = np.uint64(1), np.uint64(63)
    for block in range(start * across, stop * across):
        count = 0
        carry = np.uint64(0)
        first_slice, first_row = block // across * size, block % across * size
        for word in range(bits.shape[1]):
            value = np.uint64(0)
            for index in range(first_slice, min(slices, first_slice + size)):
                for row in range(first_row, min(rows, first_row + size)):
                    value |= bits[index * rows + row, word]
            merged[block, word] = value
            count += population_count(value & ~((value << one) | carry))
            carry = value >> top
        counts[block] = count


@kernel
def find_runs_into(merged: Bits, columns: int, firsts: NDArray[np.int64], edges: NDArray[np.int32]) -> None:
    """Write where the runs of blocks begin and end.

    merged : (blocks, words) uint64; firsts : (blocks + 1,) int64, of these blocks
    columns : of a row
    edges : (2 * runs,) int32 of all blocks
    """
    one, top, everything, nothing = np.uint64(1), np.uint64(63), ~np.uint64(0), np.uint64(0)
    for block in range(merged.shape[0]):
        at = 2 * firsts[block]
        if firsts[block + 1] * 2 == at:
            continue
        before = nothing
        for word in range(merged.shape[1]):
            value = merged[block, word]
            if value != (everything if before != nothing else nothing):
                changes = value ^ ((value << one) | before)
                while changes != nothing:
                    edges[at] = 64 * word + trailing_zeros(changes)
                    at += 1
                    changes &= changes - one
            before = value >> top
        if before != nothing and columns == 64 * merged.shape[1]:
            edges[at] = columns
