"""A query's tests as SQL conditions, each with what an index could do for it.

A condition never misses a row; where SQL can only narrow down, the test is named again in ``Conditions.checks`` and
judged by ``matching`` on the row's values. ``Condition.clause`` is written so that no index serves it
(``dialect.unindexed``): the plan chooses one condition to drive the search and leaves the others as filters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from sqlalchemy import Connection, Select, and_, case, func, or_, select, union
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.selectable import CompoundSelect

from pacscore.catalog import dialect, schema
from pacscore.catalog.attributes import BY_KEYWORD, TERM_PATHS, TRIGRAM_SERIES, TRIGRAM_STUDY, Attribute, Level
from pacscore.catalog.encoding import json_text, sop_hash
from pacscore.catalog.keys import COMPUTED, GEOMETRY, Query
from pacscore.catalog.matching import AnyOf, Equals, Items, Name, Span, Test, Wildcard
from pacscore.errors import QueryError

Clause: TypeAlias = ColumnElement[bool]
Driver: TypeAlias = "Select[Any] | CompoundSelect[Any]"

DATE_TIMES = (
    ("StudyDate", "StudyTime"),
    ("SeriesDate", "SeriesTime"),
    ("PatientBirthDate", "PatientBirthTime"),
    ("PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime"),
)
_ALTERNATIVES_MAX = 64
_TRIGRAMS = frozenset(TRIGRAM_STUDY + TRIGRAM_SERIES)
_IDENTITIES = frozenset({"StudyInstanceUID", "SeriesInstanceUID"})


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on ``table``.

    Attributes
    ----------
    clause, indexed
        The same condition, out of and within the reach of an index.
    driver
        Selects the numbers of all rows of ``table`` that meet it, by index; None when none helps.
    wide
        Whether ``driver`` may select others too.
    ordered
        Whether walking the index of ``indexed`` also gives the default order.
    """

    table: str
    clause: Clause
    indexed: Clause | None = None
    driver: Driver | None = None
    ordered: bool = False
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Conditions:
    """What SQL is asked, and what is checked after it: on the row's columns, and on the series' document."""

    rows: tuple[Condition, ...]
    checks: tuple[tuple[str, Test], ...]
    documents: tuple[tuple[str, Test], ...]

    @property
    def of_study_only(self) -> bool:
        """Whether the study rows alone can answer."""
        return not self.documents and all(condition.table == "study" for condition in self.rows)


def conditions_of(connection: Connection, query: Query, level: Level, *, combined: bool) -> Conditions:
    """The conditions of a query."""
    rows: list[Condition] = []
    checks: list[tuple[str, Test]] = []
    documents: list[tuple[str, Test]] = []
    together = _combined(query.tests) if combined else {}
    tests = _with_modality(query.tests, level)
    for key, test in tests.items():
        if key in together:
            rows.append(together[key])
        elif key in COMPUTED:
            rows.append(_computed(key, test))
        elif key == GEOMETRY:
            rows.append(_of_column(schema.series.c.verdict, "series", test, ordered=True))
        elif key in BY_KEYWORD:
            condition, exact = _of_attribute(connection, BY_KEYWORD[key], test)
            rows.append(condition)
            if not exact:
                checks.append((key, test))
        elif key in {"SOPInstanceUID", "SOPClassUID"}:
            rows.append(_of_instances(key, test))
            if level is Level.INSTANCE:
                documents.append((key, test))
        else:
            rows.append(_of_document(connection, key, test, level))
            documents.append((key, test))
    return Conditions(tuple(rows), tuple(checks), tuple(documents))


def _with_modality(tests: Mapping[str, Test], level: Level) -> Mapping[str, Test]:
    """For studies, a modality in the study is the modality of a series, if nothing else is said of series."""
    if level not in {Level.STUDY, Level.PATIENT} or "ModalitiesInStudy" not in tests:
        return tests
    others = [key for key in tests if key != "ModalitiesInStudy"]
    if any(key not in BY_KEYWORD or BY_KEYWORD[key].table == "series" for key in others):
        return tests
    return {**{key: tests[key] for key in others}, "Modality": tests["ModalitiesInStudy"]}


def _alone(column: ColumnElement[Any]) -> Select[Any]:
    """A selection that stays one of its own inside a statement on the same table."""
    return select(column).correlate(None)


# Columns.


def _of_attribute(connection: Connection, attribute: Attribute, test: Test) -> tuple[Condition, bool]:
    if attribute.keyword == "StudyDate":
        return _of_study_date(test), True
    table = schema.metadata.tables[attribute.table]
    column = table.c[attribute.folded_column]
    more = connection.execute(select(schema.term.c.owner).where(schema.term.c.path == attribute.keyword).limit(1))
    several = more.first() is not None
    exact = not several and not _grouped(test)
    condition = _of_column(
        column, attribute.table, test, ordered=attribute.indexed and attribute.keyword not in _IDENTITIES
    )
    driver, wide = condition.driver if attribute.indexed else None, False
    if attribute.keyword in _TRIGRAMS:
        by_part = _trigram_driver(attribute, test)
        driver, wide = (driver, False) if by_part is None else (by_part, True)
    if not several:
        return replace(condition, driver=driver, wide=wide), exact
    owners = _alone(schema.term.c.owner).where(
        schema.term.c.path == attribute.keyword, clause_of(schema.term.c.value, test)
    )
    clause = or_(condition.clause, dialect.unindexed(table.c.id).in_(owners))
    return Condition(attribute.table, clause, None, None if driver is None else union(driver, owners), wide=wide), exact


def _of_study_date(test: Test) -> Condition:
    column = schema.study.c.sort_date  # "" where there is none, which no test may meet.
    indexed = and_(column > "", clause_of(column, test))
    plain = dialect.unindexed(column)
    driver = _alone(schema.study.c.id).where(indexed)
    return Condition("study", and_(plain > "", clause_of(plain, test)), indexed, driver, ordered=True)


def _of_column(column: ColumnElement[Any], table: str, test: Test, *, ordered: bool) -> Condition:
    identity = schema.metadata.tables[table].c.id
    indexed = clause_of(column, test)
    single = isinstance(test, Equals) and len(test.texts) + len(test.numbers) == 1
    single = single or (isinstance(test, Name) and not re.search(r"[*?=]", test.pattern))
    driver = _alone(identity).where(indexed) if _bounded(test) else None
    return Condition(table, clause_of(dialect.unindexed(column), test), indexed, driver, ordered and single)


def clause_of(column: ColumnElement[Any], test: Test) -> Clause:
    """The condition that a column's value meets the test, or a wider one for names asked by group."""
    if isinstance(test, Equals):
        values: list[Any] = [*sorted(test.numbers), *(sorted(test.texts) if not test.numbers else [])]
        return column == values[0] if len(values) == 1 else column.in_(values)
    if isinstance(test, Span):
        bounds = [column >= test.low] if test.low else []
        return and_(*bounds, *([column <= test.high + "~"] if test.high else []))
    if isinstance(test, Wildcard):
        return _pattern_clause(column, test.pattern)
    if isinstance(test, Name):
        first = test.pattern.split("=", 1)[0]
        if not first:
            return column.is_not(None) | column.is_(None)
        return _pattern_clause(column, first)
    if isinstance(test, AnyOf):
        return or_(*(clause_of(column, one) for one in test.tests))
    raise QueryError("A sequence cannot be compared with a single value.")


def _pattern_clause(column: ColumnElement[Any], pattern: str) -> Clause:
    if not re.search(r"[*?]", pattern):
        return column == pattern
    parts: list[Clause] = [column.op("GLOB", is_comparison=True)(dialect.glob(pattern))]
    prefix = re.split(r"[*?]", pattern, maxsplit=1)[0]
    if prefix:
        parts += [column >= prefix, column < prefix + "\U0010ffff"]
    return and_(*parts)


def _bounded(test: Test) -> bool:
    """Whether an index on the column narrows the search for it."""
    if isinstance(test, (Wildcard, Name)):
        pattern = test.pattern.split("=", 1)[0]
        return bool(pattern) and pattern[0] not in "*?"
    if isinstance(test, AnyOf):
        return all(_bounded(one) for one in test.tests)
    return isinstance(test, (Equals, Span))


def _grouped(test: Test) -> bool:
    if isinstance(test, AnyOf):
        return any(_grouped(one) for one in test.tests)
    return isinstance(test, Name) and "=" in test.pattern


def _trigram_driver(attribute: Attribute, test: Test) -> Driver | None:
    """Rows that contain the pattern, by the trigram index: it helps from three letters in a row."""
    if not isinstance(test, (Wildcard, Name)) or _bounded(test):
        return None
    return dialect.trigram_rows(attribute.table, re.split(r"[*?]", test.pattern.split("=", 1)[0]))


# Dates and times as one.


def _combined(tests: Mapping[str, Test]) -> dict[str, Condition]:
    """The time conditions of pairs that are asked together: one range from the first moment to the last."""
    found = {}
    for date_key, time_key in DATE_TIMES:
        if date_key in tests and time_key in tests:
            dates, times = _span(tests[date_key], date_key), _span(tests[time_key], time_key)
            attribute = BY_KEYWORD[date_key]
            table = schema.metadata.tables[attribute.table]
            date = dialect.unindexed(table.c[attribute.column])
            time = dialect.unindexed(table.c[BY_KEYWORD[time_key].column])
            parts: list[Clause] = [date.is_not(None)]
            if dates.low and times.low:
                parts.append(or_(date > dates.low, and_(date == dates.low, time >= times.low)))
            if dates.high and times.high:
                parts.append(or_(date < dates.high, and_(date == dates.high, time <= times.high + "~")))
            found[time_key] = Condition(attribute.table, and_(*parts))
    return found


def _span(test: Test, key: str) -> Span:
    if isinstance(test, Span):
        return test
    if isinstance(test, Equals) and len(test.texts) == 1:
        (text,) = test.texts
        return Span(text, text)
    raise QueryError(f"{key} combined with its date or time must be one value or one range.", tag=key)


# What is counted or gathered.


def _computed(key: str, test: Test) -> Condition:
    study, series = schema.study, schema.series
    if key == "ModalitiesInStudy":
        inner = _alone(series.c.study_row).where(clause_of(series.c.modality, test))
        driver = inner if _bounded(test) else None
        sibling = series.alias("sibling")
        each = select(sibling.c.id).where(
            sibling.c.study_row == study.c.id, clause_of(dialect.unindexed(sibling.c.modality), test)
        )
        return Condition("study", each.correlate(study).exists(), None, driver)
    if key == "SOPClassesInStudy":
        inner = _alone(series.c.study_row).where(series.c.id.in_(_series_of_classes(test)))
        return Condition("study", dialect.unindexed(study.c.id).in_(inner), None, inner)
    if not isinstance(test, Equals):
        raise QueryError(f"{key} must be asked for by a number.", tag=key)
    if key == "NumberOfSeriesRelatedInstances":
        return Condition("series", (series.c.instance_count + series.c.journal_current).in_(sorted(test.numbers)))
    other = study.alias("of_patient")
    within = {
        "Study": series.c.study_row == study.c.id,
        "Patient": series.c.study_row.in_(
            select(other.c.id).where(other.c.patient_key == study.c.patient_key).correlate(study)
        ),
    }["Study" if "OfStudy" in key else "Patient"]
    if key == "NumberOfPatientRelatedStudies":
        counted = select(func.count()).select_from(other).where(other.c.patient_key == study.c.patient_key)
    elif key.endswith("Series"):
        counted = select(func.count()).select_from(series).where(within)
    else:
        counted = select(func.sum(series.c.instance_count + series.c.journal_current)).where(within)
    number = counted.correlate(study).scalar_subquery()
    return Condition("study", number.in_(sorted(test.numbers)))


def _series_of_classes(test: Test) -> Select[Any]:
    return (
        _alone(schema.series_class.c.series_id)
        .join(schema.sop_class, schema.sop_class.c.id == schema.series_class.c.class_id)
        .where(clause_of(schema.sop_class.c.uid, test))
    )


def _of_instances(key: str, test: Test) -> Condition:
    driver: Driver
    if key == "SOPClassUID":
        driver = _series_of_classes(test)
    else:
        assert isinstance(test, Equals)  # The VR is UI.
        hashes = [sop_hash(uid) for uid in sorted(test.texts)]
        sealed, waiting = schema.instance, schema.journal_instance
        driver = union(
            _alone(sealed.c.series_id).where(sealed.c.sop_hash.in_(hashes)),
            _alone(waiting.c.series_id).where(waiting.c.sop_hash.in_(hashes)),
        )
    return Condition("series", dialect.unindexed(schema.series.c.id).in_(driver), None, driver)


# Documents.


def _of_document(connection: Connection, key: str, test: Test, level: Level) -> Condition:
    """A search of the document's text for what a match must contain; exact judgement follows."""
    stored = schema.series_document.c.document
    text = case((func.typeof(stored) == "blob", func.document_text(stored)), else_=stored)
    needles = or_(*(and_(*(func.instr(text, part) > 0 for part in parts)) for parts in _needles(key, test)))
    open_ended = schema.series.c.journal_count > 0  # Their documents may be incomplete or not final.
    if level is Level.INSTANCE:
        quoted = json_text(key)
        open_ended = or_(open_ended, func.instr(schema.series_document.c.varying, quoted) > 0)
    driver: Driver | None = None
    if isinstance(test, Items):
        driver = _term_driver(connection, key, test)
    return Condition("series", or_(needles, open_ended), None, driver)


def _term_driver(connection: Connection, key: str, test: Items) -> Driver | None:
    for inner, wanted in test.tests:
        if (key, inner) in TERM_PATHS and isinstance(wanted, (Equals, Wildcard)) and _bounded(wanted):
            term, series = schema.term, schema.series
            return union(
                _alone(term.c.owner).where(term.c.path == f"{key}.{inner}", clause_of(term.c.value, wanted)),
                _alone(series.c.id).where(series.c.journal_count > 0),
            )
    return None


def _needles(key: str, test: Test) -> list[tuple[str, ...]]:
    """Alternatives of texts that all stand in the JSON of a document whose ``key`` meets the test."""
    begin = json_text(key) + ":"
    if isinstance(test, Items):
        found: list[tuple[str, ...]] = [(begin,)]
        for inner, wanted in test.tests:
            longer = [outer + more for outer in found for more in _needles(inner, wanted)]
            found = longer if len(longer) <= _ALTERNATIVES_MAX else found
        return found
    listed = (begin + "[",)
    if isinstance(test, Equals) and len(test.texts) + len(test.numbers) <= 8:
        texts = [(begin + json_text(text),) for text in sorted(test.texts)]
        numbers = [(begin + _number_start(number),) for number in sorted(test.numbers)]
        return [*texts, *numbers, listed]
    if isinstance(test, Wildcard):
        prefix, *rest = (json_text(part)[1:-1] for part in re.split(r"[*?]", test.pattern))
        parts = tuple(part for part in rest if part)
        # Without quotes too: what a private element of unknown VR holds may be a number.
        starts = (begin + '"' + prefix, begin + prefix) if prefix else (begin,)
        return [*((start, *parts) for start in starts), (*listed, prefix, *parts)]
    if isinstance(test, Span):
        common = _common(test.low, test.high)
        return [(begin + '"' + common,), (*listed, common)]
    return [(begin,)]


def _common(low: str, high: str) -> str:
    """How every text between two begins."""
    at = 0
    while at < min(len(low), len(high)) and low[at] == high[at]:
        at += 1
    return low[:at]


def _number_start(number: float) -> str:
    """How JSON of the number begins, be it an integer or a float."""
    if number.is_integer() and abs(number) < 1e15:
        return str(int(number))
    return json_text(number) if abs(number) >= 1e-4 and abs(number) < 1e15 else ""
