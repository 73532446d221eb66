"""The order of answers, and the place in it where a page ends.

The default order is Study Date, study (by a number made from its identity), Series Number, Series Instance UID; at
patient level Patient ID. An order asked for comes before it, and a leading ``-`` turns it round. Absent values come
first, last when turned round. A place is an opaque text, and stays good when rows come and go.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import and_, false, or_
from sqlalchemy.sql.elements import ColumnElement, UnaryExpression

from pacscore.catalog import dialect, schema
from pacscore.catalog.attributes import BY_KEYWORD, Level
from pacscore.errors import QueryError


@dataclass(frozen=True, slots=True)
class Term:
    """One column to sort by."""

    column: ColumnElement[Any]
    name: str
    descending: bool = False


def terms_of(order: str | Sequence[str] | None, level: Level) -> tuple[Term, ...]:
    """The columns to sort by at a level.

    Raises
    ------
    QueryError
        An order by something that has no column, or that the level does not determine.
    """
    return _terms_of((order,) if isinstance(order, str) else tuple(order or ()), level)


@lru_cache(maxsize=256)
def _terms_of(asked: tuple[str, ...], level: Level) -> tuple[Term, ...]:
    found = [_term(text, level) for text in asked]
    backward = bool(found) and found[0].descending
    if level is Level.PATIENT:
        if any(term.name != "PatientID" for term in found):
            raise QueryError("At patient level answers can be ordered by PatientID only.", expected="PatientID")
        study = schema.study.c
        return (Term(study.patient_id, "PatientID", backward), Term(study.patient_key, "patient", backward))
    date = schema.study.c.sort_date if level is Level.STUDY else schema.series.c.sort_date
    identity = schema.study.c.id if level is Level.STUDY else schema.series.c.study_row
    found = [Term(date, "date", term.descending) if term.name == "StudyDate" else term for term in found]
    if not any(term.name == "date" for term in found):
        found.append(Term(date, "date", backward))
    found.append(Term(identity, "study", backward))
    if level is not Level.STUDY:
        found += [
            Term(schema.series.c.series_number, "SeriesNumber"),
            Term(schema.series.c.series_instance_uid, "SeriesInstanceUID"),
        ]
    names = [term.name for term in found]
    return tuple(term for at, term in enumerate(found) if term.name not in names[:at])


def _term(text: str, level: Level) -> Term:
    keyword = text.lstrip("+-")
    attribute = BY_KEYWORD.get(keyword)
    if attribute is None or (level in {Level.PATIENT, Level.STUDY} and attribute.level is Level.SERIES):
        raise QueryError(
            f"Answers at {level} level cannot be ordered by {keyword!r}: give an attribute of that level or above that "
            "has a column.",
            tag=keyword,
        )
    column = schema.metadata.tables[attribute.table].c[attribute.folded_column]
    return Term(column, keyword, text.startswith("-"))


def led_by(terms: Sequence[Term], lead: str) -> tuple[Term, ...]:
    """The same terms, date and study taken from the table that is searched first."""
    study, series = schema.study.c, schema.series.c
    twins = {"date": study.sort_date, "study": study.id}
    if lead == "series":
        twins = {"date": series.sort_date, "study": series.study_row}
    return tuple(replace(term, column=twins.get(term.name, term.column)) for term in terms)


def order_lead(terms: Sequence[Term]) -> str:
    """The table whose index can give the order: that of the first term that is of one table only."""
    for term in terms:
        if term.name not in {"date", "study"}:
            return "study" if term.column.table is schema.study else "series"
    return "study"


def sorting(terms: Sequence[Term], *, by_index: bool) -> list[UnaryExpression[Any]]:
    """The terms for ORDER BY; without ``by_index`` SQLite is to sort, not to walk an index."""
    columns = [(term.column if by_index else dialect.unindexed(term.column), term.descending) for term in terms]
    return [column.desc() if descending else column.asc() for column, descending in columns]


def behind(terms: Sequence[Term], values: Sequence[Any], *, inclusive: bool) -> ColumnElement[bool]:
    """The condition that a row comes after the place; ``inclusive`` admits the row at the place too.

    Fewer values than terms name the place behind all rows that begin with them.
    """
    alternatives: list[ColumnElement[bool]] = []
    same: list[ColumnElement[bool]] = []
    for term, value in zip(terms, values, strict=False):
        column = dialect.unindexed(term.column)
        alternatives.append(and_(*same, _after(column, value, descending=term.descending)))
        same.append(column.is_(None) if value is None else column == value)
    if inclusive:
        alternatives.append(and_(*same))
    first, value = terms[0], values[0]
    if value is None or (first.descending and first.name != "date"):
        return or_(*alternatives)
    # Said again of the first column alone, where an index can use it.
    bound = first.column <= value if first.descending else first.column >= value
    return and_(bound, or_(*alternatives))


def _after(column: ColumnElement[Any], value: Any, *, descending: bool) -> ColumnElement[bool]:
    if descending:
        return false() if value is None else or_(column < value, column.is_(None))
    return column.is_not(None) if value is None else column > value


def place_text(level: Level, terms: Sequence[Term], values: Sequence[Any]) -> str:
    """The place behind a row as an opaque text."""
    text = json.dumps([str(level), _signature(terms), list(values)], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def place_values(text: str, level: Level, terms: Sequence[Term], *, more: int = 0) -> list[Any]:
    """The values of a place; ``more`` follow those of the terms.

    Raises
    ------
    QueryError
        It is not a place of this level and order.
    """
    try:
        padded = text + "=" * (-len(text) % 4)
        stated, order, values = json.loads(base64.urlsafe_b64decode(padded))
    except (ValueError, TypeError) as error:
        raise QueryError("after= is not a place that a find gave. Begin without it.") from error
    fits = isinstance(values, list) and len(values) == len(terms) + more
    if stated != str(level) or order != _signature(terms) or not fits:
        raise QueryError("after= comes from a find of another level or order. Begin without it.")
    if any(not isinstance(value, (str, int, float, type(None))) for value in values):
        raise QueryError("after= is not a place that a find gave. Begin without it.")
    return list(values)


def _signature(terms: Sequence[Term]) -> str:
    return ",".join(f"-{term.name}" if term.descending else term.name for term in terms)
