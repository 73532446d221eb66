"""What the catalog says of single series, and of all of them together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from pacscore.catalog import dialect, schema
from pacscore.catalog.rows import Counts, ReceivedRow, StoredSeries
from pacscore.errors import AmbiguousError, NotFoundError

_STORED = (
    "SELECT key, study_instance_uid, series_instance_uid, generation, verdict, kinds, "
    "instance_count + journal_current, journal_count, frame_count, bytes_original, bytes_stored, strategy, varying, "
    "document FROM series JOIN study ON study.id = study_row "
    "JOIN series_document ON series_document.series_id = series.id "
)


def stored(connection: Connection, where: str, values: Sequence[str]) -> tuple[StoredSeries, ...]:
    """The series of a WHERE clause."""
    return tuple(_stored_series(row) for row in dialect.fetch(connection, _STORED + where, values))


def _stored_series(row: Sequence[Any]) -> StoredSeries:
    key, study_uid, series_uid, generation, verdict, kinds, count, waiting, frames, given, kept, *rest = row
    strategy, varying, document = rest
    return StoredSeries(
        key=key,
        study_instance_uid=study_uid,
        series_instance_uid=series_uid,
        generation=generation,
        state="sealed" if not waiting else "journal" if generation is None else "both",
        verdict=verdict,
        kinds=tuple(kinds.split()),
        instance_count=count,
        journal_count=waiting,
        frame_count=frames,
        bytes_original=given,
        bytes_stored=kept,
        strategy=strategy,
        varying=tuple(json.loads(varying)),
        document=StoredDocument(document),
    )


class StoredDocument(Mapping[str, Any]):
    """A document as it is stored, parsed when it is first looked at: who opens a volume does not look."""

    __slots__ = ("_stored", "_values")

    def __init__(self, stored: str | bytes | None) -> None:
        self._stored = stored
        self._values: dict[str, Any] | None = None

    def __getitem__(self, keyword: str) -> Any:
        return self._parsed()[keyword]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parsed())

    def __len__(self) -> int:
        return len(self._parsed())

    def __repr__(self) -> str:
        return repr(self._parsed())

    def _parsed(self) -> dict[str, Any]:
        if self._values is None:
            self._values = json.loads(dialect.document_text(self._stored) or "{}")
        return self._values


def only_one(found: Sequence[StoredSeries], series_instance_uid: str) -> StoredSeries:
    """The series where there is one of that UID; see ``Catalog.series``."""
    if not found:
        raise NotFoundError("No such series is in the catalog.", uid=series_instance_uid)
    if len(found) > 1:
        raise AmbiguousError(
            f"{len(found)} studies hold a series of this UID. Give the Study Instance UID too.",
            uid=series_instance_uid,
            found=tuple(one.study_instance_uid for one in found),
        )
    return found[0]


def journal_positions(connection: Connection) -> set[str]:
    """The positions of all instances that are known to lie in the journal."""
    return {position for (position,) in connection.exec_driver_sql("SELECT position FROM journal_instance")}


def received(connection: Connection, key: str) -> tuple[ReceivedRow, ...]:
    """The instances of a series that lie in the journal."""
    rows = connection.exec_driver_sql(
        "SELECT position, study_instance_uid, series_instance_uid, sop_instance_uid, sop_class_uid, "
        "document, digest, transfer_syntax_uid, version, current, length FROM journal_instance "
        "JOIN series ON series.id = series_id JOIN study ON study.id = study_row WHERE key = ? "
        "ORDER BY sop_instance_uid, version, position",
        (key,),
    ).fetchall()
    return tuple(
        ReceivedRow(
            key=key,
            position=position,
            study_instance_uid=study_uid,
            series_instance_uid=series_uid,
            sop_instance_uid=sop_uid,
            sop_class_uid=class_uid,
            document=json.loads(document),
            digest=digest_bytes,
            transfer_syntax_uid=syntax,
            version=version,
            current=bool(current),
            length=length,
        )
        for (
            position, study_uid, series_uid, sop_uid, class_uid, document, digest_bytes, syntax, version, current,
            length,
        ) in rows
    )  # fmt: skip


def generations(connection: Connection) -> dict[str, str]:
    """The head of each series that has one, by series key."""
    rows = connection.exec_driver_sql("SELECT key, generation FROM series WHERE generation IS NOT NULL")
    return {str(key): str(generation) for key, generation in rows}


def counts(connection: Connection) -> Counts:
    """How much there is."""
    row = connection.exec_driver_sql(
        "SELECT (SELECT count(DISTINCT patient_key) FROM study), (SELECT count(*) FROM study), count(*), "
        "coalesce(sum(instance_count + journal_current), 0), coalesce(sum(journal_count), 0), "
        "coalesce(sum(bytes_original), 0) + (SELECT coalesce(sum(length), 0) FROM journal_instance), "
        "coalesce(sum(bytes_stored), 0) FROM series"
    ).fetchone()
    assert row is not None
    return Counts(*row)


# Row numbers differ between equal catalogs, so each row stands under a name that does not.
_NAMED = (
    ("study", "study_instance_uid, patient_id", "study", ""),
    ("series", "series.key", "series", ""),
    ("series_document", "series.key", "series_document", "JOIN series ON series.id = series_id"),
    ("instance", "series.key, ordinal", "instance", "JOIN series ON series.id = series_id"),
    ("journal_instance", "position", "journal_instance", ""),
    ("superseded", "locator", "superseded", ""),
)
_NUMBERS = frozenset({"id", "study_row", "series_id", "class_id"})
_JSON = frozenset({"stated", "document"})


def digest(connection: Connection) -> str:
    """A hash of all rows in an order that does not depend on their numbers."""
    total = hashlib.sha256()
    for name, order, table, join in _NAMED:
        columns = [column.name for column in schema.metadata.tables[table].columns if column.name not in _NUMBERS]
        listed = ", ".join(f"{table}.{column}" for column in columns)
        rows = connection.exec_driver_sql(f"SELECT {order}, {listed} FROM {table} {join} ORDER BY {order}")
        names = len(order.split(", "))
        texts = [names + at for at, column in enumerate(columns) if column in _JSON]
        for row in rows:
            values = list(row)
            for at in texts:
                values[at] = _canonical(values[at])
            total.update(repr((name, *values)).encode())
    for text in _classes(connection):
        total.update(text.encode())
    return total.hexdigest()


def _canonical(stored: str | bytes) -> str:
    """Stored JSON without the order of its keys."""
    return json.dumps(json.loads(dialect.document_text(stored) or "{}"), sort_keys=True)


def _classes(connection: Connection) -> Iterator[str]:
    for sql in (
        "SELECT key, uid, '' FROM series_class JOIN series ON series.id = series_id "
        "JOIN sop_class ON sop_class.id = class_id ORDER BY key, uid",
        "SELECT key, ordinal, uid FROM instance JOIN series ON series.id = series_id "
        "JOIN sop_class ON sop_class.id = class_id ORDER BY key, ordinal",
    ):
        for row in connection.exec_driver_sql(sql):
            yield repr(tuple(row))
