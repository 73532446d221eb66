"""The storage benchmark: right answers before times, whole results, and rows of somebody else's."""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

import pacscore
from pacscore.bulk.storage_benchmark.advice import advise
from pacscore.bulk.storage_benchmark.compare import compare_results
from pacscore.bulk.storage_benchmark.measure import BenchmarkRequest, run_benchmark
from pacscore.bulk.storage_benchmark.page import page_of
from pacscore.bulk.storage_benchmark.page_cache import CAN_DROP
from pacscore.bulk.storage_benchmark.plots import heat_map, size_against_speed
from pacscore.bulk.storage_benchmark.results import Results, load_results
from pacscore.bulk.storage_benchmark.workloads import WORKLOADS
from pacscore.cli.app import app
from pacscore.errors import InputError
from pacscore.store.plugins import plugin

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
QUICK = BenchmarkRequest(strategies=("balanced",), ways=(), rounds=2, warm_rounds=0, series=1)


@pytest.fixture(scope="module")
def results(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A small run over every workload, with the outside ways that need nothing but what pacscore needs."""
    request = replace(QUICK, strategies=("balanced", "gradient"), ways=("dicom-pydicom", "npy"), readers=1)
    return run_benchmark(data / "series" / "ct-increment-ge-4", tmp_path_factory.mktemp("bench"), request)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples, as if a distribution that names them were installed."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    points: dict[str, list[importlib.metadata.EntryPoint]] = {}
    for path in EXAMPLES.glob("*.py"):
        group = ""
        for line in [*path.read_text("utf-8").split('"""'), "", ""][1].splitlines():
            if line.startswith("[project.entry-points."):
                group = line.split('"')[1]
            elif group and " = " in line:
                name, _, value = line.partition(" = ")
                point = importlib.metadata.EntryPoint(name, value.strip('"'), group)
                points.setdefault(group, []).append(point)

    def entry_points(*, group: str, name: str | None = None) -> list[importlib.metadata.EntryPoint]:
        return [point for point in points.get(group, []) if name in (None, point.name)]

    for module in ("pacscore.store.plugins", "pacscore.bulk.storage_benchmark.ways"):
        monkeypatch.setattr(f"{module}.entry_points", entry_points)
    plugin.cache_clear()
    yield
    plugin.cache_clear()
    for module in ("storage_way", "own_strategy", "own_format"):
        sys.modules.pop(module, None)


def test_every_workload_is_measured_warm_and_cold_with_its_interval(results: Results) -> None:
    assert {row.workload for row in results.rows} == set(WORKLOADS)
    assert results.left_out == {}
    for row in results.rows:
        assert row.low <= row.median <= row.high
        assert len(row.seconds) == 2
    cold = {row.workload for row in results.rows if row.state == "cold"}
    assert cold == {name for name, workload in WORKLOADS.items() if workload.can_be_cold}
    headers = {row.way for row in results.rows if row.workload == "headers"}
    assert headers == {"pacscore balanced", "pacscore gradient", "dicom-pydicom"}
    volume = results.cell("npy", "volume")
    assert volume is not None
    assert volume.bytes_read == results.bytes_words == 4 * 512 * 512 * 2
    sizes = {way.name: way.bytes_stored for way in results.ways}
    assert sizes["pacscore gradient"] < sizes["pacscore balanced"] < sizes["npy"]


def test_results_are_the_same_after_a_round_trip_and_their_schema_is_documented(
    results: Results, tmp_path: Path
) -> None:
    results.save(tmp_path / "results.json")
    again = load_results(tmp_path / "results.json")
    assert again.rows == results.rows
    assert again.data == results.data
    assert again.ways == results.ways
    document = (EXAMPLES.parent / "docs" / "benchmark.md").read_text("utf-8")
    stated = json.loads((tmp_path / "results.json").read_text("utf-8"))
    for name in [*stated, *stated["rows"][0], *stated["ways"][0], *stated["data"][0]]:
        assert f"`{name}`" in document
    for name in WORKLOADS:
        assert f"`{name}`" in document
    (tmp_path / "other.json").write_text('{"schema": "x"}')
    with pytest.raises(InputError):
        load_results(tmp_path / "other.json")


def test_the_page_asks_for_nothing_and_holds_plots_and_recommendations(results: Results) -> None:
    page = page_of(results)
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    for plot in (size_against_speed(results), heat_map(results)):
        assert plot in page
        ElementTree.fromstring(plot)
    uses = {each.use for each in advise(results)}
    assert {"Training: random patches", "Taking series in", "Fewest bytes"} <= uses
    for each in advise(results):
        assert each.reason in page.replace("&#x27;", "'")


def test_only_changes_beyond_noise_are_told(results: Results) -> None:
    same = compare_results(results, results)
    assert {change.verdict for change in same.changes} == {"same"}
    assert same.differences == {}
    steady = tuple(replace(row, seconds=(0.010, 0.011, 0.010, 0.0105)) for row in results.rows)
    slow = tuple(
        replace(row, seconds=tuple(2 * each for each in row.seconds)) if row.workload == "axial" else row
        for row in steady
    )
    before, after = replace(results, rows=steady), replace(results, rows=slow, machine={"processor": "another"})
    comparison = compare_results(before, after)
    assert {change.column for change in comparison.changes if change.verdict == "slower"} == {"axial", "axial, cold"}
    assert comparison.differences["processor"][1] == "another"
    assert all(change.verdict != "slower" for change in compare_results(after, before).changes)


def test_a_way_that_answers_wrongly_or_cannot_store_is_named_and_not_timed(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pacscore.bulk.storage_benchmark import array_files, measure

    npy = next(way for way in array_files.ARRAY_WAYS if way.name == "npy")

    def write_wrong(case, folder: Path) -> None:
        np.save(folder / "words.npy", case.words + 1)

    def refuse(case, folder: Path) -> None:
        raise ValueError("no room for such words")

    ways = [
        replace(npy, name="wrong", write=write_wrong),
        replace(npy, name="refusing", write=refuse),
        replace(npy, name="absent", packages=("no-such-package",)),
    ]
    monkeypatch.setattr(measure, "outside_ways", lambda: ways)
    request = replace(QUICK, ways=None, workloads=("axial",), cold=False)
    found = run_benchmark(data / "series" / "ct-increment-ge-4", tmp_path, request)
    assert {row.way for row in found.rows} == {"pacscore balanced"}
    assert found.left_out == {
        "absent": "no-such-package is not installed",
        "refusing": "cannot store these series: no room for such words",
        "wrong: axial": "its answer differs from the others'",
    }
    assert not (tmp_path / "scratch").exists()


@pytest.mark.usefixtures("installed")
def test_a_way_of_somebody_else_joins_and_an_archive_is_only_read(data: Path, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    with pacscore.create(root) as archive:
        archive.ingest(data / "series" / "ct-increment-ge-4")
    before = {path: path.read_bytes() for path in root.rglob("*.zip")}
    request = replace(QUICK, ways=("npz",), workloads=("volume", "patch64"), strategies=("lzma-frames",), cold=False)
    found = run_benchmark(root, tmp_path / "out", request, match={"Modality": "CT"})
    assert {path: path.read_bytes() for path in root.rglob("*.zip")} == before
    assert {row.way for row in found.rows} == {"npz", "pacscore lzma-frames"}
    assert found.left_out == {}


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("strategy", ["lzma-frames", "uids", "frames@hdf5"])
def test_strategies_codecs_and_formats_of_somebody_else_keep_every_byte(
    data: Path, tmp_path: Path, strategy: str
) -> None:
    folder = data / "series" / "ct-increment-ge-4"
    with pacscore.create(tmp_path / "archive", strategy=strategy) as archive:
        archive.ingest(folder)
        series = archive.series(next(archive.find("series"))["SeriesInstanceUID"])
        kept = sorted(instance.bytes() for instance in series.instances)
        assert kept == sorted(path.read_bytes() for path in folder.iterdir())
        assert series.volume().array().any()
        assert archive.verify().findings == ()


@pytest.mark.parametrize("name", ["storage_way", "own_strategy", "own_format"])
def test_joining_takes_fewer_than_forty_lines(name: str) -> None:
    text = (EXAMPLES / f"{name}.py").read_text("utf-8").split('"""')[2]
    assert len([line for line in text.splitlines() if line.strip()]) < 40


def test_the_commands_write_a_page_and_compare(data: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    words = [
        "bench",
        "storage",
        str(data / "series" / "ct-increment-ge-4"),
        "Modality=CT",
        "--rounds",
        "2",
        "--ways",
        "none",
    ]
    words += ["--strategies", "balanced", "--workloads", "axial", "--no-cold", "--out", str(tmp_path)]
    shown = runner.invoke(app, words)
    assert shown.exit_code == 0, shown.output
    assert "pacscore balanced" in shown.output
    assert "Recommendations" in shown.output
    assert (tmp_path / "results.html").read_text("utf-8").startswith("<!doctype html>")
    same = runner.invoke(app, ["bench", "compare", *[str(tmp_path / "results.json")] * 2, "--json"])
    assert same.exit_code == 0
    assert json.loads(same.output)["changes"][0]["verdict"] == "same"
    nothing = runner.invoke(app, [*words[:3], "Modality=MR", "--out", str(tmp_path / "none"), "--ways", "none"])
    assert isinstance(nothing.exception, InputError)
    wrong = runner.invoke(app, [*words[:3], "--workloads", "juggling", "--out", str(tmp_path / "other")])
    assert isinstance(wrong.exception, InputError)


def test_a_run_keeps_to_its_time_and_names_what_was_too_slow_for_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pacscore.bulk.storage_benchmark import array_files, measure

    npy = next(way for way in array_files.ARRAY_WAYS if way.name == "npy")

    def slowly(folder: Path):
        time.sleep(0.5)
        return npy.open(folder)

    monkeypatch.setattr(measure, "outside_ways", lambda: [npy, replace(npy, name="slow", open=slowly)])
    told: list[tuple[str, int, int]] = []
    request = replace(QUICK, ways=None, rounds=50, workloads=("axial", "volume", "frame"), seconds=4.0)
    began = time.perf_counter()
    found = run_benchmark(
        data / "series" / "ct-increment-ge-4", tmp_path, request, report=lambda *each: told.append(each)
    )
    assert time.perf_counter() - began < 20  # Loading and storing are not cut short.
    slow = [row for row in found.rows if row.way == "slow"]
    assert {(row.workload, row.state, len(row.seconds)) for row in slow} == {
        (name, "warm", 1) for name in request.workloads
    }
    assert all(row.median >= 0.5 for row in slow)
    quick = {(row.workload, row.state) for row in found.rows if row.way == "npy" and len(row.seconds) >= 2}
    states = ("warm", "cold") if CAN_DROP else ("warm",)
    assert quick == {(name, state) for name in request.workloads for state in states}
    reasons = [reason for cell, reason in found.left_out.items() if cell.startswith("slow: ")]
    assert len(reasons) == 3 * CAN_DROP
    assert all("--full" in reason for reason in reasons)
    measuring = [(done, total) for phase, done, total in told if phase == "measuring, s"]
    assert measuring == sorted(measuring)
    assert measuring[-1] == (4, 4)
    unlimited = replace(request, rounds=2, seconds=None, workloads=("axial",))
    again = run_benchmark(data / "series" / "ct-increment-ge-4", tmp_path, unlimited)
    assert {len(row.seconds) for row in again.rows if row.way == "slow"} == {2}


def test_ctrl_c_keeps_what_was_measured(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, calls = data / "series" / "ct-increment-ge-4", [0]
    planes = WORKLOADS["axial"]

    def interrupt(stored, rig):
        calls[0] += stored.is_on_disk
        if calls[0] == 3:
            raise KeyboardInterrupt
        return planes.run(stored, rig)

    monkeypatch.setitem(WORKLOADS, "frame", replace(WORKLOADS["frame"], run=interrupt))
    words = ["bench", "storage", str(source), "--strategies", "balanced", "--ways", "none"]
    made = CliRunner().invoke(app, [*words, "--workloads", "axial,frame,volume", "--out", str(tmp_path / "a")])
    assert made.exit_code == 130
    found = load_results(tmp_path / "a" / "results.json")
    assert {row.workload for row in found.rows} == {"axial"}
    assert found.left_out["volume, warm"] == "interrupted before it was measured"
    assert not (tmp_path / "a" / "scratch").exists()
    assert (tmp_path / "a" / "results.html").exists()
    calls[0] = 0
    early = CliRunner().invoke(app, [*words, "--workloads", "frame", "--out", str(tmp_path / "b")])
    assert early.exit_code != 0
    assert not (tmp_path / "b" / "results.json").exists()
