"""What stacking needs to know of one frame, and how it is read from attribute values of unknown quality.

Attribute values come as a mapping by keyword (``Document``). Nothing in it is trusted: a value of the wrong kind, not
finite or out of range counts as absent, and is named in ``FrameHeader.problems``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from pacscore.geometry.attributes import Document, Label
from pacscore.geometry.placement import is_orientation

MILLIMETRES_MAX = 1e6
"""No patient is a kilometre long: larger numbers are damage, and would overflow further on."""

_EXACT = 1 << 53  # Larger whole numbers are no float.

VOLUME, MOSAIC, FRAMES = "volume", "mosaic", "frames"

_COMPONENT_OF_IMAGE_TYPE = {"M": "MAGNITUDE", "P": "PHASE", "R": "REAL", "I": "IMAGINARY"}
# RawDataType of the creator GEMS_PARM_01.
_COMPONENT_OF_GE = {0.0: "MAGNITUDE", 1.0: "PHASE", 2.0: "REAL", 3.0: "IMAGINARY"}
GE_COMPONENT = "GEMS_PARM_01:0043xx2F"


class PixelClass(NamedTuple):
    """What frames must have in common to lie in one array (PS3.3 C.7.6.3).

    Bits Stored and High Bit are not part of it: both only tell how to read the words, and there are scans of which a
    few slices with brighter pixels state one bit more.
    """

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    signed: bool
    photometric: str
    planar: int

    @property
    def dtype(self) -> str:
        """NumPy's name for a sample as described: ``int16``, ``uint8``, ``bit``."""
        if self.bits_allocated == 1:
            return "bit"
        return f"{'int' if self.signed else 'uint'}{self.bits_allocated}"


class FrameHeader(NamedTuple):
    """One frame, as far as stacking goes.

    Attributes
    ----------
    instance : int
        The caller's number of the object.
    frame_index : int
        Within the object, from 0.
    bits_stored, high_bit : int
        How the words are to be read.
    kind : str
        What it can be part of: ``volume``, ``mosaic`` or ``frames``.
    position : three floats or None
        Image Position (Patient), mm LPS: the centre of the first pixel.
    orientation : six floats or None
        Image Orientation (Patient): row cosines (the direction of increasing column index), then column cosines.
    pixel_spacing : two floats or None
        Pixel Spacing, mm: between rows, then between columns.
    stated_spacing : float or None
        Spacing Between Slices, mm; only ever compared with what the positions say.
    tilt : float or None
        Gantry/Detector Tilt, degrees; only ever compared likewise.
    labels : tuple
        The values of ``attributes.ATTRIBUTES``, in their order.
    dimension_index : tuple of int
        Dimension Index Values.
    problems : tuple of str
        Codes of what was absent or unusable.
    """

    instance: int
    frame_index: int
    sop_instance_uid: str
    instance_number: int | None
    pixels: PixelClass
    bits_stored: int
    high_bit: int
    kind: str
    image_type: tuple[str, ...]
    component: str
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    pixel_spacing: tuple[float, ...] | None
    stated_spacing: float | None
    tilt: float | None
    frame_of_reference_uid: str
    stack_id: str
    labels: tuple[Label | None, ...]
    dimension_index: tuple[int, ...]
    problems: tuple[str, ...]


def number(value: object) -> float | None:
    """A finite number, or the first of several; None for all else."""
    if type(value) is list:
        value = value[0] if value else None
    # Exact types: isinstance on a union costs three times as much, and this runs many times for every frame.
    if type(value) is float:
        return value if math.isfinite(value) else None
    if type(value) is int and -_EXACT < value < _EXACT:
        return float(value)
    return None


def count(value: object, default: int) -> int:
    """A whole number of at least 0, or ``default``."""
    found = number(value)
    return int(found) if found is not None and found >= 0 and found == int(found) else default


def vector(value: object, length: int) -> tuple[float, ...] | None:
    """Exactly ``length`` finite numbers of a possible size, or None."""
    if not isinstance(value, list) or len(value) != length:
        return None
    for item in value:
        if type(item) is not float and type(item) is not int:
            return None
        if not -MILLIMETRES_MAX < item < MILLIMETRES_MAX:
            return None
    return tuple(map(float, value))


def text(value: object) -> str:
    """Text values as DICOM writes them, several joined by backslashes; empty if there is none."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\\".join(map(str, value))
    return "" if value is None or isinstance(value, dict) else str(value)


def texts(value: object) -> tuple[str, ...]:
    """The values of a code string."""
    if isinstance(value, list):
        return tuple(map(str, value))
    return (value,) if isinstance(value, str) and value else ()


def first_item(value: object) -> Document:
    """The first item of a sequence; an empty mapping if there is none."""
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return value[0]
    return {}


def pixel_class(document: Document) -> PixelClass | None:
    """The pixel class of an object; None if it describes no pixels."""
    get = document.get
    rows, columns = get("Rows"), get("Columns")
    allocated = get("BitsAllocated")
    if type(rows) is not int or type(columns) is not int or type(allocated) is not int:
        return None
    if rows <= 0 or columns <= 0 or allocated <= 0:
        return None
    return PixelClass(
        rows,
        columns,
        count(get("SamplesPerPixel"), 1) or 1,
        allocated,
        get("PixelRepresentation") == 1,
        text(get("PhotometricInterpretation")),
        count(get("PlanarConfiguration"), 0),
    )


def stored_bits(document: Document, pixels: PixelClass) -> tuple[int, int]:
    """Bits Stored and High Bit; where they are missing, all bits are."""
    stored = count(document.get("BitsStored"), pixels.bits_allocated)
    return stored, count(document.get("HighBit"), stored - 1)


def complex_component(document: Document, image_type: tuple[str, ...]) -> str:
    """MAGNITUDE, PHASE, REAL, IMAGINARY or MIXED; empty if nothing says so.

    Complex Image Component (0008,9208) of PS3.3 C.8.13.3.1.1; in classic MR objects, which have no attribute for it, a
    later value of Image Type by custom of several makers, or a private element.
    """
    stated = document.get("ComplexImageComponent")
    if isinstance(stated, str) and stated:
        return stated
    if document.get("Modality") != "MR":
        return ""
    for value in image_type[2:]:
        if value in _COMPONENT_OF_IMAGE_TYPE:
            return _COMPONENT_OF_IMAGE_TYPE[value]
    private = number(document.get(GE_COMPONENT))
    return "" if private is None else _COMPONENT_OF_GE.get(private, "")


class Place(NamedTuple):
    """The geometry attributes of one frame after checking, and what was wrong with them."""

    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    pixel_spacing: tuple[float, ...] | None
    problems: tuple[str, ...]


def place(position: object, orientation: object, spacing: object) -> Place:
    """Check Image Position (Patient), Image Orientation (Patient) and Pixel Spacing of one frame."""
    origin = vector(position, 3)
    cosines = vector(orientation, 6)
    between = vector(spacing, 2)
    if cosines is not None and not is_orientation(cosines):
        cosines = None
    if between is not None and (between[0] <= 0.0 or between[1] <= 0.0):
        between = None
    if origin is not None and cosines is not None and between is not None:
        return Place(origin, cosines, between, ())
    problems: list[str] = []
    for found, given, name in (
        (origin, position, "position"),
        (cosines, orientation, "orientation"),
        (between, spacing, "pixel-spacing"),
    ):
        if found is None:
            problems.append(f"{name}-missing" if given is None else f"{name}-unusable")
    return Place(origin, cosines, between, tuple(problems))
