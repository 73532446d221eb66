"""Worker processes: for functions that hold the interpreter lock, leak or crash, and for time limits that hold.

W1  A worker is a fresh interpreter that runs nothing of the caller's script, so scripts need no guard for it.
W2  An item over its time is killed with its worker, which is replaced; so is a worker that dies by itself.
W3  Kernels and the libraries below NumPy run on one thread in a worker: the workers together use the CPUs.
W4  A worker ends at once when its parent does, however that ends: it never writes into a folder that the next run uses.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import tempfile
import time
import weakref
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path

from pacscore.bulk.functions import pack_function
from pacscore.bulk.outcomes import Kind, Outcome, Status
from pacscore.bulk.performing import Job, Task, describe, timed_out
from pacscore.errors import InputError, OperatorError, UnsupportedError

# Libraries that NumPy multiplies with take their number of threads from here when they are loaded.
_THREAD_NAMES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_START = (
    "import os, sys; [os.putenv(name, '1') for name in {names!r}]; sys.path[:] = {path!r}; "
    "from pacscore.bulk.worker import main; main({talk}, {life}, {trace!r})"
)
_GRACE_SECONDS = 0.2  # After the time is over: the worker writes down first where it stands.
_STILLBORN_MAX = 3


@dataclass(eq=False)
class _Worker:
    """One process and what it is doing."""

    process: subprocess.Popen[bytes]
    connection: Connection
    life: int
    trace: Path
    ready: bool = False
    task: Task | None = None
    started: float = field(default=0.0)

    def end(self) -> None:
        """Kill it, and wait until it is gone."""
        self.process.kill()
        self.process.wait()
        self.connection.close()
        if self.life >= 0:
            os.close(self.life)
            self.life = -1


def unpacked(data: bytes, task: Task) -> Outcome:
    """An outcome as its worker has packed it; one that cannot be unpacked here fails alone."""
    try:
        outcome: Outcome = pickle.loads(data)
    except BaseException as error:  # Unpickling runs code of the value's class.
        if isinstance(error, KeyboardInterrupt):
            raise
        told = f"the result cannot be loaded here: {describe(error)}"
        return Outcome(task.index, Status.FAILED, None, Kind.VALUE, told, "", 0.0, task.item.generation)
    return outcome


def _end_all(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.process.kill()
    for worker in workers:
        worker.end()
    workers.clear()


class ProcessExecutor:
    """Worker processes, one item each at a time."""

    def __init__(self, job: Job, workers: int) -> None:
        if sys.platform == "win32":
            raise UnsupportedError("Worker processes need Linux or macOS: use executor='threads' or a Dask client.")
        function = job.function if isinstance(job.function, bytes) else pack_function(job.function)
        self._job = replace(job, function=function, settings=replace(job.settings, thread_count=1))
        self._packed = pickle.dumps(self._job, protocol=5)
        self._waiting: deque[Task] = deque()
        self._stillborn = 0
        self._folder = tempfile.TemporaryDirectory(prefix="pacscore-map-")
        self._workers: list[_Worker] = []
        # At the end of a program that left its run half taken, before the folder goes that workers write to.
        weakref.finalize(self, _end_all, self._workers)
        try:
            for _ in range(workers):
                self._workers.append(self._start())
        except BaseException:
            self.close()
            raise

    @property
    def slots(self) -> int:
        """One running and one waiting for each worker."""
        return 2 * len(self._workers)

    def submit(self, task: Task) -> None:
        """Take an item."""
        self._waiting.append(task)
        self._feed()

    def collect(self, seconds: float) -> list[Outcome]:
        """What has ended."""
        latest = time.monotonic() + seconds
        while True:
            until = min([latest, *(self._deadline(worker) for worker in self._workers)])
            by_connection = {worker.connection: worker for worker in self._workers}
            readable = wait(list(by_connection), max(0.0, until - time.monotonic()))
            ended = [*self._received(worker for each, worker in by_connection.items() if each in readable)]
            ended += self._overdue()
            self._feed()
            if ended or time.monotonic() >= latest:
                return ended

    def close(self) -> None:
        """Kill all workers."""
        _end_all(self._workers)
        self._waiting.clear()
        self._folder.cleanup()

    def _start(self) -> _Worker:
        ours, theirs = multiprocessing.Pipe()
        life_read, life_write = os.pipe()
        trace = Path(self._folder.name, os.urandom(8).hex())
        code = _START.format(names=_THREAD_NAMES, path=sys.path, talk=theirs.fileno(), life=life_read, trace=str(trace))
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), life_read),
                start_new_session=True,  # Ctrl-C reaches the caller alone, who ends its workers.
            )
        except OSError:
            ours.close()
            os.close(life_write)
            raise
        finally:
            theirs.close()
            os.close(life_read)
        ours.send_bytes(self._packed)
        return _Worker(process, ours, life_write, trace)

    def _feed(self) -> None:
        for worker in self._workers:
            if worker.ready and worker.task is None and self._waiting:
                worker.task, worker.started = self._waiting.popleft(), time.monotonic()
                try:
                    worker.connection.send(worker.task)
                except OSError:  # It has died since; what it leaves is read as its end.
                    continue

    def _received(self, readable: Iterable[_Worker]) -> list[Outcome]:
        ended = []
        for worker in readable:
            try:
                data = worker.connection.recv_bytes()
            except (EOFError, OSError):
                ended += self._bury(worker)
                continue
            if worker.task is not None:
                ended.append(unpacked(data, worker.task))
                worker.task = None
                continue
            message = pickle.loads(data)
            if isinstance(message, InputError):
                raise message
            worker.ready, self._stillborn = True, 0
        return ended

    def _bury(self, worker: _Worker) -> list[Outcome]:
        """Replace a worker that died, and say so of its item."""
        task, seconds = worker.task, time.monotonic() - worker.started
        worker.process.wait()
        code = worker.process.returncode
        trace = self._trace(worker)
        self._replace(worker)
        if task is None:
            self._stillborn += 1
            if self._stillborn > _STILLBORN_MAX:
                raise OperatorError(f"Worker processes end as they start (exit code {code}): see what they print.")
            return []
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        error = f"the worker process ended with {how}"
        return [Outcome(task.index, Status.FAILED, None, Kind.VALUE, error, trace, seconds, task.item.generation)]

    def _overdue(self) -> list[Outcome]:
        ended = []
        for worker in list(self._workers):
            if worker.task is None or time.monotonic() < self._deadline(worker):
                continue
            assert self._job.timeout is not None
            trace, seconds = self._trace(worker), time.monotonic() - worker.started
            ended.append(timed_out(worker.task, self._job.timeout, trace, seconds))
            self._replace(worker)
        return ended

    def _deadline(self, worker: _Worker) -> float:
        if worker.task is None or self._job.timeout is None:
            return float("inf")
        return worker.started + self._job.timeout + _GRACE_SECONDS

    def _replace(self, worker: _Worker) -> None:
        worker.end()
        worker.trace.unlink(missing_ok=True)
        self._workers[self._workers.index(worker)] = self._start()

    @staticmethod
    def _trace(worker: _Worker) -> str:
        try:
            return worker.trace.read_text("utf-8", "replace")
        except OSError:
            return ""
