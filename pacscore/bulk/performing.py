"""What a worker does with one item, in whatever thread, process or machine it runs.

P1  Only the job and locators travel to a worker: it opens the archive itself, read-only, once for all items.
P2  Whatever a function raises is the outcome of its item; nothing it does ends the run.
P3  An item runs its kernels serially: the run keeps the CPUs busy with items.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pacscore
from pacscore.archive.archive import Archive
from pacscore.archive.selection import SelectedSeries, Selection, open_selected
from pacscore.archive.series import Series
from pacscore.bulk.keeping import Keep, keep_result
from pacscore.bulk.outcomes import Kind, Outcome, Provenance, Status
from pacscore.errors import AmbiguousError, InputError, LimitError, NotFoundError
from pacscore.imaging import Volume
from pacscore.parallel import serially
from pacscore.settings import Settings

TAKES = ("volume", "series", "item", "group")
"""What a function is given."""

_KEPT_OPEN = 4
_HANGING_MAX = 64
_TRACE_MAX = 20_000

_lock = threading.Lock()
_archives: OrderedDict[tuple[str, str, Settings], Archive] = OrderedDict()
_functions: OrderedDict[bytes, Callable[..., Any]] = OrderedDict()
_hanging: list[threading.Thread] = []


def _forget_parent() -> None:
    global _lock  # noqa: PLW0603  # A thread of the parent may have held it.
    _lock = threading.Lock()
    _hanging.clear()


os.register_at_fork(after_in_child=_forget_parent)


@dataclass(frozen=True, slots=True)
class Job:
    """What all items of a run share.

    Attributes
    ----------
    archive, archive_id : str
        Folder and identity.
    settings : Settings
        To open it with.
    function : callable or bytes
        Itself, or packed for another process.
    parameters : mapping
        Given to it by name beside its item.
    take, stack
        What it is given, and of which stack.
    timeout : float, optional
        Seconds for one item.
    keep : Keep, optional
        Where its results go.
    provenance : Provenance
        Without a generation.
    """

    archive: str
    archive_id: str
    settings: Settings
    function: Callable[..., Any] | bytes
    parameters: Mapping[str, Any]
    take: str
    stack: int | None
    timeout: float | None
    keep: Keep | None
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Task:
    """One item, by its number in the selection; with its members where it is a group of series."""

    index: int
    item: SelectedSeries
    members: tuple[SelectedSeries, ...] = ()


def tasks_of(selection: Selection, take: str) -> tuple[Task, ...]:
    """What a run does: an item for each series, or for each study or patient.

    Of a group the item has the UIDs that its series share, no Series Instance UID and no generation.

    Raises
    ------
    InputError
        Groups were asked for of a selection of single series.
    """
    if take != "group":
        return tuple(Task(number, item) for number, item in enumerate(selection.items))
    if selection.level == "series":
        raise InputError(
            "take='group' gives a function all series of a study or patient, and these were selected one by one. "
            "Select them with archive.select('study', …) or 'patient' (pacscore select --level study), or take the "
            "series.",
            found=selection.level,
        )
    tasks = []
    for number, group in enumerate(selection.groups().values()):
        studies = {item.study_instance_uid for item in group}
        shared = SelectedSeries(studies.pop() if len(studies) == 1 else "", "", group[0].patient_id, "")
        tasks.append(Task(number, shared, group.items))
    return tuple(tasks)


def perform(job: Job, task: Task) -> Outcome:
    """Do one item to its end, however long that takes."""
    started = time.perf_counter()
    generation = task.item.generation
    try:
        with serially():
            function = load(job)
            taken, generation = _open(job, task)
            value = function(taken, **job.parameters)
            kind = Kind.VALUE
            if job.keep is not None:
                about = asdict(replace(job.provenance, generation=generation)) | {
                    "study_instance_uid": task.item.study_instance_uid,
                    "series_instance_uid": task.item.series_instance_uid,
                }
                kind, value = keep_result(job.keep, task.index, value, about)
    except BaseException as error:  # A function of the user's may raise anything, and ends its item alone (P2).
        seconds = time.perf_counter() - started
        trace = "".join(traceback.format_exception(error))[-_TRACE_MAX:]
        return Outcome(task.index, Status.FAILED, None, Kind.VALUE, describe(error), trace, seconds, generation)
    return Outcome(task.index, Status.DONE, value, kind, seconds=time.perf_counter() - started, generation=generation)


def perform_in_time(job: Job, task: Task) -> Outcome:
    """Do one item, waiting no longer than the job allows.

    A thread cannot be stopped: one that hangs goes on by itself, and what it gives in the end is dropped.

    Raises
    ------
    LimitError
        Too many threads hang.
    """
    if job.timeout is None:
        return perform(job, task)
    found: list[Outcome] = []
    thread = threading.Thread(target=lambda: found.append(perform(job, task)), name="pacscore-item", daemon=True)
    started = time.perf_counter()
    thread.start()
    thread.join(job.timeout)
    if found:
        return found[0]
    frame = sys._current_frames().get(thread.ident or 0)
    trace = "" if frame is None else "".join(traceback.format_stack(frame))
    with _lock:
        _hanging[:] = [each for each in _hanging if each.is_alive()]
        _hanging.append(thread)
        if len(_hanging) > _HANGING_MAX:
            raise LimitError(
                f"{len(_hanging)} items hang in threads, which cannot be stopped. Use executor='processes', whose "
                "workers are killed and replaced.",
                expected=_HANGING_MAX,
            )
    return timed_out(task, job.timeout, trace, time.perf_counter() - started)


def perform_group(job: Job, tasks: Sequence[Task]) -> list[Outcome]:
    """Do several items one after the other: what a task of a cluster is made of."""
    return [perform_in_time(job, task) for task in tasks]


def timed_out(task: Task, timeout: float, trace: str, seconds: float) -> Outcome:
    """The outcome of an item that hangs."""
    error = f"TimeoutError: not done after {timeout:g} s"
    return Outcome(task.index, Status.TIMED_OUT, None, Kind.VALUE, error, trace, seconds, task.item.generation)


def describe(error: BaseException) -> str:
    """Kind and message of an error, on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def load(job: Job) -> Callable[..., Any]:
    """The function of a job, unpacked once in a process."""
    if not isinstance(job.function, bytes):
        return job.function
    with _lock:
        found = _functions.get(job.function)
        if found is None:
            found = _functions[job.function] = pickle.loads(job.function)
            while len(_functions) > _KEPT_OPEN:
                _functions.popitem(last=False)
        return found


def opened_archive(root: str, archive_id: str, settings: Settings) -> Archive:
    """An archive, open for reading, once in a process for each folder; kept open, since results may read from it.

    Raises
    ------
    NotFoundError
        There is none.
    InputError
        Another archive is there than the one that was selected from.
    """
    key = (root, archive_id, settings)
    with _lock:
        found = _archives.get(key)
        if found is None:
            found = pacscore.open(root, read_only=True, settings=settings)
            if found._layout.archive_id != archive_id:
                found.close()
                raise InputError("Another archive lies where the selection was made: select anew.", path=root)
            _archives[key] = found
            while len(_archives) > _KEPT_OPEN:  # Not closed: a volume may still read from it.
                _archives.popitem(last=False)
        return found


def chosen_volume(series: Series, stack: int | None) -> Volume:
    """The stack asked for; without a number the only one, or the only one that is a volume among other kinds.

    Raises
    ------
    NotFoundError
        The series has no such stack, or none at all.
    AmbiguousError
        Several could be meant.
    """
    if stack is not None:
        return series.volume(stack)
    stacks = series.stacks
    numbers = [number for number, record in enumerate(stacks) if record.kind == "volume"] or list(range(len(stacks)))
    if not numbers:
        raise NotFoundError(f"series {series.series_instance_uid} has no images.", uid=series.series_instance_uid)
    if len(numbers) > 1:
        raise AmbiguousError(
            f"series {series.series_instance_uid} has {len(numbers)} stacks: name one with stack=, or take the series.",
            uid=series.series_instance_uid,
        )
    return series.volume(numbers[0])


def _open(job: Job, task: Task) -> tuple[Any, str]:
    """What the function is given, and the generations it is read from."""
    if job.take == "item":
        return task.item, task.item.generation
    archive = opened_archive(job.archive, job.archive_id, job.settings)
    found = tuple(open_selected(archive, each) for each in task.members or (task.item,))
    # What waits is in no generation.
    generation = ", ".join(series.generation for series in found if series.state == "sealed")
    if job.take == "group":
        return found, generation
    return (found[0] if job.take == "series" else chosen_volume(found[0], job.stack)), generation
