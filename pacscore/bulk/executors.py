"""Executors: who runs the items. One protocol; threads of this process here, the others in files of their own."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from pacscore.bulk.outcomes import Outcome
from pacscore.bulk.performing import Job, Task, perform_in_time
from pacscore.errors import InputError

if TYPE_CHECKING:
    import distributed

_AHEAD = 2
_CLOSE_SECONDS = 5.0


class Executor(Protocol):
    """Runs items in no certain order. One thread uses it."""

    @property
    def slots(self) -> int:
        """How many items may be under way or waiting to be collected: this bounds memory."""
        ...

    def submit(self, task: Task) -> None:
        """Take an item."""
        ...

    def collect(self, seconds: float) -> list[Outcome]:
        """What has ended, at least one unless that takes longer than ``seconds``."""
        ...

    def close(self) -> None:
        """Start nothing more and give back what is held; items under way are dropped."""
        ...


def make_executor(named: str | distributed.Client, job: Job, *, workers: int | None) -> Executor:
    """The executor that a caller names: ``threads``, ``processes``, a Dask client, or the address of a scheduler.

    Raises
    ------
    InputError
        It is none of these, or there are to be fewer than one worker.
    """
    if workers is not None and workers < 1:
        raise InputError(f"A run has one worker or more, not {workers}.", found=workers)
    if named == "threads":
        return ThreadExecutor(job, workers or job.settings.threads())
    if named == "processes":
        from pacscore.bulk.processes import ProcessExecutor

        return ProcessExecutor(job, workers or job.settings.threads())
    if isinstance(named, str) and "://" not in named:
        raise InputError(
            f"An executor is threads, processes, a Dask client or an address like tcp://host:8786, not {named!r}.",
            found=named,
        )
    from pacscore.bulk.cluster import DaskExecutor

    return DaskExecutor(job, named)


class ThreadExecutor:
    """Threads of this process: right for functions that spend their time in kernels, NumPy or reading.

    Beside a running item each thread has one more waiting.
    """

    def __init__(self, job: Job, workers: int) -> None:
        self._job = job
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"pacscore-map-{number}", daemon=True) for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def slots(self) -> int:
        """One running and one waiting for each thread."""
        return _AHEAD * len(self._threads)

    def submit(self, task: Task) -> None:
        """Take an item."""
        self._tasks.put(task)

    def collect(self, seconds: float) -> list[Outcome]:
        """What has ended."""
        found: list[Any] = []
        try:
            found.append(self._ended.get(timeout=seconds))
            while True:
                found.append(self._ended.get_nowait())
        except queue.Empty:
            pass
        for each in found:
            if isinstance(each, BaseException):
                raise each
        return found

    def close(self) -> None:
        """Let waiting items go; running ones get a few seconds to end, since they cannot be stopped."""
        self._closed.set()
        for _ in self._threads:
            self._tasks.put(None)
        latest = time.monotonic() + _CLOSE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, latest - time.monotonic()))

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None and not self._closed.is_set():
            try:
                self._ended.put(perform_in_time(self._job, task))
            except BaseException as error:  # Of ours, not of the item: told to who collects.
                self._ended.put(error)
                return
