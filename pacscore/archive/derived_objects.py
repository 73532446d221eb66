"""DICOM objects of a derived volume: one per slice, single-frame, Explicit VR Little Endian.

O1  The place of every pixel is the volume's: each slice states its own position, so that a sheared volume keeps its
    shear, and read back it has the same affine.
O2  What is not known is not stated: slice thickness and the like come from a source in the same place, or not at all.
O3  Every object names all source images of the volume (PS3.3 C.7.6.1.1.4), what was done, and that pacscore did it.
    Of more than ``REFERENCES_MAX`` sources it names the one of its own slice and its share of those of no slice, lest
    headers grow with the square of the number of slices; together the objects then name them all. A single object
    names them all, however many.
O4  An object is of its sources' SOP Class where that has one slice per object and 16 bits (CT, MR, PET). All others,
    colour and what has no place in space among them, are Secondary Capture images; where a place is known, extended by
    the attributes of the Image Plane module (PS3.2 calls it a Standard Extended SOP Class), so that their geometry
    stays readable.
O5  A picture kept as seen says so in Image Type (0008,0008): read again, it is not turned to another convention.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from pacscore.archive.derived_encoding import SourceImage, choose_charset, coded, encode_references, encoded
from pacscore.archive.derived_headers import (
    CT_IMAGE,
    MR_IMAGE,
    PET_IMAGE,
    SECONDARY_CAPTURE,
    SLICE_CLASSES,
    carried_header,
)
from pacscore.archive.derived_pixels import DerivedPixels, decimal_text
from pacscore.archive.derived_planes import SlicePlanes
from pacscore.dicom.part10 import make_file_prefix
from pacscore.errors import InputError
from pacscore.imaging import Volume, Window
from pacscore.imaging.attributes import PROJECTION_IMAGE
from pacscore.version import __version__

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"

_SOURCE_IMAGES = 0x00082112
_TEXT_MAX = {"LO": 64, "ST": 1024}
_SERIES_NUMBER_STEP = 1000
REFERENCES_MAX = 1000
_UNTRUE_TYPES = frozenset({"MOSAIC", "VFRAME", PROJECTION_IMAGE})
_INTEGER_STRING_MAX = 2**31 - 1
_EMPTY_IF_UNKNOWN = (
    "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID", "PatientName", "PatientID",
    "PatientBirthDate", "PatientSex", "Manufacturer", "PositionReferenceIndicator", "SliceThickness",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class DerivedSeries:
    """All that the objects of one derived series share.

    ``references`` is the encoded Source Image Sequence: one for all slices, or one for each.
    """

    volume: Volume
    pixels: DerivedPixels
    planes: SlicePlanes | None
    description: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str
    series_number: int
    is_lossy: bool
    derivation: str
    references: tuple[bytes, ...]
    utc: datetime


def choose_class(volume: Volume, planes: SlicePlanes | None, source_classes: Sequence[str]) -> str:
    """The SOP Class of what is derived from sources of these classes (O4)."""
    classes = set(source_classes)
    is_grey = volume.is_monochrome and volume.dtype.kind != "b" and volume.dtype.itemsize > 1
    fits = len(classes) == 1 and classes <= SLICE_CLASSES and is_grey and planes is not None
    return classes.pop() if fits else SECONDARY_CAPTURE


def slice_references(
    sources: Mapping[str, SourceImage], sop_instance_uids: Sequence[str], slice_count: int
) -> tuple[bytes, ...]:
    """The Source Image Sequence (0008,2112) of the slices, encoded: one for all, or one for each (O3).

    ``sop_instance_uids`` are those of the slices; what other sources there are is dealt out to the slices in turn.
    """
    if len(sources) <= REFERENCES_MAX or slice_count == 1:
        return (encode_references(list(sources.values())),)
    own = set(sop_instance_uids)
    further = [uid for uid in sources if uid not in own]
    named = ((*sop_instance_uids[index : index + 1], *further[index::slice_count]) for index in range(slice_count))
    return tuple(encode_references([sources[uid] for uid in uids]) for uids in named)


def next_series_number(source: object) -> int:
    """A number that shows where a derived series comes from, apart from those of the scanner."""
    known = source if isinstance(source, int) and 0 <= source <= _INTEGER_STRING_MAX - _SERIES_NUMBER_STEP else 0
    return known + _SERIES_NUMBER_STEP


def checked_text(text: str, what: str, vr: str) -> str:
    """``text`` without blanks around it, if a value of this VR can hold it (PS3.5 6.2).

    Raises
    ------
    InputError
        It is empty, too long, or has control characters or a backslash.
    """
    stripped = text.strip()
    if not stripped or len(stripped) > _TEXT_MAX[vr] or re.search(r"[\x00-\x1f\x7f\\]", stripped):
        raise InputError(
            f"The {what} must be 1 to {_TEXT_MAX[vr]} characters without control characters and backslashes: it has "
            f"{len(stripped)}.",
            expected=_TEXT_MAX[vr],
            found=len(stripped),
        )
    return stripped


def derivation_text(volume: Volume, pixels: DerivedPixels, description: str) -> str:
    """Derivation Description (0008,2111): what was done, and what storing it cost."""
    steps = list(volume.derivation) or [description]
    if pixels.largest_error > 0:
        unit = f" {volume.rescale.unit}" if volume.rescale.unit else ""
        steps.append(f"stored in 16 bits, which changes values by at most {_rounded_up(pixels.largest_error)}{unit}")
    text = re.sub(r"[\x00-\x1f\x7f\\]+", " ", "; ".join(steps))
    length = _TEXT_MAX["ST"]
    return text if len(text) <= length else "..." + text[3 - length :]  # The last steps tell more of these pixels.


def _rounded_up(number: float) -> str:
    """Three digits that are not below ``number``."""
    text = f"{number:.3g}"
    return text if float(text) >= number else f"{number * 1.005:.3g}"


def slice_header(series: DerivedSeries, index: int, source: Dataset | None, *, sop_instance_uid: str) -> bytes:
    """The bytes of one object up to its pixel value.

    Parameters
    ----------
    index : int
        Of the slice.
    source : Dataset, optional
        The object whose header this slice inherits.

    Raises
    ------
    InputError
        The source's header holds values that cannot be written again.
    """
    header = _inherited(series, index, source)
    _state_identity(header, series, index, sop_instance_uid)
    _state_place(header, series, index)
    _state_pixels(header, series, index)
    _state_values(header, series, index)
    _state_class(header, series, index, source)
    choose_charset(header)
    try:
        before, behind = encoded(header[:_SOURCE_IMAGES], header), encoded(header[_SOURCE_IMAGES:], header)
    except (ValueError, TypeError, AttributeError, struct.error) as error:
        raise InputError(
            "The header of a source image holds values that cannot be written again. Remove the volume's "
            "sop_instance_uids to store it without a source.",
            uid=sop_instance_uid,
        ) from error
    words = series.pixels.words
    length = words[index].nbytes + words[index].nbytes % 2
    pixel_element = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW" if words.itemsize == 2 else b"OB", 0, length)
    prefix = make_file_prefix(series.sop_class_uid, sop_instance_uid, EXPLICIT_LITTLE)
    return b"".join((prefix, before, series.references[index % len(series.references)], behind, pixel_element))


def _inherited(series: DerivedSeries, index: int, source: Dataset | None) -> Dataset:
    from pydicom.dataset import Dataset

    if source is None:
        header = Dataset()
        header.Manufacturer = "pacscore"
        header.Modality = series.volume.presentation.modality or "OT"
        return header
    same_class = series.sop_class_uid == source.get("SOPClassUID")
    same_place = series.planes is not None and series.planes.is_place_of(source, index, series.volume.shape[1:3])
    header = carried_header(source, same_class=same_class, same_place=same_place)
    if not header.get("Modality"):
        header.Modality = series.volume.presentation.modality or "OT"
    return header


def _state_identity(header: Dataset, series: DerivedSeries, index: int, sop_instance_uid: str) -> None:
    now = series.utc.astimezone(_timezone(header.get("TimezoneOffsetFromUTC")))
    date, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    header.SOPClassUID = series.sop_class_uid
    header.SOPInstanceUID = sop_instance_uid
    header.StudyInstanceUID = series.study_instance_uid
    header.SeriesInstanceUID = series.series_instance_uid
    header.SeriesNumber = series.series_number
    header.InstanceNumber = index + 1
    header.InstanceCreationDate = header.SeriesDate = header.ContentDate = date
    header.InstanceCreationTime = header.SeriesTime = header.ContentTime = time
    header.SeriesDescription = series.description
    header.DerivationDescription = series.derivation
    header.ContributingEquipmentSequence = [*header.get("ContributingEquipmentSequence", ()), _equipment(now)]
    for keyword in _EMPTY_IF_UNKNOWN:
        if keyword not in header:
            setattr(header, keyword, None)


def _equipment(now: datetime) -> Dataset:
    """PS3.3 C.12.1: what else worked on the image; the purpose is of CID 7005."""
    from pydicom.dataset import Dataset

    item = Dataset()
    item.Manufacturer = "pacscore"
    item.ManufacturerModelName = "pacscore"
    item.SoftwareVersions = __version__
    item.ContributionDateTime = now.strftime("%Y%m%d%H%M%S")
    item.ContributionDescription = "Computed and stored the pixels"
    item.PurposeOfReferenceCodeSequence = [coded("109102", "Processing Equipment")]
    return item


def _timezone(offset: object) -> timezone | None:
    """Times of an object are in the time zone it states (PS3.3 C.12.1.1.8), else local."""
    stated = re.fullmatch(r"([+-])(\d\d)([0-5]\d)", str(offset or ""))
    if stated is None or int(stated[2]) > 14:
        return None
    size = timedelta(hours=int(stated[2]), minutes=int(stated[3]))
    return timezone(-size if stated[1] == "-" else size)


def _state_place(header: Dataset, series: DerivedSeries, index: int) -> None:
    planes = series.planes
    if planes is None:
        _state_size(header, series.volume)
        return
    header.FrameOfReferenceUID = series.frame_of_reference_uid
    header.ImagePositionPatient = [decimal_text(number) for number in planes.positions_lps[index].tolist()]
    header.ImageOrientationPatient = [decimal_text(number) for number in planes.orientation]
    header.PixelSpacing = [decimal_text(number) for number in planes.pixel_spacing]
    if planes.spacing_mm is not None:
        header.SpacingBetweenSlices = decimal_text(planes.spacing_mm)


def _state_size(header: Dataset, volume: Volume) -> None:
    """How large pixels are where nobody knows where they lie."""
    for keyword in ("FrameOfReferenceUID", "PositionReferenceIndicator"):
        header.pop(keyword, None)
    if volume.spacing_mm is not None:
        header.PixelSpacing = [decimal_text(number) for number in volume.spacing_mm[1:]]
    elif volume.presentation.pixel_aspect != 1.0:
        header.PixelAspectRatio = list(
            Fraction(volume.presentation.pixel_aspect).limit_denominator(10000).as_integer_ratio()
        )


def _state_pixels(header: Dataset, series: DerivedSeries, index: int) -> None:
    words = series.pixels.words
    bits = words.itemsize * 8
    header.SamplesPerPixel = 1 if series.volume.is_monochrome else 3
    if not series.volume.is_monochrome:
        header.PlanarConfiguration = 0
    header.PhotometricInterpretation = series.volume.presentation.photometric
    header.Rows, header.Columns = words.shape[1:3]
    header.BitsAllocated = header.BitsStored = bits
    header.HighBit = bits - 1
    header.PixelRepresentation = int(words.dtype.kind == "i")
    if series.volume.presentation.inverse:
        header.PresentationLUTShape = "INVERSE"
    if series.is_lossy:  # Once lossy, lossy for ever: PS3.3 C.7.6.1.1.5.
        header.LossyImageCompression = "01"
    padding = series.volume.presentation.padding
    limits = np.iinfo(words.dtype)
    if series.pixels.are_stored_values and padding and limits.min <= padding[0] <= padding[1] <= limits.max:
        vr = "SS" if words.dtype.kind == "i" else "US"
        header.add_new(0x00280120, vr, int(padding[0]))
        if padding[1] > padding[0]:
            header.add_new(0x00280121, vr, int(padding[1]))


def _state_values(header: Dataset, series: DerivedSeries, index: int) -> None:
    """Rescale and windows: PS3.3 C.11.1 and C.11.2."""
    slope, intercept, unit = series.pixels.slopes[index], series.pixels.intercepts[index], series.volume.rescale.unit
    needed = series.sop_class_uid in {CT_IMAGE, PET_IMAGE}
    if needed or unit or (float(slope), float(intercept)) != (1.0, 0.0):
        header.RescaleSlope, header.RescaleIntercept = slope, intercept
        if series.sop_class_uid != PET_IMAGE:
            header.RescaleType = unit or "US"  # Unspecified.
        elif re.fullmatch(r"[A-Z0-9_ ]{0,16}", unit):
            header.Units = unit or "NONE"  # C.8.9.1.1.3; the source's need not hold any more.
        else:
            header.RescaleType = unit
    windows = _windows(series.volume, index)
    if windows:
        header.WindowCenter = [decimal_text(window.center) for window in windows]
        header.WindowWidth = [decimal_text(window.width) for window in windows]
        if windows[0].function != "LINEAR":
            header.VOILUTFunction = windows[0].function
        if any(window.explanation for window in windows):
            header.WindowCenterWidthExplanation = [window.explanation for window in windows]


def _windows(volume: Volume, index: int) -> list[Window]:
    """The windows of a slice that one VOI LUT Function (0028,1056) can speak for."""
    windows = volume.presentation.windows
    if not windows:
        return []
    of_slice = windows[0 if len(windows) == 1 else index]
    return [window for window in of_slice if window.function == of_slice[0].function]


def _state_class(header: Dataset, series: DerivedSeries, index: int, source: Dataset | None) -> None:
    """What the SOP Classes ask for beyond the general modules."""
    image_type = ["DERIVED", "SECONDARY"]
    seen = [PROJECTION_IMAGE] if series.volume.presentation.as_seen else []
    given = source.get("ImageType") if source is not None and series.sop_class_uid in SLICE_CLASSES else None
    third = str(given[2]) if given is not None and not isinstance(given, str) and len(given) > 2 else ""
    if series.sop_class_uid == CT_IMAGE:  # C.8.2.1.1.1
        image_type.append("LOCALIZER" if third == "LOCALIZER" else "AXIAL")
    elif series.sop_class_uid == MR_IMAGE:  # C.8.3.1.1.1; names of tilings and views are no longer true.
        image_type += [] if seen else [third if third and third not in _UNTRUE_TYPES else "OTHER"]
    elif series.sop_class_uid == PET_IMAGE:  # C.8.9.1 and C.8.9.4: one volume stands still.
        header.NumberOfSlices, header.ImageIndex = len(series.pixels.words), index + 1
        kinds = header.get("SeriesType")
        if kinds and not isinstance(kinds, str) and kinds[0] in {"DYNAMIC", "GATED"}:
            header.SeriesType = ["STATIC", *kinds[1:]]
    else:  # C.8.6.1
        header.ConversionType = "WSD"
    header.ImageType = image_type + seen
