"""Very many series at once: the short way into the tables for series that are not there yet.

A series that is new and given once needs no consensus of its own, nothing of it is replaced, and nobody asks for its
rows before the load ends. What is written equals what `Catalog.put_series` writes (a test compares), at a third of the
cost; series that are there take the usual way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, TypeAlias

from sqlalchemy import Connection

from pacscore.catalog import dialect, instances, schema, writing
from pacscore.catalog.attributes import STUDY_KEYWORDS
from pacscore.catalog.consensus import Consensus, merge
from pacscore.catalog.dialect import run_many
from pacscore.catalog.encoding import json_text, nested_terms, plain_text
from pacscore.catalog.rows import Document, InstanceColumns, SeriesRow, Value
from pacscore.catalog.writing import study_date

Entry: TypeAlias = tuple[SeriesRow, InstanceColumns]
BATCH = 1_000  # Larger ones are slower: more live objects for the garbage collector to visit.
_STUDY_SAID = STUDY_KEYWORDS - {"StudyInstanceUID"}


def load(
    connection: Connection,
    entries: Iterable[Entry],
    bulk: dialect.Bulk,
    *,
    put_known: Callable[[Connection, Sequence[Entry]], None],
) -> int:
    """Write series, new ones here and the others by ``put_known``; how many there were."""
    count = 0
    moved = False
    for batch in _batches(entries):
        known = writing.known_keys(connection, [row.key for row, _ in batch])
        new = [entry for entry in batch if entry[0].key not in known]
        for _, columns in new:
            instances.check_columns(columns)
        bulk.expect(frozenset().union(*(row.document for row, _ in batch)))
        moved |= _write_new(connection, new)
        if known:
            bulk.need(schema.SERIES_OF_STUDY)
            put_known(connection, [entry for entry in batch if entry[0].key in known])
        count += len(batch)
    if moved:
        _date_series(connection)
    return count


def _batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """The entries in lists of at most `BATCH`, in none of which a series stands twice."""
    source = iter(entries)
    while batch := list(islice(source, BATCH)):
        if len({row.key for row, _ in batch}) == len(batch):
            yield batch
        else:
            yield from ([entry] for entry in batch)


def _write_new(connection: Connection, entries: Sequence[Entry]) -> bool:
    """Write series of which none is there yet; whether a study that was there has another date by it.

    Then `_date_series` is due before the load ends.
    """
    said = [_said_of_study(row.document) for row, _ in entries]
    targets, dates, moved = _place_studies(connection, [row for row, _ in entries], said)
    first = writing.next_series_id(connection)
    series: list[tuple[Any, ...]] = []
    documents: list[tuple[Any, ...]] = []
    terms: list[tuple[Any, ...]] = []
    for number, ((row, columns), target) in enumerate(zip(entries, targets, strict=True), first):
        document = row.document
        stated_by = row.stated_by or min(columns.sop_instance_uids, default="")
        columns_of, further = writing.SERIES_COLUMNS.split(document)
        series.append(
            (number, row.key, target, dates[target], row.series_instance_uid, *columns_of,
             row.verdict, " ".join(row.kinds), row.generation, instances.current_count(columns), 0, 0,
             row.frame_count, row.bytes_original, row.bytes_stored, row.strategy, stated_by)
        )  # fmt: skip
        documents.append((number, dialect.pack_document(json_text(document)), _varying_text(row.varying)))
        terms += [(path, text, number) for path, text in further]
        terms += [(path, text, number) for path, text in nested_terms(document)]
    run_many(connection, writing.INSERT_SERIES, series)
    run_many(connection, writing.INSERT_DOCUMENT, documents)
    run_many(connection, writing.UPSERT_TERM, terms)
    instances.write_instances(
        connection, [(first + at, columns) for at, (_, columns) in enumerate(entries)], replace=False
    )
    return moved


def _date_series(connection: Connection) -> None:
    """Sort all series by the dates that their studies have now."""
    date = "(SELECT sort_date FROM study WHERE study.id = study_row)"
    connection.exec_driver_sql(f"UPDATE series SET sort_date = {date} WHERE sort_date <> {date}")


def _said_of_study(document: Document) -> dict[str, Value]:
    return {keyword: value for keyword, value in document.items() if keyword in _STUDY_SAID and value is not None}


def _place_studies(
    connection: Connection, rows: Sequence[SeriesRow], said: Sequence[dict[str, Value]]
) -> tuple[list[int], dict[int, str], bool]:
    """Write the studies of new series: each one's study, the date of each study, and whether a known date changed."""
    targets = writing.study_numbers(
        connection,
        [(row.study_instance_uid, plain_text(says.get("PatientID"))) for row, says in zip(rows, said, strict=True)],
    )
    consensus = writing.read_studies(connection, sorted(set(targets)))
    known = frozenset(consensus)
    dates = {number: study_date(found) for number, found in consensus.items()}
    written: dict[int, tuple[str, Consensus]] = {}
    for row, says, target in zip(rows, said, targets, strict=True):
        before = consensus.get(target)
        after = merge(before or Consensus(), row.series_instance_uid, says)
        if after is not before:
            consensus[target] = after
            written[target] = (row.study_instance_uid, after)
    writing.write_studies(connection, written, known=known)
    now = {number: study_date(found) for number, found in consensus.items()}
    return targets, now, any(now[number] != date for number, date in dates.items())


@lru_cache(maxsize=4096)
def _varying_text(varying: tuple[str, ...]) -> str:
    return json_text(list(varying))
