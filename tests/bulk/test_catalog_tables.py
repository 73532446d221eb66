"""The catalog as Parquet: what it says, and that bringing it up to date equals making it anew."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest
from typer.testing import CliRunner

import pacscore
from pacscore.bulk.catalog_tables import POSITION, TABLES, columns_of, export_catalog
from pacscore.errors import InputError, UnsupportedError

_SORT = {
    "study": ["StudyInstanceUID"],
    "series": ["StudyInstanceUID", "SeriesInstanceUID"],
    "stack": ["StudyInstanceUID", "SeriesInstanceUID", "stack"],
    "instance": ["StudyInstanceUID", "SeriesInstanceUID", "ordinal"],
}


def _read(out: Path, name: str) -> list[dict[str, Any]]:
    table = pyarrow.dataset.dataset(out / name, format="parquet").to_table()
    return table.sort_by([(key, "ascending") for key in _SORT[name]]).to_pylist()


@pytest.fixture
def archive(data: Path, tmp_path: Path) -> Iterator[pacscore.Archive]:
    with pacscore.create(tmp_path / "archive") as opened:
        opened.ingest(*(data / "series" / name for name in ("ct-liver-23x38x3", "mr-localizer-3plane-ge", "mr-rgb-4")))
        yield opened


def test_the_tables_say_what_the_archive_says(archive: pacscore.Archive, tmp_path: Path) -> None:
    report = export_catalog(archive, tmp_path / "out")
    assert (report.made_anew, report.series, report.gone) == (True, 3, 0)
    rows = {name: _read(tmp_path / "out", name) for name in TABLES}
    assert [len(rows[name]) for name in TABLES] == [3, 3, 5, 28]
    for row in rows["series"]:
        series = archive.series(row["SeriesInstanceUID"])
        (found,) = archive.find("series", SeriesInstanceUID=row["SeriesInstanceUID"], geometry="")
        assert row["geometry"] == found["geometry"]
        assert row["instances"] == found["NumberOfSeriesRelatedInstances"] == len(series.instances)
        assert row["bytes_original"] == sum(len(instance.bytes()) for instance in series.instances)
        assert (row["state"], row["generation"], row["key"]) == ("sealed", series.generation, series.key)
        for keyword, value in found.items():
            if keyword in row and isinstance(value, str | int | float):
                assert row[keyword] == value, keyword
    for row in rows["instance"]:
        instance = archive.instance(row["SOPInstanceUID"])
        dataset = instance.dataset()
        assert (row["sha256"], row["bytes"]) == (instance.sha256, len(instance.bytes()))
        assert row["SOPClassUID"] == dataset.SOPClassUID
        assert (row["Rows"], row["Columns"], row["BitsAllocated"]) == (
            dataset.Rows,
            dataset.Columns,
            dataset.BitsAllocated,
        )
        assert row["InstanceNumber"] == dataset.InstanceNumber
    for row in rows["stack"]:
        volume = archive.series(row["SeriesInstanceUID"]).volume(row["stack"])
        assert (row["volumes"] * row["slices"], row["rows"], row["columns"]) == (
            volume.frame_count,
            *volume.shape[-2 - (row["samples"] > 1) :][:2],
        )
        assert (row["slice_spacing_mm"], row["row_spacing_mm"], row["column_spacing_mm"]) == volume.spacing_mm
    (study,) = (row for row in rows["study"] if row["ModalitiesInStudy"] == "CT")
    assert study["NumberOfStudyRelatedInstances"] == 3
    for name in TABLES:
        assert list(rows[name][0])[: len(columns_of(name))] == list(columns_of(name))


def test_up_to_date_equals_anew_and_reads_only_what_changed(
    archive: pacscore.Archive, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    export_catalog(archive, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    assert export_catalog(archive, out).files == 0
    steps = (
        lambda: archive.ingest(data / "series/sts003-pet"),
        lambda: archive.receive(
            (
                data / "series/mr-hitachi-4" / sorted(p.name for p in (data / "series/mr-hitachi-4").iterdir())[0]
            ).read_bytes()
        ),
        lambda: [archive.receive(path.read_bytes()) for path in sorted((data / "series/mr-hitachi-4").iterdir())],
        archive.seal,
        lambda: archive.reseal("frames", Modality="CT"),
    )
    for number, step in enumerate(steps):
        step()
        report = export_catalog(archive, out)
        assert not report.made_anew
        assert report.series == 1, number
        export_catalog(archive, tmp_path / f"anew{number}")
        for name in TABLES:
            assert _read(out, name) == _read(tmp_path / f"anew{number}", name), (number, name)
    unchanged = [path for path, time in before.items() if path.stat().st_mtime_ns == time]
    assert unchanged
    (row,) = (row for row in _read(out, "series") if row["Modality"] == "CT")
    assert row["strategy"] == "frames"


def test_a_crash_before_the_position_is_made_good(
    archive: pacscore.Archive, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    export_catalog(archive, out)
    position = (out / POSITION).read_bytes()
    archive.ingest(data / "series/sts003-pet")
    export_catalog(archive, out)
    (out / POSITION).write_bytes(position)  # As if the second had ended just before.
    assert export_catalog(archive, out).series == 1
    export_catalog(archive, tmp_path / "anew")
    for name in TABLES:
        assert _read(out, name) == _read(tmp_path / "anew", name)


def test_a_folder_of_something_else_is_refused(
    archive: pacscore.Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    export_catalog(archive, out)
    value = json.loads((out / POSITION).read_text())
    for change, match in (
        ({"archive_id": "00"}, "another archive"),
        ({"format": 99}, "newer"),
        ({"digits": None}, "none that"),
    ):
        (out / POSITION).write_text(json.dumps(value | change))
        with pytest.raises(InputError, match=match):
            export_catalog(archive, out)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UnsupportedError, match=r"pacscore\[tables\]"):
        export_catalog(archive, tmp_path / "other")


def test_the_command_writes_tables_that_others_read(archive: pacscore.Archive, tmp_path: Path) -> None:
    import duckdb
    import pandas
    import polars

    from pacscore.cli.app import app

    made = CliRunner().invoke(app, ["catalog", "export", str(archive.root), str(tmp_path / "out"), "--json"])
    assert json.loads(made.output)["series"] == 3
    files = str(tmp_path / "out/series/*/*.parquet")
    assert duckdb.sql(f"SELECT count(*) FROM '{files}' WHERE Modality = 'MR'").fetchall() == [(2,)]
    assert polars.scan_parquet(files).select("bytes_original").sum().collect().item() > 1_000_000
    assert sorted(pandas.read_parquet(tmp_path / "out/series")["Modality"]) == ["CT", "MR", "MR"]
    again = CliRunner().invoke(app, ["catalog", "export", str(archive.root), str(tmp_path / "out")])
    assert "0 series that had changed" in again.output
