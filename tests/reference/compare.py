"""Comparing headers, as the definition says: the twin of the kernels in ``pacscore.kernels.compare``."""

from __future__ import annotations

from collections.abc import Sequence

from pacscore.dicom.attributes import Header
from pacscore.dicom.values import Document

ABSENT = object()


def constants_and_varying(headers: Sequence[Header]) -> tuple[Document, set[str]]:
    """Decode everything, then compare values."""
    documents = [header.document() for header in headers]
    keys = {key for document in documents for key in document}
    constants = {
        key: value
        for key, value in documents[0].items()
        if all(document.get(key, ABSENT) == value for document in documents[1:])
    }
    return constants, keys - constants.keys()


def top_spans(header: Header) -> list[tuple[int, int]]:
    """Row and end of value of each element at depth 0; undefined lengths end where the next element begins."""
    table = header.elements
    rows = [row for row in range(len(table.tag)) if table.depth[row] == 0]
    spans = []
    for position, row in enumerate(rows):
        if table.length[row] >= 0:
            stop = int(table.offset[row] + table.length[row])
        elif position + 1 < len(rows):
            following = rows[position + 1]
            long = int(table.vr[following]).to_bytes(2, "big").decode() in {
                *("OB", "OD", "OF", "OL", "OV", "OW"),
                *("SQ", "SV", "UC", "UN", "UR", "UT", "UV"),
            }
            stop = int(table.offset[following]) - (12 if long else 8)
        else:
            stop = table.end
        spans.append((row, stop))
    return spans
