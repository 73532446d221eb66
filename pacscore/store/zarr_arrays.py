"""The arrays of the format ``zarr``: a group, and for each stack an array in shards, each written whole.

A shard is its chunks in any order and an index of them at its end (Zarr ``sharding_indexed`` 1.0).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from pacscore.errors import DamagedError
from pacscore.store.array import StoredArray
from pacscore.store.generation_file import GenerationFile
from pacscore.store.layout import ArrayLayout
from pacscore.store.plan import StackPlan
from pacscore.store.series_file import SeriesFile
from pacscore.store.series_writer import SeriesWriter
from pacscore.store.shards import NOTHING
from pacscore.store.units import SlabUnit
from pacscore.store.zarr_metadata import array_json, array_name, chunk_key, group_json, read_array_json
from pacscore.store.zip_layout import Member

INDEX_CRC_BYTES = 4


class ZarrArrays:
    """Writes the arrays of one series as members: ``ArrayWriter`` of ``spliced_writer``."""

    def __init__(self, series: SeriesWriter) -> None:
        self._series = series

    def begin_stack(self, number: int, layout: ArrayLayout, stack: StackPlan) -> None:
        """Write what is known of an array."""
        self._series.add(f"{array_name(number)}/zarr.json", array_json(layout, stack))

    def write_shard(
        self,
        number: int,
        layout: ArrayLayout,
        shard: tuple[int, ...],
        units: Sequence[SlabUnit],
        taken: Callable[[SlabUnit], None],
    ) -> None:
        """Write a shard; ``taken`` is told of each unit that is done, in order."""
        chunks = layout.shard_chunks(shard)
        index = np.full((math.prod(layout.chunk_counts), 2), -1, np.int64)

        def done(unit: SlabUnit, offset: int) -> None:
            numbers, table = unit.placed(offset)
            index[numbers] = table
            taken(unit)

        name = f"{array_name(number)}/{chunk_key(shard)}"
        self._series.add_units(name, units, done, lambda: shard_index(index, chunks))

    def finish(self) -> None:
        """Write what is known of the group."""
        plan = self._series.plan
        attributes = {
            "study_instance_uid": plan.study_instance_uid,
            "series_instance_uid": plan.series_instance_uid,
            "strategy": plan.strategy.name,
        }
        self._series.add("zarr.json", group_json(attributes, plan.stacks))


def shard_index(index: NDArray[np.int64], chunks: NDArray[np.int64]) -> bytes:
    """The end of a shard: offset and length of each chunk, then their CRC32C (Zarr ``sharding_indexed`` 1.0).

    index : (chunks of the array, 2), -1 where there is none
    chunks : the number in the array of each chunk of the shard, -1 beyond the edge
    """
    entries = index[chunks].astype("<u8")
    entries[(chunks < 0) | (entries[:, 1] == NOTHING)] = NOTHING
    text = entries.tobytes()
    return text + int(google_crc32c.value(text)).to_bytes(4, "little")


def open_zarr_stack(series: SeriesFile, stack: int) -> StoredArray:
    """The array of a stack."""
    name = array_name(stack)
    layout = read_array_json(series.member_bytes(f"{name}/zarr.json"), series.stacks[stack].frame_rank)
    members = {
        key.removeprefix(f"{name}/"): member for key, member in series.members.items() if key.startswith(f"{name}/")
    }
    return StoredArray(series.file, layout, series.locator(stack), lambda wanted: _index(series.file, members, wanted))


def _index(file: GenerationFile, members: Mapping[str, Member], layout: ArrayLayout) -> NDArray[np.int64]:
    """Offset in the file and length of each chunk of an array, of all its shards."""
    index = np.full((math.prod(layout.chunk_counts), 2), -1, np.int64)
    for shard in np.ndindex(layout.shard_counts):
        member = members.get(chunk_key(shard))
        if member is None:
            continue  # A shard of which nothing is stored is all zeros (Zarr v3, fill value).
        chunks = layout.shard_chunks(shard)
        entries = _shard_index(file, member, len(chunks))
        present = (chunks >= 0) & (entries[:, 1] != NOTHING)
        placed = entries[present].astype(np.int64)
        if len(placed) and (placed.min() < 0 or (placed.sum(axis=1)).max() > member.length):
            raise DamagedError("A shard's index points outside the shard.", member=member.name)
        placed[:, 0] += member.offset
        index[chunks[present]] = placed
    return index


def _shard_index(file: GenerationFile, member: Member, count: int) -> NDArray[np.uint64]:
    length = 16 * count
    if member.length < length + INDEX_CRC_BYTES:
        raise DamagedError("A shard is shorter than its index.", member=member.name)
    start = member.offset + member.length - length - INDEX_CRC_BYTES
    text = file.read(start, length + INDEX_CRC_BYTES)
    if google_crc32c.value(text[:length]) != int.from_bytes(text[length:], "little"):
        raise DamagedError("The index of a shard is damaged.", member=member.name, offset=start)
    return np.frombuffer(text, "<u8", 2 * count).reshape(count, 2)
