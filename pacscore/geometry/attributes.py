"""The attributes that can tell frames of one plane apart, in the order in which they are tried.

A classic object states them at its top level; a multi-frame object in its functional groups (PS3.3 C.7.6.16).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

Document: TypeAlias = Mapping[str, object]
"""Attribute values by keyword. Whatever a stranger wrote may be in it: each reader checks what it takes."""
Label: TypeAlias = "float | str | tuple[float | None, ...]"


class Rule(Enum):
    """How an attribute separates the frames of one plane."""

    EXACT = "exact"
    """By value; a complete product of its values and the planes becomes an axis."""
    OCCURRENCE = "occurrence"
    """By value, then by order among equals: diffusion, where some values are measured several times."""
    SPLIT = "split"
    """By value, into stacks of their own: the values are different quantities."""
    RANKED = "ranked"
    """By order within each plane: times, which differ from slice to slice also within one volume."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One of them.

    Attributes
    ----------
    name, unit : str
        Of the axis it makes.
    rule : Rule
    keywords : tuple of str
        Where a classic object states it: the first that is there counts. Private ones as ``CREATOR:ggggxxee``.
    macros : tuple of (str, str)
        Where functional groups state it: (sequence, attribute of its item).
    text : bool
        Whether its value is compared as text.
    """

    name: str
    unit: str
    rule: Rule
    keywords: tuple[str, ...] = ()
    macros: tuple[tuple[str, str], ...] = ()
    text: bool = False


ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute("echo_time", "ms", Rule.EXACT, ("EchoTime",), (("MREchoSequence", "EffectiveEchoTime"),)),
    Attribute("echo_number", "", Rule.EXACT, ("EchoNumbers",)),
    Attribute("b_value", "s/mm2", Rule.EXACT, (), (("MRDiffusionSequence", "DiffusionBValue"),)),
    Attribute("diffusion", "", Rule.OCCURRENCE),
    Attribute("inversion_time", "ms", Rule.EXACT, ("InversionTime",), (("MRModifierSequence", "InversionTimes"),)),
    Attribute(
        "flip_angle", "deg", Rule.EXACT, ("FlipAngle",), (("MRTimingAndRelatedParametersSequence", "FlipAngle"),)
    ),
    Attribute(
        "repetition_time",
        "ms",
        Rule.EXACT,
        ("RepetitionTime",),
        (("MRTimingAndRelatedParametersSequence", "RepetitionTime"),),
    ),
    Attribute("tube_voltage", "kV", Rule.EXACT, ("KVP",), (("CTXRayDetailsSequence", "KVP"),)),
    Attribute(
        "cardiac_phase",
        "%",
        Rule.EXACT,
        ("NominalPercentageOfCardiacPhase",),
        (("CardiacSynchronizationSequence", "NominalPercentageOfCardiacPhase"),),
    ),
    Attribute(
        "trigger_delay", "ms", Rule.EXACT, (), (("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),)
    ),
    Attribute(
        "respiratory_phase",
        "%",
        Rule.EXACT,
        ("NominalPercentageOfRespiratoryPhase",),
        (("RespiratorySynchronizationSequence", "NominalPercentageOfRespiratoryPhase"),),
    ),
    Attribute("segment", "", Rule.EXACT, (), (("SegmentIdentificationSequence", "ReferencedSegmentNumber"),)),
    Attribute(
        "temporal_position",
        "",
        Rule.EXACT,
        ("TemporalPositionIdentifier",),
        (("FrameContentSequence", "TemporalPositionIndex"),),
    ),
    Attribute("time_offset", "s", Rule.EXACT, (), (("TemporalPositionSequence", "TemporalPositionTimeOffset"),)),
    Attribute("image_type", "", Rule.SPLIT, text=True),
    Attribute(
        "convolution_kernel",
        "",
        Rule.SPLIT,
        ("ConvolutionKernel",),
        (("CTReconstructionSequence", "ConvolutionKernel"),),
        text=True,
    ),
    Attribute("slice_thickness", "mm", Rule.SPLIT, ("SliceThickness",), (("PixelMeasuresSequence", "SliceThickness"),)),
    Attribute("time", "ms", Rule.RANKED, ("FrameReferenceTime",)),
    Attribute("trigger_time", "ms", Rule.RANKED, ("TriggerTime",)),
    Attribute(
        "acquisition_time", "s", Rule.RANKED, (), (("FrameContentSequence", "FrameAcquisitionDateTime"),), text=True
    ),
    Attribute(
        "acquisition", "", Rule.RANKED, ("AcquisitionNumber",), (("FrameContentSequence", "FrameAcquisitionNumber"),)
    ),
    Attribute("content_time", "s", Rule.RANKED, (), text=True),
    Attribute("phase_number", "", Rule.EXACT, ("Philips Imaging DD 001:2001xx08",)),
)

INDEX = {attribute.name: index for index, attribute in enumerate(ATTRIBUTES)}
