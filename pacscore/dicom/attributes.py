"""What the instances of a series have in common, and by what they differ.

A series' document holds its constant attributes once; those that vary are looked up in each instance's header. Hundreds
of headers of thousands of bytes are compared raw, by a kernel, and only the first is decoded: 208 headers of 138
elements take 0.2 ms, where decoding all of them takes 18 ms.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pacscore.dicom.elements import as_bytes
from pacscore.dicom.header import Header
from pacscore.dicom.values import Document
from pacscore.kernels import compare as kernels

__all__ = ["Header", "constants_and_varying"]


def constants_and_varying(headers: Sequence[Header]) -> tuple[Document, tuple[str, ...]]:
    """The attributes that are equal in all headers, and the keys of the others.

    Parameters
    ----------
    headers
        Of the instances of one series.

    Returns
    -------
    constants : Document
        Top-level elements that are in every header with the same value, by key, in the order of the first file.
    varying : tuple of str
        Sorted keys of those in some header that are not; together with ``constants`` all keys of all documents.

    Notes
    -----
    Equal bytes are an equal value if Specific Character Set, Pixel Representation and the private creators are equal
    too. A header in which one of these, the transfer syntax or the order of tags differs from the first is decoded and
    its values compared. An element may count as varying though its values are equal: written with another VR, or as a
    sequence with another form of length. The reverse cannot happen.
    """
    if not headers:
        return {}, ()
    first = headers[0]
    compared = _Compared(first)
    decoded: list[Header] = []
    varying: set[str] = set()
    for header in headers[1:]:
        extra = compared.compare(header)
        if extra is None:
            decoded.append(header)
        else:
            varying.update(header.key_of(row) for row in extra if header.is_shown(row))
    constants = first.document_of_rows(compared.constant_rows())
    varying.update(first.key_of(row) for row in compared.varying_rows())
    for header in decoded:
        document = header.document()
        differing = {key for key, value in constants.items() if key not in document or document[key] != value}
        varying.update(differing, document.keys() - constants.keys())
        constants = {key: value for key, value in constants.items() if key not in differing}
    for key in varying & constants.keys():  # One creator with two blocks: both write under the same keys.
        del constants[key]
    return constants, tuple(sorted(varying))


class _Compared:
    """The first header of a series, and which of its elements all headers compared so far repeat."""

    def __init__(self, first: Header) -> None:
        table = first.elements
        self._table = table
        self._bytes = as_bytes(first.data)
        self._scratch = np.empty((3, max(1, len(table.tag))), np.int64)
        count = kernels.top_spans_into(
            table.vr, table.offset, table.length, table.depth, table.end, self._scratch[1], self._scratch[2]
        )
        rows, stops = self._scratch[1:, :count].copy()
        tags = table.tag[rows]
        self._ascending = bool((tags[1:] > tags[:-1]).all())
        kept = ~np.isin(tags, _PIXEL_TAGS)
        self._rows, self._tags = rows[kept], tags[kept]
        self._vrs = table.vr[self._rows]
        self._spans = np.stack([table.offset[self._rows], stops[kept]], axis=1)
        self._shown = np.array([first.is_shown(row) for row in self._rows.tolist()], np.bool_)
        # Elements that documents leave out need no comparing, which spares large binary values.
        self._constant = self._shown.astype(np.uint8)

    def compare(self, header: Header) -> list[int] | None:
        """The rows that the first header lacks, or None where bytes alone cannot tell what is equal."""
        table = header.elements
        same_form = (table.explicit, table.little_endian) == (self._table.explicit, self._table.little_endian)
        if not same_form or not self._ascending:
            return None
        if len(table.tag) > self._scratch.shape[1]:
            self._scratch = np.empty((3, len(table.tag)), np.int64)
        count = kernels.compare_headers_into(
            self._bytes,
            self._tags,
            self._vrs,
            self._spans,
            as_bytes(header.data),
            table.tag,
            table.vr,
            table.offset,
            table.length,
            table.depth,
            table.end,
            self._constant,
            self._scratch,
        )
        return self._scratch[0, :count].tolist() if count >= 0 else None

    def constant_rows(self) -> NDArray[np.int64]:
        """Rows of the first header that every header repeats."""
        rows: NDArray[np.int64] = self._rows[self._shown & (self._constant != 0)]
        return rows

    def varying_rows(self) -> list[int]:
        """Rows of the first header that documents show and some header does not repeat."""
        rows: NDArray[np.int64] = self._rows[self._shown & (self._constant == 0)]
        return [int(row) for row in rows]


_PIXEL_TAGS = np.array([0x7FE00008, 0x7FE00009, 0x7FE00010], np.uint32)
