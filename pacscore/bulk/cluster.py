"""Dask as an executor: a client, or the address of a scheduler, with local, HPC or Kubernetes workers behind it.

Small items travel several in a task, since a task costs a scheduler about a millisecond; how many follows from how long
items take. A task that is lost with its worker is tried again item by item, so that one that kills its worker takes no
other with it.
"""

from __future__ import annotations

import queue
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pacscore.bulk.functions import pack_function
from pacscore.bulk.outcomes import Kind, Outcome, Status
from pacscore.bulk.performing import Job, Task, describe, perform_group
from pacscore.errors import LimitError, UnreachableError, UnsupportedError

if TYPE_CHECKING:
    import distributed

_TASK_SECONDS = 0.1  # For as long as a task takes, a worker is not asked anew.
_GROUP_MAX = 64
_COUNT_SECONDS = 5.0


class DaskExecutor:
    """Items as tasks of a Dask cluster, whose workers see the archive (and the run folder) under the same paths."""

    def __init__(self, job: Job, scheduler: str | distributed.Client) -> None:
        try:
            import distributed
        except ImportError as error:
            raise UnsupportedError("Dask needs an extra: pip install 'pacscore[dask]'.") from error
        function = job.function if isinstance(job.function, bytes) else pack_function(job.function, whole=True)
        self._job = replace(job, function=function, settings=replace(job.settings, thread_count=1))
        self._owned = isinstance(scheduler, str)
        if isinstance(scheduler, str):
            try:
                scheduler = distributed.Client(scheduler, set_as_default=False)
            except OSError as error:
                raise UnreachableError(f"No Dask scheduler answers at {scheduler}. Check address and port.") from error
        self._client: Any = scheduler
        self._waiting: list[Task] = []
        self._groups: dict[Any, list[Task]] = {}
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._item_seconds: float | None = None
        self._threads, self._counted = 1, 0.0

    @property
    def slots(self) -> int:
        """Two tasks for each thread of the cluster as it is now."""
        now = time.monotonic()
        if now - self._counted > _COUNT_SECONDS:
            self._counted = now
            self._threads = max(1, sum(self._client.nthreads().values()))
        return 2 * self._threads * self._group

    @property
    def _group(self) -> int:
        """How many items a task takes."""
        if self._item_seconds is None:
            return 1
        return max(1, min(_GROUP_MAX, int(_TASK_SECONDS / max(self._item_seconds, 1e-6))))

    def submit(self, task: Task) -> None:
        """Take an item."""
        self._waiting.append(task)

    def collect(self, seconds: float) -> list[Outcome]:
        """What has ended."""
        self._send()
        futures: list[Any] = []
        try:
            futures.append(self._ended.get(timeout=seconds))
            while True:
                futures.append(self._ended.get_nowait())
        except queue.Empty:
            pass
        outcomes = [outcome for future in futures for outcome in self._settle(future)]
        for outcome in outcomes:
            before = outcome.seconds if self._item_seconds is None else self._item_seconds
            self._item_seconds = 0.9 * before + 0.1 * outcome.seconds
        return outcomes

    def close(self) -> None:
        """Cancel what has not ended; what runs goes on in its worker, and is dropped."""
        if self._groups:
            self._client.cancel(list(self._groups), force=True)
        self._groups.clear()
        if self._owned:
            self._client.close()

    def _send(self) -> None:
        size = min(self._group, max(1, -(-len(self._waiting) // max(1, self._threads))))
        for start in range(0, len(self._waiting), size):
            self._send_group(self._waiting[start : start + size])
        self._waiting.clear()

    def _send_group(self, tasks: list[Task]) -> None:
        future = self._client.submit(perform_group, self._job, tasks, pure=False)
        self._groups[future] = tasks
        future.add_done_callback(self._ended.put)

    def _settle(self, future: Any) -> list[Outcome]:
        tasks = self._groups.pop(future, [])
        if future.status not in {"finished", "error"}:
            raise UnreachableError("The Dask cluster has lost this run's tasks. Start it again, then resume the run.")
        try:
            found: list[Outcome] = future.result()
            return found
        except BaseException as failed:  # Of the cluster, or in loading a result: unpickling runs code of its class.
            error = failed
        if isinstance(error, KeyboardInterrupt):
            raise error
        if isinstance(error, LimitError):
            raise error
        if len(tasks) > 1:  # One of them has ended the worker, or its result could not travel.
            for task in tasks:
                self._send_group([task])
            return []
        return [
            Outcome(task.index, Status.FAILED, None, Kind.VALUE, describe(error), "", 0.0, task.item.generation)
            for task in tasks
        ]
