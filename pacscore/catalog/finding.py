"""Answers to queries, page by page.

Series and studies are searched in SQL, one short read per page, so that a long listing never holds back the writer's
checkpoints. What SQL could only narrow down is judged by ``matching``. A study is found through its series when the
query says something about them; a patient through studies; an instance through its series' documents, which the
caller supplies.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import islice
from threading import Event
from typing import Any, TypeAlias

from sqlalchemy import Connection, Join, Select, bindparam, select

from pacscore.catalog import answers, by_uid, dialect, paging, plan, schema
from pacscore.catalog.answers import Answer, place
from pacscore.catalog.attributes import BY_KEYWORD, INSTANCE_KEYWORDS, Level
from pacscore.catalog.conditions import Conditions, conditions_of
from pacscore.catalog.encoding import attribute_value
from pacscore.catalog.keys import COMPUTED, Query
from pacscore.catalog.matching import Test, matches
from pacscore.catalog.rows import Document, Value
from pacscore.errors import InputError, LimitError

# Given a series key and top-level keywords: the documents of its current instances, holding at least those keywords.
InstanceDocuments: TypeAlias = Callable[[str, frozenset[str]], Iterable[Document]]
Read: TypeAlias = Callable[[], AbstractContextManager[Connection]]
Row: TypeAlias = Sequence[Any]
_PAGE_MIN = 100
_STUDY, _SERIES = schema.study.c, schema.series.c


@dataclass(frozen=True, slots=True)
class Search:
    """Everything a find was asked, understood."""

    read: Read
    look: Read
    query: Query
    level: Level
    terms: tuple[paging.Term, ...]
    default_order: bool
    combined: bool
    limit: int | None
    place: tuple[Any, ...] | None
    instance_documents: InstanceDocuments | None
    cancel: Event | None
    page_rows: int

    @property
    def first_page(self) -> int:
        """How many rows to read at first."""
        return max(1, min(self.page_rows, max(_PAGE_MIN, self.limit or 10 * _PAGE_MIN)))


class Found(Iterator[Answer]):
    """The answers, one by one; ``after`` is the place behind the last one given (None before the first)."""

    def __init__(self, found: Iterator[tuple[Answer, tuple[Any, ...]]], search: Search) -> None:
        self._found = found
        self._search = search
        self._values: tuple[Any, ...] | None = None

    def __iter__(self) -> Found:
        return self

    def __next__(self) -> Answer:
        answer, self._values = next(self._found)
        return answer

    @property
    def after(self) -> str | None:
        """What to give the next find as ``after``, to go on behind the last answer."""
        if self._values is None:
            return None
        return paging.place_text(self._search.level, self._search.terms, self._values)


def run(search: Search) -> Found:
    """The answers to a search."""
    if search.limit is not None and search.limit < 0:
        raise LimitError("limit must be 0 or more.", found=search.limit)
    known = _by_identity(search)
    if known is not None:
        return Found(islice(known, search.limit), search)
    with search.read() as connection:
        conditions = conditions_of(connection, search.query, search.level, combined=search.combined)
    if search.level is Level.INSTANCE:
        if search.instance_documents is None:
            raise InputError("At instance level the catalog needs the instances' documents: ask the archive.")
        found = _instances(search, conditions)
    elif search.level is Level.SERIES:
        found = _series(search, conditions)
    elif search.level is Level.STUDY:
        found = _studies(search, conditions)
    else:
        found = _patients(search, conditions)
    return Found(islice(found, search.limit), search)


def _by_identity(search: Search) -> Iterator[tuple[Answer, tuple[Any, ...]]] | None:
    """The answer where UIDs alone are asked for, as retrieving peers do before they ask for the images."""
    uids = by_uid.uids_asked(search.query.tests, search.level)
    if uids is None or search.place is not None or _returns_documents(search.query):
        return None
    with search.look() as connection:
        rows = by_uid.rows_of(connection, uids, search.level)
    if rows is None:
        return None
    if search.level is Level.STUDY:
        return _answered_studies(search, iter([(row, {}) for row in rows]))
    return iter([(answers.series_answer(row), _values(search.terms, row)) for row in rows])


# Rows.


def _series(search: Search, conditions: Conditions) -> Iterator[tuple[Answer, tuple[Any, ...]]]:
    for row, document in _series_rows(search, conditions, search.place, inclusive=False):
        answer = answers.series_answer(row)
        _add_returned(answer, search.query, document)
        yield answer, _values(search.terms, row)


def _series_rows(
    search: Search, conditions: Conditions, after: Sequence[Any] | None, *, inclusive: bool
) -> Iterator[tuple[Row, Document]]:
    """The series that match, in order, from behind a place on; with their documents where these are needed."""
    whole = bool(conditions.documents) or _returns_documents(search.query)

    def statement(lead: str) -> Select[Any]:
        tables = _joined(lead)
        columns: list[Any] = [*answers.STUDY_COLUMNS, *answers.SERIES_COLUMNS]
        if whole:
            stored = schema.series_document
            tables = tables.join(stored, stored.c.series_id == _SERIES.id)
            columns.append(stored.c.document)
        return select(*columns).select_from(tables)

    for row in _pages(search, conditions, statement, _values, after, inclusive=inclusive):
        document = _document(search, row, conditions) if whole else {}
        if not _passes(row, conditions.checks):
            continue
        if search.level is Level.INSTANCE or _holds(document, conditions.documents):
            yield row, document


def _joined(lead: str) -> Join:
    """Series with their studies, so that SQLite searches ``lead`` first: only the other can be looked up."""
    if lead == "series":
        return schema.series.join(schema.study, _STUDY.id == dialect.unindexed(_SERIES.study_row))
    return schema.study.join(schema.series, _SERIES.study_row == dialect.unindexed(_STUDY.id))


def _pages(
    search: Search,
    conditions: Conditions,
    statement: Callable[[str], Select[Any]],
    values: Callable[[Sequence[paging.Term], Row], tuple[Any, ...]],
    after: Sequence[Any] | None,
    *,
    inclusive: bool,
    target: str = "series",
) -> Iterator[Row]:
    """The rows of a statement, made for the table that is searched first, page by page."""
    size = search.first_page
    order_lead = paging.order_lead(search.terms) if target == "series" else target
    chosen: plan.Plan | None = None
    while True:
        with search.read() as connection, dialect.cancelable(connection, search.cancel):
            if chosen is None:
                chosen = plan.choose(
                    connection,
                    conditions.rows,
                    target=target,
                    default_order=search.default_order,
                    order_lead=order_lead,
                )
            terms = paging.led_by(search.terms, chosen.lead)
            page = statement(chosen.lead).where(*chosen.clauses)
            if after is not None:
                page = page.where(paging.behind(terms, after, inclusive=inclusive))
            page = page.order_by(*paging.sorting(terms, by_index=chosen.by_index)).limit(size)
            rows = connection.execute(page).fetchall()
        yield from rows
        if len(rows) < size:
            return
        after, inclusive = values(search.terms, rows[-1]), False
        size = min(2 * size, search.page_rows)


def _values(terms: Sequence[paging.Term], row: Row) -> tuple[Any, ...]:
    return tuple(place(row, term.column) for term in terms)  # type: ignore[arg-type]  # Terms are of table columns.


def _passes(row: Row, checks: Sequence[tuple[str, Test]]) -> bool:
    for key, test in checks:
        attribute = BY_KEYWORD[key]
        column = schema.metadata.tables[attribute.table].c[attribute.column]
        if not matches(test, attribute_value(attribute, place(row, column))):
            return False
    return True


def _holds(document: Document, tests: Sequence[tuple[str, Test]]) -> bool:
    return all(matches(test, document.get(key)) for key, test in tests)


def _document(search: Search, row: Row, conditions: Conditions) -> Document:
    """What is the same in all instances of a series; of a waiting one it is made from these."""
    stored: dict[str, Value] = json.loads(dialect.document_text(row[answers.DOCUMENT_PLACE]) or "{}")
    if not place(row, _SERIES.journal_count) or search.instance_documents is None or search.level is Level.INSTANCE:
        return stored
    wanted = frozenset([key for key, _ in conditions.documents] + list(search.query.returned))
    constant: dict[str, Value] | None = None
    for document in search.instance_documents(place(row, _SERIES.key), wanted):
        if constant is None:
            constant = {key: value for key, value in document.items() if key in wanted}
        else:
            constant = {key: value for key, value in constant.items() if document.get(key) == value}
    return stored if constant is None else {**constant, **{k: v for k, v in stored.items() if k in BY_KEYWORD}}


def _returns_documents(query: Query) -> bool:
    return any(key not in BY_KEYWORD and key not in COMPUTED for key in query.returned)


def _add_returned(answer: Answer, query: Query, document: Document) -> None:
    for key in query.returned:
        value = document.get(key)
        if key not in answer and value is not None:
            answer[key] = value


# Studies and patients.


def _studies(search: Search, conditions: Conditions) -> Iterator[tuple[Answer, tuple[Any, ...]]]:
    return _answered_studies(search, _study_rows(search, conditions))


def _answered_studies(search: Search, rows: Iterator[tuple[Row, Document]]) -> Iterator[tuple[Answer, tuple[Any, ...]]]:
    size = search.first_page
    while part := list(islice(rows, size)):
        made = {place(row, _STUDY.id): answers.study_answer(row) for row, _ in part}
        with search.read() as connection:
            answers.complete_studies(connection, made)
            if "SOPClassesInStudy" in search.query.returned:
                for number, classes in answers.sop_classes(connection, made).items():
                    made[number]["SOPClassesInStudy"] = classes
        for row, document in part:
            answer = made[place(row, _STUDY.id)]
            _add_returned(answer, search.query, document)
            yield answer, _values(search.terms, row)


def _study_rows(search: Search, conditions: Conditions) -> Iterator[tuple[Row, Document]]:
    if conditions.checks or conditions.documents or _returns_documents(search.query):
        # Series come grouped by study, in the same order: the first that matches speaks for its study.
        last = None
        tail = (paging.Term(_SERIES.series_number, "SeriesNumber"), paging.Term(_SERIES.series_instance_uid, "Series"))
        of_series = replace(search, terms=(*search.terms, *tail))
        for row, document in _series_rows(of_series, conditions, search.place, inclusive=False):
            if place(row, _STUDY.id) != last:
                last = place(row, _STUDY.id)
                yield row, document
    elif conditions.of_study_only:
        columns = select(*answers.STUDY_COLUMNS)
        for row in _pages(
            search, conditions, lambda _: columns, _values, search.place, inclusive=False, target="study"
        ):
            yield row, {}
    else:
        yield from ((row, {}) for row in _studies_of_series(search, conditions))


def _studies_of_series(search: Search, conditions: Conditions) -> Iterator[Row]:
    """The studies of series that SQL alone can find: first their numbers, then their rows."""

    def statement(lead: str) -> Select[Any]:
        terms = paging.led_by(search.terms, lead)
        return select(*(term.column for term in terms)).select_from(_joined(lead)).distinct()

    at = [term.name for term in search.terms].index("study")
    found = _pages(search, conditions, statement, lambda _, row: tuple(row), search.place, inclusive=False)
    while part := [row[at] for row in islice(found, search.first_page)]:
        wanted = select(*answers.STUDY_COLUMNS).where(_STUDY.id.in_(bindparam("studies", expanding=True)))
        with search.read() as connection:
            rows = {place(row, _STUDY.id): row for row in connection.execute(wanted, {"studies": part})}
        yield from (rows[number] for number in part if number in rows)


def _patients(search: Search, conditions: Conditions) -> Iterator[tuple[Answer, tuple[Any, ...]]]:
    if conditions.of_study_only and not conditions.checks:
        keys = _patient_pages(search, conditions)
    else:
        keys = _sorted_patients(search, conditions)
    while part := list(islice(keys, search.first_page)):
        with search.read() as connection:
            made = answers.patient_answers(connection, [key for _, key in part])
        for identity, key in part:
            yield made[key], (identity, key)


def _patient_pages(search: Search, conditions: Conditions) -> Iterator[tuple[Any, int]]:
    after = search.place
    while True:
        with search.read() as connection, dialect.cancelable(connection, search.cancel):
            chosen = plan.choose(connection, conditions.rows, target="study", default_order=False, order_lead="study")
            page = select(_STUDY.patient_id, _STUDY.patient_key).where(*chosen.clauses).distinct()
            if after is not None:
                page = page.where(paging.behind(search.terms, after, inclusive=False))
            page = page.order_by(*paging.sorting(search.terms, by_index=True)).limit(search.first_page)
            rows = [(identity, key) for identity, key in connection.execute(page)]
        yield from rows
        if len(rows) < search.first_page:
            return
        after = rows[-1]


def _sorted_patients(search: Search, conditions: Conditions) -> Iterator[tuple[Any, int]]:
    """Where series must be asked, all patients are gathered first: two numbers for each."""
    if conditions.checks or conditions.documents:
        by_study = replace(search, terms=paging.terms_of(None, Level.STUDY), default_order=True, limit=None, place=None)
        rows = (row for row, _ in _study_rows(by_study, conditions))
        found = {(place(row, _STUDY.patient_id), place(row, _STUDY.patient_key)) for row in rows}
    else:
        found = _patients_of_series(search, conditions)
    backward = search.terms[0].descending
    ordered = sorted(found, key=_patient_order, reverse=backward)
    if search.place is None:
        return iter(ordered)
    behind = _patient_order((search.place[0], search.place[1]))
    return (one for one in ordered if (_patient_order(one) < behind if backward else _patient_order(one) > behind))


def _patients_of_series(search: Search, conditions: Conditions) -> set[tuple[Any, int]]:
    """All in one statement: no row of a study or series is made for them."""
    with search.read() as connection, dialect.cancelable(connection, search.cancel):
        chosen = plan.choose(connection, conditions.rows, target="series", default_order=False, order_lead="series")
        patients = select(_STUDY.patient_id, _STUDY.patient_key).select_from(_joined(chosen.lead))
        rows = connection.execute(patients.where(*chosen.clauses).distinct())
        return {(identity, key) for identity, key in rows}


def _patient_order(patient: tuple[Any, int]) -> tuple[bool, str, int]:
    identity, key = patient
    return identity is not None, str(identity or ""), key


# Instances.


def _instances(search: Search, conditions: Conditions) -> Iterator[tuple[Answer, tuple[Any, ...]]]:
    assert search.instance_documents is not None
    series_place = None if search.place is None else search.place[:-2]
    behind = None if search.place is None else _instance_order(*search.place[-2:])
    keys = [key for key, _ in conditions.documents] + [key for key in search.query.returned if key not in COMPUTED]
    wanted = INSTANCE_KEYWORDS.union(keys)
    for row, _ in _series_rows(search, conditions, series_place, inclusive=True):
        values = _values(search.terms, row)
        series = answers.series_answer(row)
        found: list[tuple[tuple[bool, float, str, str], int, Document]] = []
        for document in search.instance_documents(place(row, _SERIES.key), wanted):
            if _holds(document, conditions.documents):
                order = _instance_order(document.get("InstanceNumber"), document.get("SOPInstanceUID"))
                if behind is None or values != series_place or order > behind:
                    found.append((order, len(found), document))
        for _, _, document in sorted(found):
            own = {key: value for key in sorted(wanted) if (value := document.get(key)) is not None}
            yield {**series, **own}, (*values, own.get("InstanceNumber"), own.get("SOPInstanceUID"))


def _instance_order(number: Value, uid: Value) -> tuple[bool, float, str, str]:
    """Instance Number, absent first and texts last; then SOP Instance UID."""
    if isinstance(number, (int, float)):
        return True, number, "", str(uid or "")
    return number is not None, float("inf"), str(number or ""), str(uid or "")
