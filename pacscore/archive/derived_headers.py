"""What of a source's header is still true of an object derived from it.

H1  Only public elements that can be decoded are carried over. Private ones describe the pixels they came with: slopes,
    mosaics, masks.
H2  A CT, MR or PET image derived from one of its kind keeps how it was acquired; an object of another class keeps
    patient, study, series and equipment.
H3  Nothing that speaks of the source's own pixels, identity or place is carried over: the caller states those anew.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
PET_IMAGE = "1.2.840.10008.5.1.4.1.1.128"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
SLICE_CLASSES = frozenset({CT_IMAGE, MR_IMAGE, PET_IMAGE})
"""SOP Classes of one slice per object, whose header fits a slice derived from it."""

_PATIENT_GROUPS = frozenset({0x0010, 0x0012})
_ACQUISITION_GROUPS = _PATIENT_GROUPS | {0x0008, 0x0018, 0x0020, 0x0032, 0x0038, 0x0040, 0x0054}

# Patient, General Study, Patient Study, General Series, General Equipment, Frame of Reference: PS3.3 C.7.1 to C.7.5.
_CARRIED_KEYWORDS = (
    "SpecificCharacterSet", "TimezoneOffsetFromUTC", "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber",
    "IssuerOfAccessionNumberSequence", "ReferringPhysicianName", "ReferringPhysicianIdentificationSequence",
    "ConsultingPhysicianName", "PhysiciansOfRecord", "PhysiciansOfRecordIdentificationSequence",
    "NameOfPhysiciansReadingStudy", "StudyID", "StudyDescription", "ProcedureCodeSequence", "ReferencedStudySequence",
    "AdmittingDiagnosesDescription", "AdmittingDiagnosesCodeSequence", "AdmissionID", "ReasonForVisit", "Modality",
    "SeriesNumber", "Laterality", "ImageLaterality", "BodyPartExamined", "AnatomicRegionSequence", "PatientPosition",
    "ProtocolName", "PerformingPhysicianName", "OperatorsName", "RequestAttributesSequence", "Manufacturer",
    "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions", "InstitutionName", "InstitutionAddress",
    "InstitutionalDepartmentName", "StationName", "ContributingEquipmentSequence", "FrameOfReferenceUID",
    "PositionReferenceIndicator", "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime",
)  # fmt: skip

# True of the pixels, of general worth, and short.
_PIXEL_KEYWORDS = (
    "BurnedInAnnotation", "RecognizableVisualFeatures",
    "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod",
)  # fmt: skip

_DROPPED_KEYWORDS = (
    "ImageType", "InstanceCreationDate", "InstanceCreationTime", "InstanceCreatorUID", "SOPClassUID",
    "RelatedGeneralSOPClassUID", "OriginalSpecializedSOPClassUID", "SOPInstanceUID", "SeriesDate", "SeriesTime",
    "ContentDate", "ContentTime", "QueryRetrieveLevel", "RetrieveAETitle", "InstanceAvailability",
    "FailedSOPInstanceUIDList", "SeriesDescription", "SeriesDescriptionCodeSequence",
    "ReferencedPerformedProcedureStepSequence",
    "ReferencedSeriesSequence", "ReferencedImageSequence", "ReferencedInstanceSequence", "DerivationDescription",
    "DerivationCodeSequence", "SourceImageSequence", "PrivateDataElementCharacteristicsSequence",
    "SpacingBetweenSlices", "SeriesInstanceUID", "InstanceNumber", "ImagePosition", "ImagePositionPatient",
    "ImageOrientation", "ImageOrientationPatient", "Location", "ImageGeometryType", "PatientOrientation",
    "ImagesInAcquisition", "SliceLocation", "ImageComments", "NumberOfSlices", "ImageIndex",
)  # fmt: skip

# Counts of queries, and the performed procedure step: another step made this series.
_DROPPED_RANGES = ((0x00201200, 0x00201209), (0x00400241, 0x00400260), (0x00400280, 0x00400280))

_PLACE_KEYWORDS = ("SliceThickness", "ReconstructionDiameter", "GantryDetectorTilt", "DataCollectionDiameter")

# What pydicom raises for values that are not what their VR says.
_UNDECODABLE = (ValueError, TypeError, ArithmeticError, LookupError, NotImplementedError, struct.error)


def carried_header(source: Dataset, *, same_class: bool, same_place: bool) -> Dataset:
    """The part of a source's header that holds for an object derived from it.

    Parameters
    ----------
    source : Dataset
        It is not changed.
    same_class : bool
        The derived object is of the source's SOP Class, one of ``SLICE_CLASSES``.
    same_place : bool
        Its pixels lie where the source's do, so that slice thickness and tilt still hold.
    """
    carried, dropped = _tags(_CARRIED_KEYWORDS + _PIXEL_KEYWORDS), _tags(_DROPPED_KEYWORDS)
    if not same_place:
        dropped |= _tags(_PLACE_KEYWORDS)

    def is_wanted(tag: int) -> bool:
        group = tag >> 16
        if tag in carried or group in _PATIENT_GROUPS:
            return True
        refused = tag in dropped or any(first <= tag <= last for first, last in _DROPPED_RANGES)
        return same_class and group in _ACQUISITION_GROUPS and not refused

    return _copied(source, is_wanted)


def _tags(keywords: tuple[str, ...]) -> set[int]:
    from pydicom.datadict import tag_for_keyword

    return {tag for tag in map(tag_for_keyword, keywords) if tag is not None}


def _copied(source: Dataset, is_wanted: Callable[[int], bool]) -> Dataset:
    """A copy of the wanted public elements, the items of sequences with all of theirs (H1)."""
    from pydicom import config
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

    copy = Dataset()
    for tag in source.keys():  # noqa: SIM118  # Iterating a Dataset itself decodes every element.
        if tag.is_private or not is_wanted(int(tag)):
            continue
        try:
            element = source[tag]
            if element.VR == "UN" or " or " in element.VR:
                continue
            value = [_copied(item, lambda tag: True) for item in element.value] if element.VR == "SQ" else element.value
        except _UNDECODABLE:
            continue
        copy[tag] = DataElement(
            tag, element.VR, value, already_converted=element.VR != "SQ", validation_mode=config.IGNORE
        )
    return copy
