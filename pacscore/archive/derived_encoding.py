"""Data sets of derived objects as bytes: character sets, codes, and the references that all objects share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


class SourceImage(NamedTuple):
    """One image that a volume was made from."""

    sop_class_uid: str
    sop_instance_uid: str


def encode_references(sources: Sequence[SourceImage]) -> bytes:
    """Source Image Sequence (0008,2112), encoded once for all objects; empty without sources.

    Every object of n names n sources; encoding that each time anew took most of the time of storing a volume.
    """
    from pydicom.dataset import Dataset

    if not sources:
        return b""
    items = []
    for source in sources:
        item = Dataset()
        item.ReferencedSOPClassUID = source.sop_class_uid
        item.ReferencedSOPInstanceUID = source.sop_instance_uid
        item.PurposeOfReferenceCodeSequence = [coded("121322", "Source image for image processing operation")]
        items.append(item)
    whole = Dataset()
    whole.SourceImageSequence = items
    return encoded(whole)


def coded(value: str, meaning: str) -> Dataset:
    """A code of DICOM's own terminology (PS3.16 Annex D)."""
    from pydicom.dataset import Dataset

    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code


def choose_charset(header: Dataset) -> None:
    """Keep the source's character set, which holds ASCII whatever it is; write UTF-8 where a new text needs more."""
    texts = (header.SeriesDescription, header.DerivationDescription, header.get("RescaleType", ""))
    windows = header.get("WindowCenterWidthExplanation", "")
    if all(str(text).isascii() for text in (*texts, windows)):
        return
    header.decode()
    header.SpecificCharacterSet = "ISO_IR 192"
    _renew_names(header)


def _renew_names(header: Dataset) -> None:
    """Names keep the bytes they were read from until they are made anew."""
    for element in header:
        if element.VR == "SQ":
            for item in element.value:
                _renew_names(item)
        elif element.VR == "PN" and element.value:
            names = [str(name) for name in element.value] if element.VM > 1 else str(element.value)
            header.add_new(element.tag, "PN", names)


def encoded(part: Dataset, whole: Dataset | None = None) -> bytes:
    """A part of a data set in Explicit VR Little Endian, its texts in the character set of the whole."""
    from pydicom.charset import default_encoding
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    stated: Any = None if whole is None else whole.get("SpecificCharacterSet")
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, part, stated or default_encoding)
    value: bytes = buffer.getvalue()
    return value
