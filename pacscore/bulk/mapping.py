"""A function over every series of a selection: results stream back, failures are entries, a killed run goes on."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pacscore.archive.layout import read_layout
from pacscore.archive.report import Progress
from pacscore.archive.selection import Selection
from pacscore.bulk.executors import Executor, make_executor
from pacscore.bulk.functions import PipelineFunction, name_function, plain_parameters, versions
from pacscore.bulk.keeping import Keep
from pacscore.bulk.outcomes import Failure, Kind, MapReport, Outcome, Provenance, Result, Status
from pacscore.bulk.performing import TAKES, Job, tasks_of
from pacscore.bulk.record import REPORT, VALUES, Record
from pacscore.bulk.storing import DerivedStore
from pacscore.bulk.tables import require_pyarrow, values_file
from pacscore.errors import InputError
from pacscore.settings import Settings

if TYPE_CHECKING:
    import distributed

_WAIT_SECONDS = 0.2
_FAILURES_MAX = 1000
_VOLUMES = ("zarr", "series")


def map(
    selection: Selection,
    function: Callable[..., Any],
    *,
    executor: str | distributed.Client = "threads",
    workers: int | None = None,
    ordered: bool = False,
    timeout: float | None = None,
    take: str = "volume",
    stack: int | None = None,
    parameters: Mapping[str, Any] | None = None,
    run: Path | str | None = None,
    volumes: str = "zarr",
    resume: bool = True,
    retry: bool = False,
    progress: Progress | bool | None = None,
    cancel: threading.Event | None = None,
    settings: Settings | None = None,
) -> Run:
    """Run ``function(volume, **parameters)`` for every series of a selection, or once for each study or patient.

    Parameters
    ----------
    selection
        Of ``archive.select(…)``; workers read the generations it met, from the archive they open themselves.
    function
        What it raises is the entry of its item in the report. For processes and clusters it must be importable there,
        or cloudpickle be installed (with the extra ``dask``).
    executor
        ``threads``; ``processes`` (functions that hold the interpreter lock, crash or hang); a Dask client or the
        address of a scheduler, whose workers see the archive and the run folder under the same paths.
    workers
        How many threads or processes; by default one for each CPU. A cluster has its own number.
    ordered
        Results come in the order of the selection instead of as they are done.
    timeout
        Seconds for one item, then it is an entry ``timed out`` with the stack it stood at. A hanging process is killed
        and replaced. A hanging thread (here or in a Dask worker) cannot be: it is left behind, its place taken by
        another, and after 64 of them the run ends.
    take, stack
        ``volume`` (the series' only stack, or number ``stack``), ``series``, or ``item`` (nothing is opened). ``group``
        gives a tuple of all series of a study or patient, by the level of the selection: one item and one result each.
    parameters
        Given to the function by name, and recorded: numbers, text, lists and mappings.
    run
        A folder that keeps the results and records what is done, so that the run can be killed and started again: the
        same call goes on. Values go to ``values.parquet``, arrays to ``results/N.zarr``, pictures to ``results/N.png``.
    volumes
        With ``run``, where volumes go: ``zarr``, or ``series`` for a derived series in the archive.
    resume, retry
        Go on with what the folder holds; do items again that failed or timed out there.
    progress
        True draws a bar with rate and time left on standard error; or a callable.
    cancel
        Once set, nothing more is begun; what is under way is finished and recorded, then iteration ends.
    settings
        Limits; by default those of the environment.

    Returns
    -------
    Run
        Iterate over it for ``Result`` values, or call ``report()``. Nothing is computed before.

    Raises
    ------
    InputError
        An argument is none of these; groups are asked for of single series; the function cannot travel; the run folder
        holds another run.
    RetryError
        Another process uses the run folder.
    NotFoundError
        The selection's archive is not there.
    UnsupportedError
        An extra is missing: ``dask`` for clusters, ``tables`` for run folders.

    Notes
    -----
    At most two items for each worker are under way or wait to be taken, so memory is bounded by these. Kernels run on
    one thread in each item: the CPUs are kept busy by items.

    Examples
    --------
    >>> for result in map(selection, body_volume, run="night"):                      # doctest: +SKIP
    ...     print(result.item.series_instance_uid, result.value or result.error)
    """
    if take not in TAKES or volumes not in _VOLUMES:
        raise InputError(f"take is one of {', '.join(TAKES)}; volumes one of {', '.join(_VOLUMES)}.")
    if timeout is not None and not timeout > 0:
        raise InputError(f"A time limit is more than 0 seconds, not {timeout}.", found=timeout)
    layout = read_layout(Path(selection.archive))
    if layout.archive_id != selection.archive_id:
        raise InputError("Another archive lies where the selection was made: select anew.", path=selection.archive)
    name = name_function(function)
    given = plain_parameters(parameters)
    shown = {"steps": function.steps} if isinstance(function, PipelineFunction) else given
    keep = None
    if run is not None:
        require_pyarrow()
        keep = Keep(str(Path(run).resolve()), volumes)
    job = Job(
        archive=selection.archive,
        archive_id=selection.archive_id,
        settings=settings or Settings.from_environment(),
        function=function,
        parameters=dict(parameters or {}),
        take=take,
        stack=stack,
        timeout=timeout,
        keep=keep,
        provenance=Provenance("", name.name, name.source_sha256, shown, versions()),
    )
    return Run(
        selection,
        job,
        executor,
        workers=workers,
        ordered=ordered,
        resume=resume,
        retry=retry,
        progress=progress,
        cancel=cancel or threading.Event(),
    )


class Run:
    """A run: iterate over it once for its results. As a context manager it lets go of workers when left early.

    Attributes
    ----------
    total, done, failed, timed_out, resumed : int
        Items of the selection; those that have ended so far, by how they ended; those taken over from the run folder.
    """

    def __init__(
        self,
        selection: Selection,
        job: Job,
        executor: str | distributed.Client,
        *,
        workers: int | None,
        ordered: bool,
        resume: bool,
        retry: bool,
        progress: Progress | bool | None,
        cancel: threading.Event,
    ) -> None:
        self._selection, self._job, self._named, self._workers = selection, job, executor, workers
        self._ordered, self._progress, self._cancel = ordered, progress, cancel
        self._tasks = tasks_of(selection, job.take)
        self.total = len(self._tasks)
        self.done = self.failed = self.timed_out = self.resumed = 0
        self._failures: list[Failure] = []
        self._started, self._seconds = 0.0, 0.0
        self._values = ""
        self._resume, self._retry = resume, retry
        self._record: Record | None = None
        self._past: dict[int, Outcome] = {}
        if job.keep is not None:
            Record.check(Path(job.keep.folder), self._identity(), resume=resume)
        self._results = self._run()

    def __iter__(self) -> Iterator[Result]:
        return self._results

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of workers and the run folder; what was recorded stays. A second call does nothing."""
        self._results.close()  # type: ignore[attr-defined]  # It is a generator.

    def cancel(self) -> None:
        """Begin nothing more; from any thread."""
        self._cancel.set()

    @property
    def provenance(self) -> Provenance:
        """Of all results, without their generation."""
        return self._job.provenance

    @property
    def rate(self) -> float:
        """Items that this run finishes per second."""
        seconds = self._seconds or (time.perf_counter() - self._started if self._started else 0.0)
        return (self._ended - self.resumed) / seconds if seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At the rate so far; None before there is one."""
        return (self.total - self._ended) / self.rate if self.rate else None

    def report(self) -> MapReport:
        """Finish the run, if it is not, and say what it came to."""
        for _ in self._results:
            pass
        return self._summary()

    def _summary(self) -> MapReport:
        return MapReport(
            total=self.total,
            done=self.done,
            failed=self.failed,
            timed_out=self.timed_out,
            resumed=self.resumed,
            left=self.total - self._ended,
            seconds=self._seconds,
            rate=self.rate,
            failures=tuple(sorted(self._failures, key=lambda failure: failure.index)),
            out="" if self._record is None else str(self._record.folder),
            values=self._values,
        )

    @property
    def _ended(self) -> int:
        return self.done + self.failed + self.timed_out

    def _run(self) -> Iterator[Result]:
        """All of it: a generator, so that work goes on only as results are taken."""
        from pacscore.bulk.watching import watched

        with ExitStack() as held:
            if self._job.keep is not None:
                self._open_record(Path(self._job.keep.folder), held)
            watch = held.enter_context(watched(self._progress, self))
            self._started = time.perf_counter()
            for result in self._in_order(self._outcomes(held)):
                watch("items", self._ended, self.total)
                yield result
            self._seconds = time.perf_counter() - self._started
            if self._record is not None:
                self._finish(self._record)

    def _in_order(self, outcomes: Iterator[Outcome]) -> Iterator[Result]:
        if not self._ordered:
            for outcome in outcomes:
                yield self._count(outcome)
            return
        ready: dict[int, Outcome] = {}
        wanted = 0
        for outcome in outcomes:
            ready[outcome.index] = outcome
            while wanted in ready:
                yield self._count(ready.pop(wanted))
                wanted += 1
                self._first_wanted = wanted
        for index in sorted(ready):  # Cancelled: what is missing between does not come any more.
            yield self._count(ready[index])

    _first_wanted = 0

    def _outcomes(self, held: ExitStack) -> Iterator[Outcome]:
        """Each item as it ends; those of an earlier run first."""
        yield from (self._past[index] for index in sorted(self._past))
        left = [index for index in range(self.total) if index not in self._past]
        store = held.enter_context(DerivedStore(self._job, self._record)) if self._record is not None else None
        if store is not None:
            for outcome in store.recovered(left):
                left.remove(outcome.index)
                yield outcome
        if not left or self._cancel.is_set():
            return
        executor = make_executor(self._named, self._job, workers=self._workers)
        held.callback(executor.close)
        yield from self._work(executor, iter(left), store)

    def _work(self, executor: Executor, left: Iterator[int], store: DerivedStore | None) -> Iterator[Outcome]:
        flying: set[int] = set()
        following = next(left, None)
        while following is not None or flying:
            slots = executor.slots
            while following is not None and len(flying) < slots and not self._cancel.is_set():
                # In order, one slow item must not let the results behind it pile up.
                if self._ordered and following >= self._first_wanted + 2 * slots + len(self._past):
                    break
                executor.submit(self._tasks[following])
                flying.add(following)
                following = next(left, None)
            if self._cancel.is_set():
                following = None
                if not flying:
                    return
            ended = executor.collect(_WAIT_SECONDS)
            flying.difference_update(outcome.index for outcome in ended)
            if store is not None:
                ended = store.settle(ended)
            yield from ended

    def _count(self, outcome: Outcome) -> Result:
        item = self._tasks[outcome.index].item
        if outcome.status is Status.DONE:
            self.done += 1
        else:
            if outcome.status is Status.FAILED:
                self.failed += 1
            else:
                self.timed_out += 1
            if len(self._failures) < _FAILURES_MAX:
                self._failures.append(
                    Failure(outcome.index, item.series_instance_uid, outcome.status, outcome.error, outcome.trace)
                )
        resumed = outcome.index in self._past
        self.resumed += resumed
        value = outcome.value
        if self._record is not None and outcome.kind in {Kind.ARRAY, Kind.PICTURE} and value is not None:
            value = self._record.folder / value
        return Result(
            outcome.index, item, outcome.status, value, outcome.kind, outcome.error, outcome.trace, outcome.seconds,
            self._provenance(outcome), resumed,
        )  # fmt: skip

    def _provenance(self, outcome: Outcome) -> Provenance:
        about = self._job.provenance
        found = Provenance(outcome.generation, about.function, about.source_sha256, about.parameters, about.versions)
        if self._record is None or outcome.index not in self._past:
            return found
        recorded = self._record.recorded
        return replace(found, versions=recorded.sessions[recorded.session_of[outcome.index]]["versions"])

    def _finish(self, record: Record) -> None:
        """Write the values of all items, and what the run came to."""
        data = values_file([task.item for task in self._tasks], record.recorded.outcomes, record.about())
        if data is not None:
            self._values = str(record.publish(VALUES, data))
        record.publish(REPORT, json.dumps(self._summary().as_dict(), indent=1).encode())

    def _open_record(self, folder: Path, held: ExitStack) -> None:
        versions_now = self._job.provenance.versions
        record = Record.open(folder, self._identity(), resume=self._resume, versions=versions_now)
        held.callback(record.close)
        past = record.recorded.outcomes
        self._past = {n: each for n, each in past.items() if each.status is Status.DONE or not self._retry}
        self._record = record

    def _identity(self) -> dict[str, Any]:
        """What the run is, as its folder records it."""
        job, about = self._job, self._job.provenance
        assert job.keep is not None
        return {
            "selection": self._selection.as_dict(),
            "function": about.function,
            "source_sha256": about.source_sha256,
            "parameters": about.parameters,
            "take": job.take,
            "stack": job.stack,
            "volumes": job.keep.volumes,
        }
