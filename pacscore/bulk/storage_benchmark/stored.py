"""A way with all cases stored, and the truth that its answers are compared with."""

from __future__ import annotations

import shutil
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.bulk.storage_benchmark.cases import Case
from pacscore.bulk.storage_benchmark.page_cache import drop_below, sync_below
from pacscore.bulk.storage_benchmark.ways import Box, Reader, Way, way_named


@dataclass
class Rig:
    """What workloads share: how many readers, and their processes."""

    scratch: Path
    readers: int
    patch_count: int = 8

    @cached_property
    def processes(self) -> ProcessPoolExecutor:
        """Readers, started anew and kept, so that starting them is not timed."""
        return ProcessPoolExecutor(self.readers, mp_context=get_context("spawn"))

    def close(self) -> None:
        """Let the processes go."""
        if "processes" in self.__dict__:
            self.processes.shutdown()


class Stored:
    """The cases, stored one way.

    Attributes
    ----------
    is_on_disk : bool
        There is something that can be stored once more.
    """

    is_on_disk = True

    def __init__(self, way: Way, cases: Sequence[Case], root: Path) -> None:
        self.way = way
        self.cases = cases
        self.folders = [root / str(number) for number in range(len(cases))]

    @property
    def name(self) -> str:
        """Of the way."""
        return self.way.name

    def write(self) -> None:
        """Store every case, durably."""
        for case, folder in zip(self.cases, self.folders, strict=True):
            write_durably(self.way, case, folder)

    @contextmanager
    def opened(self, number: int) -> Iterator[Reader]:
        """One case, opened anew."""
        with self.way.opened(self.folders[number]) as reader:
            yield reader

    def forget(self) -> None:
        """Close whatever is kept open."""
        for folder in self.folders:
            self.way.forget(folder)

    def drop(self) -> None:
        """Out of the page cache."""
        for folder in self.folders:
            drop_below(folder)

    def headers(self) -> list[str]:
        """The SOP Instance UIDs of all cases."""
        assert self.way.headers is not None
        return [uid for folder in self.folders for uid in self.way.headers(folder)]

    def read_in_process(self, rig: Rig, numbers: Sequence[int]) -> list[int]:
        """Checksums of whole volumes, each read in one of the rig's processes."""
        pending = [rig.processes.submit(_checksum, self.way.name, self.folders[number]) for number in numbers]
        return [each.result() for each in pending]

    def ingest_one(self, rig: Rig, number: int) -> None:
        """Store a case once more, into a folder that is removed again."""
        folder = Path(tempfile.mkdtemp(dir=rig.scratch)) / "again"
        try:
            write_durably(self.way, self.cases[number], folder)
        finally:
            shutil.rmtree(folder.parent)


class Truth(Stored):
    """The same answers from memory."""

    is_on_disk = False

    def __init__(self, way: Way, cases: Sequence[Case]) -> None:
        super().__init__(way, cases, Path())

    @contextmanager
    def opened(self, number: int) -> Iterator[Reader]:
        """One case."""
        yield _InMemory(self.cases[number], rescaled=self.way.rescales)

    def headers(self) -> list[str]:
        """The SOP Instance UIDs of all cases."""
        return [uid for case in self.cases for uid in case.uids]

    def read_in_process(self, rig: Rig, numbers: Sequence[int]) -> list[int]:
        """Checksums of whole volumes."""
        readers = [_InMemory(self.cases[number], rescaled=self.way.rescales) for number in numbers]
        return [checksum(reader.read(whole(reader))) for reader in readers]

    def ingest_one(self, rig: Rig, number: int) -> None:
        """Nothing to store."""


class _InMemory:
    def __init__(self, case: Case, *, rescaled: bool) -> None:
        self._values = case.words * case.slope + case.intercept if rescaled else case.words
        self.shape: tuple[int, ...] = case.words.shape

    def read(self, box: Box) -> NDArray[Any]:
        return self._values[box]

    def close(self) -> None:
        pass


def whole(reader: Reader) -> Box:
    """All of it."""
    return tuple(slice(0, length) for length in reader.shape)


def checksum(values: NDArray[Any]) -> int:
    """Of values, whatever their dtype."""
    return zlib.crc32(np.ascontiguousarray(values, np.float64).data)


def write_durably(way: Way, case: Case, folder: Path) -> None:
    """Store a case into a new folder and return when it is on the disk."""
    folder.mkdir(parents=True)
    way.write(case, folder)
    if not way.is_durable:
        sync_below(folder)


def _checksum(name: str, folder: Path) -> int:
    """What a reading process does."""
    with way_named(name).opened(folder) as reader:
        return checksum(reader.read(whole(reader)))
