"""The element walker, written again from PS3.5 clause 7 as plain recursion. Slow, and only for comparison.

It shares the tolerances that ``pacscore.dicom.elements.walk`` documents, and nothing else with it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

_LONG = "OB OD OF OL OV OW SQ SV UC UN UR UT UV"
_SHORT = "AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US"
LONG_VRS = frozenset(_LONG.split())
SHORT_VRS = frozenset(_SHORT.split())
PIXEL_TAGS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
UNDEFINED = 0xFFFFFFFF


class Malformed(Exception):
    """The bytes are no data set."""


@dataclass
class Row:
    """One element, as in ``ElementTable``."""

    tag: int
    vr: str
    offset: int
    length: int
    depth: int
    item: int
    item_count: int = -1

    def key(self) -> tuple[int, str, int, int, int, int, int]:
        return (self.tag, self.vr, self.offset, self.length, self.depth, self.item, self.item_count)


@dataclass
class Walk:
    """The walk of one whole object."""

    data: bytes
    explicit: bool
    little: bool
    stop_at_pixels: bool = True
    depth_max: int = 64
    rows: list[Row] = field(default_factory=list)
    end: int = 0

    def run(self, start: int) -> Walk:
        self.end = self._data_set(start, len(self.data), explicit=self.explicit, little=self.little, depth=0, item=0)
        return self

    def _numbers(self, form: str, position: int, little: bool) -> tuple[int, ...]:
        return struct.unpack_from(("<" if little else ">") + form, self.data, position)

    def _tag(self, position: int, little: bool) -> int:
        group, element = self._numbers("HH", position, little)
        return group << 16 | element

    def _vr(self, position: int) -> str | None:
        letters = self.data[position : position + 2]
        return letters.decode() if all(65 <= letter <= 90 for letter in letters) else None

    def _data_set(
        self, position: int, bound: int, *, explicit: bool, little: bool, depth: int, item: int, exact: bool = True
    ) -> int:
        """Read elements up to ``bound``, or (not ``exact``) up to a delimiter; return the offset behind them."""
        while True:
            if depth > 0 and exact and position == bound:
                return position
            if position + 8 > bound:
                if depth == 0:
                    return position
                raise Malformed(position)
            tag = self._tag(position, little)
            if tag >> 16 == 0xFFFE:
                if depth and tag == 0xFFFEE00D and (not exact or position + 8 == bound):
                    return position + 8
                raise Malformed(position)
            vr = self._vr(position + 4) if explicit else ""
            if vr is None or (depth == 0 and tag >> 16 == 0):
                return self._trailer(position, tag, depth)
            if not explicit:
                length, value = self._numbers("L", position + 4, little)[0], position + 8
            elif vr in LONG_VRS:
                if position + 12 > bound:
                    raise Malformed(position)
                length, value = self._numbers("L", position + 8, little)[0], position + 12
            else:
                length, value = self._numbers("H", position + 6, little)[0], position + 8
            undefined = length == UNDEFINED and (not explicit or vr in LONG_VRS)
            row = Row(tag, vr, value, -1 if undefined else length, depth, item)
            self.rows.append(row)
            if depth == 0 and tag in PIXEL_TAGS and self.stop_at_pixels:
                return value
            position = self._value(row, bound, explicit=explicit, little=little)

    def _trailer(self, position: int, tag: int, depth: int) -> int:
        if depth or not self.rows:
            raise Malformed(position)
        if tag >> 16 == 0:
            if any(self.data[position:]):
                raise Malformed(position)
            return position
        if any(row.depth == 0 and row.tag == 0x00280010 for row in self.rows):
            raise Malformed(position)
        return position

    def _value(self, row: Row, bound: int, *, explicit: bool, little: bool) -> int:
        if row.length < 0:
            if row.tag == 0x7FE00010 or row.vr.startswith("O"):
                return self._fragments(row.offset, bound, little=little, depth=row.depth)
            if row.vr not in ("", "SQ", "UN"):
                raise Malformed(row.offset)
            if row.vr == "UN":
                return self._items(row, bound, explicit=explicit, little=True, unknown=True)
            return self._items(row, bound, explicit=explicit, little=little)
        end = row.offset + row.length
        if end > bound:
            raise Malformed(row.offset)
        if row.vr == "SQ":
            return self._items(row, end, explicit=explicit, little=little)
        if row.vr == "" and row.length >= 8 and self._tag(row.offset, little) == 0xFFFEE000:
            before = len(self.rows)
            try:
                return self._items(row, end, explicit=explicit, little=little)
            except Malformed:
                del self.rows[before:]
                row.item_count = -1
        return end

    def _items(self, row: Row, bound: int, *, explicit: bool, little: bool, unknown: bool = False) -> int:
        if row.depth + 1 > self.depth_max:
            raise RecursionError
        row.item_count = 0
        position = row.offset
        while row.length < 0 or position < bound:
            if position + 8 > bound:
                raise Malformed(position)
            tag, length = self._tag(position, little), self._numbers("L", position + 4, little)[0]
            position += 8
            if tag == 0xFFFEE0DD and (row.length < 0 or position == bound):
                return position
            if tag != 0xFFFEE000:
                raise Malformed(position)
            exact = length != UNDEFINED
            end = position + length if exact else bound
            if end > bound:
                raise Malformed(position)
            inner = explicit and self._item_is_explicit(position, end, little=little, unknown=unknown)
            depth, item = row.depth + 1, row.item_count
            row.item_count += 1
            position = self._data_set(position, end, explicit=inner, little=little, depth=depth, item=item, exact=exact)
        return position

    def _item_is_explicit(self, position: int, end: int, *, little: bool, unknown: bool) -> bool:
        if position + 8 > end:
            # Too short for an element: what it holds fails in either reading, or it is empty.
            return True
        tag = self._tag(position, little)
        vr = self._vr(position + 4)
        if not unknown:
            return vr is not None or tag >> 16 == 0xFFFE
        if vr not in LONG_VRS | SHORT_VRS or tag >> 16 == 0xFFFE or (vr in LONG_VRS and position + 12 > end):
            return False
        form, at, header = ("L", 8, 12) if vr in LONG_VRS else ("H", 6, 8)
        length = self._numbers(form, position + at, little)[0]
        undefined = vr in LONG_VRS and length == UNDEFINED
        following = position + header + (0 if undefined else length)
        if following == end:
            return True
        if following + 8 > end:
            return False
        after = self._tag(following, little)
        if undefined:
            return after in (0xFFFEE000, 0xFFFEE0DD)
        return after in (0xFFFEE00D, 0xFFFEE0DD) or (after > tag and self._vr(following + 4) is not None)

    def _fragments(self, position: int, bound: int, *, little: bool, depth: int) -> int:
        while position + 8 <= bound:
            tag, length = self._tag(position, little), self._numbers("L", position + 4, little)[0]
            if tag == 0xFFFEE0DD:
                return position + 8
            if tag != 0xFFFEE000 or length == UNDEFINED or position + 8 + length > bound:
                raise Malformed(position)
            position += 8 + length
        if depth:
            raise Malformed(position)
        return position


def skip_fragments(data: bytes, start: int, *, little: bool) -> int:
    """The offset behind an encapsulated value."""
    return Walk(data, True, little)._fragments(start, len(data), little=little, depth=0)
