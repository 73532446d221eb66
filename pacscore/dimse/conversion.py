"""An object in a transfer syntax that the peer takes: as it is stored wherever possible.

C1  What the peer accepts as stored is sent as stored, byte for byte.
C2  Between the uncompressed syntaxes only the way elements are written changes; values and pixels stay.
C3  Compressed frames are decoded where a decoder is installed; samples stay what the stored object decodes to. For a
    peer that takes compressed objects only, frames are encoded without loss. A lossy encoding is never made.
C4  What none of these can do fails for this one object, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pynetdicom.dsutils import encode

from pacscore.dicom.description import PixelDescription
from pacscore.dicom.dictionary import find_vr
from pacscore.dicom.encoding import encodable_syntaxes, encode_frame
from pacscore.dicom.syntaxes import DEFLATED_LITTLE, EXPLICIT_LITTLE, IMPLICIT_LITTLE, transfer_syntax
from pacscore.errors import UnsupportedError

if TYPE_CHECKING:
    from pacscore.dimse.association import AcceptedContext

# In the order of preference: explicit VR keeps the VR of private elements.
CONVERTIBLE = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, DEFLATED_LITTLE)


def choose_contexts(
    contexts: Iterable[AcceptedContext], sop_class_uid: str, stored: str
) -> tuple[AcceptedContext, ...]:
    """The contexts that an object can be sent on, the best first: as stored, uncompressed, compressed without loss.

    Raises
    ------
    UnsupportedError
        The peer accepts its class in no syntax that can be made of the stored one.
    """
    usable = [each for each in contexts if each.sop_class_uid == sop_class_uid and each.we_send]
    by_syntax = {each.transfer_syntax_uid: each for each in reversed(usable)}
    wanted = dict.fromkeys((stored, *CONVERTIBLE, *encodable_syntaxes()))
    found = tuple(by_syntax[syntax] for syntax in wanted if syntax in by_syntax)
    if not found:
        raise UnsupportedError(
            f"the peer takes SOP class {sop_class_uid} in no transfer syntax that {stored} can be converted to.",
            uid=sop_class_uid,
            found=stored,
        )
    return found


@dataclass(frozen=True, slots=True)
class DecodedFrames:
    """Frames as samples, each ``(rows, columns)`` or ``(rows, columns, samples)``, with what their samples are now."""

    frames: Sequence[NDArray[Any]]
    description: PixelDescription


def convert(data_set: Dataset, stored_uid: str, wanted: str, decode: Callable[[int], DecodedFrames]) -> bytes:
    """A data set written anew in an uncompressed little-endian transfer syntax, or with frames encoded without loss.

    Parameters
    ----------
    data_set
        As pydicom read it from the stored bytes; it is changed.
    decode
        Gives so many decoded frames of it.

    Raises
    ------
    UnsupportedError, UndecodableError
        It cannot be converted (C4).
    """
    stored, target = transfer_syntax(stored_uid), transfer_syntax(wanted)
    if wanted not in CONVERTIBLE and wanted not in encodable_syntaxes():
        raise UnsupportedError(f"objects are not encoded anew in {target.name or wanted}.", expected=wanted)
    if not stored.known:
        raise UnsupportedError(f"the stored transfer syntax {stored.uid} is unknown.", found=stored.uid)
    try:
        if not stored.little_endian:
            _refuse_other_words(data_set)
        if "PixelData" in data_set and (stored.encapsulated or target.encapsulated or not stored.little_endian):
            decoded = decode(int(data_set.get("NumberOfFrames", None) or 1))
            _put_samples(data_set, decoded)
            if target.encapsulated:
                _put_codestreams(data_set, decoded, wanted)
        elif target.encapsulated:
            raise UnsupportedError(f"an object without pixel data is not sent as {target.name}.", expected=wanted)
        if not stored.explicit:
            _name_representations(data_set)
        raw = encode(data_set, not target.explicit, True, target.deflated)
    except (ValueError, TypeError, AttributeError, KeyError, NotImplementedError) as error:
        raise UnsupportedError(f"the object cannot be written as {target.name}: {type(error).__name__}.") from error
    if raw is None:
        raise UnsupportedError(f"the object cannot be written as {target.name}.", expected=wanted)
    return bytes(raw)


def _refuse_other_words(data_set: Dataset) -> None:
    """Refuse what is stored big endian and holds words whose order cannot be told from their VR alone."""
    for element in data_set.iterall():
        if element.VR in {"OW", "OL", "OF", "OD", "OV", "UN"} and element.keyword != "PixelData":
            raise UnsupportedError(f"words of ({element.tag}) are stored big endian and are not converted.")


def _name_representations(data_set: Dataset) -> None:
    """Give each element, read without one, the VR of the dictionary; the bytes of its value stay."""
    signed = bool(data_set.get("PixelRepresentation", 0))
    for tag in list(data_set.keys()):
        element = data_set.get_item(tag)
        if isinstance(element, RawDataElement) and element.VR is None:
            words = (find_vr(int(tag)) or "UN").split("/")
            vr = words[-1] if "OW" in words else "SS" if signed and "SS" in words else words[0]
            if vr == "SQ":
                _ = data_set[tag]
            else:
                data_set[tag] = element._replace(VR=vr)
        found = data_set.get_item(tag)
        if found is not None and not isinstance(found, RawDataElement) and found.VR == "SQ":
            for item in found.value or ():
                _name_representations(item)


def _put_samples(data_set: Dataset, decoded: DecodedFrames) -> None:
    """Put decoded samples in the place of stored frames (PS3.5 A.4, PS3.3 C.7.6.3.1)."""
    words = np.ascontiguousarray(np.stack(decoded.frames))
    raw = words.astype(words.dtype.newbyteorder("<")).tobytes()
    data_set.PixelData = raw + b"\0" if len(raw) % 2 else raw
    element = data_set["PixelData"]
    element.VR = "OB" if words.dtype.itemsize == 1 else "OW"
    element.is_undefined_length = False
    data_set.PhotometricInterpretation = decoded.description.photometric
    data_set.BitsAllocated = words.dtype.itemsize * 8
    if decoded.description.samples > 1:
        data_set.PlanarConfiguration = 0
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in data_set:
            delattr(data_set, keyword)


def _put_codestreams(data_set: Dataset, decoded: DecodedFrames, wanted: str) -> None:
    """Put frames encoded without loss in the place of samples, with a Basic Offset Table (PS3.5 A.4)."""
    frames = [encode_frame(frame, decoded.description, wanted) for frame in decoded.frames]
    data_set.PixelData = encapsulate(frames)
    element = data_set["PixelData"]
    element.VR = "OB"
    element.is_undefined_length = True
