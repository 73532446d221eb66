"""From the attribute values of an object to its frame headers.

Classic objects have one frame, or several without places of their own; RT Dose keeps its planes in the Grid Frame
Offset Vector; enhanced objects have functional groups (``functional_groups.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import NamedTuple

from pacscore.errors import LimitError
from pacscore.geometry import diffusion
from pacscore.geometry.attributes import ATTRIBUTES, INDEX, Document, Label
from pacscore.geometry.functional_groups import GROUPS_KEYWORDS, grouped_frames
from pacscore.geometry.header import (
    FRAMES,
    GE_COMPONENT,
    MOSAIC,
    VOLUME,
    FrameHeader,
    Place,
    complex_component,
    count,
    number,
    pixel_class,
    place,
    stored_bits,
    text,
    texts,
    vector,
)

_OWN_KEYWORDS = """
    SOPInstanceUID InstanceNumber Modality ImageType NumberOfFrames FrameOfReferenceUID StackID
    Rows Columns SamplesPerPixel BitsAllocated BitsStored HighBit PixelRepresentation
    PhotometricInterpretation PlanarConfiguration ComplexImageComponent
    ImagePositionPatient ImageOrientationPatient PixelSpacing SpacingBetweenSlices GantryDetectorTilt
    AcquisitionDateTime AcquisitionDate AcquisitionTime ContentDate ContentTime
    TotalPixelMatrixRows GridFrameOffsetVector
"""

GEOMETRY_KEYWORDS: frozenset[str] = (
    frozenset(_OWN_KEYWORDS.split())
    | {GE_COMPONENT}
    | {keyword for attribute in ATTRIBUTES for keyword in attribute.keywords}
    | diffusion.KEYWORDS
    | GROUPS_KEYWORDS
)
"""Top-level keys that ``frames_of`` reads; private ones as ``CREATOR:ggggxxee``."""

FRAME_COUNT_MAX = 1_000_000
_KNOWN_MAX = 4

# Labels that come from one element: (place in the tuple, keyword, whether text); _OWN ones differ from frame to frame.
_OWN_LABELS = {"FrameReferenceTime", "TriggerTime", "AcquisitionNumber"}
_SIMPLE = tuple(
    (index, attribute.keywords[0], attribute.text) for index, attribute in enumerate(ATTRIBUTES) if attribute.keywords
)
_OWN = tuple(each for each in _SIMPLE if each[1] in _OWN_LABELS)
_MOMENTS = {"AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime", "ContentDate", "ContentTime"}
_REPEATED = GEOMETRY_KEYWORDS - _OWN_LABELS - _MOMENTS - {"SOPInstanceUID", "InstanceNumber", "ImagePositionPatient"}
_B_VALUE, _DIFFUSION, _IMAGE_TYPE = INDEX["b_value"], INDEX["diffusion"], INDEX["image_type"]
_ACQUISITION_TIME, _CONTENT_TIME = INDEX["acquisition_time"], INDEX["content_time"]


def frames_of(document: Document, instance: int) -> list[FrameHeader]:
    """The frames of one object; see ``FrameReader.read``."""
    return FrameReader().read(document, instance)


class _Known(NamedTuple):
    """An object of one placed frame, and what is compared with the next."""

    keys: tuple[str, ...]
    take: Callable[[Document], tuple[object, ...]]
    values: tuple[object, ...]
    take_numbers: Callable[[Document], tuple[object, ...]]
    number_types: tuple[type, ...]
    frame: FrameHeader

    @classmethod
    def of(cls, document: Document, frame: FrameHeader) -> _Known | None:
        keys = [key for key in document if key in _REPEATED]
        if len(keys) < 2:  # One key alone is taken without a tuple around it.
            return None
        numbers = [key for key in keys if isinstance(document[key], int | float)]
        # Two names of one key where there are fewer, for the same reason.
        take_numbers = itemgetter(*numbers, *numbers) if numbers else _nothing
        values = tuple(document[key] for key in keys)
        types = tuple(map(type, take_numbers(document)))
        return cls(tuple(document), itemgetter(*keys), values, take_numbers, types, frame)


class FrameReader:
    """Reads the frames of one object after another, best of one series.

    Objects of a series say mostly the same, or one of a few things: what one of those before said is not checked again
    where this one repeats it. That takes 2 µs in place of 6. What is returned does not depend on what was read before.
    """

    def __init__(self) -> None:
        self._known: list[_Known] = []  # What came last comes first.

    def read(self, document: Document, instance: int) -> list[FrameHeader]:
        """The frames of one object.

        Parameters
        ----------
        document
            Attribute values by keyword; those of ``GEOMETRY_KEYWORDS`` suffice.
        instance
            The caller's number for the object; it comes back in ``Stack.frames``.

        Returns
        -------
        list of FrameHeader
            One for each frame, in their order; none if the object describes no pixels.

        Raises
        ------
        LimitError
            Number of Frames (0028,0008) exceeds 1,000,000.
        """
        order = tuple(document)  # Of one making it is the same, and comparing it is cheaper than comparing sets.
        for index, known in enumerate(self._known):
            if order == known.keys and known.take(document) == known.values:
                position = vector(document.get("ImagePositionPatient"), 3)
                # 512 and 512.0 are equal, and yet not the same to who reads them.
                if position is not None and tuple(map(type, known.take_numbers(document))) == known.number_types:
                    if index:
                        self._known.insert(0, self._known.pop(index))
                    return [_repeated(known.frame, document, instance, position)]
        frames = _read_frames(document, instance)
        is_alone = len(frames) == 1 and not _is_grouped(document) and "GridFrameOffsetVector" not in document
        if is_alone and frames[0].position is not None:
            found = _Known.of(document, frames[0])
            self._known = ([found] if found is not None else []) + self._known[: _KNOWN_MAX - 1]
        return frames


def _nothing(_: Document) -> tuple[object, ...]:
    return ()


def _is_grouped(document: Document) -> bool:
    get = document.get
    return bool(get("SharedFunctionalGroupsSequence") or get("PerFrameFunctionalGroupsSequence"))


def _repeated(other: FrameHeader, document: Document, instance: int, position: tuple[float, ...]) -> FrameHeader:
    """The frame of an object that differs from another, of one placed frame, in its own attributes alone."""
    stated = document.get("InstanceNumber")
    labels = list(other.labels)
    _add_own_labels(document, labels)
    return FrameHeader(
        instance,
        0,
        text(document.get("SOPInstanceUID")),
        stated if type(stated) is int else None,
        other.pixels,
        other.bits_stored,
        other.high_bit,
        other.kind,
        other.image_type,
        other.component,
        position,
        other.orientation,
        other.pixel_spacing,
        other.stated_spacing,
        other.tilt,
        other.frame_of_reference_uid,
        other.stack_id,
        tuple(labels),
        (),
        other.problems,
    )


def _read_frames(document: Document, instance: int) -> list[FrameHeader]:
    pixels = pixel_class(document)
    if pixels is None:
        return []
    get = document.get
    frame_count = count(get("NumberOfFrames"), 1) or 1
    if frame_count > FRAME_COUNT_MAX:
        raise LimitError(
            f"Number of Frames (0028,0008) is {frame_count}, more than the {FRAME_COUNT_MAX} that can be stacked.",
            tag="00280008",
            expected=FRAME_COUNT_MAX,
            found=frame_count,
        )
    image_type = texts(get("ImageType"))
    grouped = _is_grouped(document)
    tiled = "TotalPixelMatrixRows" in document
    if tiled:
        located = Place(None, None, vector(get("PixelSpacing"), 2), ("tiled",))
    elif frame_count > 1 and not grouped and not get("GridFrameOffsetVector"):
        located = place(None, get("ImageOrientationPatient"), get("PixelSpacing"))
    else:
        located = place(get("ImagePositionPatient"), get("ImageOrientationPatient"), get("PixelSpacing"))
    stated = get("InstanceNumber")
    first = FrameHeader(
        instance,
        0,
        text(get("SOPInstanceUID")),
        stated if type(stated) is int else None,
        pixels,
        *stored_bits(document, pixels),
        frame_kind(image_type, located, pixels.samples),
        image_type,
        complex_component(document, image_type),
        located.position,
        located.orientation,
        located.pixel_spacing,
        number(get("SpacingBetweenSlices")),
        number(get("GantryDetectorTilt")),
        text(get("FrameOfReferenceUID")),
        text(get("StackID")),
        _labels(document, image_type),
        (),
        located.problems,
    )
    if grouped and not tiled:
        return grouped_frames(document, first, frame_count)
    if frame_count == 1:
        return [first]
    if get("GridFrameOffsetVector"):
        return _dose_frames(document, first, frame_count)
    return [first._replace(frame_index=index) for index in range(frame_count)]


def frame_kind(image_type: tuple[str, ...], located: Place, samples: int) -> str:
    """What a frame can be part of.

    Siemens names tiled volumes MOSAIC in Image Type, United Imaging VFRAME.
    """
    if "MOSAIC" in image_type or "VFRAME" in image_type:
        return MOSAIC
    return VOLUME if samples == 1 and not located.problems else FRAMES


def _labels(document: Document, image_type: tuple[str, ...]) -> tuple[Label | None, ...]:
    get = document.get
    labels: list[Label | None] = [None] * len(ATTRIBUTES)
    for index, keyword, as_text in _SIMPLE:
        value = get(keyword)
        if value is not None:
            labels[index] = _label(value, as_text)
    if get("Modality") == "MR":
        weighting = diffusion.classic_diffusion(document)
        if weighting is not None:
            labels[_B_VALUE], labels[_DIFFUSION] = weighting[0], weighting
    labels[_IMAGE_TYPE] = "\\".join(image_type[3:])
    _add_own_labels(document, labels)
    return tuple(labels)


def _add_own_labels(document: Document, labels: list[Label | None]) -> None:
    """Those that differ from frame to frame: times, and what counts them."""
    get = document.get
    for index, keyword, as_text in _OWN:
        value = get(keyword)
        labels[index] = None if value is None else _label(value, as_text)
    moment = get("AcquisitionDateTime")
    labels[_ACQUISITION_TIME] = (
        moment if type(moment) is str and moment else _moment(get("AcquisitionDate"), get("AcquisitionTime"))
    )
    labels[_CONTENT_TIME] = _moment(get("ContentDate"), get("ContentTime"))


def _label(value: object, as_text: bool) -> Label | None:
    if type(value) is float:
        return value
    return text(value) if as_text else number(value)


def _moment(date: object, time: object) -> str | None:
    """Date and time as one DICOM date-time; without a date, on an unnamed day."""
    if type(time) is not str or not time:
        return None
    return f"{date}{time}" if type(date) is str and len(date) == 8 else f"00010101{time}"


def _dose_frames(document: Document, first: FrameHeader, frame_count: int) -> list[FrameHeader]:
    """The planes of an RT Dose, from the Grid Frame Offset Vector (3004,000C), PS3.3 C.8.8.3.2.

    If its first value is 0, the values are distances from the first plane along the normal. Otherwise they are
    the z coordinates of the planes, the first equal to that of Image Position (Patient), and the planes are axial.

    A dose grid stands for itself: those of several beams in one series are not frames of one stack.
    """
    first = first._replace(stack_id=first.sop_instance_uid)
    offsets = vector(document.get("GridFrameOffsetVector"), frame_count)
    origin, cosines = first.position, first.orientation
    if offsets is not None and origin is not None and cosines is not None:
        a, b, c, d, e, f = cosines
        normal = (b * f - c * e, c * d - a * f, a * e - b * d)
        if offsets[0] != 0.0 and abs(offsets[0] - origin[2]) <= 1e-3 and abs(abs(normal[2]) - 1.0) <= 1e-6:
            normal = (0.0, 0.0, 1.0)
            offsets = tuple(offset - offsets[0] for offset in offsets)
        if offsets[0] == 0.0:
            return [
                first._replace(
                    frame_index=index,
                    position=tuple(start + offset * along for start, along in zip(origin, normal, strict=True)),
                )
                for index, offset in enumerate(offsets)
            ]
    unplaced = first._replace(kind=FRAMES, position=None, problems=(*first.problems, "frame-offsets-unusable"))
    return [unplaced._replace(frame_index=index) for index in range(frame_count)]
