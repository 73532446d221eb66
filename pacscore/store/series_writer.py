"""Lays out one series in a staged generation file, in whatever format its strategy names.

The format writes the members that hold the objects; the manifest, which says where everything went, comes last. A
failure anywhere leaves a staging file that is garbage, and nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from pacscore.store.formats import format_named
from pacscore.store.manifest import ObjectRow, build_manifest
from pacscore.store.objects import ObjectReader
from pacscore.store.plan import ObjectSource, SeriesPlan, StagedSeries, Treatment
from pacscore.store.staging import AnyUnit, StagingFile
from pacscore.store.zip_layout import InPlaceMember

Progress = Callable[[int], None]


class SeriesWriter:
    """Writes one series; used once.

    Attributes
    ----------
    plan : SeriesPlan
        What is to be written.
    staging : StagingFile
        Where to.
    reader : ObjectReader
        The objects.
    rows : list of ObjectRow
        Where each object lies: filled in by the format.
    progress : callable
        To be told the bytes of the objects taken.
    """

    def __init__(
        self, plan: SeriesPlan, source: ObjectSource, staging: StagingFile, *, prefix: str, progress: Progress
    ) -> None:
        self.plan = plan
        self.staging = staging
        self.reader = ObjectReader(plan.objects, source)
        self.rows = [ObjectRow() for _ in plan.objects]
        self.progress = progress
        self._prefix = prefix
        self._bytes_stored = 0
        self._lock = threading.Lock()

    def write(self) -> tuple[StagedSeries, set[int]]:
        """Write, and prove, all members; also returns which objects must still be proven by their hash."""
        plan = self.plan
        spans = format_named(plan.strategy.format).write_members(self)
        for row, digest in zip(self.rows, self.reader.sha256, strict=True):
            row.sha256 = digest
        self.add("manifest.bin", build_manifest(plan, self.rows, spans, self.reader.altered))
        staged = StagedSeries(
            key=plan.key,
            prefix=self._prefix,
            sha256=tuple(self.reader.sha256),
            bytes_in=sum(item.length for item in plan.objects),
            bytes_stored=self._bytes_stored,
        )
        return staged, self.reader.changeable

    def add(self, name: str, *parts: bytes | memoryview) -> None:
        """Write a member of this series, and read it back; from any thread."""
        self._count(self.staging.add(self._prefix + name, *parts).length)

    def add_units(
        self,
        name: str,
        units: Sequence[AnyUnit],
        done: Callable[[AnyUnit, int], None],
        tail: Callable[[], bytes] | None = None,
    ) -> None:
        """Write a member of this series by units; see ``StagingFile.add_units``."""
        member = self.staging.add_units(self._prefix + name, units, done, tail)
        self._count(member.length if member else 0)

    @contextmanager
    def in_place(self, name: str) -> Iterator[InPlaceMember]:
        """Write a member of this series in any order of its bytes; see ``StagingFile.in_place``."""
        with self.staging.in_place(self._prefix + name) as member:
            yield member
        self._count(member.length)

    def _count(self, length: int) -> None:
        with self._lock:
            self._bytes_stored += length

    def frame_owners(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each position of a stack, the object and the frame of it that stands there."""
        stack = self.plan.stacks[number]
        positions = int(np.prod(stack.shape[: len(stack.shape) - stack.frame_rank]))
        owners, frame_numbers = np.full(positions, -1, np.int64), np.zeros(positions, np.int64)
        for index, item in enumerate(self.plan.objects):
            if item.treatment != Treatment.ARRAY:
                continue
            places = np.array(item.positions, np.int64)
            frames = np.arange(len(places))
            if item.frame_stacks:
                chosen = np.array(item.frame_stacks) == number
                places, frames = places[chosen], frames[chosen]
            elif item.stack != number:
                continue
            owners[places], frame_numbers[places] = index, frames
        return owners, frame_numbers
