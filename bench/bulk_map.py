"""Rows about functions over many series: a cohort's statistic, what an item costs, Dask arrays, killed runs."""

from __future__ import annotations

import multiprocessing
import pickle
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from threading import Thread
from time import process_time
from typing import Any

import bulk_peers
import numpy as np
from cohort import Cohort, cohort, compressed_nifti
from rows import Context, Measured, Missing, installed, row
from sealed import fresh, sealed
from timing import alternate, seconds_of, spread

import pacscore
from pacscore import bulk
from pacscore.kernels.statistics import count_words
from pacscore.parallel import serially

ROOT = Path(__file__).resolve().parents[1]
_WORKERS = 2
_GRAPHS = 5000


@contextmanager
def _pool() -> Iterator[Any]:
    """Worker processes that have imported all they need: nobody's start is timed."""
    with multiprocessing.get_context("spawn").Pool(_WORKERS) as pool:
        pool.map(abs, range(_WORKERS * 4))
        yield pool


def _ours(made: Cohort, *, workers: int = _WORKERS) -> list[Any]:
    run = bulk.map(made.selection, bulk_peers.ours, workers=workers, ordered=True)
    return [result.value for result in run]


def _against(context: Context, peers: dict[str, tuple[Callable[[Any], Any], list[Path]]], what: str) -> Measured:
    made = cohort(context)
    with _pool() as pool:
        functions: dict[str, Callable[[], Any]] = {
            name: partial(pool.map, function, paths, chunksize=4) for name, (function, paths) in peers.items()
        }
        wanted = np.array(_ours(made))
        for name, function in functions.items():
            found = np.array(function())
            differing = np.abs(found - wanted)
            assert differing[:, :-1].max() <= 0.5, f"{name}: values differ by {differing.max(axis=0)}"
        timed = alternate({"ours": partial(_ours, made), **functions}, rounds=3 if context.quick else 5, warm=1)
    best = timed.fastest(list(peers))
    times = ", ".join(f"{name} {timed.median(name):.2f} s" for name in timed.seconds)
    detail = f"{len(made.folders)} series, {made.size / 1e6:.0f} MB {what}; {times}; two workers each"
    return Measured(*timed.ratio(best, "ours"), detail, timed.rounds)


@row("bulk.statistic-files", must=6, aim=15, peers=("pydicom", "SimpleITK"), any_peer=True)
def statistic_files(context: Context) -> Measured:
    """Mean, percentiles and foreground of 200 series against the best of a process pool over the original files."""
    folders = cohort(context).folders
    peers = {"pydicom": (bulk_peers.with_pydicom, folders), "SimpleITK": (bulk_peers.with_simpleitk, folders)}
    there = {name: each for name, each in peers.items() if installed(name) != "not installed"}
    return _against(context, there, "of files")


@row("bulk.statistic-nifti", must=5, aim=12, peers=("nibabel",))
def statistic_nifti(context: Context) -> Measured:
    """The same against a process pool over .nii.gz with nibabel."""
    return _against(context, {"nibabel": (bulk_peers.with_nibabel, compressed_nifti(context))}, "as files")


@row("bulk.two-workers", must=1.8, aim=1.95)
def two_workers(context: Context) -> Measured:
    """The statistic of the cohort with two workers against one; what the machine gives two threads is told beside."""
    made = cohort(context)
    cpu: dict[int, list[float]] = {1: [], 2: []}

    def ours(workers: int) -> None:
        before = process_time()
        _ours(made, workers=workers)
        cpu[workers].append(process_time() - before)

    timed = alternate(
        {
            "one": partial(ours, 1), "two": partial(ours, 2),
            "kernel by one": partial(_kernel_alone, 1), "kernel by two": partial(_kernel_alone, 2),
        },
        rounds=3 if context.quick else 11,
        warm=1,
    )  # fmt: skip
    times = ", ".join(f"{name} {timed.median(name):.2f} s" for name in ("one", "two"))
    # Threads that share nothing, not even the interpreter lock: more than they get nobody gets.
    machine = timed.ratio("kernel by one", "kernel by two")[0]
    processor = f"processor time {median(cpu[1]):.2f} s and {median(cpu[2]):.2f} s"
    detail = f"{times}; {processor}; a kernel by itself gains {machine:.2f}× from a second thread in the same rounds"
    return Measured(*timed.ratio("one", "two"), detail, timed.rounds)


def _kernel_alone(workers: int) -> None:
    """Work of half a second that takes no lock and fits into each core's own cache, shared out between threads."""
    words = np.arange(1 << 18, dtype=np.uint16) % 4000
    calls = 1600 // workers

    def count() -> None:
        counts = np.zeros((4, 1 << 16), np.uint32)
        for _ in range(calls):
            count_words(words, counts)

    threads = [Thread(target=count) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _items(context: Context, count: int) -> pacscore.Selection:
    """A selection of series that nobody opens."""
    selection = cohort(context).selection
    return replace(selection, items=(selection.items * (-(-count // len(selection))))[:count])


def _overhead(context: Context, executor: Any, *, run: bool) -> Measured:
    """Milliseconds of a worker for each item beyond what the function itself took."""
    count = 400 if context.quick else 2000
    items, found = _items(context, count), []
    for _ in range(3 if context.quick else 7):
        with tempfile.TemporaryDirectory(dir=context.scratch) as folder:
            taken: list[float] = []
            mapped = bulk.map(
                items, bulk_peers.for_a_millisecond, executor=executor, take="item", workers=_WORKERS,
                run=Path(folder, "run") if run else None,
            )  # fmt: skip
            seconds = seconds_of(lambda mapped=mapped, taken=taken: taken.extend(each.value for each in mapped))
        found.append((seconds * _WORKERS - sum(taken)) / count * 1e3)
    middle, low, high = spread(found)
    return Measured(middle, low, high, f"{count} items on {_WORKERS} workers", len(found))


@row("bulk.overhead-threads", must=0.3, aim=None, unit=" ms", higher=False)
def overhead_threads(context: Context) -> Measured:
    """What map costs a worker for each item of 1 ms, threads."""
    plain, kept = _overhead(context, "threads", run=False), _overhead(context, "threads", run=True)
    return replace(plain, detail=f"{plain.detail}; with a run folder, each item durable, {kept.value:.2f} ms")


@row("bulk.overhead-dask", must=2, aim=None, unit=" ms", higher=False, peers=("distributed",))
def overhead_dask(context: Context) -> Measured:
    """What map costs a worker for each item of 1 ms, a Dask cluster of one process with two threads."""
    import distributed

    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=_WORKERS, processes=True, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        return _overhead(context, client, run=False)


@row("bulk.oversubscription", must=0.9, aim=1.0, peers=("dask",))
def oversubscription(context: Context) -> Measured:
    """Filtering a cohort with kernels on one thread in each of two tasks, against the pool inside both of them."""
    import dask

    made = cohort(context)
    volumes = [series.volume() for series in made.selection.series(made.archive)][: 12 if context.quick else 48]

    def inside(volume: Any) -> float:
        return float(volume.enhance("median", size=3).array().mean())

    def alone(volume: Any) -> float:
        with serially():
            return inside(volume)

    def run(function: Callable[[Any], float]) -> Any:
        return dask.compute([dask.delayed(function)(volume) for volume in volumes], num_workers=_WORKERS)

    assert run(alone) == run(inside)
    timed = alternate({"one thread": lambda: run(alone), "pool": lambda: run(inside)}, rounds=3 if context.quick else 9)
    times = ", ".join(f"{name} {timed.median(name):.2f} s" for name in timed.seconds)
    return Measured(*timed.ratio("pool", "one thread"), times, timed.rounds)


@row("bulk.dask-sum", must=1.4, aim=1.1, higher=False, peers=("dask",))
def dask_sum(context: Context) -> Measured:
    """volume.dask().sum() over 208 × 512 × 512 as a multiple of volume.array().sum(), both on two cores."""
    _, series = sealed(context, "made")
    volume = series.volume()
    functions = {
        "dask": lambda: int(volume.dask().sum().compute(scheduler="threads", num_workers=_WORKERS)),
        "array": lambda: int(volume.array().sum()),
    }
    assert functions["dask"]() == functions["array"]()
    timed = alternate(functions, rounds=3 if context.quick else 15)
    times = ", ".join(f"{name} {timed.median(name) * 1e3:.0f} ms" for name in timed.seconds)
    return Measured(*timed.ratio("dask", "array"), f"{times}; {volume.dask().npartitions} tasks", timed.rounds)


def _graphs(context: Context) -> tuple[float, float, str]:
    """Seconds for the graphs of 5,000 volumes, and their bytes pickled."""
    made = cohort(context)
    volumes = [series.volume() for series in made.selection.series(made.archive)]
    opening = seconds_of(lambda: [series.volume() for series in made.selection.series(made.archive)]) / len(volumes)
    chosen = [volumes[number % len(volumes)] for number in range(_GRAPHS)]
    graphs: list[Any] = []
    seconds = median(
        seconds_of(lambda: (graphs.clear(), graphs.extend(volume.dask().dask for volume in chosen)))
        for _ in range(1 if context.quick else 5)
    )
    size = len(pickle.dumps(graphs))
    return seconds, size / 1e6, f"opening a series and its volume takes {opening * 1e3:.2f} ms more"


@row("bulk.graph-seconds", must=5, aim=1, unit=" s", higher=False, peers=("dask",))
def graph_seconds(context: Context) -> Measured:
    """Building the Dask arrays of 5,000 open volumes."""
    seconds, size, detail = _graphs(context)
    return Measured(seconds, seconds, seconds, f"{size:.1f} MB pickled; {detail}")


@row("bulk.graph-pickled", must=5, aim=None, unit=" MB", higher=False, peers=("dask",))
def graph_pickled(context: Context) -> Measured:
    """Those graphs pickled."""
    _, size, _ = _graphs(context)
    return Measured(size, size, size)


@row("bulk.killed", must=0, aim=0, unit="", higher=False)
def killed(context: Context) -> Measured:
    """Items not completed exactly once in a run of 1,000 that is killed (SIGKILL) ten times and resumed."""
    tests = ROOT / "tests" / "bulk"
    if not tests.is_dir():
        raise Missing("the tests of this checkout")
    sys.path.append(str(tests))
    from killed_runs import kill_and_resume

    count, kills = (100, 3) if context.quick else (1000, 10)
    folder = fresh(context.scratch / "killed")
    found = kill_and_resume(_distinct(context, count), folder, kills=kills, seed=1, seconds=0.002)
    assert found.identical, "the tables differ"
    again = sum(found.calls) - count
    wrong = float(found.not_once)
    return Measured(wrong, wrong, wrong, f"{count} items, {kills} kills; {again} items under way at a kill begun again")


def _distinct(context: Context, count: int) -> pacscore.Selection:
    selection = cohort(context).selection
    items = tuple(replace(selection[0], series_instance_uid=f"1.9.{number}") for number in range(count))
    return replace(selection, items=items)
