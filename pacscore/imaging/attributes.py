"""Read the values of ``values`` from documents: the decoded attributes of objects, by DICOM keyword.

Functional groups of enhanced objects count: shared ones for every frame, per-frame ones for theirs, the latter first
(PS3.3 C.7.6.16). What a header says wrongly is put aside and named in ``Presentation.findings``, never mended.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging.values import LookupTable, Presentation, Rescale, StoredFormat, VoiTable, Window

IMAGING_KEYWORDS = frozenset({
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "Modality", "PhotometricInterpretation",
    "ImageType",
    "RescaleSlope", "RescaleIntercept", "RescaleType", "Units", "ModalityLUTSequence",
    "DoseGridScaling", "DoseUnits",
    "WindowCenter", "WindowWidth", "VOILUTFunction", "WindowCenterWidthExplanation",
    "VOILUTSequence", "PresentationLUTShape", "PixelPaddingValue", "PixelPaddingRangeLimit", "PixelAspectRatio",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
})  # fmt: skip
"""The top-level attributes read here."""

PROJECTION_IMAGE = "PROJECTION IMAGE"
"""Image Type (0008,0008), from its third value on, of a view from a chosen side: a Defined Term of MR (PS3.3
C.8.3.1.1.1), and in other objects the implementation-specific value that C.7.6.1.1.2 leaves room for."""

_Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class StackAttributes:
    """What the headers of a stack say about its values."""

    stored: StoredFormat
    rescale: Rescale
    presentation: Presentation


def read_attributes(frames: Iterable[tuple[_Item, int]], *, clean: bool = False) -> StackAttributes:
    """Read what the frames of one stack say about their values.

    Parameters
    ----------
    frames : iterable of (document, frame_index)
        Of each frame, in the order of the stack: its object's document and its index there, from 0. Bits, photometric
        interpretation and padding are those of the first, as frames that differ in them never share a stack.
    clean : bool
        The words are known to be stored values (see ``StoredFormat``).

    Raises
    ------
    InputError
        There is no frame, or the first lacks Bits Allocated.

    Examples
    --------
    >>> header = {"Modality": "CT", "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0,
    ...           "RescaleSlope": 1.0, "RescaleIntercept": -1024.0, "WindowCenter": [40.0, 300.0],
    ...           "WindowWidth": [400.0, 1500.0]}
    >>> found = read_attributes([(header, 0), (header, 0)])
    >>> found.rescale.intercepts, found.rescale.unit, found.presentation.shared_window(2).width
    (array([-1024.]), 'HU', 400.0)
    """
    slopes: list[float] = []
    intercepts: list[float] = []
    tables: list[LookupTable] = []
    windows: list[tuple[Window, ...]] = []
    voi: list[tuple[VoiTable, ...]] = []
    formats: list[StoredFormat] = []
    findings: dict[str, None] = {}
    missing = ""
    first: _Item | None = None
    unit = ""
    for document, frame_index in frames:
        item = _group(document, frame_index, "PixelValueTransformationSequence")
        if first is None:
            first, unit = document, _unit(document, item)
        formats.append(_stored_format(document, clean))
        slope = "DoseGridScaling" if _is_dose(document, item) else "RescaleSlope"
        for keyword, absent, numbers in ((slope, 1.0, slopes), ("RescaleIntercept", 0.0, intercepts)):
            number = _number(item, keyword, findings)
            if number is None and item.get(keyword) is not None:
                # Not 1 or 0 in its place: values would be wrong without a sign of it.
                missing = missing or f"{keyword} is not one finite number: read stored values or correct it."
            numbers.append(absent if number is None else number)
        table, reason = _table(document)
        if table is not None:
            tables.append(table)
        missing = missing or reason
        shown = _group(document, frame_index, "FrameVOILUTSequence")
        windows.append(read_windows(shown, findings))
        signed = document.get("PixelRepresentation") == 1 or intercepts[-1] < 0
        voi.append(read_voi_tables(shown, findings, signed=signed))
    if first is None:
        raise InputError("A stack has at least one frame.")
    if tables and len(tables) < len(slopes):
        missing = missing or "Only some frames have a Modality LUT Sequence (0028,3000)."
    linear = Rescale.linear(slopes, intercepts)
    rescale = Rescale(linear.slopes, linear.intercepts, _once(tables), unit, missing)
    if all(of_frame == windows[0] for of_frame in windows):
        windows = windows[:1] if windows[0] else []
    presentation = Presentation(
        _text(first, "Modality"),
        _text(first, "PhotometricInterpretation") or "MONOCHROME2",
        tuple(windows),
        _padding(first, findings),
        _pixel_aspect(first, findings),
        tuple(findings),
        _shared_tables(voi),
        _text(first, "PresentationLUTShape") == "INVERSE",
        PROJECTION_IMAGE in _listed(first.get("ImageType"))[2:],
    )
    return StackAttributes(StoredFormat.together(formats), rescale, presentation)


def read_windows(item: _Item, findings: dict[str, None]) -> tuple[Window, ...]:
    """The windows of one document or functional group; wrong ones are put aside and named in ``findings``.

    Center and Width are paired by position (PS3.3 C.11.2.1.2).
    """
    centers, widths = _listed(item.get("WindowCenter")), _listed(item.get("WindowWidth"))
    if len(centers) != len(widths):
        findings["Window Center (0028,1050) and Window Width (0028,1051) differ in number; only pairs are used."] = None
    explanations = _listed(item.get("WindowCenterWidthExplanation"))
    function = _text(item, "VOILUTFunction") or "LINEAR"
    found: list[Window] = []
    for place, (center, width) in enumerate(zip(centers, widths, strict=False)):
        explanation = str(explanations[place]) if place < len(explanations) else ""
        try:
            found.append(Window(float(center), float(width), function, explanation))
        except InputError as error:
            findings[f"A window was put aside: {error.message}"] = None
        except (TypeError, ValueError):
            findings["A window was put aside: Window Center (0028,1050) or Width (0028,1051) is no number."] = None
    return tuple(found)


def _stored_format(document: _Item, clean: bool) -> StoredFormat:
    allocated = document.get("BitsAllocated")
    if not isinstance(allocated, int):
        raise InputError("Bits Allocated (0028,0100) is missing: the words cannot be read as values.", tag="00280100")
    stored, high = document.get("BitsStored"), document.get("HighBit")
    bits_stored = stored if isinstance(stored, int) else allocated
    high_bit = high if isinstance(high, int) else bits_stored - 1
    return StoredFormat(bits_stored, high_bit, signed=document.get("PixelRepresentation") == 1, clean=clean)


def _group(document: _Item, frame_index: int, name: str) -> _Item:
    """The item that speaks for a frame: its own functional group, the shared one, or the document."""
    per_frame = _listed(document.get("PerFrameFunctionalGroupsSequence"))
    shared = _listed(document.get("SharedFunctionalGroupsSequence"))
    candidates = (per_frame[frame_index : frame_index + 1], shared[:1])
    for groups in candidates:
        for group in groups:
            items = _listed(group.get(name)) if isinstance(group, Mapping) else []
            if items and isinstance(items[0], Mapping):
                return items[0]
    return document


def read_voi_tables(item: _Item, findings: dict[str, None], *, signed: bool) -> tuple[VoiTable, ...]:
    """The VOI LUTs of one document or functional group; wrong ones are put aside and named in ``findings``.

    ``signed`` says that modality values may be negative: the first mapped value then is.
    """
    found: list[VoiTable] = []
    for each in _listed(item.get("VOILUTSequence")):
        read = _read_table(each, signed) if isinstance(each, Mapping) else None
        if read is None:
            findings["A VOI LUT (0028,3010) was put aside: its LUT Data (0028,3006) is missing or too short."] = None
            continue
        first, entries, bits = read
        top = int(entries.max())
        found.append(VoiTable(first, entries, max(1, min(bits, 16), top.bit_length()), _text(each, "LUTExplanation")))
    return tuple(found)


def _shared_tables(of_frames: list[tuple[VoiTable, ...]]) -> tuple[tuple[VoiTable, ...], ...]:
    """Once where all frames have equal ones."""
    first = of_frames[0]
    same = all(
        len(other) == len(first)
        and all(
            a.first == b.first and a.bits == b.bits and np.array_equal(a.entries, b.entries)
            for a, b in zip(first, other, strict=True)
        )
        for other in of_frames[1:]
    )
    return ((first,) if first else ()) if same else tuple(of_frames)


def _table(document: _Item) -> tuple[LookupTable | None, str]:
    items = _listed(document.get("ModalityLUTSequence"))
    if not items or not isinstance(items[0], Mapping):
        return None, ""
    read = _read_table(items[0], document.get("PixelRepresentation") == 1)
    if read is None:
        return None, "The Modality LUT Sequence (0028,3000) has no usable LUT Data (0028,3006): read stored values."
    return LookupTable(read[0], read[1].astype(np.float32)), ""


def _read_table(item: _Item, signed: bool) -> tuple[int, NDArray[np.uint16], int] | None:
    """First mapped value, entries and bits of a LUT; None where its data does not hold them (PS3.3 C.11.1.1.1)."""
    descriptor, data = _listed(item.get("LUTDescriptor")), item.get("LUTData")
    if len(descriptor) != 3 or not all(isinstance(part, int) for part in descriptor):
        return None
    count = (descriptor[0] & 0xFFFF) or 65536  # An entry count of 0 means 65536.
    if isinstance(data, (bytes, bytearray, memoryview)):
        words = np.frombuffer(data, np.uint8 if len(data) < 2 * count else "<u2").astype(np.uint16)
    else:
        listed = _listed(data)
        if not all(isinstance(entry, int) for entry in listed):
            return None
        words = (np.asarray(listed, np.int64) & 0xFFFF).astype(np.uint16)
        if descriptor[2] == 8 and count <= 2 * len(words) < 2 * count:  # Two entries to a word.
            words = words.astype("<u2").view(np.uint8).astype(np.uint16)
    if len(words) < count:
        return None
    first = descriptor[1] & 0xFFFF
    return first - 65536 if signed and first >= 32768 else first, words[:count], descriptor[2]


def _once(tables: list[LookupTable]) -> tuple[LookupTable, ...]:
    """One table when all are equal."""
    same = all(
        table.first == tables[0].first and np.array_equal(table.entries, tables[0].entries) for table in tables[1:]
    )
    return tuple(tables[:1] if same else tables)


def _is_dose(document: _Item, item: _Item) -> bool:
    """PS3.3 C.8.8.3: a dose grid has no rescale; Dose Grid Scaling (3004,000E) gives Dose Units."""
    return item.get("RescaleSlope") is None and document.get("DoseGridScaling") is not None


def _unit(document: _Item, item: _Item) -> str:
    """PS3.3 C.11.1: Rescale Type; PET's Units (0054,1001); HU where a CT does not say otherwise."""
    named = _text(item, "RescaleType")
    if named and named not in {"US", "normalized"}:  # US: unspecified.
        return named
    if units := _text(document, "DoseUnits" if _is_dose(document, item) else "Units"):
        return units
    is_ct = _text(document, "Modality") == "CT" and item.get("RescaleIntercept") is not None
    return "HU" if is_ct and not named else ""


def _padding(document: _Item, findings: dict[str, None]) -> tuple[float, float] | None:
    value = _number(document, "PixelPaddingValue", findings)
    if value is None:
        return None
    limit = _number(document, "PixelPaddingRangeLimit", findings)
    return (value, value) if limit is None else (min(value, limit), max(value, limit))


def _pixel_aspect(document: _Item, findings: dict[str, None]) -> float:
    """PS3.3 C.7.6.3.1.7: vertical size, horizontal size."""
    ratio = _listed(document.get("PixelAspectRatio"))
    if not ratio:
        return 1.0
    if len(ratio) != 2 or not all(isinstance(part, (int, float)) and part > 0 for part in ratio):
        findings["Pixel Aspect Ratio (0028,0034) is not two positive numbers; 1 is shown."] = None
        return 1.0
    return float(ratio[0] / ratio[1])


def _number(item: _Item, keyword: str, findings: dict[str, None]) -> float | None:
    value = item.get(keyword)
    if value is None:
        return None
    if isinstance(value, (int, float)) and math.isfinite(value):
        return float(value)
    findings[f"{keyword} is not one finite number; it was put aside."] = None
    return None


def _text(item: _Item, keyword: str) -> str:
    value = item.get(keyword)
    return value if isinstance(value, str) else ""


def _listed(value: object) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]
