"""Running the benchmark: store, check that all answers are equal, then time all ways in turn."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pacscore.bulk.storage_benchmark.archives import archive_way
from pacscore.bulk.storage_benchmark.cases import Case, Report, load_cases
from pacscore.bulk.storage_benchmark.machine import describe_machine
from pacscore.bulk.storage_benchmark.page_cache import CAN_DROP, size_below
from pacscore.bulk.storage_benchmark.results import DataFact, Results, Row, WayFact
from pacscore.bulk.storage_benchmark.stored import Rig, Stored, Truth
from pacscore.bulk.storage_benchmark.ways import Way, installed, outside_ways, way_named
from pacscore.bulk.storage_benchmark.workloads import Workload, bytes_touched, workloads_named
from pacscore.errors import PacscoreError
from pacscore.timing import alternate, median_interval

DEFAULT_STRATEGIES = ("balanced", "frames", "archive", "gradient", "hdf5", "part10")


@dataclass(frozen=True, slots=True)
class BenchmarkRequest:
    """What to measure.

    Attributes
    ----------
    strategies : tuple of str
        Of ours, ``NAME`` or ``NAME@FORMAT``.
    ways : tuple of str or None
        Of the outside world; None for all.
    workloads : tuple of str
        Empty for all.
    rounds, warm_rounds : int
        Counted and not counted rounds of each cell.
    series, bytes_max : int
        At most so many series, and bytes of words.
    workload_seconds : float
        A workload in one state gets fewer rounds, two at least, where they would take longer.
    readers : int
        How many read at once.
    cold : bool
        Measure also with the files out of the page cache.
    """

    strategies: tuple[str, ...] = DEFAULT_STRATEGIES
    ways: tuple[str, ...] | None = None
    workloads: tuple[str, ...] = ()
    rounds: int = 5
    warm_rounds: int = 1
    series: int = 3
    bytes_max: int = 512 << 20
    workload_seconds: float = 60.0
    readers: int = 2
    cold: bool = True


def run_benchmark(
    path: Path,
    out: Path,
    request: BenchmarkRequest | None = None,
    *,
    match: Mapping[str, str] | None = None,
    report: Report = lambda phase, done, total: None,
) -> Results:
    """Measure on a user's own data, in a folder on the disk that is to be measured.

    Parameters
    ----------
    path
        An archive or a folder of DICOM; neither is changed.
    out
        Holds what is stored while it is measured; all of that is removed again.
    match
        Which series.

    Raises
    ------
    InputError
        No series can be measured, or a strategy, way or workload has a name that none has.
    """
    request = request or BenchmarkRequest()
    workloads = workloads_named(request.workloads)
    ours = [archive_way(name) for name in request.strategies]
    theirs = outside_ways() if request.ways is None else [way_named(name) for name in request.ways]
    ways, left_out = installed([*ours, *theirs])
    out.mkdir(parents=True, exist_ok=True)
    scratch = out / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    machine = describe_machine(out)
    rig = Rig(scratch, request.readers)
    stored: list[Stored] = []
    try:
        cases, unused = load_cases(
            path, match or {}, scratch, count=request.series, bytes_max=request.bytes_max, report=report
        )
        left_out |= {name.partition(": ")[0]: name.partition(": ")[2] for name in unused}
        run = _Run(request, rig, cases, left_out, report)
        stored = run.store(ways)
        facts = tuple(_way_fact(each) for each in stored)
        data = tuple(_data_fact(case) for case in cases)
        rows = [row for workload in workloads for row in run.measure(workload, stored)]
    finally:
        rig.close()
        for each in stored:
            each.forget()
        shutil.rmtree(scratch, ignore_errors=True)
    return Results(
        made=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        machine=machine,
        settings={name: getattr(request, name) for name in BenchmarkRequest.__slots__},
        data=data,
        ways=facts,
        rows=tuple(rows),
        left_out=left_out,
    )


class _Run:
    """The steps of one run, and what each leaves out."""

    def __init__(
        self, request: BenchmarkRequest, rig: Rig, cases: Sequence[Case], left_out: dict[str, str], report: Report
    ) -> None:
        self._request, self._rig, self._cases = request, rig, cases
        self._left_out, self._report = left_out, report

    def store(self, ways: Sequence[Way]) -> list[Stored]:
        """Every case in every way; one that refuses is left out, with its reason."""
        there = []
        for number, way in enumerate(ways):
            self._report("storing", number, len(ways))
            stored = Stored(way, self._cases, self._rig.scratch / f"way-{number}")
            try:
                stored.write()
            except (PacscoreError, ValueError, RuntimeError, OSError, TypeError, NotImplementedError) as error:
                self._left_out[way.name] = f"cannot store these series: {error}"
                continue
            there.append(stored)
        self._report("storing", len(ways), len(ways))
        return there

    def measure(self, workload: Workload, stored: Sequence[Stored]) -> list[Row]:
        """The cells of one workload: warm, then cold."""
        fitting = [each for each in stored if each.way.headers is not None or not workload.needs_headers]
        start = time.perf_counter()
        touched = {each.name: self._checked(workload, each) for each in fitting}
        round_seconds = time.perf_counter() - start
        rounds = max(2, min(self._request.rounds, int(self._request.workload_seconds / round_seconds)))
        sound = [each for each in fitting if touched[each.name] is not None]
        if not sound:
            return []
        states = ["warm"]
        if workload.can_be_cold and self._request.cold:
            states += ["cold"] if CAN_DROP else []
        rows = []
        for state in states:
            self._report(f"{workload.name}, {state}", 0, 1)
            timed = alternate(
                {each.name: partial(workload.run, each, self._rig) for each in sound},
                rounds=rounds,
                warm=self._request.warm_rounds,
                before_each={each.name: each.drop for each in sound} if state == "cold" else None,
            )
            self._report(f"{workload.name}, {state}", 1, 1)
            for name, seconds in timed.seconds.items():
                low, high = median_interval(seconds)
                rows.append(Row(name, workload.name, state, tuple(seconds), low, high, touched[name] or 0))
        return rows

    def _checked(self, workload: Workload, stored: Stored) -> int | None:
        """Bytes of a right answer; None where it is wrong, or none."""
        expected = workload.run(Truth(stored.way, self._cases), self._rig)
        cell = f"{stored.name}: {workload.name}"
        try:
            found = workload.run(stored, self._rig)
        except (PacscoreError, ValueError, RuntimeError, OSError, TypeError, NotImplementedError) as error:
            self._left_out[cell] = f"fails: {error}"
            return None
        equal = len(found) == len(expected) and all(
            np.array_equal(one, other) for one, other in zip(found, expected, strict=True)
        )
        if not equal:
            self._left_out[cell] = "its answer differs from the others'"
            return None
        return bytes_touched(expected)


def _data_fact(case: Case) -> DataFact:
    words = case.words
    return DataFact(case.name, words.shape, words.dtype.name, len(case.files), case.bytes_files, words.nbytes)


def _way_fact(stored: Stored) -> WayFact:
    sizes = [size_below(folder) for folder in stored.folders]
    way = stored.way
    return WayFact(
        way.name,
        way.what,
        way.versions(),
        sum(size for size, _ in sizes),
        sum(files for _, files in sizes),
        way.keeps_originals,
    )
