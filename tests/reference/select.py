"""Choosing elements and comparing them with those of the header before, as the definition says."""

from __future__ import annotations

from pacscore.kernels.select import HAS_PRIVATE, SAME_FORM

STEERING = (0x00080005, 0x00280103)


def select_rows(
    data: bytes, cells: list[list[int]], wanted: list[int], kept_data: bytes, kept: list[list[int]]
) -> tuple[list[list[int]], list[list[int]], int]:
    """Columns (row, code, start, size) of what is chosen, those of them that differ, and what holds of all."""
    tags, vrs, offsets, lengths, depths, _, item_counts = cells
    top = [row for row in range(len(tags)) if depths[row] == 0]
    first: dict[int, int] = {}
    for row in top:
        first.setdefault(tags[row], row)
    rows = [first.get(tag, -1) for tag in STEERING]
    rows += [row for row in top if tags[row] in wanted and first[tags[row]] == row]
    columns = [
        [row, tags[row] << 16 | vrs[row], offsets[row], lengths[row]] if row >= 0 else [-1, 0, 0, 0] for row in rows
    ]
    flags = 0
    if any(tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF for tag in first):
        flags |= HAS_PRIVATE
    if len(kept) != len(columns):
        return columns, [], flags
    differing = []
    for place, (column, other) in enumerate(zip(columns, kept, strict=True)):
        if (column[0] < 0) != (other[0] < 0):
            return columns, [], flags
        if column[0] < 0:
            continue
        if column[1] != other[1]:
            return columns, [], flags
        value = data[column[2] : column[2] + column[3]] if column[3] >= 0 else None
        if item_counts[column[0]] < 0 and column[3] == other[3] and value == kept_data[other[2] : other[2] + other[3]]:
            continue
        if place < len(STEERING):
            return columns, [], flags
        differing.append(column)
    return columns, differing, flags | SAME_FORM
