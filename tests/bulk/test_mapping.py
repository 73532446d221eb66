"""bulk.map over threads and processes: every item is an entry, none ends the run, memory is bounded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import functions_mapped as functions
import numpy as np
import pyarrow.parquet
import pytest

import pacscore
from pacscore import Selection, bulk
from pacscore.errors import InputError, LimitError, NotFoundError

EXECUTORS = ("threads", "processes")


def expected(archive_folder: Path, selection: Selection, function: Callable[[Any], Any]) -> list[Any]:
    with pacscore.open(archive_folder, read_only=True) as archive:
        return [function(series.volume()) for series in selection.series(archive)]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_values_are_those_of_a_plain_loop_in_the_order_of_the_selection(
    archive_folder: Path, selection: Selection, executor: str
) -> None:
    results = list(bulk.map(selection, functions.mean, executor=executor, workers=2, ordered=True))
    assert [result.value for result in results] == expected(archive_folder, selection, functions.mean)
    assert [result.item for result in results] == list(selection)
    assert all(result.is_done and result.seconds > 0 for result in results)


def test_each_result_says_what_it_was_made_from_and_by(selection: Selection) -> None:
    (result,) = bulk.map(selection[:1], functions.mean, parameters={"scale": 2.0})
    about = result.provenance.as_dict()
    assert about["generation"] == selection[0].generation
    assert about["function"] == "functions_mapped:mean"
    assert about["parameters"] == {"scale": 2.0}
    assert {"pacscore", "numpy", "python"} <= set(about["versions"])
    (other,) = bulk.map(selection[:1], functions.middle)
    assert len(about["source_sha256"]) == 64
    assert other.provenance.source_sha256 != about["source_sha256"]
    (plain,) = bulk.map(selection[:1], functions.mean)
    assert result.value == 2 * plain.value


@pytest.mark.parametrize(
    ("executor", "function", "status", "error", "trace"),
    [
        ("threads", functions.fail_on_pet, "failed", "ValueError: no dose here", "in fail_on_pet"),
        ("threads", functions.leave_on_pet, "failed", "SystemExit: 3", "in leave_on_pet"),
        ("threads", functions.hang_on_pet, "timed out", "not done after 2 s", "in wait_for_ever"),
        ("processes", functions.fail_on_pet, "failed", "ValueError: no dose here", "in fail_on_pet"),
        ("processes", functions.hang_on_pet, "timed out", "not done after 2 s", "in wait_for_ever"),
        ("processes", functions.crash_on_pet, "failed", "ended with signal 9", ""),
    ],
)  # fmt: skip
def test_an_item_that_fails_hangs_or_crashes_is_an_entry_and_the_others_are_done(
    selection: Selection, executor: str, function: Callable[..., Any], status: str, error: str, trace: str
) -> None:
    limit = 2.0 if status == "timed out" else None
    run = bulk.map(selection, function, executor=executor, workers=2, timeout=limit)
    values = sorted(str(result.value) for result in run)
    report = run.report()
    assert values == ["CT", "MR", "MR", "MR", "None"]
    (failure,) = report.failures
    assert (report.total, report.done, report.failed + report.timed_out) == (5, 4, 1)
    assert failure.status == status
    assert error in failure.error
    assert trace in failure.trace


def test_a_result_that_cannot_leave_its_process_fails_alone(of_items: Callable[[int], Selection]) -> None:
    for function, said in ((functions.unpicklable, "cannot leave its process"), (functions.only_there, "loaded here")):
        report = bulk.map(of_items(2), function, executor="processes", workers=1, take="item").report()
        assert report.failed == 2
        assert said in report.failures[0].error


def test_a_function_that_workers_cannot_load_is_told_at_once(of_items: Callable[[int], Selection]) -> None:
    class Unloadable:
        def __call__(self, item: Any) -> None: ...
        def __reduce__(self) -> tuple[Any, ...]:
            return (int, ("no number",))

    with pytest.raises(InputError, match="cannot load the function"):
        bulk.map(of_items(2), Unloadable(), executor="processes", workers=1, take="item").report()


def test_a_function_may_take_series_items_or_a_stack(selection: Selection) -> None:
    generations = [result.value for result in bulk.map(selection, functions.generation, take="series", ordered=True)]
    assert generations == [item.generation for item in selection]
    (failed,) = bulk.map(selection[:1], functions.mean, stack=7)
    assert "none of number 7" in failed.error


def test_kernels_run_serially_inside_items(selection: Selection) -> None:
    (here,) = bulk.map(selection[:1], functions.threads_told, workers=1)
    assert here.value["serial"]
    (there,) = bulk.map(selection[:1], functions.threads_told, executor="processes", workers=1)
    assert there.value == {"serial": True, "blas": "1"}


@pytest.mark.parametrize("ordered", [False, True])
def test_what_is_not_taken_is_not_computed_ahead_without_bound(
    of_items: Callable[[int], Selection], ordered: bool
) -> None:
    begun: list[str] = []
    first_may_end = threading.Event()

    def note(item: Any) -> int:
        begun.append(item.series_instance_uid)
        if ordered and item.series_instance_uid == "1.9.0":
            first_may_end.wait(20)
        return 1

    run = iter(bulk.map(of_items(200), note, take="item", workers=2, ordered=ordered))
    if ordered:  # The first is slow: those behind it wait, and only so many.
        threading.Timer(0.3, first_may_end.set).start()
    next(run)
    assert len(begun) <= 12
    run.close()
    assert len(begun) <= 16


def test_a_cancelled_run_finishes_what_is_under_way_and_says_what_is_left(of_items: Callable[[int], Selection]) -> None:
    run = bulk.map(of_items(50), functions.thread_count, take="item", workers=2)
    for number, _ in enumerate(run):
        if number == 9:
            run.cancel()
    report = run.report()
    assert 10 <= report.done <= 14
    assert report.left == 50 - report.done


def test_threads_that_hang_are_not_left_behind_without_bound(
    of_items: Callable[[int], Selection], monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end = threading.Event()
    monkeypatch.setattr("pacscore.bulk.performing._HANGING_MAX", 3)
    run = bulk.map(of_items(9), lambda _item: may_end.wait(20), take="item", workers=2, timeout=0.05)
    with pytest.raises(LimitError, match="executor='processes'"):
        run.report()
    may_end.set()


def test_progress_counts_up_and_knows_its_rate(of_items: Callable[[int], Selection]) -> None:
    seen: list[tuple[str, int, int]] = []
    run = bulk.map(
        of_items(20), functions.thread_count, take="item", progress=lambda *state: seen.append(state), workers=2
    )
    assert run.report().done == 20
    assert seen == [("items", number, 20) for number in range(1, 21)]
    assert run.rate > 0
    assert run.seconds_left == 0


def test_nothing_to_do_is_done_at_once(of_items: Callable[[int], Selection]) -> None:
    report = bulk.map(of_items(0), functions.thread_count, take="item").report()
    assert (report.total, report.done, report.failures) == (0, 0, ())


def test_misuse_is_refused_before_anything_runs(selection: Selection, tmp_path: Path) -> None:
    from dataclasses import replace

    for wrong in (
        {"executor": "fibres"}, {"workers": 0}, {"take": "patient"}, {"timeout": 0.0}, {"volumes": "tiff"},
        {"parameters": {"array": np.zeros(3)}},
    ):  # fmt: skip
        with pytest.raises(InputError):
            bulk.map(selection, functions.mean, **wrong).report()
    with pytest.raises(NotFoundError):
        bulk.map(replace(selection, archive=str(tmp_path)), functions.mean)
    with pytest.raises(InputError, match="Another archive"):
        bulk.map(replace(selection, archive_id="ff"), functions.mean)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_function_of_a_group_is_given_all_series_of_a_study(
    archive_folder: Path, tmp_path: Path, executor: str
) -> None:
    with pacscore.open(archive_folder, read_only=True) as archive:
        studies, patients = archive.select("study"), archive.select("patient")
    groups = list(studies.groups().items())
    for run in (None, tmp_path / "run"):
        results = list(
            bulk.map(studies, functions.bytes_of_group, take="group", executor=executor, ordered=True, run=run)
        )
        assert [result.value["series"] for result in results] == [len(group) for _, group in groups]
        for result, (uid, group) in zip(results, groups, strict=True):
            assert (result.item.study_instance_uid, result.item.series_instance_uid) == (uid, "")
            assert result.provenance.generation == ", ".join(item.generation for item in group)
    rows = pyarrow.parquet.read_table(tmp_path / "run" / "values.parquet").to_pylist()
    assert [(row["StudyInstanceUID"], row["series"]) for row in rows] == [(uid, len(each)) for uid, each in groups]
    again = bulk.map(studies, functions.bytes_of_group, take="group", run=tmp_path / "run").report()
    assert (again.total, again.resumed) == (len(groups), len(groups))
    assert bulk.map(patients, functions.bytes_of_group, take="group").report().done == len(patients.groups())


def test_groups_of_single_series_are_refused_with_what_to_do(selection: Selection) -> None:
    with pytest.raises(InputError, match=r"archive.select\('study'"):
        bulk.map(selection, functions.bytes_of_group, take="group")
