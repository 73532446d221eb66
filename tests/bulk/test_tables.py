"""Tables of selections and of values."""

from __future__ import annotations

from pathlib import Path

import pytest

import pacscore
from pacscore import Selection, bulk
from pacscore.bulk.tables import table_of


def test_a_table_has_one_row_a_series_in_the_order_of_the_selection(archive_folder: Path, selection: Selection) -> None:
    turned = selection[::-1]
    table = bulk.table(turned)
    assert table["SeriesInstanceUID"].to_pylist() == [item.series_instance_uid for item in turned]
    with pacscore.open(archive_folder, read_only=True) as archive:
        rows = {row["SeriesInstanceUID"]: row for row in archive.find("series", geometry="")}
        assert bulk.table(turned, archive) == table
    for row in table.to_pylist():
        known = rows[row["SeriesInstanceUID"]]
        assert {key: row[key] for key in ("Modality", "geometry", "NumberOfSeriesRelatedInstances")} == {
            key: known[key] for key in ("Modality", "geometry", "NumberOfSeriesRelatedInstances")
        }
    pandas = pytest.importorskip("pandas")
    assert isinstance(table.to_pandas(), pandas.DataFrame)
    polars = pytest.importorskip("polars")
    assert polars.from_arrow(table).height == 5


def test_columns_of_several_kinds_are_widened_or_become_text() -> None:
    table = table_of([{"a": 1, "b": "x"}, {"a": 2.5, "b": 3}, {"c": [1, 2]}])
    assert table.to_pydict() == {"a": [1.0, 2.5, None], "b": ["x", "3", None], "c": [None, None, [1, 2]]}
