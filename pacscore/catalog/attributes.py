"""Which attributes have a column of their own, and at which level they stand.

The list holds what PS3.18 Table 10.6.1-5 and PS3.4 C.6.1.1 name for patients, studies and series, and what people look
for besides. Everything else lies in the series' document. Patient attributes stand in the study row: a patient is a
view over studies.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """What one answer of a query is."""

    PATIENT = "patient"
    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"


@dataclass(frozen=True, slots=True)
class Attribute:
    """A DICOM attribute with a column; ``indexed`` when an index serves it, ``whole`` when that has all rows."""

    keyword: str
    tag: int
    vr: str
    level: Level
    indexed: bool
    whole: bool

    @property
    def table(self) -> str:
        """The table that holds it."""
        return "series" if self.level is Level.SERIES else "study"

    @property
    def column(self) -> str:
        """Its column: the keyword in snake case."""
        return snake_case(self.keyword)

    @property
    def folded_column(self) -> str:
        """The column that queries compare: folded for person names, else the attribute's own."""
        return f"{self.column}_folded" if self.vr == "PN" else self.column


def snake_case(keyword: str) -> str:
    """The column name of a keyword.

    Examples
    --------
    >>> snake_case("StudyInstanceUID"), snake_case("IssuerOfPatientID")
    ('study_instance_uid', 'issuer_of_patient_id')
    """
    words = keyword.replace("IDs", "Ids")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", words).lower()


# Keyword, tag, VR. A star marks an index of the rows that state it: what a kind of image never states costs it nothing.
# A plus marks an index of all rows, which can also give an order. Study Date is searched in `sort_date`.
_TEXT = {
    Level.PATIENT: """
        PatientName 00100010 PN +
        PatientID 00100020 LO +
        IssuerOfPatientID 00100021 LO *
        PatientBirthDate 00100030 DA +
        PatientBirthTime 00100032 TM
        PatientSex 00100040 CS *
        EthnicGroup 00102160 SH
        PatientComments 00104000 LT
        OtherPatientIDs 00101000 LO *
        OtherPatientNames 00101001 PN *
    """,
    Level.STUDY: """
        StudyInstanceUID 0020000D UI *
        StudyDate 00080020 DA
        StudyTime 00080030 TM *
        AccessionNumber 00080050 SH +
        StudyID 00200010 SH *
        StudyDescription 00081030 LO +
        ReferringPhysicianName 00080090 PN *
        PhysiciansOfRecord 00081048 PN *
        NameOfPhysiciansReadingStudy 00081060 PN *
        AdmittingDiagnosesDescription 00081080 LO
        PatientAge 00101010 AS *
        PatientSize 00101020 DS
        PatientWeight 00101030 DS
        Occupation 00102180 SH
        AdditionalPatientHistory 001021B0 LT
        OtherStudyNumbers 00201070 IS
        TimezoneOffsetFromUTC 00080201 SH
    """,
    Level.SERIES: """
        SeriesInstanceUID 0020000E UI *
        Modality 00080060 CS +
        SeriesNumber 00200011 IS +
        SeriesDescription 0008103E LO +
        SeriesDate 00080021 DA +
        SeriesTime 00080031 TM
        BodyPartExamined 00180015 CS +
        Laterality 00200060 CS *
        ProtocolName 00181030 LO *
        PatientPosition 00185100 CS
        PerformedProcedureStepStartDate 00400244 DA *
        PerformedProcedureStepStartTime 00400245 TM *
        PerformedProcedureStepID 00400253 SH *
        PerformedProcedureStepDescription 00400254 LO *
        Manufacturer 00080070 LO *
        ManufacturerModelName 00081090 LO *
        StationName 00081010 SH *
        InstitutionName 00080080 LO *
        InstitutionalDepartmentName 00081040 LO
        DeviceSerialNumber 00181000 LO *
        PerformingPhysicianName 00081050 PN *
        OperatorsName 00081070 PN *
        FrameOfReferenceUID 00200052 UI *
        ContrastBolusAgent 00180010 LO *
        SequenceName 00180024 SH *
        MagneticFieldStrength 00180087 DS
        SliceThickness 00180050 DS
    """,
}


def _parse() -> tuple[Attribute, ...]:
    found = []
    for level, text in _TEXT.items():
        for line in text.split("\n"):
            words = line.split()
            if words:
                found.append(
                    Attribute(words[0], int(words[1], 16), words[2], level, words[-1] in {"*", "+"}, words[-1] == "+")
                )
    return tuple(found)


ATTRIBUTES: tuple[Attribute, ...] = _parse()
BY_KEYWORD: dict[str, Attribute] = {attribute.keyword: attribute for attribute in ATTRIBUTES}
STUDY_ATTRIBUTES = tuple(a for a in ATTRIBUTES if a.table == "study" and a.keyword != "StudyInstanceUID")
SERIES_ATTRIBUTES = tuple(a for a in ATTRIBUTES if a.table == "series" and a.keyword != "SeriesInstanceUID")

# Nested attributes that PS3.18 requires as matching keys of a series; their values stand in the table `term`.
TERM_PATHS: tuple[tuple[str, str], ...] = (
    ("RequestAttributesSequence", "ScheduledProcedureStepID"),
    ("RequestAttributesSequence", "RequestedProcedureID"),
    ("ProcedureCodeSequence", "CodeValue"),
    ("IssuerOfAccessionNumberSequence", "LocalNamespaceEntityID"),
)

# What can be found by a part of its text (`*x*`) through the trigram index.
TRIGRAM_STUDY = ("PatientName", "StudyDescription")
TRIGRAM_SERIES = ("SeriesDescription", "ProtocolName")

# What a receiver decodes of each instance so that the catalog can show its study and series at once.
STUDY_KEYWORDS: frozenset[str] = frozenset(
    [a.keyword for a in STUDY_ATTRIBUTES]
    + ["StudyInstanceUID", "ProcedureCodeSequence", "IssuerOfAccessionNumberSequence"]
)
SERIES_KEYWORDS: frozenset[str] = frozenset(
    [a.keyword for a in SERIES_ATTRIBUTES] + ["SeriesInstanceUID", "RequestAttributesSequence"]
)
INSTANCE_KEYWORDS: frozenset[str] = frozenset(
    ["SOPInstanceUID", "SOPClassUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated", "NumberOfFrames"]
)
CATALOG_KEYWORDS: frozenset[str] = STUDY_KEYWORDS | SERIES_KEYWORDS | INSTANCE_KEYWORDS
