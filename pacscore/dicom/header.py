"""One object's header: values decoded when they are asked for, from its bytes and its element table.

H1  Bytes are looked at when asked for, never before; a value is decoded once per header.
H2  Where a tag occurs twice in one data set, which PS3.5 7.1 forbids, the first one counts, everywhere.

Measured: 66 attributes of a 138-element MR header in 25 µs, and in 10 where the header before said nearly the same (see
``selection``); the whole document in 85 µs.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pacscore.dicom.dictionary import parse_key
from pacscore.dicom.documents import Rows, choose_document
from pacscore.dicom.elements import Buffer, ElementTable, as_bytes, walk
from pacscore.dicom.reading import (
    PIXEL_REPRESENTATION,
    REMEMBERED_BYTES,
    SPECIFIC_CHARACTER_SET,
    Element,
    Reading,
    find_reading,
    is_signed,
)
from pacscore.dicom.values import LEFT_OUT, Document, LeftOut, Value
from pacscore.errors import InputError


class Scanned(Protocol):
    """What ``dicom.scan`` gives: the table, and for a deflated data set the bytes the table speaks of."""

    @property
    def elements(self) -> ElementTable:
        """The elements."""

    @property
    def inflated(self) -> bytes | None:
        """The inflated data set, or None for one that is not deflated."""


_Place: TypeAlias = tuple[int, int, int]
"""Row, offset, length."""


class _Below(NamedTuple):
    """The rows of a top-level sequence, itself the ``first``, and all inside it: what ``_read_items`` walks."""

    first: int
    rows: Rows
    depths: list[int]
    items: list[int]
    item_counts: list[int]


class Header:
    """The values of one object, from its bytes and its element table.

    Parameters
    ----------
    data
        The buffer that was walked or scanned, at least up to the pixel data. Anything but ``bytes`` is copied that far.
    scan_or_elements
        Its scan, or its element table.

    Raises
    ------
    InputError
        ``data`` ends before the table does: it is not what was walked.
    """

    __slots__ = ("_data", "_index", "_reading", "_values", "elements")

    def __init__(self, data: Buffer, scan_or_elements: Scanned | ElementTable) -> None:
        if isinstance(scan_or_elements, ElementTable):
            self.elements = elements = scan_or_elements
        else:
            self.elements = elements = scan_or_elements.elements
            data = data if scan_or_elements.inflated is None else scan_or_elements.inflated
        self._data: bytes = data if isinstance(data, bytes) else as_bytes(data)[: elements.end].tobytes()
        if len(self._data) < elements.end:
            raise InputError(
                f"The header ends at byte {len(self._data)}, its element table at {elements.end}. Give the bytes that "
                "were walked.",
                expected=elements.end,
                found=len(self._data),
            )
        self._index: dict[int, int] | None = None
        self._reading: Reading | None = None
        self._values: dict[int | str, Value] = {}

    @property
    def data(self) -> bytes:
        """The bytes that the table's offsets count in."""
        return self._data

    @property
    def reading(self) -> Reading:
        """How the values of the data set itself are read."""
        if self._reading is None:
            self._reading = self.reading_of(self.elements.rows(_STEERING).tolist())
        return self._reading

    @reading.setter
    def reading(self, reading: Reading) -> None:
        """Say it where it is known already; it is the same for each who asks."""
        self._reading = reading

    def get(self, keyword_or_tag: str | int) -> Value:
        """The value of a top-level element: None when it is absent, empty or left out of documents (H1).

        Lists are the header's own: copy them before changing them.

        Parameters
        ----------
        keyword_or_tag
            A keyword, ``ggggeeee``, ``CREATOR:ggggxxee``, or the tag as a number.

        Raises
        ------
        InputError
            It names no attribute.
        """
        if keyword_or_tag in self._values:
            return self._values[keyword_or_tag]
        document: Document = {}
        self.read_row(self.row_of(keyword_or_tag), document)
        value = next(iter(document.values()), None)
        self._values[keyword_or_tag] = value
        return value

    def value_bytes(self, keyword_or_tag: str | int) -> bytes | None:
        """The bytes of a top-level element's value, padding included; None if it is absent or of undefined length.

        For what documents leave out: look-up tables, overlays, extended offset tables. Not for pixel data.
        """
        row = self.row_of(keyword_or_tag)
        if row < 0 or self.elements.length[row] < 0:
            return None
        start = int(self.elements.offset[row])
        return self._data[start : start + int(self.elements.length[row])]

    def document(self, *, keywords: Collection[str] | None = None) -> Document:
        """Values by key, in the order of the file; with ``keywords``, private elements come last.

        Parameters
        ----------
        keywords
            Only these top-level elements, named as for ``get``; give a frozenset where speed counts. None means all,
            nested and private ones included.

        Raises
        ------
        InputError
            One of ``keywords`` names no attribute.

        Notes
        -----
        Keys are keywords, ``CREATOR:ggggxxee`` for private elements and ``GGGGEEEE`` for others: unknown ones,
        repeating groups, private creators, private elements in no reserved block. An empty element or sequence is there
        with None; an absent one is absent, and so are group lengths and binary values (see ``values``).
        """
        document: Document = {}
        if keywords is None:
            self.read_rows(self._rows(np.flatnonzero(self.elements.depth == 0)), self.reading, {}, document)
            return document
        return choose_document(self, frozenset(keywords))

    def document_of_rows(self, rows: NDArray[np.int64]) -> Document:
        """The document of some top-level rows, rising, private creators among them where they matter."""
        document: Document = {}
        self.read_rows(self._rows(rows), self.reading, {}, document)
        return document

    def key_of(self, row: int) -> str:
        """The key of a top-level row."""
        return self._element_of(row).key

    def is_shown(self, row: int) -> bool:
        """Whether documents show elements like that in a top-level row."""
        element = self._element_of(row)
        if element.vr == "UN":
            return bool(self.elements.item_count[row] >= 0)
        return element.decoder is not None or element.vr == "SQ"

    def _element_of(self, row: int) -> Element:
        code = self.elements.tag.item(row) << 16 | self.elements.vr.item(row)
        creator = self._creators_of(row).get(code >> 24)
        known = self.reading.elements if creator is None else self.reading.reserved_by(creator)
        return known.get(code) or self.reading.describe(code, creator)

    def read_row(self, row: int, document: Document, creators: dict[int, str] | None = None) -> None:
        """Decode one top-level element into ``document``, if ``row`` is one; a third of the time arrays would take."""
        if row < 0:
            return
        table = self.elements
        code = table.tag.item(row) << 16 | table.vr.item(row)
        rows = Rows([row], [code], [table.offset.item(row)], [table.length.item(row)])
        self.read_rows(rows, self.reading, self._creators_of(row) if creators is None else creators, document)

    def reading_of(self, rows: list[int]) -> Reading:
        """From the rows of Specific Character Set and Pixel Representation, -1 where absent."""
        charset, signed = b"", False
        if rows[0] >= 0:
            start = int(self.elements.offset[rows[0]])
            charset = self._data[start : start + max(0, int(self.elements.length[rows[0]]))]
        if rows[1] >= 0:
            start = int(self.elements.offset[rows[1]])
            signed = is_signed(self._data[start : start + max(0, int(self.elements.length[rows[1]]))])
        return find_reading(
            charset, explicit=self.elements.explicit, little_endian=self.elements.little_endian, signed=signed
        )

    def row_of(self, keyword_or_tag: str | int) -> int:
        """The first row of a top-level element, -1 if absent."""
        if self._index is None:
            rows = np.flatnonzero(self.elements.depth == 0)[::-1]
            self._index = dict(zip(self.elements.tag[rows].tolist(), rows.tolist(), strict=True))  # H2
        tag, creator = (keyword_or_tag, None) if isinstance(keyword_or_tag, int) else parse_key(keyword_or_tag)
        if creator is None:
            return self._index.get(tag, -1)
        for block in range(0x10, 0x100):
            if (reserver := tag & 0xFFFF0000 | block) in self._index and self.get(reserver) == creator:
                row = self._index.get(reserver & 0xFFFF0000 | block << 8 | tag & 0xFF, -1)
                if row >= 0:
                    return row
        return -1

    def _creators_of(self, row: int) -> dict[int, str]:
        """Who reserved the block in which the element of a top-level row lies, if it is private."""
        tag = self.elements.tag.item(row)
        if not tag & 0x10000 or tag & 0xFFFF < 0x1000:
            return {}
        creator = self.get(tag & 0xFFFF0000 | tag >> 8 & 0xFF)
        return {tag >> 8: creator} if isinstance(creator, str) else {}

    def _rows(self, rows: NDArray[np.int64]) -> Rows:
        table = self.elements
        codes = table.tag.take(rows) << 16 | table.vr.take(rows)
        return Rows(rows.tolist(), codes.tolist(), table.offset.take(rows).tolist(), table.length.take(rows).tolist())

    def read_rows(
        self,
        rows: Rows,
        reading: Reading,
        creators: dict[int, str],
        document: Document,
        below: _Below | None = None,
    ) -> None:
        """Decode elements of one data set, or of one item in the sequence ``below`` speaks of, into ``document``.

        Nearly every value is short and was seen before: this loop is for these, and is where the time goes.
        """
        data, elements, keep = self._data, reading.elements, document.setdefault
        blocks = {block: reading.reserved_by(creator) for block, creator in creators.items()} if creators else {}
        for row, code, start, length in zip(*rows, strict=False):  # Of equal length; being told costs.
            element = (blocks.get(code >> 24, elements) if blocks else elements).get(code)
            if element is not None and 0 <= length <= REMEMBERED_BYTES:
                raw = data[start : start + length]
                value = element.recall(raw, LEFT_OUT)
                if value is not LEFT_OUT:
                    keep(element.key, value.copy() if type(value) is list else value)
                    continue
                if element.is_plain:
                    value = reading.decode(element, raw)
                    if value is not LEFT_OUT:
                        keep(element.key, value)
                    continue
            if element is None:
                element = reading.describe(code, creators.get(code >> 24))
            self._read_element((row, start, length), element, reading, document, below)
            if element.steers:
                raw = data[start : start + max(0, length)]
                if code & _PRIVATE:
                    creator = element.decoder(raw) if element.decoder else None
                    if isinstance(creator, str):
                        block = code >> 32 << 8 | code >> 16 & 0xFF
                        creators[block], blocks[block] = creator, reading.reserved_by(creator)
                else:
                    reading = reading.steered(code >> 16, raw)
                    elements = reading.elements
                    blocks = {block: reading.reserved_by(creator) for block, creator in creators.items()}

    def _read_element(
        self, place: _Place, element: Element, reading: Reading, document: Document, below: _Below | None
    ) -> None:
        """Decode the element of one row, whatever it is, into ``document``."""
        row, start, length = place
        if element.vr in _HOLDS_ITEMS and self.elements.item_count[row] >= 0:
            document.setdefault(element.key, self._read_items(row, reading, below) or None)
        elif element.decoder is not None and length >= 0:
            value = reading.decode(element, self._data[start : start + length])
            if value is not LEFT_OUT:
                document.setdefault(element.key, value)
        elif element.vr == "SQ" and length >= 0:  # Nothing but the dictionary tells that it is one.
            items = self._read_unmarked_items(row, reading)
            if items is not LEFT_OUT:
                document.setdefault(element.key, items)

    def _read_items(self, row: int, reading: Reading, below: _Below | None) -> list[Document]:
        """The items of the sequence in ``row``; what an item says about its character set holds inside it."""
        below = self._rows_below(row) if below is None else below
        row -= below.first
        depths, items = below.depths, below.items
        inside = depths[row] + 1
        documents: list[Document] = [{} for _ in range(below.item_counts[row])]
        first, count = row + 1, len(depths)
        while first < count and depths[first] >= inside:
            number = items[first]
            last, picked = first, []
            while last < count and depths[last] == inside and items[last] == number:
                picked.append(last)
                last += 1
                while last < count and depths[last] > inside:
                    last += 1
            if len(picked) == last - first:
                rows = Rows(*[column[first:last] for column in below.rows])
            else:
                rows = Rows(*[[column[index] for index in picked] for column in below.rows])
            self.read_rows(rows, reading, {}, documents[number], below)
            first = last
        return documents

    def _read_unmarked_items(self, row: int, reading: Reading) -> list[Document] | LeftOut | None:
        """The items of a public sequence that the file calls UN and that has a length, so the walk went past it."""
        start, length = int(self.elements.offset[row]), int(self.elements.length[row])
        if length == 0:
            return None
        tag = int(self.elements.tag[row])
        alone = struct.pack("<HHI", tag >> 16, tag & 0xFFFF, length) + self._data[start : start + length]
        try:
            header = Header(alone, walk(alone, 0, explicit=False, little_endian=True))
        except InputError:
            return LEFT_OUT
        counts = header.elements.item_count
        if len(counts) == 0 or counts[0] < 0:
            return LEFT_OUT
        return header._read_items(0, reading, None) or None

    def _rows_below(self, row: int) -> _Below:
        """A top-level sequence and all rows inside it."""
        table = self.elements
        top = table.depth[row + 1 :] == 0
        last = row + 1 + int(top.argmax()) if top.any() else len(table.depth)
        rows = self._rows(np.arange(row, last))
        columns = (column[row:last].tolist() for column in (table.depth, table.item, table.item_count))
        return _Below(row, rows, *columns)


_PRIVATE = 0x10000 << 16  # The group's lowest bit, in a code.
_HOLDS_ITEMS = frozenset({"SQ", "UN"})
_STEERING = np.array([SPECIFIC_CHARACTER_SET, PIXEL_REPRESENTATION], np.uint32)
