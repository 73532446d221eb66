"""Frame headers from the functional groups of enhanced multi-frame objects, PS3.3 C.7.6.16.

A group that differs from frame to frame stands in the frame's item of the Per-Frame Functional Groups Sequence
(5200,9230), one that does not in the Shared Functional Groups Sequence (5200,9229). Legacy converted objects keep
classic attributes in two more groups; what stands at the top level comes last.
"""

from __future__ import annotations

from pacscore.geometry.attributes import ATTRIBUTES, INDEX, Document, Label
from pacscore.geometry.diffusion import macro_diffusion
from pacscore.geometry.header import (
    FRAMES,
    MOSAIC,
    VOLUME,
    FrameHeader,
    complex_component,
    first_item,
    number,
    place,
    text,
    texts,
)

GROUPS_KEYWORDS: frozenset[str] = frozenset(("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"))

_FRAME_TYPES = (
    "MRImageFrameTypeSequence",
    "CTImageFrameTypeSequence",
    "PETFrameTypeSequence",
    "XAXRFFrameTypeSequence",
    "ParametricMapFrameTypeSequence",
    "MRSpectroscopyFrameTypeSequence",
)
_UNASSIGNED = ("UnassignedPerFrameConvertedAttributesSequence", "UnassignedSharedConvertedAttributesSequence")
_B_VALUE, _DIFFUSION, _IMAGE_TYPE = INDEX["b_value"], INDEX["diffusion"], INDEX["image_type"]

Groups = dict[str, object]


def grouped_frames(document: Document, top: FrameHeader, frame_count: int) -> list[FrameHeader]:
    """The frames of an enhanced object.

    Parameters
    ----------
    document
        The object's attribute values.
    top
        The header that the top level alone gives; where no functional group says more, it holds.
    frame_count
        Number of Frames; frames without an item in the Per-Frame sequence have the shared groups only.
    """
    shared = dict(first_item(document.get("SharedFunctionalGroupsSequence")))
    items = document.get("PerFrameFunctionalGroupsSequence")
    if not isinstance(items, list):
        items = []
    frames: list[FrameHeader] = []
    for index in range(frame_count):
        item = items[index] if index < len(items) and isinstance(items[index], dict) else {}
        frames.append(_frame(document, top, shared | item, index, alone=frame_count == 1))
    return frames


def _frame(document: Document, top: FrameHeader, groups: Groups, index: int, *, alone: bool) -> FrameHeader:
    position = first_item(groups.get("PlanePositionSequence")).get("ImagePositionPatient")
    orientation = first_item(groups.get("PlaneOrientationSequence")).get("ImageOrientationPatient")
    measures = first_item(groups.get("PixelMeasuresSequence"))
    if position is None and alone:
        position = document.get("ImagePositionPatient")
    located = place(
        position,
        document.get("ImageOrientationPatient") if orientation is None else orientation,
        measures.get("PixelSpacing") or document.get("PixelSpacing"),
    )
    content = first_item(groups.get("FrameContentSequence"))
    frame_type = _frame_type(groups)
    image_type = texts(frame_type.get("FrameType")) or top.image_type
    stated = frame_type.get("ComplexImageComponent")
    component = (
        complex_component({"ComplexImageComponent": stated, "Modality": document.get("Modality")}, image_type)
        or top.component
    )
    kind = VOLUME if top.pixels.samples == 1 and not located.problems else FRAMES
    dimensions = content.get("DimensionIndexValues")
    spacing = number(measures.get("SpacingBetweenSlices"))
    return FrameHeader(
        top.instance,
        index,
        top.sop_instance_uid,
        top.instance_number,
        top.pixels,
        top.bits_stored,
        top.high_bit,
        MOSAIC if top.kind == MOSAIC else kind,
        image_type,
        component,
        located.position,
        located.orientation,
        located.pixel_spacing,
        top.stated_spacing if spacing is None else spacing,
        top.tilt,
        top.frame_of_reference_uid,
        text(content.get("StackID")) or top.stack_id,
        _labels(top, groups, image_type),
        tuple(value for value in dimensions if type(value) is int) if isinstance(dimensions, list) else (),
        located.problems,
    )


def _labels(top: FrameHeader, groups: Groups, image_type: tuple[str, ...]) -> tuple[Label | None, ...]:
    labels = list(top.labels)
    converted = [first_item(groups[name]) for name in _UNASSIGNED if name in groups]
    for index, attribute in enumerate(ATTRIBUTES):
        sources = [
            (first_item(groups[sequence]), keyword) for sequence, keyword in attribute.macros if sequence in groups
        ]
        sources += [(item, keyword) for item in converted for keyword in attribute.keywords]
        for item, keyword in sources:
            value = item.get(keyword)
            if value is not None:
                labels[index] = text(value) if attribute.text else number(value)
                break
    weighting = macro_diffusion(first_item(groups.get("MRDiffusionSequence")))
    if weighting is not None:
        labels[_B_VALUE], labels[_DIFFUSION] = weighting[0], weighting
    labels[_IMAGE_TYPE] = "\\".join(image_type[3:])
    return tuple(labels)


def _frame_type(groups: Groups) -> Document:
    for name in _FRAME_TYPES:
        if name in groups:
            return first_item(groups[name])
    return {}
