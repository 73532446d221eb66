"""Work that must survive a restart: one small file a job, in the archive's ``queue`` folder.

Q1  A job that ``put`` returned for is on the disk, and stays until it is done or dropped.
Q2  A job may be done twice (a crash between doing it and removing it): what it does must bear that.
Q3  One process at a time works on a queue; whoever holds its lock.
Q4  A failure puts a job off, each time for twice as long up to an hour; it is never given up by itself.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from pacscore.errors import DamagedError, NotFoundError
from pacscore.filesystem import FileSystem, LocalFileSystem

FIRST_WAIT_SECONDS = 5.0
WAIT_SECONDS_MAX = 3600.0
_REASON_MAX = 500


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work.

    Attributes
    ----------
    name
        Its own, in the order of creation.
    kind
        Which transport carries it: ``forward``, ``commit`` or ``webhook``.
    destination
        Of whom: an AE title or an address.
    payload
        What to carry, as JSON.
    attempts, due, reason
        How often it has failed, when it is tried next (seconds since 1970), and why it failed last.
    """

    name: str
    kind: str
    destination: str
    payload: Mapping[str, Any]
    attempts: int = 0
    due: float = 0.0
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The same by name, ready for JSON."""
        return {field: getattr(self, field) for field in self.__slots__}


class Transport(Protocol):
    """What carries jobs of a kind; the doors to the network implement it."""

    def deliver(self, job: Job) -> None:
        """Do the job, or raise a ``PacscoreError`` that says why it failed."""
        ...


class WorkQueue:
    """The jobs of one archive."""

    def __init__(
        self, folder: Path, filesystem: FileSystem | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._filesystem = filesystem or LocalFileSystem()
        self._clock = clock
        if not folder.is_dir():
            self._filesystem.make_folder(folder, exist_ok=True)
            self._filesystem.sync_folder(folder.parent)

    @property
    def folder(self) -> Path:
        """Where the jobs lie."""
        return self._folder

    def put(self, kind: str, destination: str, payload: Mapping[str, Any], *, due: float = 0.0) -> Job:
        """Add a job, durably (Q1)."""
        job = Job(f"{time.time_ns():020d}-{os.urandom(4).hex()}", kind, destination, dict(payload), due=due)
        self._write(job)
        return job

    def jobs(self) -> list[Job]:
        """All that waits, oldest first.

        Raises
        ------
        DamagedError
            A file of the queue is no job.
        """
        found = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                text = path.read_text("utf-8")
            except FileNotFoundError:
                continue  # Done meanwhile.
            try:
                found.append(Job(**json.loads(text)))
            except (ValueError, TypeError) as error:
                raise DamagedError(
                    "a file of the queue is no job. Move it away and look into it.", path=str(path)
                ) from error
        return found

    def due(self) -> list[Job]:
        """What is to be tried now, oldest first."""
        now = self._clock()
        return [job for job in self.jobs() if job.due <= now]

    def done(self, job: Job) -> None:
        """Forget a job."""
        if self._path(job.name).exists():
            self._filesystem.remove(self._path(job.name))

    def failed(self, job: Job, reason: str) -> Job:
        """Put a job off (Q4); one that was dropped meanwhile stays dropped."""
        wait = min(FIRST_WAIT_SECONDS * 2.0 ** min(job.attempts, 20), WAIT_SECONDS_MAX)
        later = replace(job, attempts=job.attempts + 1, due=self._clock() + wait, reason=reason[:_REASON_MAX])
        if self._path(job.name).exists():
            self._write(later)
        return later

    def retry(self, name: str | None = None) -> int:
        """Make a job due now, or all of them; how many there were.

        Raises
        ------
        NotFoundError
            There is no job of that name.
        """
        chosen = self._chosen(name)
        for job in chosen:
            self._write(replace(job, due=0.0))
        return len(chosen)

    def drop(self, name: str) -> None:
        """Remove a job that is not wanted any more.

        Raises
        ------
        NotFoundError
            There is no job of that name.
        """
        for job in self._chosen(name):
            self.done(job)

    def _chosen(self, name: str | None) -> list[Job]:
        found = [job for job in self.jobs() if name in (None, job.name)]
        if name is not None and not found:
            raise NotFoundError(f"there is no job {name} in the queue.")
        return found

    def _write(self, job: Job) -> None:
        self._filesystem.publish(self._path(job.name), json.dumps(job.as_dict()).encode())

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"
