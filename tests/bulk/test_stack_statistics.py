"""Statistics of an archive: what they say of real series, and what a page shows of them."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

import pacscore
from pacscore.bulk.stack_statistics import COLUMNS, ArchiveStatistics, archive_statistics
from pacscore.bulk.statistics_page import bar_chart, histogram_chart, page_of, range_chart
from pacscore.cli.app import app
from pacscore.errors import InputError


@pytest.fixture(scope="module")
def archive(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[pacscore.Archive]:
    names = ("sts003-ct", "sts003-pet", "ct-liver-23x38x3", "mr-localizer-3plane-ge", "mr-rgb-4", "sts003-ct-rtstruct")
    with pacscore.create(tmp_path_factory.mktemp("statistics") / "archive") as opened:
        opened.ingest(*(data / "series" / name for name in names))
        yield opened


@pytest.fixture(scope="module")
def found(archive: pacscore.Archive) -> ArchiveStatistics:
    return archive_statistics(archive, intensity=True)


def test_each_stack_is_a_row_with_the_values_of_its_volume(archive: pacscore.Archive, found: ArchiveStatistics) -> None:
    assert (len(found.of_series), len(found.rows)) == (6, 8)
    assert found.total("instances") == 51 + 51 + 3 + 21 + 4 + 1
    assert dict(found.count("Modality")) == {"CT": 2, "MR": 2, "PT": 1, "RTSTRUCT": 1}
    assert dict(found.count("geometry", of_series=False)) == {"regular": 7}
    for row in found.rows:
        assert tuple(row) == COLUMNS
        if row["stack"] is None:
            assert row["Modality"] == "RTSTRUCT"
            continue
        volume = archive.series(row["SeriesInstanceUID"]).volume(row["stack"])
        assert (row["slice_spacing_mm"], row["row_spacing_mm"], row["column_spacing_mm"]) == volume.spacing_mm
        if row["samples"] == 1:
            values = volume.modality().astype(np.float64)
            assert (row["minimum"], row["maximum"]) == (values.min(), values.max())
            assert row["mean"] == pytest.approx(values.mean())
            assert row["deviation"] == pytest.approx(values.std())
        else:
            assert row["mean"] is None
    spreads = {each.name: each for each in found.spreads("CT")}
    assert (spreads["slices"].smallest, spreads["slices"].largest, spreads["slices"].count) == (3, 51, 2)
    assert spreads["mean"].unit == "HU"


def test_tables_and_page_hold_every_row(found: ArchiveStatistics, tmp_path: Path) -> None:
    for name in ("s.csv", "s.parquet", "s.html"):
        found.write(tmp_path / name)
    with (tmp_path / "s.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["SeriesInstanceUID"] for row in rows] == [row["SeriesInstanceUID"] for row in found.rows]
    table = pyarrow.parquet.read_table(tmp_path / "s.parquet")
    assert table.column_names == list(COLUMNS)
    assert table["slices"].to_pylist() == [row["slices"] for row in found.rows]
    page = (tmp_path / "s.html").read_text("utf-8")
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(drawings) == 9
    for drawing in drawings:
        ElementTree.fromstring(drawing)
    assert not re.search(r"(?:src|href)\s*=|url\(|@import|<script", page)
    with pytest.raises(InputError, match="html"):
        found.write(tmp_path / "s.txt")


def test_a_page_names_no_patient_and_escapes_what_headers_say(
    archive: pacscore.Archive, found: ArchiveStatistics
) -> None:
    row = {**found.rows[0], "ProtocolName": "<script>alert(1)</script>", "Manufacturer": "A&B <x>", "problem": "<b>"}
    page = page_of(ArchiveStatistics((row, *found.rows[1:])))
    assert "<script" not in page
    assert "<b></td>" not in page
    assert "A&amp;B &lt;x&gt;" in page
    # What a header calls a protocol may hold anything; nothing else does.
    quiet = page_of(ArchiveStatistics(tuple({**each, "ProtocolName": "p"} for each in found.rows)))
    for each in archive.find("patient"):
        assert str(each["PatientName"]) not in quiet
        assert str(each["PatientID"]) not in quiet
    assert page_of(ArchiveStatistics(()))


def test_bars_and_bins_are_as_high_as_their_counts() -> None:
    drawing = ElementTree.fromstring(re.search(r"<svg.*</svg>", bar_chart("t", [("a", 40), ("b", 10)]))[0])
    widths = [float(each.get("width")) for each in drawing if each.tag.endswith("rect")]
    assert widths[0] / widths[1] == pytest.approx(4)
    values = [1.0] * 3 + [2.0] * 6 + [33.0]
    drawn = histogram_chart("t", [("CT", values, "#111111"), ("MR", [2.0] * 3, "#222222")], unit="mm")
    rects = [each for each in ElementTree.fromstring(re.search(r"<svg.*</svg>", drawn)[0]) if each.tag.endswith("rect")]
    heights = sorted(float(each.get("height")) for each in rects if float(each.get("width")) != 10)
    np.testing.assert_allclose(np.array(heights) / heights[-1], [1 / 6, 3 / 6, 3 / 6, 1], rtol=1e-3)
    assert (
        bar_chart("t", []) == histogram_chart("t", [("CT", [], "#1")], unit="") == range_chart("t", [], unit="") == ""
    )
    assert histogram_chart("t", [("CT", [5.0, 5.0], "#1")], unit="mm", logarithmic=True)


def test_the_command_summarises_looks_and_writes(archive: pacscore.Archive, tmp_path: Path) -> None:
    def run(*words: object) -> str:
        result = CliRunner().invoke(app, ["stats", str(archive.root), *map(str, words)])
        assert result.exit_code == 0, result.output
        return result.output

    assert "of originals in" in run()
    assert json.loads(run("--json"))["series"] == 6
    looked = run("Modality=CT", "--intensity", "--out", tmp_path / "ct.html", "--out", tmp_path / "ct.csv")
    assert "slice_spacing_mm" in looked
    assert "deviation" in looked
    assert {path.name for path in tmp_path.iterdir()} == {"ct.html", "ct.csv"}
    assert len(json.loads(run("Modality=CT", "--spread", "--json"))["rows"]) == 2
    wrong = CliRunner().invoke(app, ["stats", str(archive.root), "--out", str(tmp_path / "x.doc")])
    assert isinstance(wrong.exception, InputError)
