"""Scanning an object: who it is, where each element lies, and where its pixels begin and end.

S1  Whole object = header | pixel value | trailer, in this order, each byte in exactly one of them. The header ends
    with the header of the pixel element; without a pixel element it is everything.
S2  Nothing is changed, decoded or copied but the four UIDs, so S1 holds for every transfer syntax, known or not.
S3  A deflated data set is inflated only to be read; it is kept whole: its header is everything.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pacscore.dicom.elements import (
    DEFAULTS,
    PIXEL_TAGS,
    Buffer,
    ElementTable,
    NeedMore,
    as_bytes,
    raise_for,
    read_only,
    walk_view,
)
from pacscore.dicom.part10 import FileParts, file_parts_of_view, prove_syntax, uid_at
from pacscore.dicom.syntaxes import TransferSyntax, transfer_syntax
from pacscore.errors import InvalidDicomError, LimitError, MismatchError
from pacscore.kernels import unchecked_bytes as unchecked
from pacscore.kernels.fragments import skip_fragments_into
from pacscore.kernels.select import find_places_into
from pacscore.settings import Settings

__all__ = [
    "NeedMore",
    "PixelPlace",
    "Scan",
    "inflate",
    "is_dicomdir",
    "locate_pixels_end",
    "scan",
]

MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"

# SOP Class UID, SOP Instance UID, Study Instance UID, Series Instance UID.
IDENTITY = np.array([0x00080016, 0x00080018, 0x0020000D, 0x0020000E], np.uint32)
IDENTITY.flags.writeable = False
_DIRECTORY_RECORDS = np.array([0x00041220], np.uint32)


class PixelPlace(NamedTuple):
    """Where the pixel value of an object lies.

    Attributes
    ----------
    tag : int
        (7FE0,0008), (7FE0,0009) or (7FE0,0010).
    vr : int
        As in ``ElementTable``: two ASCII bytes, 0 under implicit VR.
    offset : int
        Of the value's first byte from the start of the whole object, prefix included.
    length : int
        Bytes of the value. Encapsulated: from the first item's header through the sequence delimiter; -1 where only a
        head was scanned, until ``locate_pixels_end``.
    encapsulated : bool
        Whether the value is a sequence of fragments (PS3.5 A.4), as its undefined length says.
    delimited : bool
        False for an encapsulated value that lacks its sequence delimiter and runs to the end of the object.
    """

    tag: int
    vr: int
    offset: int
    length: int
    encapsulated: bool
    delimited: bool = True


class Scan(NamedTuple):
    """What a scan found.

    Attributes
    ----------
    parts : FileParts
        Preamble, file meta, transfer syntax.
    sop_class_uid, sop_instance_uid, study_instance_uid, series_instance_uid : str
        As the data set states them, "" where absent.
    elements : ElementTable
        Offsets are from the start of the whole object; of a deflated one from the start of ``inflated``. Its
        ``explicit`` is what was found, which may differ from what the transfer syntax says.
    pixels : PixelPlace or None
        None without a pixel element, and for a deflated data set.
    header_length : int
        Bytes before the pixel value, or of the whole object if ``pixels`` is None.
    inflated : bytes or None
        The data set of a deflated object.
    total_length : int
        Bytes of the whole object.
    """

    parts: FileParts
    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    elements: ElementTable
    pixels: PixelPlace | None
    header_length: int
    inflated: bytes | None = None
    total_length: int = 0

    @property
    def trailer_length(self) -> int:
        """Bytes behind the pixel value, -1 while its end is not located."""
        if self.pixels is None:
            return 0
        return -1 if self.pixels.length < 0 else self.total_length - self.pixels.offset - self.pixels.length

    def behind(self, prefix: Buffer, settings: Settings = DEFAULTS) -> Scan:
        """What a scan of this data set finds once ``prefix``, made by ``make_file_prefix`` for it, lies in front.

        Raises
        ------
        LimitError
            The header passes ``settings.header_bytes_max`` with it.
        """
        more = len(as_bytes(prefix))
        _check_header_length(self.header_length + more, settings)
        parts = FileParts(
            more, True, self.parts.transfer_syntax_uid, self.sop_instance_uid or None, self.sop_class_uid or None
        )
        return self._replace(
            parts=parts,
            elements=self.elements if self.inflated is not None else self.elements.behind(more),
            pixels=None if self.pixels is None else self.pixels._replace(offset=self.pixels.offset + more),
            header_length=self.header_length + more,
            total_length=self.total_length + more,
        )

    def check_stated(self, sop_class_uid: str, sop_instance_uid: str) -> None:
        """Compare with what a sender says of the object; a UID that the object lacks contradicts nothing.

        Raises
        ------
        MismatchError
            The object says otherwise.
        """
        for own, stated, tag in (
            (self.sop_class_uid, sop_class_uid, "00080016"), (self.sop_instance_uid, sop_instance_uid, "00080018")
        ):  # fmt: skip
            if own not in ("", stated):
                raise MismatchError(
                    "UIDs of request and data set differ. Send the object under its own.",
                    tag=tag, expected=stated, found=own,
                )  # fmt: skip


def scan(
    data: Buffer,
    *,
    transfer_syntax_uid: str | None = None,
    settings: Settings = DEFAULTS,
    total_length: int | None = None,
) -> Scan:
    """Scan a DICOM file or a bare data set.

    Parameters
    ----------
    data
        The object, or its first bytes: through the header of its pixel element is enough.
    transfer_syntax_uid
        What the data set is written in, if the caller knows (as a network peer states it). It overrides the file meta.
    total_length
        How long the object is, where ``data`` is only its head.

    Raises
    ------
    InvalidDicomError
        Not well-formed, or cut short; ``offset`` says where.
    LimitError
        More elements, nesting or bytes than ``settings`` allows.
    NeedMore
        ``data`` is too short a head.

    Notes
    -----
    A data set that is not in the stated encoding is read in the one it is in, if all of it can be walked so:
    ``elements.explicit`` then differs from the transfer syntax.
    """
    view = as_bytes(data)
    raw = data if isinstance(data, bytes) else view  # Slices of bytes cost a quarter of those of an array.
    total = len(view) if total_length is None else total_length
    try:
        parts = file_parts_of_view(view, raw, total, transfer_syntax_uid=transfer_syntax_uid, settings=settings)
        syntax = transfer_syntax(parts.transfer_syntax_uid)
        if syntax.deflated:
            return _scan_deflated(view, parts, syntax, settings, total)
        elements = _walk_as_written(view, parts.prefix_length, syntax, settings, total)
    except NeedMore as more:
        _check_header_length(more.at_least, settings)
        raise
    identity, place = _identity_and_pixels(raw, elements, total)
    if place is not None and place.encapsulated and len(view) == total:
        place = _measured(view, place, elements, settings)
    header_length = total if place is None else place.offset
    _check_header_length(header_length, settings)
    return Scan(parts, *identity, elements, place, header_length, None, total)


def locate_pixels_end(data: Buffer, scanned: Scan) -> Scan:
    """Complete the scan of a head, now that the whole object is there.

    Parameters
    ----------
    data
        The whole object.
    scanned
        What ``scan`` made of its head.

    Raises
    ------
    InvalidDicomError
        ``data`` has another length than the scan was told, or its fragments are not well-formed.
    """
    view = as_bytes(data)
    if len(view) != scanned.total_length:
        raise InvalidDicomError(
            f"The object has {len(view)} bytes, but {scanned.total_length} were announced when its head was scanned.",
            expected=scanned.total_length,
            found=len(view),
        )
    if scanned.pixels is None or scanned.pixels.length >= 0:
        return scanned
    return scanned._replace(pixels=_measured(view, scanned.pixels, scanned.elements, DEFAULTS))


def is_dicomdir(scanned: Scan) -> bool:
    """Whether the object is a directory of a medium (PS3.3 annex F) rather than something to be stored."""
    if scanned.parts.media_storage_sop_class_uid == MEDIA_STORAGE_DIRECTORY:
        return True
    return int(scanned.elements.rows(_DIRECTORY_RECORDS)[0]) >= 0


def inflate(data: Buffer, start: int, settings: Settings = DEFAULTS) -> bytes:
    """The data set of a deflated object (PS3.5 A.5: RFC 1951, without a zlib header).

    Bytes behind the compressed stream, such as the one that makes it even, are not part of the data set.

    Parameters
    ----------
    start
        Where the compressed stream begins, behind the file meta.

    Raises
    ------
    InvalidDicomError
        The stream is damaged or cut short.
    LimitError
        It inflates to more than ``settings.inflated_bytes_max``.
    """
    expander = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = expander.decompress(as_bytes(data)[start:].data, settings.inflated_bytes_max + 1)
    except zlib.error as error:
        raise InvalidDicomError(
            f"The deflated data set at offset {start} cannot be inflated: {error}. It is damaged, or not deflated.",
            offset=start,
            reason="not a deflate stream",
        ) from error
    if len(inflated) > settings.inflated_bytes_max:
        raise LimitError(
            f"The deflated data set inflates to more than {settings.inflated_bytes_max} bytes. Raise "
            "inflated_bytes_max if it is genuine.",
            offset=start,
            expected=settings.inflated_bytes_max,
        )
    if not expander.eof:
        raise InvalidDicomError(
            f"The deflated data set at offset {start} is cut short: it inflates to {len(inflated)} bytes without "
            "reaching its end.",
            offset=start,
            reason="deflate stream cut short",
            found=len(inflated),
        )
    return inflated


def _scan_deflated(
    view: NDArray[np.uint8], parts: FileParts, syntax: TransferSyntax, settings: Settings, total: int
) -> Scan:
    if len(view) < total:
        raise NeedMore(total)
    inflated = inflate(view, parts.prefix_length, settings)
    data_set = as_bytes(inflated)
    elements = _walk_as_written(data_set, 0, syntax, settings, len(data_set))
    identity, place = _identity_and_pixels(inflated, elements, len(data_set))
    if place is not None and place.encapsulated:  # Only to find out whether its pixels are cut short.
        _measured(data_set, place, elements, settings)
    return Scan(parts, *identity, elements, None, total, inflated, total)


def _walk_as_written(
    view: NDArray[np.uint8], start: int, syntax: TransferSyntax, settings: Settings, total: int
) -> ElementTable:
    """Walk in the stated encoding, else in the one that can be proven; the error is that of the stated one."""
    explicit, little_endian = syntax.explicit, syntax.little_endian
    try:
        return walk_view(view, start, total, (explicit, little_endian), settings=settings)
    except InvalidDicomError as stated:
        try:
            proven = transfer_syntax(prove_syntax(view, start, settings=settings, total_length=total))
        except InvalidDicomError:
            raise stated from None
    return walk_view(view, start, total, (proven.explicit, proven.little_endian), settings=settings)


def _identity_and_pixels(
    data: bytes | NDArray[np.uint8], elements: ElementTable, total: int
) -> tuple[tuple[str, str, str, str], PixelPlace | None]:
    """The four UIDs, and the place of the pixel element, with which a walk ends if there is one."""
    places = np.empty((len(IDENTITY) + 2, 3), np.int64)
    find_places_into(read_only(elements.cells), IDENTITY, places)
    *known, (tag, vr, depth), (offset, length, _) = places.tolist()
    sop_class, sop_instance, study, series = [uid_at(data, start, size) for start, size, _ in known]
    identity = sop_class, sop_instance, study, series
    return identity, _pixel_place(tag, vr, offset, length, total) if depth == 0 and tag in PIXEL_TAGS else None


def _pixel_place(tag: int, vr: int, offset: int, length: int, total: int) -> PixelPlace:
    if length >= 0 and offset + length > total:
        raise InvalidDicomError(
            f"The pixel value ({tag >> 16:04X},{tag & 0xFFFF:04X}) at offset {offset} is cut short: its length is "
            f"{length}, but only {total - offset} bytes follow.",
            tag=f"{tag:08X}",
            offset=offset,
            reason="pixel value cut short",
            expected=length,
            found=total - offset,
        )
    return PixelPlace(tag, vr, offset, length, length < 0)


def _measured(view: NDArray[np.uint8], place: PixelPlace, elements: ElementTable, settings: Settings) -> PixelPlace:
    """The place of an encapsulated value with its length: from its first item through its delimiter."""
    state = np.empty(5, np.int64)
    little_endian = elements.little_endian
    status = skip_fragments_into(view, place.offset, len(view), little_endian, state)
    if status == unchecked.UNDELIMITED:
        return place._replace(length=len(view) - place.offset, delimited=False)
    if status != unchecked.DONE:
        raise_for(status, view, state, len(view), settings, little_endian=little_endian)
    return place._replace(length=int(state[unchecked.POSITION]) - place.offset)


def _check_header_length(header_length: int, settings: Settings) -> None:
    if header_length > settings.header_bytes_max:
        raise LimitError(
            f"The object has {header_length} bytes or more before its pixels; {settings.header_bytes_max} are allowed. "
            "Raise header_bytes_max if it is genuine.",
            expected=settings.header_bytes_max,
            found=header_length,
        )
