"""Rows of an element table and of the twin's walk in one form, to be compared."""

from __future__ import annotations

from reference import walk as twin

from pacscore.dicom.elements import ElementTable

Row = tuple[int, str, int, int, int, int, int]


def vr_text(vr: int) -> str:
    return "" if vr == 0 else chr(vr >> 8) + chr(vr & 0xFF)


def rows_of(table: ElementTable) -> list[Row]:
    assert table.item_count is not None
    columns = (table.tag, table.offset, table.length, table.depth, table.item, table.item_count)
    return [
        (tag, vr_text(vr), *rest)
        for vr, (tag, *rest) in zip(table.vr.tolist(), zip(*(c.tolist() for c in columns), strict=True), strict=True)
    ]


def twin_rows(data: bytes, start: int, *, explicit: bool, little: bool, stop: bool = True) -> tuple[list[Row], int]:
    found = twin.Walk(data, explicit, little, stop).run(start)
    return [row.key() for row in found.rows], found.end
