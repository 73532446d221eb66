"""Writing the formats whose originals are spliced (``zarr``, ``hdf5``): arrays, compressed headers, and blobs.

In this order: each stack, shard by shard; objects kept as bytes; objects that are headers only; all headers; what the
arrays have to say together. Where the shards go is the format's own: its ``ArrayWriter``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pacscore.store.headers import HeaderPacker
from pacscore.store.layout import ArrayLayout, choose_layout, fitting_strategy
from pacscore.store.manifest import Span
from pacscore.store.plan import ObjectPlan, StackPlan, Treatment
from pacscore.store.sampling import choose_codec
from pacscore.store.series_writer import SeriesWriter
from pacscore.store.units import UNIT_BYTES, KeptUnit, SlabUnit, Unit, header_kept, kept_batches, kept_range

KEPT_MEMBER_BYTES_MAX = 1 << 30


class ArrayWriter(Protocol):
    """Writes the arrays of one series, each shard by shard."""

    def begin_stack(self, number: int, layout: ArrayLayout, stack: StackPlan) -> None:
        """Before the first shard of an array."""
        ...

    def write_shard(
        self,
        number: int,
        layout: ArrayLayout,
        shard: tuple[int, ...],
        units: Sequence[SlabUnit],
        taken: Callable[[SlabUnit], None],
    ) -> None:
        """Encode, write and prove the units of a shard; ``taken`` is told of each that is encoded, in order."""
        ...

    def finish(self) -> None:
        """After the last shard of the last array."""
        ...


class SplicedMembers:
    """Writes the members of one series; used once."""

    def __init__(self, series: SeriesWriter, arrays: ArrayWriter) -> None:
        self._series = series
        self._arrays = arrays
        self._plan = series.plan
        self._staging = series.staging
        self._reader = series.reader
        self._rows = series.rows
        self._headers = HeaderPacker(self._rows)
        self._spans: list[Span] = []
        self._reported: set[int] = set()

    def write(self) -> list[Span]:
        """Write, and prove, them all; returns the spans of the manifest."""
        plan = self._plan
        for row, item in zip(self._rows, plan.objects, strict=True):
            row.header_kept = header_kept(item)
        for number in range(len(plan.stacks)):
            self._write_stack(number)
        self._write_kept()
        self._write_headers()
        self._arrays.finish()
        for row in self._rows:
            row.first_span += len(self._headers.spans)
        return [*self._headers.spans, *self._spans]

    def _taken(self, unit: Unit) -> None:
        """Keep the headers a unit has brought."""
        for index, record in unit.records:
            self._headers.add(index, record)
        unit.records = []
        self._series.progress(unit.bytes_in)

    def _write_stack(self, number: int) -> None:
        """One array: its metadata, and its shards."""
        plan, settings = self._plan, self._staging.settings
        stack = plan.stacks[number]
        owners, frame_numbers = self._series.frame_owners(number)
        strategy = fitting_strategy(stack, plan.strategy)
        layouts = partial(choose_layout, stack, strategy, settings)
        layout = layouts(strategy.codec)
        shards = {shard: layout.shard_chunks(shard) for shard in np.ndindex(layout.shard_counts)}
        # All units are announced before the samples are read, so that no object is read twice.
        units = [self._slab_units(chunks, layout, owners, frame_numbers) for chunks in shards.values()]
        codec = choose_codec(
            layouts,
            strategy,
            owners=owners,
            frame_numbers=frame_numbers,
            objects=plan.objects,
            reader=self._reader,
        )
        layout = layouts(codec)  # Another block size; chunks do not depend on the codec.
        self._arrays.begin_stack(number, layout, stack)
        for shard, parts in zip(shards, units, strict=True):
            for unit in parts:
                unit.layout = layout
            self._arrays.write_shard(number, layout, shard, parts, self._taken)

    def _slab_units(
        self,
        chunks: NDArray[np.int64],
        layout: ArrayLayout,
        owners: NDArray[np.int64],
        frame_numbers: NDArray[np.int64],
    ) -> list[SlabUnit]:
        """The units of one shard, whose chunks are given."""
        slabs = np.unique(chunks[chunks >= 0] // layout.chunks_per_slab)
        per_unit = max(1, UNIT_BYTES // (layout.chunks_per_slab * layout.chunk_bytes))
        units = []
        for start in range(0, len(slabs), per_unit):
            unit = SlabUnit(
                slabs=slabs[start : start + per_unit],
                layout=layout,
                owners=owners,
                frame_numbers=frame_numbers,
                objects=self._plan.objects,
                reader=self._reader,
            )
            unit.reports = frozenset(unit.taken) - self._reported
            self._reported |= unit.reports
            for index in unit.taken:
                self._reader.expect(index)
            units.append(unit)
        return units

    def _write_kept(self) -> None:
        """Objects that are not in arrays, and their pixel values."""
        objects = self._plan.objects
        others = [index for index, item in enumerate(objects) if item.treatment != Treatment.ARRAY]
        kept: list[int] = []
        plain: list[int] = []
        for index in others:
            self._reader.expect(index)
            begin, end = kept_range(objects[index])
            (kept if begin < end else plain).append(index)
        for number, member in enumerate(_members(kept, objects)):
            name = "blobs.bin" if number == 0 else f"blobs.{number}.bin"
            units = [KeptUnit(name, batch, objects, self._reader) for batch in kept_batches(member, objects)]
            self._series.add_units(name, units, self._kept_done)
            self._flush_headers_if_full()
        headers_only = [KeptUnit("", batch, objects, self._reader) for batch in kept_batches(plain, objects)]
        for unit in self._staging.each(self._read_only, headers_only):
            self._kept_done(unit, 0)
            self._flush_headers_if_full()

    def _read_only(self, unit: KeptUnit) -> KeptUnit:
        """Nothing of these objects is written but their headers."""
        unit.encode()
        unit.prove(self._staging.descriptor, 0)
        return unit

    def _kept_done(self, unit: KeptUnit, offset: int) -> None:
        for index, span in unit.spans:
            row = self._rows[index]
            if row.span_count == 0:
                row.first_span = len(self._spans)
            row.span_count += 1
            self._spans.append(replace(span, offset=span.offset + offset))
        self._taken(unit)

    def _flush_headers_if_full(self) -> None:
        if self._headers.is_full:
            self._write_headers()

    def _write_headers(self) -> None:
        member = self._headers.take_member()
        if member is not None:
            self._series.add(member[0], *member[1])


def _members(kept: Sequence[int], objects: Sequence[ObjectPlan]) -> list[list[int]]:
    """Objects by member, each about a gigabyte at most."""
    members: list[list[int]] = []
    size = 0
    for index in kept:
        if not members or size + objects[index].length > KEPT_MEMBER_BYTES_MAX:
            members.append([])
            size = 0
        members[-1].append(index)
        size += objects[index].length
    return members
