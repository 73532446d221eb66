"""Workloads as their users run them: each answers a question of the stored cases, and the answer can be checked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from pacscore.bulk.storage_benchmark.stored import Rig, Stored, whole
from pacscore.bulk.storage_benchmark.ways import Box
from pacscore.errors import InputError

SCROLLED_MAX = 64
FRAMES = 8


@dataclass(frozen=True, slots=True)
class Workload:
    """One column of the table.

    Attributes
    ----------
    name, what : str
        Of the table; what one call does.
    run
        Does it to all cases and returns what was read, for the check.
    can_be_cold : bool
        Measured also with the files out of the page cache.
    needs_headers : bool
        Only for ways that keep headers.
    """

    name: str
    what: str
    run: Callable[[Stored, Rig], Sequence[Any]]
    can_be_cold: bool = True
    needs_headers: bool = False


def _volume(stored: Stored, rig: Rig) -> list[Any]:
    values = []
    for number in range(len(stored.cases)):
        with stored.opened(number) as reader:
            values.append(reader.read(whole(reader)))
    return values


def _plane(axis: int) -> Callable[[Stored, Rig], list[Any]]:
    def run(stored: Stored, rig: Rig) -> list[Any]:
        values = []
        for number in range(len(stored.cases)):
            with stored.opened(number) as reader:
                box = list(whole(reader))
                middle = reader.shape[axis] // 2
                box[axis] = slice(middle, middle + 1)
                values.append(reader.read(tuple(box)))
        return values

    return run


def _open(stored: Stored, rig: Rig) -> list[Any]:
    stored.forget()
    return _plane(0)(stored, rig)


def _slices(box: Box, numbers: Sequence[int]) -> list[Box]:
    return [(slice(number, number + 1), *box[1:]) for number in numbers]


def _scroll(stored: Stored, rig: Rig) -> list[Any]:
    values = []
    for number in range(len(stored.cases)):
        with stored.opened(number) as reader:
            count = min(reader.shape[0], SCROLLED_MAX)
            values += [reader.read(box) for box in _slices(whole(reader), range(count))]
    return values


def _frames(stored: Stored, rig: Rig) -> list[Any]:
    values = []
    for number in range(len(stored.cases)):
        with stored.opened(number) as reader:
            chance = np.random.default_rng(number)
            numbers = chance.integers(0, reader.shape[0], FRAMES).tolist()
            values += [reader.read(box) for box in _slices(whole(reader), numbers)]
    return values


def _patches(edge: int) -> Callable[[Stored, Rig], list[Any]]:
    def run(stored: Stored, rig: Rig) -> list[Any]:
        values = []
        for number in range(len(stored.cases)):
            with stored.opened(number) as reader:
                chance = np.random.default_rng(edge + number)
                for _ in range(rig.patch_count):
                    sizes = [min(edge, length) for length in reader.shape]
                    starts = [
                        int(chance.integers(0, length - size + 1))
                        for length, size in zip(reader.shape, sizes, strict=True)
                    ]
                    box = tuple(slice(start, start + size) for start, size in zip(starts, sizes, strict=True))
                    values.append(reader.read(box))
        return values

    return run


def _headers(stored: Stored, rig: Rig) -> list[Any]:
    return stored.headers()


def _statistic(stored: Stored, rig: Rig) -> list[Any]:
    sums = []
    for number in range(len(stored.cases)):
        with stored.opened(number) as reader:
            values = reader.read(whole(reader))
            sums.append(float(values.sum(dtype=np.float64)) / values.size)
    return sums


def _readers_threads(stored: Stored, rig: Rig) -> list[Any]:
    def one(number: int) -> Any:
        with stored.opened(number) as reader:
            return reader.read(whole(reader))

    with ThreadPoolExecutor(rig.readers) as pool:
        return list(pool.map(one, _shared(stored, rig)))


def _readers_processes(stored: Stored, rig: Rig) -> list[Any]:
    return stored.read_in_process(rig, _shared(stored, rig))


def _shared(stored: Stored, rig: Rig) -> list[int]:
    """Every case once for each reader, in turn."""
    return [number for number in range(len(stored.cases)) for _ in range(rig.readers)]


def _during_ingest(stored: Stored, rig: Rig) -> list[Any]:
    """Read everything while somebody stores the same cases, over and over until the reading is done."""
    done = threading.Event()
    failures: list[BaseException] = []

    def ingest() -> None:
        try:
            number = 0
            while stored.is_on_disk and not done.is_set():
                stored.ingest_one(rig, number % len(stored.cases))
                number += 1
        except BaseException as error:  # Handed to the reader's thread, which raises it.
            failures.append(error)

    writer = threading.Thread(target=ingest)
    writer.start()
    try:
        values = _volume(stored, rig)
    finally:
        done.set()
        writer.join()
    if failures:
        raise failures[0]
    return values


def _ingest(stored: Stored, rig: Rig) -> list[Any]:
    for number in range(len(stored.cases)):
        stored.ingest_one(rig, number)
    return []


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("ingest", "store every series, durably", _ingest, can_be_cold=False),
        Workload("open", "open from nothing and read one axial plane of each", _open),
        Workload("volume", "open and read whole volumes", _volume),
        Workload("axial", "open and read one axial plane of each", _plane(0)),
        Workload("coronal", "open and read one coronal plane of each", _plane(1)),
        Workload("sagittal", "open and read one sagittal plane of each", _plane(2)),
        Workload("scroll", "open and read slices in order", _scroll),
        Workload("frame", f"open and read {FRAMES} random slices of each", _frames),
        Workload("patch64", "open and read random 64³ patches", _patches(64)),
        Workload("patch128", "open and read random 128³ patches", _patches(128)),
        Workload("headers", "list the SOP Instance UIDs from headers alone", _headers, needs_headers=True),
        Workload("statistic", "the mean of every series", _statistic),
        Workload("threads", "whole volumes by several threads at once", _readers_threads, can_be_cold=False),
        Workload("processes", "whole volumes by several processes at once", _readers_processes, can_be_cold=False),
        Workload("during-ingest", "whole volumes while series are stored beside", _during_ingest, can_be_cold=False),
    )
}


def workloads_named(names: Sequence[str]) -> list[Workload]:
    """The workloads of these names, or all.

    Raises
    ------
    InputError
        There is none of a name.
    """
    missing = [name for name in names if name not in WORKLOADS]
    if missing:
        raise InputError(f"No workload is called {missing[0]!r}. Choose from: {', '.join(WORKLOADS)}.", found=missing)
    return [WORKLOADS[name] for name in names] if names else list(WORKLOADS.values())


def bytes_touched(values: Sequence[Any]) -> int:
    """Of what a workload has read: what its rate is counted by."""
    return sum(value.nbytes for value in values if isinstance(value, np.ndarray))
