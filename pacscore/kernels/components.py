"""Connected components of a 3-D mask: rows as bits, bits as runs, runs joined by union-find.

A row of the mask becomes one bit a voxel in 64-bit words. Rows are taken together in *blocks* of ``size`` × ``size``
(neighbouring slices × neighbouring rows), whose bits are or-ed: 2 × 2 where voxels that share a corner are neighbours,
for then whatever lies in a block at one column or the next is connected, and a quarter of the rows is to be joined;
else 1 × 1. Where a word differs from itself shifted by one, a run of a block begins or ends. Runs of blocks side by
side are linked where the rows that face each other have bits that touch, slabs of slices at once and then their seams.

Run arrays are shared by all kernels: ``firsts[block]`` is the number of the first run of a block (blocks in C order of
``(slice, row)``, one more at the end), ``edges[2 * run]`` the first column of a run and ``edges[2 * run + 1]`` the one
behind its last.

Unchecked: the checked entries are in ``pacscore.imaging.arrays.components``. Twin: ``tests/reference/components.py``.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return"
# Reason: ``kernel`` returns Any, as Numba types kernels by their arguments.

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._vector import load_of, mask_bits, population_count, splat_of, store, trailing_zeros

_LANES = 16
_load64, _splat64, _splat16 = load_of(64), splat_of(64), splat_of(_LANES)
Bits = NDArray[np.uint64]


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


@kernel(inline=True)
def _find(parents: NDArray[np.int32], run: int) -> int:
    """The root of a run, halving the way there."""
    while parents[run] != run:
        parents[run] = parents[parents[run]]
        run = parents[run]
    return run


@kernel(inline=True)
def _link(parents: NDArray[np.int32], run: int, other: int) -> None:
    """Join two runs; the earlier root becomes the root of both."""
    if parents[run] != parents[other]:
        a, b = _find(parents, run), _find(parents, other)
        low = np.int32(min(a, b))
        parents[a] = low
        parents[b] = low
        parents[run] = low
        parents[other] = low


@kernel
def _link_faces(  # noqa: PLR0917  # A compiled function has no keyword-only arguments.
    bits: Bits,
    near: int,
    near_too: int,
    far: int,
    far_too: int,
    reach: int,
    firsts: NDArray[np.int64],
    edges: NDArray[np.int32],
    parents: NDArray[np.int32],
    block: int,
    other: int,
) -> None:
    """Link the runs of two blocks where bits of rows that face each other touch.

    near, near_too : the rows of ``block`` that face ``other`` (one row: twice the same); far, far_too : its rows
    reach : 0, the same column; 1, the columns beside it, too

    A bit that touches says which runs to link; the bits up to where either run ends would say the same and are
    skipped.
    """
    run, run_end = firsts[block], firsts[block + 1]
    beside, beside_end = firsts[other], firsts[other + 1]
    if run == run_end or beside == beside_end:
        return
    words = bits.shape[1]
    one, top, nothing = np.uint64(1), np.uint64(63), np.uint64(0)
    before, here, skipped = nothing, bits[far, 0] | bits[far_too, 0], np.int64(0)
    for word in range(words):
        after = bits[far, word + 1] | bits[far_too, word + 1] if word + 1 < words else nothing
        touching = here
        if reach != 0:
            touching = here | (here << one) | (before >> top) | (here >> one) | (after << top)
        touching &= bits[near, word] | bits[near_too, word]
        while touching != nothing:
            column = 64 * word + trailing_zeros(touching)
            if column < skipped:
                if skipped >= 64 * (word + 1):
                    break
                touching &= ~nothing << np.uint64(skipped - 64 * word)
                continue
            touching &= touching - one
            while edges[2 * run + 1] <= column:
                run += 1
            while edges[2 * beside + 1] <= column - reach:
                beside += 1
            linked = beside
            if reach == 0 or edges[2 * beside] <= column:
                # The run holds this column or the one before; faces of its block may be empty just there.
                place = column - 64 * word
                mine = (here >> np.uint64(place)) & one
                if reach != 0:
                    mine |= (here >> np.uint64(place - 1)) & one if place > 0 else before >> top
                if mine != nothing:
                    _link(parents, run, beside)
                    if reach == 0:
                        skipped = min(edges[2 * run + 1], edges[2 * beside + 1])
                        continue
                if edges[2 * beside + 1] <= column + 1 and beside + 1 < beside_end:
                    linked = beside + 1
            place = column - 64 * word
            right = (here >> np.uint64(place + 1)) & one if place < 63 else after & one
            if right != nothing:
                _link(parents, run, linked)
            else:
                linked = beside
            if edges[2 * linked] <= column + 1:
                skipped = min(edges[2 * run + 1], edges[2 * linked + 1] - 1)
        before, here = here, after


@kernel
def link_blocks_into(  # noqa: PLR0917  # A compiled function has no keyword-only arguments.
    bits: Bits,
    slices: int,
    rows: int,
    connectivity: int,
    firsts: NDArray[np.int64],
    edges: NDArray[np.int32],
    parents: NDArray[np.int32],
    start: int,
    stop: int,
    within: bool,
) -> None:
    """Link the runs of block slices ``start`` to ``stop`` with each other, or of ``start`` with the one before.

    bits : (slices * rows, words) uint64
    connectivity : 6, 18 or 26; blocks are 2 × 2 for 26, else 1 × 1
    parents : (runs,) int32; on entry each run its own parent, on return a forest whose roots are the first runs
    within : rows of a slice, and slices after ``start`` with the one before; False: only ``start`` with ``start - 1``
    """
    size = 2 if connectivity == 26 else 1
    face = 0 if connectivity == 6 else 1
    corner = 1 if connectivity == 26 else 0
    across = (rows + size - 1) // size
    for layer in range(start, stop):
        index = layer * size
        index_too = min(index + size, slices) - 1
        for line in range(across):
            block = layer * across + line
            if firsts[block] == firsts[block + 1]:
                continue
            row = line * size
            row_too = min(row + size, rows) - 1
            if within and line > 0:
                a, b = index * rows + row, index_too * rows + row
                _link_faces(bits, a, b, a - 1, b - 1, face, firsts, edges, parents, block, block - 1)
            if layer > start or not within:
                a, b = index * rows + row, index * rows + row_too
                above = block - across
                _link_faces(bits, a, b, a - rows, b - rows, face, firsts, edges, parents, block, above)
                if connectivity != 6 and line > 0:
                    _link_faces(
                        bits, a, a, a - rows - 1, a - rows - 1, corner, firsts, edges, parents, block, above - 1
                    )
                if connectivity != 6 and line + 1 < across:
                    _link_faces(
                        bits, b, b, b - rows + 1, b - rows + 1, corner, firsts, edges, parents, block, above + 1
                    )


@kernel
def find_first_voxels_into(  # noqa: PLR0917  # A compiled function has no keyword-only arguments.
    bits: Bits,
    slices: int,
    rows: int,
    firsts: NDArray[np.int64],
    edges: NDArray[np.int32],
    places: NDArray[np.int64],
    start: int,
    stop: int,
) -> None:
    """Find the first voxel of each run of 2 × 2 blocks in C order of ``(slice, row, column)``.

    bits : (slices * rows, words) uint64
    places : (runs,) int64, ``(slice * rows + row) * 2**20 + column``
    start, stop : block slices
    """
    across, one = (rows + 1) // 2, np.uint64(1)
    for block in range(start * across, stop * across):
        index, row = block // across * 2, block % across * 2
        for run in range(firsts[block], firsts[block + 1]):
            first, last = np.int64(edges[2 * run]), np.int64(edges[2 * run + 1])
            place = np.int64(-1)
            inside = last - first
            within_word = first // 64 == (last - 1) // 64
            held = ~np.uint64(0)
            if inside < 64:
                held = (one << np.uint64(inside)) - one
            held <<= np.uint64(first % 64)
            for member in range(4):
                z, y = index + member // 2, row + member % 2
                if place >= 0 or z >= slices or y >= rows:
                    continue
                word = first // 64
                value = bits[z * rows + y, word] & held
                if not within_word:
                    value = bits[z * rows + y, word] & (~np.uint64(0) << np.uint64(first % 64))
                    while value == np.uint64(0) and 64 * (word + 1) < last:
                        word += 1
                        value = bits[z * rows + y, word]
                column = 64 * word + trailing_zeros(value)
                if value != np.uint64(0) and column < last:
                    place = (np.int64(z * rows + y) << np.int64(20)) + column
            places[run] = place


@kernel
def find_roots_into(parents: NDArray[np.int32], roots: NDArray[np.int32], places: NDArray[np.int64]) -> int:
    """Number the roots in their order, name the root of each run, and give roots the first of their runs' places.

    parents : (runs,) int32, a forest in which every parent comes before its child
    roots : (runs,) int32, from 0
    places : (runs,) int64; on return the first entries, as many as are returned, are those of the roots
    """
    count = 0
    for run in range(parents.shape[0]):
        place = places[run]
        if parents[run] == run:
            roots[run] = count
            places[count] = place
            count += 1
        else:  # The parent has its number already, and it is the root's.
            root = roots[parents[run]]
            roots[run] = root
            places[root] = min(places[root], place)
    return count


@kernel(inline=True)
def _fill_run(  # noqa: PLR0917  # A compiled function has no keyword-only arguments.
    flat: NDArray[Any], start: int, columns: int, begin: int, end: int, label: Any
) -> None:
    """Write a label into columns ``begin`` to ``end`` of the row that starts at ``start``.

    Runs are short where masks are noisy: whole vectors are stored, and what they write too far is set back to 0.
    """
    if end + _LANES <= columns:
        filled = _splat16(label)
        for column in range(begin, end, _LANES):
            store(flat, start + column, filled)
        store(flat, start + end, filled ^ filled)
    else:
        for column in range(start + begin, start + end):
            flat[column] = label


@kernel
def fill_rows_into(  # noqa: PLR0917  # A compiled function has no keyword-only arguments.
    bits: Bits,
    rows: int,
    size: int,
    firsts: NDArray[np.int64],
    edges: NDArray[np.int32],
    labels: NDArray[Any],
    roots: NDArray[np.int32],
    out: NDArray[Any],
    start: int,
    stop: int,
) -> None:
    """Write the labels of runs into rows ``start`` to ``stop``; what is outside of the mask is left alone.

    bits : (slices * rows, words) uint64; size : of blocks
    labels : (roots,) of ``out``'s dtype; roots : (runs,) int32
    out : (slices * rows, columns) uint16 or uint32, C order, 0 outside of the mask
    """
    across = (rows + size - 1) // size
    columns = np.int64(out.shape[1])
    flat = out.reshape(out.size)
    one, top, nothing = np.uint64(1), np.uint64(63), np.uint64(0)
    for row in range(start, stop):
        block = row // rows // size * across + row % rows // size
        run = firsts[block]
        if run == firsts[block + 1]:
            continue
        before = nothing
        begin, open_run = np.int64(0), False
        for word in range(bits.shape[1]):
            value = bits[row, word]
            changes = value ^ ((value << one) | before)
            before = value >> top
            while changes != nothing:
                column = np.int64(64 * word + trailing_zeros(changes))
                changes &= changes - one
                if open_run:
                    while edges[2 * run + 1] <= begin:
                        run += 1
                    _fill_run(flat, row * columns, columns, begin, column, labels[roots[run]])
                begin, open_run = column, not open_run
        if open_run:
            while edges[2 * run + 1] <= begin:
                run += 1
            _fill_run(flat, row * columns, columns, begin, columns, labels[roots[run]])
