"""Identifiers read and answered without a data set: texts in ASCII in, the catalog's values out (PS3.4 C.2).

Most queries ask for attributes of studies and series by texts and UIDs. Their bytes are read and written here, in a
tenth of the time that pydicom's elements take. Whatever is not as simple (sequences, numbers to match, lists, other
character sets, texts beyond ASCII) is None here, and left to ``identifiers``, which gives the same answers.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pacscore.dicom.dictionary import find_keyword, find_vr
from pacscore.dicom.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from pacscore.dimse import models

CHARACTER_SET = 0x00080005
LEVEL = 0x00080052
RETRIEVE_AE_TITLE = 0x00080054
INSTANCE_AVAILABILITY = 0x00080056
TIMEZONE = 0x00080201
OURS = frozenset({CHARACTER_SET, LEVEL, RETRIEVE_AE_TITLE, INSTANCE_AVAILABILITY, TIMEZONE})
"""What the node itself says of an answer, whoever asks."""

_MATCHED_VRS = frozenset({"AE", "CS", "DA", "LO", "PN", "SH", "TM", "UI"})
_NUMBER_VRS = frozenset({"DS", "IS"})
_RETURNED_VRS = _MATCHED_VRS | _NUMBER_VRS | {"AS", "DT", "LT", "ST"}  # All have a length of two bytes (PS3.5 7.1.2).
_SUPERSETS_OF_ASCII = frozenset(
    {"", *(f"ISO_IR {number}" for number in (6, 100, 101, 109, 110, 126, 127, 138, 144, 148, 166, 192))}
)
_ASCII_TEXT = re.compile(rb"(?:[!-<>-\[\]-~](?:[ -<>-\[\]-~]*[!-<>-\[\]-~])?)?[ \0]?")
_IMPLICIT, _EXPLICIT = struct.Struct("<HHI"), struct.Struct("<HH2sH")
_TAG = struct.Struct("<HH")
_NUMBER_LENGTH_MAX = {"DS": 16, "IS": 12}


@dataclass(frozen=True, slots=True)
class PlainQuery:
    """A simple query understood.

    Attributes
    ----------
    level
        Query/Retrieve Level as stated.
    match
        For ``Archive.find``, values and empty return keys.
    """

    level: str
    match: Mapping[str, str]
    _explicit: bool
    _elements: tuple[tuple[int, str, str | None, bytes], ...]
    """Tag, VR, and the keyword whose value is to be given, or else the value, in the order of tags."""

    @property
    def names_one(self) -> bool:
        """Whether a study or series is named by its UID, so that there is at most one answer."""
        if self.level not in ("STUDY", "SERIES"):
            return False
        uid = self.match.get(models.UNIQUE_KEYS[self.level], "")
        return bool(uid) and "*" not in uid and "?" not in uid

    def answer(self, found: Mapping[str, Any]) -> bytes | None:
        """The encoded answer; None where pydicom has to write it."""
        parts: list[bytes] = []
        for tag, vr, keyword, said in self._elements:
            value = said if keyword is None else _encoded(found.get(keyword), vr)
            if value is None:
                return None
            if len(value) % 2:
                value += b"\0" if vr == "UI" else b" "
            if self._explicit:
                if len(value) > 0xFFFE:
                    return None
                parts.append(_EXPLICIT.pack(tag >> 16, tag & 0xFFFF, vr.encode(), len(value)))
            else:
                parts.append(_IMPLICIT.pack(tag >> 16, tag & 0xFFFF, len(value)))
            parts.append(value)
        return b"".join(parts)


def read_plain(raw: bytes, syntax_uid: str, levels: Iterable[str], ae_title: str) -> PlainQuery | None:
    """Understand a simple query; None for any other, damaged ones included.

    Parameters
    ----------
    raw
        The identifier, encoded in ``syntax_uid``.
    levels
        Those of the information model.
    ae_title
        Of this node, for Retrieve AE Title (0008,0054).
    """
    if syntax_uid not in (EXPLICIT_LITTLE, IMPLICIT_LITTLE):
        return None
    ours: dict[int, str] = {}
    match: dict[str, str] = {}
    elements: list[tuple[int, str, str | None, bytes]] = []
    last = -1
    for tag, vr, value in _elements_of(raw, explicit=syntax_uid == EXPLICIT_LITTLE):
        keyword = find_keyword(tag)
        if tag <= last or tag & 0xFFFF == 0 or keyword is None or vr not in _RETURNED_VRS:
            return None
        text = _text_of(value, vr)
        if text is None:
            return None
        last = tag
        if tag in OURS:
            ours[tag] = text
        else:
            match[keyword] = text
            elements.append((tag, vr, keyword, b""))
    level, character_set = ours.get(LEVEL, ""), ours.get(CHARACTER_SET, "")
    if last < 0 or level not in levels or character_set not in _SUPERSETS_OF_ASCII:
        return None
    elements.append((LEVEL, "CS", None, level.encode()))
    elements.append((RETRIEVE_AE_TITLE, "AE", None, ae_title.encode("ascii")))
    if character_set:
        elements.append((CHARACTER_SET, "CS", None, character_set.encode()))
    if INSTANCE_AVAILABILITY in ours:
        elements.append((INSTANCE_AVAILABILITY, "CS", None, b"ONLINE"))
    if TIMEZONE in ours:
        elements.append((TIMEZONE, "SH", "TimezoneOffsetFromUTC", b""))
    return PlainQuery(level, match, syntax_uid == EXPLICIT_LITTLE, tuple(sorted(elements)))


def _elements_of(raw: bytes, *, explicit: bool) -> Iterator[tuple[int, str, bytes]]:
    """Tag, VR and value of each element; what cannot be read has the VR ``""`` and ends it."""
    at, end = 0, len(raw)
    while at < end:
        if end - at < _IMPLICIT.size:
            yield 0, "", b""
            return
        if explicit:
            group, element, letters, length = _EXPLICIT.unpack_from(raw, at)
            vr = letters.decode("latin-1")  # One with a longer length is none that is taken.
        else:
            group, element, length = _IMPLICIT.unpack_from(raw, at)
            vr = find_vr(group << 16 | element) or ""
        at += _IMPLICIT.size
        if length > end - at:
            yield 0, "", b""
            return
        yield group << 16 | element, vr, raw[at : at + length]
        at += length


def _text_of(value: bytes, vr: str) -> str | None:
    """The text without its padding; None where it is no plain one, or where numbers are to be matched."""
    if not value:
        return ""
    if vr not in _MATCHED_VRS or _ASCII_TEXT.fullmatch(value) is None:
        return None
    return value.decode("ascii").rstrip(" \0")


def _encoded(value: Any, vr: str) -> bytes | None:
    if isinstance(value, list):
        parts = [b"" if each is None else _encoded_one(each, vr) for each in value]
        return None if None in parts else b"\\".join(each for each in parts if each is not None)
    return b"" if value is None else _encoded_one(value, vr)


def _encoded_one(value: Any, vr: str) -> bytes | None:
    if isinstance(value, str):
        return value.encode() if value.isascii() and vr not in _NUMBER_VRS else None
    if not isinstance(value, int | float) or vr not in _NUMBER_VRS:
        return None
    if vr == "IS" and isinstance(value, float):
        if not value.is_integer():
            return None
        value = int(value)
    text = str(value)
    return text.encode() if len(text) <= _NUMBER_LENGTH_MAX[vr] else None
