"""Small data sets, written element by element as PS3.5 7.1 says: what the tests of values and headers read."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from pacscore.dicom.attributes import Header
from pacscore.dicom.elements import walk

LONG = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
# (tag, VR, bytes), or (tag, "SQ", items), an item as bytes or as elements.
Element = tuple[int, str, "bytes | Sequence[bytes | Sequence[Element]]"]


def write_data_set(
    elements: Sequence[Element], *, explicit: bool = True, little_endian: bool = True, undefined: bool = False
) -> bytes:
    """The bytes of elements; ``undefined`` for the length of sequences."""
    order = "<" if little_endian else ">"
    form = {"explicit": explicit, "little_endian": little_endian, "undefined": undefined}
    parts = []
    for tag, vr, value in elements:
        raw = value if isinstance(value, bytes) else b""
        for item in () if isinstance(value, bytes) else value:
            inner = item if isinstance(item, bytes) else write_data_set(item, **form)
            raw += struct.pack(order + "HHI", 0xFFFE, 0xE000, len(inner)) + inner
        open_ended = undefined and not isinstance(value, bytes)
        length = 0xFFFFFFFF if open_ended else len(raw)
        raw += struct.pack(order + "HHI", 0xFFFE, 0xE0DD, 0) if open_ended else b""
        parts.append(struct.pack(order + "HH", tag >> 16, tag & 0xFFFF))
        if not explicit:
            parts.append(struct.pack(order + "I", length))
        elif vr in LONG:
            parts.append(vr.encode() + b"\0\0" + struct.pack(order + "I", length))
        else:
            parts.append(vr.encode() + struct.pack(order + "H", length))
        parts.append(raw)
    return b"".join(parts)


def header_of(*elements: Element, explicit: bool = True, little_endian: bool = True, undefined: bool = False) -> Header:
    """The header of a data set with these elements."""
    data = write_data_set(elements, explicit=explicit, little_endian=little_endian, undefined=undefined)
    return Header(data, walk(data, 0, explicit=explicit, little_endian=little_endian))
