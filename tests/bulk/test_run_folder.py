"""Run folders: results are kept, a killed run goes on, nothing is computed twice, damage is not passed over."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import functions_mapped as functions
import numpy as np
import pytest
import zarr
from killed_runs import child_of, kill_and_resume
from PIL import Image

import pacscore
from pacscore import Selection, bulk
from pacscore.bulk.record import LOG, Record, read_record
from pacscore.errors import DamagedError, InputError, RetryError


def test_values_become_a_table_and_are_not_computed_again(selection: Selection, tmp_path: Path) -> None:
    import pyarrow.parquet

    first = bulk.map(selection, functions.numbers, run=tmp_path / "run").report()
    assert (first.done, first.resumed) == (5, 0)
    table = pyarrow.parquet.read_table(tmp_path / "run" / "values.parquet").to_pandas()
    assert table["SeriesInstanceUID"].tolist() == [item.series_instance_uid for item in selection]
    about = json.loads(pyarrow.parquet.read_schema(tmp_path / "run" / "values.parquet").metadata[b"pacscore"])
    assert (about["function"], len(about["versions"])) == ("functions_mapped:numbers", 1)
    assert table["generation"].tolist() == [item.generation for item in selection]
    results = list(bulk.map(selection, functions.numbers, run=tmp_path / "run", ordered=True))
    assert all(result.resumed for result in results)
    assert table["high"].tolist() == [result.value["high"] for result in results]
    assert json.loads((tmp_path / "run" / "report.json").read_text())["resumed"] == 5


def test_pictures_arrays_and_volumes_are_kept_as_files(
    archive_folder: Path, selection: Selection, tmp_path: Path
) -> None:
    pet = next(n for n, item in enumerate(selection) if item.series_instance_uid.endswith("4372145244"))
    archive = pacscore.open(archive_folder, read_only=True)
    volume = next(selection[pet : pet + 1].series(archive)).volume()
    (picture,) = bulk.map(selection[pet : pet + 1], functions.middle, run=tmp_path / "pictures")
    with Image.open(picture.value) as shown:
        np.testing.assert_array_equal(np.asarray(shown), np.asarray(volume.frame(25).picture()))
        assert json.loads(shown.text["pacscore"])["series_instance_uid"] == selection[pet].series_instance_uid
        assert selection[pet].patient_id not in shown.text["pacscore"]
    (array,) = bulk.map(selection[pet : pet + 1], functions.slices, run=tmp_path / "arrays")
    np.testing.assert_array_equal(zarr.open_array(array.value)[...], volume.array()[:2])
    (derived,) = bulk.map(selection[pet : pet + 1], functions.halved, run=tmp_path / "volumes", executor="processes")
    kept = zarr.open_array(derived.value)
    np.testing.assert_array_equal(kept[...], volume.modality() / 2)
    about = kept.attrs["pacscore"]
    np.testing.assert_allclose(about["index_to_lps"], volume.index_to_lps)
    assert about["derivation"] == ["halved"]
    assert about["generation"] == selection[pet].generation
    assert about["function"] == "functions_mapped:halved"
    assert not [path for path in (tmp_path / "volumes" / "results").iterdir() if path.name.startswith(".")]


def test_what_a_run_folder_cannot_keep_fails_alone(of_items: Callable[[int], Selection], tmp_path: Path) -> None:
    report = bulk.map(of_items(1), functions.unpicklable, take="item", run=tmp_path / "run").report()
    assert "cannot keep a lock" in report.failures[0].error


def test_volumes_become_derived_series_once_though_the_run_dies_before_it_records_them(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pacscore.create(tmp_path / "archive") as archive:
        archive.ingest(data / "series" / "sts003-pet", data / "series" / "mr-asl-multiphase-philips")
        selection = archive.select()
    plainly = Record.add_outcomes

    class Killed(BaseException): ...

    def die(record: Record, outcomes: Any) -> None:
        outcomes = list(outcomes)
        if any(outcome.kind == "series" for outcome in outcomes):
            raise Killed
        plainly(record, outcomes)

    monkeypatch.setattr(Record, "add_outcomes", die)
    with pytest.raises(Killed):
        bulk.map(selection, functions.halved, run=tmp_path / "run", volumes="series").report()
    monkeypatch.undo()
    results = list(bulk.map(selection, functions.halved, run=tmp_path / "run", volumes="series", ordered=True))
    stored = next(result for result in results if result.is_done)
    assert "further axes" in next(result.error for result in results if not result.is_done)
    with pacscore.open(tmp_path / "archive", read_only=True) as archive:
        (found,) = archive.find("series", SeriesDescription="halved")
        assert found["SeriesInstanceUID"] == stored.value
        series = archive.series(stored.value)
        assert "functions_mapped:halved" in str(series.instances[0].dataset().DerivationDescription)
        source = archive.series(stored.item.series_instance_uid).volume()
        np.testing.assert_allclose(series.volume().modality(), source.modality() / 2, atol=0.5)


def test_failures_are_kept_and_done_again_only_when_asked(selection: Selection, tmp_path: Path) -> None:
    first = bulk.map(selection, functions.fail_on_pet, run=tmp_path / "run").report()
    assert first.failed == 1
    again = bulk.map(selection, functions.fail_on_pet, run=tmp_path / "run").report()
    assert (again.failed, again.resumed) == (1, 5)
    assert "no dose here" in again.failures[0].trace
    retried = bulk.map(selection, functions.fail_on_pet, run=tmp_path / "run", retry=True).report()
    assert (retried.failed, retried.resumed) == (1, 4)


def test_another_run_in_the_same_folder_is_refused(selection: Selection, tmp_path: Path) -> None:
    run = tmp_path / "run"
    bulk.map(selection, functions.mean, run=run).report()
    with pytest.raises(InputError, match="source of the function"):
        bulk.map(selection, functions.numbers, run=run)
    with pytest.raises(InputError, match="parameters"):
        bulk.map(selection, functions.mean, run=run, parameters={"scale": 3})
    with pytest.raises(InputError, match=r"selection \(bulk.selection_of"):
        bulk.map(selection[:2], functions.mean, run=run)
    with pytest.raises(InputError, match="holds a run already"):
        bulk.map(selection, functions.mean, run=run, resume=False)
    assert bulk.selection_of(run) == selection
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").touch()
    with pytest.raises(InputError, match="not empty"):
        bulk.map(selection, functions.mean, run=tmp_path / "other")
    assert [path.name for path in (tmp_path / "other").iterdir() if path.name != "run.lock"] == ["thesis.txt"]


def test_one_process_at_a_time_works_in_a_run_folder(of_items: Callable[[int], Selection], tmp_path: Path) -> None:
    bulk.map(of_items(9), functions.thread_count, take="item", run=tmp_path / "run")  # Not taken up: holds nothing.
    run = bulk.map(of_items(9), functions.thread_count, take="item", run=tmp_path / "run")
    next(iter(run))
    with pytest.raises(RetryError, match="Another process"):
        bulk.map(of_items(9), functions.thread_count, take="item", run=tmp_path / "run").report()
    run.close()
    report = bulk.map(of_items(9), functions.thread_count, take="item", run=tmp_path / "run").report()
    assert report.done == 9
    assert report.resumed >= 1


def test_a_torn_last_line_is_dropped_at_every_length_and_damage_before_it_is_told(
    of_items: Callable[[int], Selection], tmp_path: Path
) -> None:
    run, selection = tmp_path / "run", of_items(3)
    notes = tmp_path / "notes"
    notes.mkdir()
    parameters = {"folder": str(notes), "seconds": 0}
    bulk.map(selection, functions.noted, take="item", run=run, workers=1, parameters=parameters).report()
    whole = (run / LOG).read_bytes()
    lines = whole.splitlines(keepends=True)
    before = whole[: -len(lines[-1])]
    for length in range(len(lines[-1])):
        (run / LOG).write_bytes(before + lines[-1][:length])
        assert len(read_record(run).outcomes) == 2
    (run / LOG).write_bytes(before + lines[-1][:-3])
    results = list(bulk.map(selection, functions.noted, take="item", run=run, ordered=True, parameters=parameters))
    assert [(result.value, result.resumed) for result in results] == [(0, True), (1, True), (4, False)]
    for place in (3, 15, len(lines[0]) - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        (run / LOG).write_bytes(damaged)
        with pytest.raises(DamagedError, match=r"Line 1 of done\.log"):
            read_record(run)


@pytest.mark.parametrize("executor", ["threads", pytest.param("processes", marks=pytest.mark.slow)])
def test_a_run_that_is_killed_goes_on_and_computes_no_finished_item_twice(
    of_items: Callable[[int], Selection], tmp_path: Path, executor: str
) -> None:
    found = kill_and_resume(of_items(40), tmp_path, kills=2, seed=11, seconds=0.002, executor=executor)
    assert found.not_once == 0
    assert found.identical
    assert sum(found.calls) - 40 <= 2 * 4, "only what was under way at a kill is begun again"


@pytest.mark.slow
def test_a_thousand_items_killed_ten_times(of_items: Callable[[int], Selection], tmp_path: Path) -> None:
    for seed in range(3):
        found = kill_and_resume(of_items(1000), tmp_path / str(seed), kills=10, seed=seed, seconds=0.002)
        assert found.not_once == 0
        assert found.identical
        assert sum(found.calls) - 1000 <= 10 * 4


def test_an_interrupted_run_leaves_a_folder_to_go_on_with(of_items: Callable[[int], Selection], tmp_path: Path) -> None:
    command = child_of(of_items(400), tmp_path, seconds=0.01, executor="processes")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline()
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=30)
    assert "KeyboardInterrupt" in errors
    assert "Error" not in errors
    assert 0 < len(read_record(tmp_path / "run").outcomes) < 400
