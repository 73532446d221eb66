"""Element values: from bytes to ``str``, numbers and lists, VR by VR (PS3.5 section 6.2).

    text (AE AS CS DA DT LO LT PN SH ST TM UC UI UR UT)   str
    DS, FL, FD · IS, SL, SS, SV, UL, US, UV               float · int
    AT                                                    the tag as ``GGGGEEEE``
    no bytes, or nothing but padding                      None
    several values                                        a list of these; an empty one is "" among text, else None

Nothing here raises. A DS or IS that is no number stays the str it is; bytes without a meaning in their character set
become U+FFFD; and numbers whose bytes are no whole number of words are ``LEFT_OUT``, as are the VRs that are not values
but bytes (OB, OD, OF, OL, OV, OW, UN): the header keeps those bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import TypeAlias

from pacscore.dicom.charsets import CharacterSet

Scalar: TypeAlias = str | int | float | None
Document: TypeAlias = dict[str, "Value"]
Value: TypeAlias = Scalar | list[Scalar] | list[Document]


class LeftOut(Enum):
    """The type of ``LEFT_OUT``."""

    LEFT_OUT = "left out"


LEFT_OUT = LeftOut.LEFT_OUT
"""Stands for a value that documents do not show."""

Decoder: TypeAlias = Callable[[bytes], "Scalar | list[Scalar] | LeftOut"]

_PADDING = " \0"
_NUMBER_FORMATS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_INTEGER_MIN, _INTEGER_MAX = -(1 << 63), (1 << 63) - 1
# An IS has at most 12 characters and a DS 16 (PS3.5 table 6.2-1). Senders write longer ones, but nobody a longer number
# than this, and converting digits takes time that grows with their square.
_NUMBER_TEXT_MAX = 64

# PS3.5 table 6.2-1, by how the bytes are read. For AE, CS, LO, PN and SH it declares leading blanks as meaningless as
# trailing ones; for the others only the trailing ones.
_ANY_CHARACTER_SET = {"LO", "LT", "PN", "SH", "ST", "UC", "UT"}
_DEFAULT_CHARACTER_SET = {"AE", "AS", "CS", "DA", "DT", "TM", "UI", "UR"}
_BLANKS_LEAD = {"AE", "CS", "LO", "PN", "SH"}
_ONE_VALUE = {"LT", "ST", "UR", "UT"}


def choose_decoder(
    vr: str, character_set: CharacterSet, *, little_endian: bool, signed: bool = False
) -> Decoder | None:
    """What decodes the values of ``vr``; None for VRs that are left out of documents.

    Parameters
    ----------
    vr
        Two letters, or a choice of the dictionary. ``US/SS`` is decided by ``signed``, that is by Pixel Representation
        (0028,0103). ``US/OW``, the VR of LUT Data, means 16-bit words either way (PS3.3 C.11.1.1.1).

    Examples
    --------
    >>> choose_decoder("DS", CharacterSet(), little_endian=True)(rb"0.5\\-1 ")
    [0.5, -1.0]
    """
    if vr in _ANY_CHARACTER_SET or vr in _DEFAULT_CHARACTER_SET:
        return partial(
            _decode_text,
            character_set=character_set if vr in _ANY_CHARACTER_SET else CharacterSet(),
            delimiters="" if vr in _ONE_VALUE else "\\^=" if vr == "PN" else "\\",
            leading=" " if vr in _BLANKS_LEAD else "",
            # Empty component groups at the end of a name may be written or not: they say nothing (PS3.5 6.2.1.1).
            trailing=_PADDING + "=" if vr == "PN" else _PADDING,
        )
    if vr == "DS":
        return partial(_decode_number_text, convert=_decimal)
    if vr == "IS":
        return partial(_decode_number_text, convert=_integer)
    order = "<" if little_endian else ">"
    if vr == "AT":
        return partial(_decode_tags, order=order)
    vr = {"US/SS": "SS" if signed else "US", "US/OW": "US"}.get(vr, vr)
    if vr in _NUMBER_FORMATS:
        return partial(_decode_words, order=order, letter=_NUMBER_FORMATS[vr])
    return None


def _decode_text(
    raw: bytes, *, character_set: CharacterSet, delimiters: str, leading: str, trailing: str
) -> Scalar | list[Scalar] | LeftOut:
    if raw.isascii() and b"\x1b" not in raw and character_set.codec != "katakana":
        text = raw.decode("ascii")  # All other character sets have these in common, and nearly all text is of them.
    else:
        text = character_set.decode(raw, delimiters=delimiters)
    if delimiters and "\\" in text:
        return [value.rstrip(trailing).lstrip(leading) for value in text.split("\\")]
    return text.rstrip(trailing).lstrip(leading) or None


def _decode_number_text(raw: bytes, *, convert: Callable[[str], Scalar]) -> Scalar | list[Scalar] | LeftOut:
    text = raw.decode("ascii", "replace")
    if "\\" in text:
        if convert is _decimal and len(text) <= _NUMBER_TEXT_MAX and "_" not in text:
            try:  # As nearly all are: what ``float`` takes and PS3.5 does not is left to what follows.
                numbers = [*map(float, text.split("\\"))]
            except ValueError:
                pass
            else:
                if all(map(math.isfinite, numbers)):
                    return numbers  # type: ignore[return-value]  # A list of numbers is one of scalars.
        return [convert(value.strip(_PADDING)) for value in text.split("\\")]
    return convert(text.strip(_PADDING))


def _decimal(text: str) -> Scalar:
    """A DS; what Python would read but PS3.5 does not allow (``nan``, ``1_000``, infinities) stays text."""
    try:
        number = float(text)
    except ValueError:
        return text or None
    return number if math.isfinite(number) and "_" not in text and len(text) <= _NUMBER_TEXT_MAX else text


def _integer(text: str) -> Scalar:
    """An IS; whole numbers with a decimal point occur and are taken, other ones stay text."""
    if len(text) > _NUMBER_TEXT_MAX or "_" in text:
        return text
    try:
        number = int(text)
    except ValueError:
        decimal = _decimal(text)
        if not isinstance(decimal, float) or not decimal.is_integer():
            return text or None
        number = int(decimal)
    # Beyond 64 bits no catalog or table could hold it as a number.
    return number if _INTEGER_MIN <= number <= _INTEGER_MAX else text


def _decode_words(raw: bytes, *, order: str, letter: str) -> Scalar | list[Scalar] | LeftOut:
    count, rest = divmod(len(raw), struct.calcsize(order + letter))
    if rest:
        return LEFT_OUT
    numbers: tuple[Scalar, ...] = struct.unpack(f"{order}{count}{letter}", raw)
    return None if count == 0 else numbers[0] if count == 1 else list(numbers)


def _decode_tags(raw: bytes, *, order: str) -> Scalar | list[Scalar] | LeftOut:
    count, rest = divmod(len(raw), 4)
    if rest:
        return LEFT_OUT
    halves = struct.unpack(f"{order}{2 * count}H", raw)
    tags: list[Scalar] = [f"{group:04X}{element:04X}" for group, element in zip(halves[::2], halves[1::2], strict=True)]
    return None if count == 0 else tags[0] if count == 1 else tags
