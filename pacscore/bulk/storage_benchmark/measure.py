"""Running the benchmark: store, check that all answers are equal, then time all ways in turn."""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pacscore.bulk.storage_benchmark.archives import archive_way
from pacscore.bulk.storage_benchmark.cases import Case, Report, load_cases
from pacscore.bulk.storage_benchmark.machine import describe_machine
from pacscore.bulk.storage_benchmark.page_cache import CAN_DROP, size_below
from pacscore.bulk.storage_benchmark.results import INTERRUPTED, DataFact, Results, Row, WayFact
from pacscore.bulk.storage_benchmark.stored import Rig, Stored, Truth
from pacscore.bulk.storage_benchmark.ways import Way, installed, outside_ways, way_named
from pacscore.bulk.storage_benchmark.workloads import Workload, bytes_touched, workloads_named
from pacscore.errors import PacscoreError
from pacscore.timing import alternate, median_interval

_PATIENCE = 3.0  # Of its share, for calling every way of a workload once.
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
    seconds : float or None
        About how long all of it may take; None for no limit. What is left after storing is shared out between workloads
        and states. Where a share is too short for two rounds of all ways, the slowest have the one call that was
        checked, and none with the files out of the page cache.
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
    seconds: float | None = None
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
    KeyboardInterrupt
        Before anything was measured; afterwards Ctrl-C ends the run with what there is, and ``left_out`` says so.
    """
    request = request or BenchmarkRequest()
    begun = time.perf_counter()
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
        run = _Run(request, rig, cases, left_out, report, begun=begun)
        stored = run.store(ways)
        facts = tuple(_way_fact(each) for each in stored)
        data = tuple(_data_fact(case) for case in cases)
        rows = run.measure_all(workloads, stored)
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
        self,
        request: BenchmarkRequest,
        rig: Rig,
        cases: Sequence[Case],
        left_out: dict[str, str],
        report: Report,
        *,
        begun: float,
    ) -> None:
        self._request, self._rig, self._cases = request, rig, cases
        self._left_out, self._report, self._begun = left_out, report, begun
        self._spent: dict[str, float] = defaultdict(float)  # By the checked calls of each way.

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

    def measure_all(self, workloads: Sequence[Workload], stored: Sequence[Stored]) -> list[Row]:
        """The cells of all workloads; of those until Ctrl-C, if it comes after the first."""
        states = [(workload, state) for workload in workloads for state in self._states(workload)]
        rows: list[Row] = []
        sound: dict[str, int] = {}
        calls: dict[str, float] = {}
        try:
            for number, (workload, state) in enumerate(states):
                self._tell(number, len(states))
                share = self._share(len(states) - number)
                if state == "warm":
                    sound, calls = self._check_all(workload, stored, share)
                there = [each for each in stored if each.name in sound]
                rows += self._timed(workload, state, there, calls=calls, touched=sound, share=share)
        except KeyboardInterrupt:
            if not rows:
                raise
            measured = {(row.workload, row.state) for row in rows}
            for workload, state in states:
                if (workload.name, state) not in measured:
                    self._left_out.setdefault(f"{workload.name}, {state}", INTERRUPTED)
        self._tell(len(states), len(states))
        return rows

    def _states(self, workload: Workload) -> list[str]:
        return ["warm", "cold"] if workload.can_be_cold and self._request.cold and CAN_DROP else ["warm"]

    def _tell(self, done: int, total: int) -> None:
        """How far it is: in seconds where there is a limit, else in workloads."""
        limit = self._request.seconds
        if limit is None:
            self._report("measuring", done, total)
        else:
            spent = int(limit) if done == total else min(int(limit) - 1, int(time.perf_counter() - self._begun))
            self._report("measuring, s", spent, int(limit))

    def _share(self, states: int) -> float:
        """Seconds for one state of a workload, where so many are left; a quarter second at least."""
        if self._request.seconds is None:
            return self._request.workload_seconds
        left = self._begun + self._request.seconds - time.perf_counter()
        return min(self._request.workload_seconds, max(0.25, left / states))

    def _check_all(
        self, workload: Workload, stored: Sequence[Stored], share: float
    ) -> tuple[dict[str, int], dict[str, float]]:
        """Bytes of each way's right answer, and the seconds of its call, which brings it into the page cache too."""
        sound: dict[str, int] = {}
        calls: dict[str, float] = {}
        # Those that were slow so far go last, so that it is they for whom no time is left.
        for each in sorted(stored, key=lambda one: self._spent[one.name]):
            if workload.needs_headers and each.way.headers is None:
                continue
            if self._request.seconds is not None and sum(calls.values()) > _PATIENCE * share:
                self._left_out[f"{each.name}: {workload.name}"] = "no time left for it: --full measures it"
                continue
            expected = workload.run(Truth(each.way, self._cases), self._rig)
            start = time.perf_counter()
            touched = self._checked(workload, each, expected)
            seconds = time.perf_counter() - start
            self._spent[each.name] += seconds
            if touched is not None:
                sound[each.name], calls[each.name] = touched, seconds
        return sound, calls

    def _timed(
        self,
        workload: Workload,
        state: str,
        stored: Sequence[Stored],
        *,
        calls: Mapping[str, float],
        touched: Mapping[str, int],
        share: float,
    ) -> list[Row]:
        """The cells of one workload in one state."""
        chosen = sorted((each.name for each in stored), key=calls.__getitem__)
        rows = []
        while self._request.seconds is not None and len(chosen) > 1 and 2 * sum(calls[name] for name in chosen) > share:
            slow = chosen.pop()
            if state == "warm":  # The checked call was one; it says how slow.
                rows.append(Row(slow, workload.name, state, (calls[slow],), calls[slow], calls[slow], touched[slow]))
            else:
                self._left_out[f"{slow}: {workload.name}, {state}"] = f"{calls[slow]:.1f} s a call: --full measures it"
        taken = [each for each in stored if each.name in chosen]
        if not taken:
            return rows
        round_seconds = sum(calls[name] for name in chosen)
        warm = self._request.warm_rounds if self._request.seconds is None else 0  # Checking them was a round.
        timed = alternate(
            {each.name: partial(workload.run, each, self._rig) for each in taken},
            rounds=max(2, min(self._request.rounds, int(share / max(round_seconds, 1e-9)))),
            warm=warm,
            before_each={each.name: each.drop for each in taken} if state == "cold" else None,
        )
        for name, seconds in timed.seconds.items():
            low, high = median_interval(seconds)
            rows.append(Row(name, workload.name, state, tuple(seconds), low, high, touched[name]))
        return rows

    def _checked(self, workload: Workload, stored: Stored, expected: Sequence[Any]) -> int | None:
        """Bytes of a right answer; None where it is wrong, or none."""
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
