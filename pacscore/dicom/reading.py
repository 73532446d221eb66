"""What the bytes of values mean in one data set, and the memory of what they meant.

What a value means depends on its VR, the Specific Character Set in force, the byte order and, for ``US/SS``, on Pixel
Representation. A ``Reading`` stands for one such combination and remembers short values by their bytes: the headers
of a series, and of a hospital, say the same things over and over. Memory of it is bounded.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

from pacscore.dicom.charsets import DEFAULT, CharacterSet, parse_character_set
from pacscore.dicom.dictionary import document_key, find_private_vr, find_vr
from pacscore.dicom.values import LEFT_OUT, Decoder, LeftOut, Scalar, choose_decoder

SPECIFIC_CHARACTER_SET = 0x00080005
PIXEL_REPRESENTATION = 0x00280103

# Of one reading: how many values and elements are remembered, and how long a value may be. At some 200 bytes each that
# is 1.6 MiB, and 50 MiB for all readings. A CT header brings five new ones, so forgetting is rare and costs little.
REMEMBERED_MAX = 8_192
REMEMBERED_BYTES = 128


class Element:
    """How one element is named and decoded under one reading.

    Attributes
    ----------
    key : str
        Its name in documents.
    vr : str
        As stated, else as the dictionary says; ``UN`` when neither does.
    decoder : Decoder or None
        None for what documents leave out.
    steers : bool
        Its value decides how others are read: Specific Character Set, Pixel Representation, private creators.
    is_plain : bool
        A value that is decoded by itself: it steers nothing and cannot hold items.
    remembered : dict
        Decoded values by their bytes. Empty for one that steers.
    recall : callable
        ``remembered.get``, bound once: the innermost loop lives from it. ``LEFT_OUT`` is never in it.
    """

    __slots__ = ("decoder", "is_plain", "key", "recall", "remembered", "steers", "vr")

    def __init__(self, key: str, vr: str, decoder: Decoder | None, *, steers: bool) -> None:
        self.key = key
        self.vr = vr
        self.decoder = decoder
        self.steers = steers
        self.is_plain = decoder is not None and not steers and vr not in {"SQ", "UN"}
        self.remembered: dict[bytes, Scalar | list[Scalar] | LeftOut] = {}
        self.recall = self.remembered.get


Elements: TypeAlias = dict[int, Element]


class Reading:
    """What the bytes of values mean in one data set. Made by ``find_reading`` and shared by all headers.

    Attributes
    ----------
    elements : dict
        By code (tag × 65536 + VR): the public elements met so far, and private ones in no reserved block.
    """

    __slots__ = ("_count", "_reserved", "_state", "character_set", "elements")

    def __init__(self, charset: bytes, *, explicit: bool, little_endian: bool, signed: bool) -> None:
        self._state = (charset, explicit, little_endian, signed)
        self.character_set: CharacterSet = parse_character_set(charset) if charset else DEFAULT
        self.elements: Elements = {}
        self._reserved: dict[str, Elements] = {}
        self._count = 0

    def reserved_by(self, creator: str) -> Elements:
        """The elements met so far in the blocks of a private creator, by code."""
        found = self._reserved.get(creator)
        if found is None:
            self._make_room()
            found = self._reserved[creator] = {}
        return found

    def describe(self, code: int, creator: str | None) -> Element:
        """The element of ``code``, which is private if it has a creator; remembered from now on."""
        tag, stated = code >> 16, code & 0xFFFF
        _, explicit, little_endian, signed = self._state
        vr = bytes((stated >> 8, stated & 0xFF)).decode("latin-1") if stated else "UN"
        if vr == "UN":
            # PS3.5 6.2.2: whoever knows the VR may read a value of VR UN as implicit VR little endian. For public tags
            # the Standard says it. Private ones are looked up only where they were never given a VR.
            little_endian = little_endian or explicit
            if not tag & 0x10000:
                vr = find_vr(tag) or vr
            elif is_private_creator(tag):
                vr = "LO"
            elif creator is not None and not stated:
                vr = find_private_vr(creator, tag >> 16, tag & 0xFF) or vr
        if tag & 0xFFFF == 0:
            decoder = None  # Group lengths say nothing about the patient and change with every edit.
        else:
            decoder = choose_decoder(vr, self.character_set, little_endian=little_endian, signed=signed)
        steers = tag in (SPECIFIC_CHARACTER_SET, PIXEL_REPRESENTATION) or is_private_creator(tag)
        element = Element(document_key(tag, creator), vr, decoder, steers=steers)
        self._make_room()
        (self.elements if creator is None else self.reserved_by(creator))[code] = element
        return element

    def decode(self, element: Element, raw: bytes) -> Scalar | list[Scalar] | LeftOut:
        """The value of ``raw``, remembered if short; ``element`` has a decoder."""
        decoder = element.decoder
        assert decoder is not None
        value = decoder(raw) if raw else None
        if value is LEFT_OUT or element.steers or len(raw) > REMEMBERED_BYTES:
            return value
        self._count += 1
        if self._count > REMEMBERED_MAX:
            self._forget()
        element.remembered[raw] = value
        return value.copy() if isinstance(value, list) else value

    def _make_room(self) -> None:
        """Count one more thing remembered; start anew when there are too many.

        Other threads may hold elements that are forgotten here: those stay right, and go with their last user.
        """
        self._count += 1
        if self._count > REMEMBERED_MAX:
            self._forget()

    def _forget(self) -> None:
        self._count = 0
        self.elements.clear()
        self._reserved.clear()

    def steered(self, tag: int, raw: bytes) -> Reading:
        """The reading that holds behind Specific Character Set or Pixel Representation."""
        charset, explicit, little_endian, signed = self._state
        if tag == SPECIFIC_CHARACTER_SET:
            charset = raw
        elif tag == PIXEL_REPRESENTATION:
            signed = is_signed(raw)
        return find_reading(charset, explicit=explicit, little_endian=little_endian, signed=signed)


@lru_cache(maxsize=32)
def find_reading(charset: bytes, *, explicit: bool, little_endian: bool, signed: bool) -> Reading:
    """The one reading of its kind."""
    return Reading(charset, explicit=explicit, little_endian=little_endian, signed=signed)


def is_private_creator(tag: int) -> bool:
    """Whether the element reserves a block of private elements: (gggg,0010-00FF), gggg odd (PS3.5 7.8.1)."""
    return bool(tag & 0x10000) and 0x10 <= tag & 0xFFFF <= 0xFF


def is_signed(raw: bytes) -> bool:
    """Pixel Representation (0028,0103) is 1, in whichever byte order."""
    return raw in (b"\1\0", b"\0\1")
