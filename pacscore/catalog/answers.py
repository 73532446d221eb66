"""Rows as answers: mappings by DICOM keyword, absent attributes left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Column, Connection, bindparam, func, select

from pacscore.catalog import schema
from pacscore.catalog.attributes import SERIES_ATTRIBUTES, STUDY_ATTRIBUTES, Level
from pacscore.catalog.encoding import attribute_value
from pacscore.catalog.rows import Value

Answer: TypeAlias = dict[str, Value]

_STUDY = schema.study.c
_SERIES = schema.series.c
STUDY_COLUMNS: tuple[Column[Any], ...] = (
    _STUDY.id, _STUDY.study_instance_uid, _STUDY.patient_key, _STUDY.sort_date,
    *(_STUDY[attribute.column] for attribute in STUDY_ATTRIBUTES),
    *(_STUDY[attribute.folded_column] for attribute in STUDY_ATTRIBUTES if attribute.vr == "PN"),
)  # fmt: skip
SERIES_COLUMNS: tuple[Column[Any], ...] = (
    _SERIES.id, _SERIES.key, _SERIES.study_row, _SERIES.sort_date, _SERIES.series_instance_uid, _SERIES.verdict,
    _SERIES.instance_count, _SERIES.journal_current, _SERIES.journal_count,
    *(_SERIES[attribute.column] for attribute in SERIES_ATTRIBUTES),
    *(_SERIES[attribute.folded_column] for attribute in SERIES_ATTRIBUTES if attribute.vr == "PN"),
)  # fmt: skip
# Where each column stands in a row of study columns, series columns and the document.
PLACES: dict[Column[Any], int] = {column: at for at, column in enumerate((*STUDY_COLUMNS, *SERIES_COLUMNS))}
DOCUMENT_PLACE = len(PLACES)
_STUDY_PLACES = tuple((attribute, PLACES[_STUDY[attribute.column]]) for attribute in STUDY_ATTRIBUTES)
_PATIENT_PLACES = tuple(pair for pair in _STUDY_PLACES if pair[0].level is Level.PATIENT)
_SERIES_PLACES = tuple((attribute, PLACES[_SERIES[attribute.column]]) for attribute in SERIES_ATTRIBUTES)


def place(row: Sequence[Any], column: Column[Any]) -> Any:
    """What a row holds in a column."""
    return row[PLACES[column]]


def study_answer(row: Sequence[Any]) -> Answer:
    """The study part of a row."""
    answer: Answer = {"StudyInstanceUID": place(row, _STUDY.study_instance_uid)}
    for attribute, at in _STUDY_PLACES:
        if row[at] is not None:
            answer[attribute.keyword] = attribute_value(attribute, row[at])
    return answer


def series_answer(row: Sequence[Any]) -> Answer:
    """A whole row."""
    answer = study_answer(row)
    answer["SeriesInstanceUID"] = place(row, _SERIES.series_instance_uid)
    for attribute, at in _SERIES_PLACES:
        if row[at] is not None:
            answer[attribute.keyword] = attribute_value(attribute, row[at])
    answer["NumberOfSeriesRelatedInstances"] = place(row, _SERIES.instance_count) + place(row, _SERIES.journal_current)
    answer["geometry"] = place(row, _SERIES.verdict)
    return answer


def complete_studies(connection: Connection, answers: Mapping[int, Answer]) -> None:
    """Add what is counted and gathered over the series of each study."""
    count = _SERIES.instance_count + _SERIES.journal_current
    totals = (
        select(_SERIES.study_row, _SERIES.modality, func.count(), func.sum(count))
        .where(_SERIES.study_row.in_(bindparam("studies", expanding=True)))
        .group_by(_SERIES.study_row, _SERIES.modality)
        .order_by(_SERIES.study_row, _SERIES.modality)
    )
    modalities: dict[int, list[Value]] = {number: [] for number in answers}
    for answer in answers.values():
        answer["NumberOfStudyRelatedSeries"] = answer["NumberOfStudyRelatedInstances"] = 0
    for number, modality, series, instances in connection.execute(totals, {"studies": list(answers)}):
        if modality is not None:
            modalities[number].append(modality)
        _add(answers[number], "NumberOfStudyRelatedSeries", series)
        _add(answers[number], "NumberOfStudyRelatedInstances", instances)
    for number, found in modalities.items():
        if found:
            answers[number]["ModalitiesInStudy"] = found


def sop_classes(connection: Connection, numbers: Iterable[int]) -> dict[int, list[Value]]:
    """The SOP classes in each study."""
    link, kind = schema.series_class.c, schema.sop_class.c
    found: dict[int, list[Value]] = {}
    statement = (
        select(_SERIES.study_row, kind.uid)
        .join_from(schema.series, schema.series_class, link.series_id == _SERIES.id)
        .join(schema.sop_class, kind.id == link.class_id)
        .where(_SERIES.study_row.in_(bindparam("studies", expanding=True)))
        .distinct()
        .order_by(_SERIES.study_row, kind.uid)
    )
    for number, uid in connection.execute(statement, {"studies": list(numbers)}):
        found.setdefault(number, []).append(uid)
    return found


def patient_answers(connection: Connection, keys: Sequence[int]) -> dict[int, Answer]:
    """Patients: each attribute from the first study, by number, that states it; with what is counted over all."""
    answers: dict[int, Answer] = {key: {} for key in keys}
    studies: dict[int, int] = {}
    statement = (
        select(*STUDY_COLUMNS).where(_STUDY.patient_key.in_(bindparam("patients", expanding=True))).order_by(_STUDY.id)
    )
    for row in connection.execute(statement, {"patients": list(keys)}):
        patient = place(row, _STUDY.patient_key)
        studies[place(row, _STUDY.id)] = patient
        for attribute, at in _PATIENT_PLACES:
            if row[at] is not None:
                answers[patient].setdefault(attribute.keyword, attribute_value(attribute, row[at]))
        _add(answers[patient], "NumberOfPatientRelatedStudies", 1)
    count = _SERIES.instance_count + _SERIES.journal_current
    totals = (
        select(_STUDY.patient_key, func.count(), func.sum(count))
        .join_from(schema.series, schema.study, _STUDY.id == _SERIES.study_row)
        .where(_STUDY.patient_key.in_(bindparam("patients", expanding=True)))
        .group_by(_STUDY.patient_key)
    )
    for patient, series, instances in connection.execute(totals, {"patients": list(keys)}):
        answers[patient]["NumberOfPatientRelatedSeries"] = series
        answers[patient]["NumberOfPatientRelatedInstances"] = instances
    return answers


def _add(answer: Answer, keyword: str, count: int) -> None:
    before = answer.get(keyword, 0)
    assert isinstance(before, int)
    answer[keyword] = before + count
