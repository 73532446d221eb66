"""The information models and services this node speaks (PS3.4 C.6, J.3, A.4)."""

from __future__ import annotations

VERIFICATION = "1.2.840.10008.1.1"
STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"
STORAGE_COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"

PATIENT_FIND = "1.2.840.10008.5.1.4.1.2.1.1"
PATIENT_MOVE = "1.2.840.10008.5.1.4.1.2.1.2"
PATIENT_GET = "1.2.840.10008.5.1.4.1.2.1.3"
STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_GET = "1.2.840.10008.5.1.4.1.2.2.3"

SERVED = (
    VERIFICATION,
    PATIENT_FIND,
    PATIENT_MOVE,
    PATIENT_GET,
    STUDY_FIND,
    STUDY_MOVE,
    STUDY_GET,
    STORAGE_COMMITMENT,
)

PATIENT_ROOT = frozenset((PATIENT_FIND, PATIENT_MOVE, PATIENT_GET))

# Query/Retrieve Level (0008,0052) to the level of ``Archive.find`` and the unique key of the level (PS3.4 C.6.1.1).
LEVELS = {"PATIENT": "patient", "STUDY": "study", "SERIES": "series", "IMAGE": "instance"}
UNIQUE_KEYS = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}


def levels_of(sop_class_uid: str) -> tuple[str, ...]:
    """The query levels of a model, from the top."""
    return tuple(LEVELS) if sop_class_uid in PATIENT_ROOT else tuple(LEVELS)[1:]
