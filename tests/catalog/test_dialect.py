"""What SQLite alone does: errors become ours, plans use the indexes meant for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from catalog_rows import document_of, sealed
from sqlalchemy import event

from pacscore.catalog import Catalog, dialect, plan
from pacscore.errors import DamagedError, RetryError


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(tmp_path / "catalog.sqlite") as opened:
        opened.put_series(
            [sealed(f"1.{n}", f"1.{n}.0", 1, document_of(PatientID=f"P{n}", SeriesNumber=n)) for n in range(50)]
        )
        yield opened


def plans_of(catalog: Catalog, level: str, match: dict[str, Any], **options: Any) -> str:
    asked: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, values: Any, context: Any, many: bool) -> None:
        asked.append((statement, values))

    def noted(connection: Any, sql: str, values: Any = ()) -> list[Any]:
        asked.append((sql, values))
        return fetch(connection, sql, values)

    fetch = dialect.fetch
    event.listen(catalog._connections.engine, "before_cursor_execute", note)
    with mock.patch.object(dialect, "fetch", noted):
        list(catalog.find(level, match, limit=10, **options))
    event.remove(catalog._connections.engine, "before_cursor_execute", note)
    with catalog._reading() as connection:
        driver = dialect.raw(connection)
        found = [row[3] for sql, values in asked for row in driver.execute("EXPLAIN QUERY PLAN " + sql, values)]
    return "\n".join(found)


@pytest.mark.parametrize("level", ["study", "series"])
@pytest.mark.parametrize(
    ("match", "index"),
    [
        ({"StudyInstanceUID": "1.1"}, "study_identity"),
        ({"PatientID": "P1"}, "study_patient_id"),
        ({"PatientName": "Mull*"}, "study_patient_name_folded"),
        ({"StudyDate": "20200101-20200201"}, "study_order"),
        ({"SeriesInstanceUID": "1.1.0"}, "series_uid"),
        ({"Modality": "CT"}, "series_modality"),
        ({"geometry": "regular"}, "series_verdict"),
        ({"SOPInstanceUID": "1.1.0.0"}, "instance_sop"),
        ({"SeriesDescription": "*orax*"}, "series_trigram"),
        ({}, "order"),
    ],
)
def test_a_key_is_searched_by_its_index_and_nothing_is_sorted_whole(
    catalog: Catalog, level: str, match: dict[str, Any], index: str
) -> None:
    plans = plans_of(catalog, level, match)
    assert index in plans
    whole = [line for line in plans.splitlines() if line.startswith("SCAN s") and "INDEX" not in line]
    assert not whole, plans


@pytest.mark.parametrize("order", [None, "-StudyDate", "PatientID", "-PatientName", "SeriesNumber"])
def test_an_order_comes_from_an_index(catalog: Catalog, order: str | None) -> None:
    plans = plans_of(catalog, "series", {}, order=order)
    assert "USE TEMP B-TREE FOR ORDER BY" not in plans, plans


def test_a_damaged_catalog_says_so(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    path.write_bytes(b"not a database, but long enough to be looked at as if it were one" * 100)
    with pytest.raises(DamagedError, match="derived"):
        Catalog.open(path)


def test_a_lock_held_too_long_is_an_error_to_retry(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialect, "BUSY_SECONDS", 0.05)
    with Catalog.open(tmp_path / "catalog.sqlite") as other, catalog._transaction(), pytest.raises(RetryError):
        other.set_position("events", "x")


def test_a_reader_in_a_folder_that_cannot_be_written_needs_no_file_beside(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "catalog.sqlite"
    catalog.close()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with Catalog.open(path, read_only=True) as reader:
        assert len(list(reader.find("series"))) == 50
    assert [found.name for found in tmp_path.iterdir()] == ["catalog.sqlite"]


def test_values_are_never_sql(catalog: Catalog) -> None:
    for nasty in ("'; DROP TABLE series; --", '"', "%", "[", "*'*", '*"*', "a*[b-z]"):
        for key in ("PatientName", "SeriesDescription", "ImageComments", "ACME'\":0029xx10", "SeriesInstanceUID"):
            assert list(catalog.find("series", {key: nasty})) == []
    assert catalog.counts().series == 50


@pytest.mark.parametrize("most", [(1, 2), (1, 1_000), (10, 20), (10, 1_000)])
def test_each_way_to_search_gives_the_same_answers(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, most: tuple[int, int]
) -> None:
    catalog.put_series(
        [
            sealed(f"2.{n // 3}", f"2.{n // 3}.{n}", 1, document_of(
                SeriesDescription=f"Abdomen {n % 4}", StudyDate=f"2019010{1 + n % 9}", Modality="MR" if n % 2 else "CT"
            ))
            for n in range(40)
        ]
    )  # fmt: skip
    queries: list[dict[str, Any]] = [
        {"SeriesDescription": "*bdomen 3*"}, {"SeriesDescription": "*orax*", "Modality": "CT"}, {"Modality": "MR"},
        {"SeriesDescription": "*dom*", "PatientID": "P1"}, {"StudyDate": "20190102", "SeriesDescription": "*men*"},
    ]  # fmt: skip

    def answers() -> list[Any]:
        return [
            list(catalog.find(level, match, order=order))
            for level in ("study", "series") for match in queries for order in (None, "-StudyDate")
        ]  # fmt: skip

    usual = answers()
    assert all(usual)
    monkeypatch.setattr(plan, "GATHER_MAX", most[0])
    monkeypatch.setattr(plan, "COUNT_MAX", most[1])
    assert answers() == usual


def test_rows_that_hold_a_text_are_sieved_by_number_before_they_are_read(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "GATHER_MAX", 10)
    plans = plans_of(catalog, "series", {"SeriesDescription": "*orax*"})
    assert "series_trigram" in plans
    assert "SCAN series USING INDEX series_order" in plans
