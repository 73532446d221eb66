"""Rows for the catalog's tests."""

from __future__ import annotations

import hashlib

from pacscore.catalog import Document, InstanceColumns, ReceivedRow, SeriesRow, Value

CT = "1.2.840.10008.5.1.4.1.1.2"


def key_of(study: str, series: str) -> str:
    return hashlib.sha256(f"{study}/{series}".encode()).hexdigest()[:32]


def document_of(study: str = "1.2.3", **changes: Value) -> dict[str, Value]:
    document: dict[str, Value] = {
        "PatientName": "Müller^Jörg",
        "PatientID": "P1",
        "StudyDate": "20200101",
        "StudyTime": "1030",
        "Modality": "CT",
        "SeriesDescription": "Thorax 5.0 B31f",
        "KVP": 120.0,
    }
    return {**document, **changes}


def received(study: str, series: str, number: int, **changes: Value) -> ReceivedRow:
    uid = f"{series}.{number}"
    return ReceivedRow(
        key=key_of(study, series),
        position=f"0:1:{uid}",
        study_instance_uid=study,
        series_instance_uid=series,
        sop_instance_uid=uid,
        sop_class_uid=CT,
        document={**document_of(study), "SOPInstanceUID": uid, "InstanceNumber": number, **changes},
        digest=hashlib.sha256(uid.encode()).digest(),
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        length=1000,
    )


def sealed(
    study: str, series: str, count: int, document: Document | None = None, **fields: object
) -> tuple[SeriesRow, InstanceColumns]:
    uids = [f"{series}.{number}" for number in range(count)]
    row = SeriesRow(
        key=key_of(study, series),
        study_instance_uid=study,
        series_instance_uid=series,
        document=document_of(study) if document is None else document,
        generation=f"series/{key_of(study, series)}.zip",
        **{"verdict": "regular", "varying": ("InstanceNumber", "SOPInstanceUID"), **fields},  # type: ignore[arg-type]
    )
    return row, InstanceColumns(uids, [CT], instance_numbers=list(range(count)))
