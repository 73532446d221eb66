"""Connected components of a 3-D mask: runs of blocks of rows, joined by union-find; see ``kernels.runs``.

Runs of blocks side by side are linked where the rows that face each other have bits that touch, slabs of slices at once
and then their seams.

Unchecked: the checked entries are in ``pacscore.imaging.arrays.components``. Twin: ``tests/reference/components.py``.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return"
# Reason: ``kernel`` returns Any, as Numba types kernels by their arguments.

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._vector import population_count, splat_of, store, trailing_zeros
from pacscore.kernels.runs import Bits

_LANES = 16
_splat16 = splat_of(_LANES)


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


@kernel(inline=True)
def _link_all(  # noqa: PLR0917  # A compiled function has no keyword-only arguments.
    parents: NDArray[np.int32],
    events: np.uint64,
    begun: np.uint64,
    run: int,
    begun_beside: np.uint64,
    beside: int,
    step: int,
) -> None:
    """Link the run at each event with the one beside it, ``step`` columns on.

    events : bits of one word
    begun, begun_beside : where runs begin in that word; run, beside : the last run that began before it
    """
    one = np.uint64(1)
    while events != np.uint64(0):
        place = np.uint64(trailing_zeros(events))
        events &= events - one
        up_to = (one << place) | ((one << place) - one)
        up_to_beside = up_to
        if step < 0:
            up_to_beside = up_to >> one
        elif step > 0:
            up_to_beside = (up_to << one) | one
        _link(
            parents,
            run + population_count(begun & up_to),
            beside + population_count(begun_beside & up_to_beside),
        )


@kernel
def _link_faces(  # noqa: PLR0917  # A compiled function has no keyword-only arguments.
    bits: Bits,
    merged: Bits,
    near: int,
    near_too: int,
    far: int,
    far_too: int,
    reach: int,
    firsts: NDArray[np.int64],
    parents: NDArray[np.int32],
    block: int,
    other: int,
) -> None:
    """Link the runs of two blocks where bits of rows that face each other touch.

    near, near_too : the rows of ``block`` that face ``other`` (one row: twice the same); far, far_too : its rows
    reach : 0, the same column; 1, the columns beside it, too

    Where both faces have bits at a column, the first of such columns in a row says it for all: they belong to the same
    two runs. A bit that only touches one beside it counts where neither face has the other's column as well. Which
    runs these are is a matter of counting where runs begin.
    """
    if firsts[block] == firsts[block + 1] or firsts[other] == firsts[other + 1]:
        return
    words = bits.shape[1]
    one, top, nothing = np.uint64(1), np.uint64(63), np.uint64(0)
    run, beside = firsts[block] - 1, firsts[other] - 1
    mine_before, theirs_before, block_before, other_before = nothing, nothing, nothing, nothing
    mine, theirs = bits[near, 0] | bits[near_too, 0], bits[far, 0] | bits[far_too, 0]
    for word in range(words):
        mine_after, theirs_after, other_after = nothing, nothing, nothing
        if word + 1 < words:
            mine_after = bits[near, word + 1] | bits[near_too, word + 1]
            theirs_after = bits[far, word + 1] | bits[far_too, word + 1]
            other_after = merged[other, word + 1]
        here, there = merged[block, word], merged[other, word]
        begun = here & ~((here << one) | (block_before >> top))
        begun_beside = there & ~((there << one) | (other_before >> top))
        if mine != nothing:
            both = mine & theirs
            both_before = (mine_before & theirs_before) >> top
            _link_all(parents, both & ~((both << one) | both_before), begun, run, begun_beside, beside, 0)
            if reach != 0:
                left_mine, left = (mine << one) | (mine_before >> top), (theirs << one) | (theirs_before >> top)
                _link_all(parents, mine & left & ~theirs & ~left_mine, begun, run, begun_beside, beside, -1)
                right_mine, right = (mine >> one) | (mine_after << top), (theirs >> one) | (theirs_after << top)
                events = mine & right & ~theirs & ~right_mine
                last = events & (one << top)
                _link_all(parents, events ^ last, begun, run, begun_beside, beside, 1)
                if last != nothing:  # The run beside it is that of the next word's first bit.
                    begins = other_after & ~(there >> top) & one
                    _link(
                        parents,
                        run + population_count(begun),
                        beside + population_count(begun_beside) + np.int64(begins),
                    )
        run += population_count(begun)
        beside += population_count(begun_beside)
        mine_before, theirs_before, block_before, other_before = mine, theirs, here, there
        mine, theirs = mine_after, theirs_after


@kernel
def link_blocks_into(  # noqa: PLR0917  # A compiled function has no keyword-only arguments.
    bits: Bits,
    merged: Bits,
    slices: int,
    rows: int,
    connectivity: int,
    firsts: NDArray[np.int64],
    parents: NDArray[np.int32],
    start: int,
    stop: int,
    within: bool,
) -> None:
    """Link the runs of block slices ``start`` to ``stop`` with each other, or of ``start`` with the one before.

    bits : (slices * rows, words) uint64; merged : (blocks, words) uint64
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
                _link_faces(bits, merged, a, b, a - 1, b - 1, face, firsts, parents, block, block - 1)
            if layer > start or not within:
                a, b = index * rows + row, index * rows + row_too
                above = block - across
                _link_faces(bits, merged, a, b, a - rows, b - rows, face, firsts, parents, block, above)
                if connectivity != 6 and line > 0:
                    _link_faces(
                        bits, merged, a, a, a - rows - 1, a - rows - 1, corner, firsts, parents, block, above - 1
                    )
                if connectivity != 6 and line + 1 < across:
                    _link_faces(
                        bits, merged, b, b, b - rows + 1, b - rows + 1, corner, firsts, parents, block, above + 1
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
