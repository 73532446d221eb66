"""How rows get into the tables. Every function runs inside the transaction its caller holds.

W1  A series row's stated attributes are the consensus of its sealed statement and its instances in the journal; a
    study row's are the consensus of its series.
W2  A series without instances does not exist, nor does a study without series.
W3  Nothing depends on the order in which rows came, save the numbers of series rows, which nobody sees.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, update

from pacscore.catalog import dialect, schema
from pacscore.catalog.attributes import SERIES_ATTRIBUTES, SERIES_KEYWORDS, STUDY_ATTRIBUTES, STUDY_KEYWORDS
from pacscore.catalog.consensus import Consensus, merge
from pacscore.catalog.dialect import run_many
from pacscore.catalog.encoding import Columns, hash63, json_text, nested_terms, patient_key, plain_text
from pacscore.catalog.rows import Document, SeriesRow, Value

_SEALED = (
    "verdict", "kinds", "generation", "instance_count", "frame_count", "bytes_original", "bytes_stored", "strategy",
)  # fmt: skip
_STATED = tuple(
    column.name for column in schema.series.columns
    if column.name in {"study_row", "sort_date", "stated_by"}
    or any(column.name in {a.column, a.folded_column} for a in SERIES_ATTRIBUTES)
)  # fmt: skip
_STATED_KEYWORDS = (STUDY_KEYWORDS | SERIES_KEYWORDS) - {"StudyInstanceUID", "SeriesInstanceUID"}
_STUDY_COLUMNS = Columns.of(STUDY_ATTRIBUTES)
SERIES_COLUMNS = Columns.of(SERIES_ATTRIBUTES)
_BATCH = 500  # Values in one IN list.


def _update_of(names: Sequence[str]) -> str:
    table = schema.series
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
    return dialect.compiled(update(table).where(table.c.id == bindparam("row_id")).values(values))


INSERT_SERIES = dialect.compiled(insert(schema.series))
UPDATE_STATED = _update_of(_STATED)
UPDATE_SEALED = _update_of(_SEALED)
UPSERT_STUDY = dialect.upsert(schema.study)
INSERT_DOCUMENT = dialect.compiled(insert(schema.series_document))
UPSERT_TERM = dialect.upsert(schema.term)


@dataclass(slots=True)
class SeriesState:
    """A series as the writer sees it between reading and writing its rows.

    ``classes`` are the SOP classes known to be noted for it; there may be more.
    """

    id: int
    key: str
    study_instance_uid: str
    series_instance_uid: str
    study_row: int
    consensus: Consensus
    new: bool = False
    sealed: SeriesRow | None = None
    instance_count: int = 0
    classes: set[str] = field(default_factory=set)


def stated(document: Document) -> dict[str, Value]:
    """What a document says about its study and series."""
    return {keyword: value for keyword, value in document.items() if value is not None and keyword in _STATED_KEYWORDS}


def study_part(values: Mapping[str, Value]) -> dict[str, Value]:
    """The part of a statement that is about the study."""
    return {keyword: value for keyword, value in values.items() if keyword in STUDY_KEYWORDS}


def read_states(connection: Connection, keys: Sequence[str]) -> dict[str, SeriesState]:
    """The states of those of the series that exist."""
    found: dict[str, SeriesState] = {}
    for start in range(0, len(keys), _BATCH):
        part = keys[start : start + _BATCH]
        rows = connection.exec_driver_sql(
            "SELECT series.id, series.key, study_instance_uid, series_instance_uid, study_row, series.stated_by, "
            "document FROM series JOIN study ON study.id = study_row "
            "JOIN series_document ON series_document.series_id = series.id "
            f"WHERE series.key IN ({', '.join('?' * len(part))})",
            tuple(part),
        )
        for number, key, study_uid, series_uid, study_row, sources, document in rows:
            values = stated(json.loads(dialect.document_text(document) or "{}"))
            found[key] = SeriesState(number, key, study_uid, series_uid, study_row, Consensus.stored(values, sources))
    return found


def known_keys(connection: Connection, keys: Sequence[str]) -> set[str]:
    """Which of the series exist."""
    found: set[str] = set()
    for start in range(0, len(keys), _BATCH):
        part = keys[start : start + _BATCH]
        marks = ", ".join("?" * len(part))
        found.update(
            key for (key,) in dialect.fetch(connection, f"SELECT key FROM series WHERE key IN ({marks})", part)
        )
    return found


def next_series_id(connection: Connection) -> int:
    """The number of the next new series; valid while the write lock is held."""
    return int(connection.exec_driver_sql("SELECT coalesce(max(id), 0) + 1 FROM series").scalar_one())


def place(connection: Connection, changes: Iterable[tuple[SeriesState, Consensus, Document | None]]) -> None:
    """Write the stated part of series, and the studies they belong to.

    Each change is a series, its new consensus, and its whole document (None: keep the rest of the stored one).
    Updates the states.
    """
    listed = list(changes)
    targets = study_numbers(connection, [(s.study_instance_uid, _identity(c)) for s, c, _ in listed])
    consensus = read_studies(connection, sorted(set(targets)))
    dates = {number: study_date(said) for number, said in consensus.items()}
    unsettled: set[int] = set()
    written: dict[int, tuple[str, Consensus]] = {}
    for (state, new, _), target in zip(listed, targets, strict=True):
        if not state.new and (
            state.study_row != target or study_part(state.consensus.values) != study_part(new.values)
        ):
            unsettled |= {state.study_row, target}
        merged = merge(consensus.get(target, Consensus()), state.series_instance_uid, study_part(new.values))
        if merged is not consensus.get(target):
            consensus[target] = merged
            written[target] = (state.study_instance_uid, merged)
    write_studies(connection, written)
    for number, (_, said) in written.items():
        if study_date(said) != dates.get(number, study_date(said)):
            _date_series(connection, number, said)
    _write_series(connection, [(s, c, d, t, consensus[t]) for (s, c, d), t in zip(listed, targets, strict=True)])
    settle(connection, unsettled)


def study_date(consensus: Consensus) -> str:
    """What a study and its series are sorted by; "" where no date is stated."""
    return plain_text(consensus.values.get("StudyDate"))


def _date_series(connection: Connection, number: int, consensus: Consensus) -> None:
    """Sort the series of a study by the date it has now."""
    date = study_date(consensus)
    connection.exec_driver_sql(
        "UPDATE series SET sort_date = ? WHERE study_row = ? AND sort_date <> ?", (date, number, date)
    )


def _identity(consensus: Consensus) -> str:
    return plain_text(consensus.values.get("PatientID"))


def study_numbers(connection: Connection, identities: Sequence[tuple[str, str]]) -> list[int]:
    """The row of each study: a number made from its identity, moved on where that is taken by another."""
    known: dict[tuple[str, str], int] = {}
    taken: dict[int, tuple[str, str]] = {}
    wanted = {identity: hash63(*identity) for identity in dict.fromkeys(identities)}
    numbers = sorted(set(wanted.values()))
    for start in range(0, len(numbers), _BATCH):
        part = numbers[start : start + _BATCH]
        for number, uid, patient in connection.exec_driver_sql(
            f"SELECT id, study_instance_uid, patient_id FROM study WHERE id IN ({', '.join('?' * len(part))})",
            tuple(part),
        ):
            taken[number] = (uid, patient or "")
    for identity, number in wanted.items():
        at = number
        while taken.setdefault(at, identity) != identity:
            at += 1
            row = connection.exec_driver_sql(
                "SELECT study_instance_uid, patient_id FROM study WHERE id = ?", (at,)
            ).fetchone()
            if row is not None:
                taken[at] = (row[0], row[1] or "")
        known[identity] = at
    return [known[identity] for identity in identities]


def read_studies(connection: Connection, numbers: Sequence[int]) -> dict[int, Consensus]:
    """What the series of those of the studies that exist agree upon."""
    found: dict[int, Consensus] = {}
    for start in range(0, len(numbers), _BATCH):
        part = numbers[start : start + _BATCH]
        rows = connection.exec_driver_sql(
            f"SELECT id, stated, stated_by FROM study WHERE id IN ({', '.join('?' * len(part))})", tuple(part)
        )
        for number, values, sources in rows:
            found[number] = Consensus.stored(json.loads(values), sources)
    return found


def write_studies(
    connection: Connection, studies: Mapping[int, tuple[str, Consensus]], *, known: Container[int] | None = None
) -> None:
    """Write the rows of studies, new or known: the UID and the consensus of each.

    ``known`` are those that may be there already, where that was looked up; by default all.
    """
    rows = []
    terms = []
    for number, (uid, consensus) in studies.items():
        values = consensus.values
        columns, further = _STUDY_COLUMNS.split(values)
        rows.append(
            (number, uid, patient_key(values, uid), study_date(consensus), json_text(dict(values)),
             consensus.sources_text(), *columns)
        )  # fmt: skip
        terms += [(path, text, number) for path, text in further]
    old = [(number,) for number in studies if known is None or number in known]
    run_many(connection, "DELETE FROM term WHERE owner = ?", old)
    run_many(connection, UPSERT_STUDY, rows)
    run_many(connection, UPSERT_TERM, terms)


def _write_series(
    connection: Connection, rows: Sequence[tuple[SeriesState, Consensus, Document | None, int, Consensus]]
) -> None:
    inserts: list[tuple[Any, ...]] = []
    updates: list[tuple[Any, ...]] = []
    documents: list[tuple[Any, ...]] = []
    changed: list[tuple[Any, ...]] = []
    terms: list[tuple[Any, ...]] = []
    old: list[tuple[Any, ...]] = []
    for state, new, document, target, study in rows:
        values = new.values
        if document is not None and state.new:
            whole = document  # Its own statement is the consensus.
        else:
            known = _read_document(connection, state.id) if document is None and not state.new else document
            whole = {**(known or {}), **values}
        attributes, further = SERIES_COLUMNS.split(values)
        date = study_date(study)
        text = dialect.pack_document(json_text(whole))
        if state.new:
            verdict, kinds, generation, count, *sizes, strategy = _sealed_values(state)
            inserts.append(
                (state.id, state.key, target, date, state.series_instance_uid, *attributes,
                 verdict, kinds, generation, count, 0, 0, *sizes, strategy, new.sources_text())
            )  # fmt: skip
            documents.append((state.id, text, _varying_text(state)))
        else:
            old.append((state.id,))
            updates.append((target, date, *attributes, new.sources_text(), state.id))
            changed.append((text, state.id))
        terms += [(path, text, state.id) for path, text in further]
        terms += [(path, text, state.id) for path, text in nested_terms(whole)]
        state.study_row, state.consensus, state.new = target, new, False
    run_many(connection, INSERT_SERIES, inserts)
    run_many(connection, UPDATE_STATED, updates)
    run_many(connection, INSERT_DOCUMENT, documents)
    run_many(connection, "UPDATE series_document SET document = ? WHERE series_id = ?", changed)
    run_many(connection, "DELETE FROM term WHERE owner = ?", old)
    run_many(connection, UPSERT_TERM, terms)


def _read_document(connection: Connection, number: int) -> dict[str, Value]:
    stored = connection.exec_driver_sql(
        "SELECT document FROM series_document WHERE series_id = ?", (number,)
    ).scalar_one_or_none()
    found: dict[str, Value] = json.loads(dialect.document_text(stored) or "{}")
    return found


def write_sealed(connection: Connection, states: Sequence[SeriesState]) -> None:
    """Write what sealing says of series that were there before."""
    run_many(connection, UPDATE_SEALED, [(*_sealed_values(state), state.id) for state in states])
    run_many(
        connection,
        "UPDATE series_document SET varying = ? WHERE series_id = ?",
        [(_varying_text(state), state.id) for state in states],
    )


def _sealed_values(state: SeriesState) -> tuple[Any, ...]:
    row = state.sealed
    if row is None:
        return ("none", "", None, 0, 0, 0, 0, "")
    return (
        row.verdict, " ".join(row.kinds), row.generation, state.instance_count, row.frame_count,
        row.bytes_original, row.bytes_stored, row.strategy,
    )  # fmt: skip


def _varying_text(state: SeriesState) -> str:
    return json_text(list(state.sealed.varying)) if state.sealed is not None else "[]"


def settle(connection: Connection, numbers: Iterable[int]) -> None:
    """Make studies anew from their series, after one changed its mind or left; drop those that have none."""
    for number in numbers:
        consensus = Consensus()
        uid = connection.exec_driver_sql(
            "SELECT study_instance_uid FROM study WHERE id = ?", (number,)
        ).scalar_one_or_none()
        if uid is None:
            continue
        siblings = connection.exec_driver_sql(
            "SELECT series_instance_uid, document FROM series "
            "JOIN series_document ON series_id = series.id WHERE study_row = ?",
            (number,),
        ).fetchall()
        for series_uid, document in siblings:
            said = study_part(stated(json.loads(dialect.document_text(document) or "{}")))
            consensus = merge(consensus, series_uid, said)
        if not siblings:
            connection.exec_driver_sql("DELETE FROM term WHERE owner = ?", (number,))
            connection.execute(delete(schema.study).where(schema.study.c.id == number))
            continue
        write_studies(connection, {number: (uid, consensus)})
        _date_series(connection, number, consensus)


def write_verdicts(connection: Connection, verdicts: Mapping[str, str]) -> None:
    """Change the geometry verdict of series, by key."""
    rows = [(verdict, key) for key, verdict in verdicts.items()]
    run_many(connection, "UPDATE series SET verdict = ? WHERE key = ?", rows)


def read_empty(connection: Connection, series_ids: Iterable[int]) -> list[SeriesState]:
    """Those of the series that have no instance left (W2)."""
    keys: list[str] = []
    for number in sorted(set(series_ids)):
        keys += connection.exec_driver_sql(
            "SELECT key FROM series WHERE id = ? AND generation IS NULL AND journal_count = 0", (number,)
        ).scalars()
    return list(read_states(connection, keys).values())


def remove(connection: Connection, states: Sequence[SeriesState]) -> None:
    """Delete series with all that hangs on them."""
    gone = [(state.id,) for state in states]
    for table in ("series_document", "instance", "series_class", "journal_instance"):
        run_many(connection, f"DELETE FROM {table} WHERE series_id = ?", gone)
    run_many(connection, "DELETE FROM term WHERE owner = ?", gone)
    run_many(connection, "DELETE FROM series WHERE id = ?", gone)
    settle(connection, {state.study_row for state in states})
