"""Doing what waits in the queue: one worker for an archive, whatever number of processes serve it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from pacscore.errors import PacscoreError, RetryError
from pacscore.filesystem import FileSystem, LocalFileSystem
from pacscore.flow.following import Follower
from pacscore.flow.queue import Job, Transport, WorkQueue

_LOOK_SECONDS = 0.5
Told = Callable[[str, Job], None]


class Worker:
    """Follows the archive and does due jobs, in a thread of its own, while it holds the queue's lock (Q3)."""

    def __init__(
        self,
        queue: WorkQueue,
        transports: Mapping[str, Transport],
        follower: Follower | None,
        told: Told,
        *,
        filesystem: FileSystem | None = None,
    ) -> None:
        self._queue = queue
        self._transports = transports
        self._follower = follower
        self._told = told
        self._filesystem = filesystem or LocalFileSystem()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """End after the job at hand."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def step(self, *, follow: bool = True) -> int:
        """Follow once, if wanted, and try each due job once; how many were done."""
        if self._follower is not None and follow:
            self._follower.step()
        done = 0
        for job in self._queue.due():
            if self._stopping.is_set():
                break
            done += self._try(job)
        return done

    def _try(self, job: Job) -> bool:
        transport = self._transports.get(job.kind)
        try:
            if transport is None:
                raise RetryError(f"nothing here carries jobs of kind {job.kind}.")
            transport.deliver(job)
        except (PacscoreError, OSError) as error:
            self._told("job.failed", self._queue.failed(job, str(error)))
            return False
        self._queue.done(job)
        self._told("job.done", job)
        return True

    def _work(self) -> None:
        if self._follower is not None:
            self._follower.take_over()
        followed = float("-inf")
        while not self._stopping.wait(_LOOK_SECONDS):
            now = time.monotonic()
            is_time = self._follower is not None and now - followed >= self._follower.look_seconds
            self.step(follow=is_time)
            followed = now if is_time else followed

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._filesystem.lock(self._queue.folder / "lock", wait_seconds=0):
                    self._work()
            except RetryError:
                self._stopping.wait(_LOOK_SECONDS)  # Another process works.
            except (PacscoreError, OSError) as error:
                self._told("worker.failed", Job("", "", "", {}, reason=str(error)))
                self._stopping.wait(10 * _LOOK_SECONDS)
