"""The rows of single instances, sealed and in the journal. Every function runs inside its caller's transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, insert

from pacscore.catalog import dialect, schema
from pacscore.catalog.attributes import CATALOG_KEYWORDS
from pacscore.catalog.dialect import run_many
from pacscore.catalog.encoding import json_text, sop_hash, storable
from pacscore.catalog.rows import Document, InstanceColumns, Location, ReceivedRow
from pacscore.catalog.writing import SeriesState
from pacscore.errors import InputError

INSERT_INSTANCE = dialect.compiled(insert(schema.instance))
UPSERT_CLASS = dialect.upsert(schema.series_class)
UPSERT_JOURNAL = dialect.upsert(schema.journal_instance)
_INSERT_JOURNAL = dialect.compiled(insert(schema.journal_instance))
_BATCH = 500
_COLUMNS = ("instance_numbers", "rows", "columns", "bits", "frames")
_CHECKED = ("sop_class_uids", *_COLUMNS, "versions", "current")


def class_numbers(connection: Connection, uids: Iterable[str]) -> dict[str, int]:
    """The number of each SOP class; new ones get the next."""
    wanted = sorted(set(uids))
    run_many(connection, "INSERT INTO sop_class (uid) VALUES (?) ON CONFLICT (uid) DO NOTHING", [(u,) for u in wanted])
    rows = connection.exec_driver_sql("SELECT uid, id FROM sop_class").fetchall()
    return {str(uid): int(number) for uid, number in rows}


def check_columns(columns: InstanceColumns) -> None:
    """Refuse columns of different lengths."""
    count = len(columns.sop_instance_uids)
    for name in _CHECKED:
        length = len(getattr(columns, name))
        if length and length != count and not (name == "sop_class_uids" and length == 1):
            raise InputError(
                f"InstanceColumns.{name} has {length} entries for {count} instances. Give one for each, or none.",
                expected=count,
                found=length,
            )


def current_count(columns: InstanceColumns) -> int:
    """How many of the instances are current."""
    return sum(map(bool, columns.current)) if columns.current else len(columns.sop_instance_uids)


def write_instances(connection: Connection, entries: Sequence[tuple[int, InstanceColumns]], *, replace: bool) -> None:
    """Write the sealed instances of each series; ``replace`` when it may have some."""
    numbers = class_numbers(connection, (uid for _, columns in entries for uid in columns.sop_class_uids))
    if replace:
        gone = [(series_id,) for series_id, _ in entries]
        run_many(connection, "DELETE FROM instance WHERE series_id = ?", gone)
        run_many(connection, "DELETE FROM series_class WHERE series_id = ?", gone)
    classes = []
    rows: list[tuple[Any, ...]] = []
    for series_id, columns in entries:
        count = len(columns.sop_instance_uids)
        uids = columns.sop_class_uids
        class_ids = [numbers[uid] for uid in uids] if uids else [None]
        if count:
            rows += zip(
                [series_id] * count,
                range(count),
                map(sop_hash, columns.sop_instance_uids),
                class_ids if len(class_ids) == count else class_ids * count,
                *(
                    [n if n is not None and storable(n) else None for n in getattr(columns, name)] or [None] * count
                    for name in _COLUMNS
                ),
                columns.versions or [1] * count,
                map(int, columns.current or [True] * count),
                strict=True,
            )
        classes += [(series_id, number) for number in sorted(set(class_ids) - {None})]  # type: ignore[type-var]  # None is out.
    run_many(connection, INSERT_INSTANCE, rows)
    run_many(connection, UPSERT_CLASS, classes)


def write_received(connection: Connection, rows: Sequence[tuple[int, ReceivedRow]]) -> None:
    """Write instances of the journal, and how many now wait in each series."""
    values = [
        (
            row.position, series_id, sop_hash(row.sop_instance_uid), row.sop_instance_uid, row.sop_class_uid,
            row.transfer_syntax_uid, row.digest, row.version, int(row.current), row.length, _kept_text(row.document),
        )
        for series_id, row in rows
    ]  # fmt: skip
    try:
        dialect.insert_many(connection, _INSERT_JOURNAL, values)
    except sqlite3.IntegrityError:  # Some position has a row already.
        run_many(connection, UPSERT_JOURNAL, values)
        count_waiting(connection, (series_id for series_id, _ in rows))
        return
    # Counting a large series again for each instance would take time that grows with its square.
    added: dict[int, list[int]] = {}
    for series_id, row in rows:
        added.setdefault(series_id, []).append(int(row.current))
    run_many(
        connection,
        "UPDATE series SET journal_count = journal_count + ?, journal_current = journal_current + ? WHERE id = ?",
        [(len(current), sum(current), series_id) for series_id, current in added.items()],
    )


def _kept_text(document: Document) -> str:
    kept = {k: value for k in sorted(document) if k in CATALOG_KEYWORDS and (value := document[k]) is not None}
    return json_text(kept)


def note_classes(connection: Connection, states: Iterable[tuple[SeriesState, str]]) -> None:
    """Note the SOP classes of series, where they are not known to be noted."""
    new = {(state.id, uid): state for state, uid in states if uid not in state.classes}
    if not new:
        return
    numbers = class_numbers(connection, {uid for _, uid in new})
    run_many(connection, UPSERT_CLASS, sorted((series_id, numbers[uid]) for series_id, uid in new))
    for (_, uid), state in new.items():
        state.classes.add(uid)


def count_waiting(connection: Connection, series_ids: Iterable[int]) -> None:
    """Count the journal's instances of each series again."""
    run_many(
        connection,
        "UPDATE series SET (journal_count, journal_current) = (SELECT count(*), coalesce(sum(current), 0) "
        "FROM journal_instance WHERE series_id = series.id) WHERE id = ?",
        [(series_id,) for series_id in sorted(set(series_ids))],
    )


def retire(connection: Connection, positions: Sequence[str]) -> set[int]:
    """Forget instances of the journal that are sealed; the series they were of."""
    touched: set[int] = set()
    for start in range(0, len(positions), _BATCH):
        part = tuple(positions[start : start + _BATCH])
        marks = ", ".join("?" * len(part))
        touched.update(
            connection.exec_driver_sql(
                f"SELECT DISTINCT series_id FROM journal_instance WHERE position IN ({marks})", part
            ).scalars()
        )
        connection.exec_driver_sql(f"DELETE FROM journal_instance WHERE position IN ({marks})", part)
    return touched


def waiting_documents(connection: Connection, series_id: int) -> list[tuple[str, Document]]:
    """SOP Instance UID and kept values of each of the series' instances in the journal."""
    rows = connection.exec_driver_sql(
        "SELECT sop_instance_uid, document FROM journal_instance WHERE series_id = ?", (series_id,)
    )
    return [(uid, json.loads(document)) for uid, document in rows]


_LOCATE = (
    "SELECT sop_hash, key, study_instance_uid, series_instance_uid, version, current, ordinal, generation, "
    "NULL, NULL, NULL, NULL FROM instance JOIN series ON series.id = series_id JOIN study ON study.id = study_row "
    "WHERE sop_hash IN ({marks}) UNION ALL "
    "SELECT sop_hash, key, study_instance_uid, series_instance_uid, version, current, NULL, NULL, position, digest, "
    "journal_instance.transfer_syntax_uid, sop_instance_uid FROM journal_instance "
    "JOIN series ON series.id = series_id JOIN study ON study.id = study_row WHERE sop_hash IN ({marks})"
)


def locate(connection: Connection, sop_instance_uids: Sequence[str]) -> dict[str, tuple[Location, ...]]:
    """Where each of the instances lies, in the order of series key and version."""
    found: dict[str, list[Location]] = {uid: [] for uid in sop_instance_uids}
    by_hash: dict[int, list[str]] = {}
    for uid in found:
        by_hash.setdefault(sop_hash(uid), []).append(uid)
    hashes = list(by_hash)
    for start in range(0, len(hashes), _BATCH):
        part = tuple(hashes[start : start + _BATCH])
        sql = _LOCATE.format(marks=", ".join("?" * len(part)))
        for number, *values, digest, syntax, stated_uid in dialect.fetch(connection, sql, part * 2):
            key, study_uid, series_uid, version, current, ordinal, generation, position = values
            location = Location(
                key, study_uid, series_uid, version, bool(current), ordinal, generation, position, digest or b"",
                syntax or "",
            )  # fmt: skip
            for uid in by_hash[number]:
                if stated_uid is None or stated_uid == uid:
                    found[uid].append(location)
    return {uid: tuple(sorted(locations, key=_place_order)) for uid, locations in found.items()}


def _place_order(one: Location) -> tuple[str, int, str]:
    return one.key, one.version, one.position or ""
