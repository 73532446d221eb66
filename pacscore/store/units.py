"""Units of work of the writer: some slabs of an array, or some objects whose bytes are kept.

A unit reads its objects, encodes them, is written as one piece into an open member, and is then proven against the
very buffers whose SHA-256 was taken, which it holds until then (promise 3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from pacscore.errors import ProofError
from pacscore.kernels.chunks import CHUNK_ABSENT
from pacscore.store.compression import compress, decompress
from pacscore.store.frame_chunks import check_frames, encode_frames
from pacscore.store.generation_file import Bytes, read_exactly
from pacscore.store.layout import ArrayLayout
from pacscore.store.manifest import RAW, ZSTD, Span
from pacscore.store.objects import ObjectReader
from pacscore.store.plan import ObjectPlan, Treatment
from pacscore.store.shards import address_of, check_slabs, encode_slabs

UNIT_BYTES = 8 << 20
PIECE_BYTES = 4 << 20
KEPT_PIECE_BYTES_MAX = 64 << 20
HEADER_KEPT_MAX = 4 << 20
ITEM_HEADER_BYTES = 8


class Unit(Protocol):
    """What one worker does at a time."""

    records: list[tuple[int, bytes]]
    """Header records of the objects this unit is the first to take."""
    bytes_in: int
    """Bytes of those objects."""

    def encode(self) -> Sequence[Bytes]:
        """Read the objects and encode what is to be written."""
        ...

    def prove(self, descriptor: int, offset: int) -> None:
        """Read back what was written at ``offset`` and compare it; then let go of the objects."""
        ...


def record_of(plan: ObjectPlan, data: bytes | memoryview) -> bytes:
    """What of an object goes among the headers: its header, and all behind the words of its pixel value."""
    view = memoryview(data)
    tail = view[plan.header_length + plan.pixel_length - plan.pad :]
    return bytes(view[: header_kept(plan)]) + bytes(tail)


def header_kept(plan: ObjectPlan) -> int:
    """How much of the header is kept among the headers; a document inside an object without pixels goes with blobs."""
    if plan.treatment == Treatment.NONE:
        return min(plan.header_length, HEADER_KEPT_MAX)
    return plan.header_length


def kept_range(plan: ObjectPlan) -> tuple[int, int]:
    """First and last + 1 byte of what is kept as bytes in spans of its own."""
    if plan.treatment == Treatment.ARRAY:
        return 0, 0
    return header_kept(plan), plan.header_length + plan.pixel_length


class SlabUnit:
    """Consecutive slabs of one shard.

    Attributes
    ----------
    slabs : (n,) int64
        Their numbers in the array: outer step × slabs of a step + slab.
    taken : list of int
        The objects whose frames stand there.
    layout : ArrayLayout
        Its codec may still be set before ``encode``.
    reports : frozenset of int
        Those of them whose header records this unit brings: an object may have frames in several units.
    table : (n × chunks of a slab, 2) int64
        After ``encode``: offset in the written piece and length of each chunk.
    """

    def __init__(
        self,
        *,
        slabs: NDArray[np.int64],
        layout: ArrayLayout,
        owners: NDArray[np.int64],
        frame_numbers: NDArray[np.int64],
        objects: Sequence[ObjectPlan],
        reader: ObjectReader,
    ) -> None:
        """``owners`` and ``frame_numbers``: which object and which of its frames stands at each position."""
        self.slabs = slabs
        self.records: list[tuple[int, bytes]] = []
        self.bytes_in = 0
        self.table = np.zeros((0, 2), np.int64)
        self.layout = layout
        self._objects = objects
        self._reader = reader
        self.reports: frozenset[int] = frozenset()
        per_step = layout.slab_counts[1]
        along = (slabs % per_step)[:, None] * layout.chunk_slices + np.arange(layout.chunk_slices)
        positions = (slabs // per_step)[:, None] * layout.slices + along
        inside = along < layout.slices
        self._owners = np.where(inside, owners[np.where(inside, positions, 0)], -1)
        self._frame_numbers = np.where(inside, frame_numbers[np.where(inside, positions, 0)], 0)
        taken = np.unique(self._owners)
        self.taken: list[int] = taken[taken >= 0].tolist()
        self._frames = np.zeros(self._owners.shape, np.int64)
        self._swaps = np.zeros(self._owners.shape, np.uint8)

    def encode(self) -> Sequence[Bytes]:
        """Read the objects and encode their frames."""
        addresses = np.zeros(len(self.taken), np.int64)
        swaps = np.zeros(len(self.taken), np.uint8)
        for number, index in enumerate(self.taken):
            plan, data = self._objects[index], self._reader.take(index)
            addresses[number] = address_of(data) + plan.header_length
            swaps[number] = plan.swap
            if index in self.reports:
                self.records.append((index, record_of(plan, data)))
                self.bytes_in += plan.length
        owner_numbers = np.searchsorted(self.taken, self._owners)
        owner_numbers[self._owners < 0] = 0
        frames = addresses[owner_numbers] + self._frame_numbers * self.layout.frame_bytes
        self._frames = np.where(self._owners >= 0, frames, 0)
        self._swaps = np.where(self._owners >= 0, swaps[owner_numbers], 0).astype(np.uint8)
        encode = encode_frames if self.layout.codec.is_of_frames else encode_slabs
        encoded, self.table = encode(self._frames, self.layout, swaps=self._swaps)
        return [encoded.data]

    def placed(self, offset: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """After ``encode``: the numbers in the array of its chunks that are not all zeros, and where they are.

        offset : of the written piece, from which theirs are to be counted

        Returns
        -------
        numbers : (n,) int64
        table : (n, 2) int64, offset and length
        """
        per_slab = self.layout.chunks_per_slab
        numbers = (self.slabs[:, None] * per_slab + np.arange(per_slab)).reshape(-1)
        present = self.table[:, 0] != CHUNK_ABSENT
        return numbers[present], self.table[present] + (offset, 0)

    def prove(self, descriptor: int, offset: int) -> None:
        """Decode what lies in the file and compare it with the objects' words."""
        placed = self.table.copy()
        placed[placed[:, 0] != CHUNK_ABSENT, 0] += offset
        self.prove_chunks(descriptor, placed)

    def prove_chunks(self, descriptor: int, table: NDArray[np.int64]) -> None:
        """The same, of chunks that lie anywhere: ``table`` as after ``encode``, with offsets in the file."""
        check = check_frames if self.layout.codec.is_of_frames else check_slabs
        check(descriptor, self._frames, self.layout, swaps=self._swaps, table=table)
        for index in self.taken:
            self._reader.release(index)


class KeptUnit:
    """Consecutive objects whose pixel values, if any, are kept as bytes.

    Attributes
    ----------
    spans : list of (object, Span)
        After ``encode``: what was made of each, with offsets in the written piece.
    """

    def __init__(
        self, member: str, indices: Sequence[int], objects: Sequence[ObjectPlan], reader: ObjectReader
    ) -> None:
        self.records: list[tuple[int, bytes]] = []
        self.bytes_in = 0
        self.spans: list[tuple[int, Span]] = []
        self._member = member
        self._indices = indices
        self._objects = objects
        self._reader = reader
        self._pieces: list[tuple[Span, memoryview, Bytes]] = []

    def encode(self) -> Sequence[Bytes]:
        """Read the objects and compress what becomes smaller."""
        position = 0
        for index in self._indices:
            plan, data = self._objects[index], memoryview(self._reader.take(index))
            self.records.append((index, record_of(plan, data)))
            self.bytes_in += plan.length
            for start, stop in _pieces(plan):
                raw = data[start:stop]
                stored, codec = _smaller(plan, raw)
                crc = google_crc32c.value(bytes(stored))
                span = Span(self._member, position, len(stored), len(raw), crc, codec)
                self.spans.append((index, span))
                self._pieces.append((span, raw, stored))
                position += len(stored)
        return [stored for _, _, stored in self._pieces]

    def prove(self, descriptor: int, offset: int) -> None:
        """Read the pieces back and compare them with the objects' bytes."""
        for span, raw, _ in self._pieces:
            found = read_exactly(descriptor, offset + span.offset, span.length)
            if span.codec == ZSTD:
                found = decompress(found, span.raw_length)
            if found != bytes(raw):
                raise ProofError("A staged pixel value does not read back as it was given. Nothing was published.")
        self._pieces.clear()
        for index in self._indices:
            self._reader.release(index)


def _smaller(plan: ObjectPlan, raw: memoryview) -> tuple[Bytes, int]:
    if plan.treatment == Treatment.ENCAPSULATED:
        return raw, RAW
    compressed = compress(raw)
    return (compressed, ZSTD) if len(compressed) < len(raw) else (raw, RAW)


def _pieces(plan: ObjectPlan) -> Iterator[tuple[int, int]]:
    """Where the bytes that are kept are cut: at frames where they are encapsulated, so each has its own CRC32C."""
    begin, end = kept_range(plan)
    largest = PIECE_BYTES if plan.fragments is None else KEPT_PIECE_BYTES_MAX
    cuts = [begin]
    if plan.fragments is not None:
        for frame in range(1, plan.fragments.frame_count):
            fragments = plan.fragments.fragments(frame)
            cut = begin + fragments[0][0] - ITEM_HEADER_BYTES if fragments else begin
            if cuts[-1] < cut < end:
                cuts.append(cut)
    for start, stop in zip(cuts, [*cuts[1:], end], strict=True):
        for piece in range(start, stop, largest):
            yield piece, min(stop, piece + largest)


def kept_batches(indices: Sequence[int], objects: Sequence[ObjectPlan]) -> Iterator[list[int]]:
    """Consecutive objects, some megabytes together."""
    batch: list[int] = []
    size = 0
    for index in indices:
        if batch and size + objects[index].length > UNIT_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(index)
        size += objects[index].length
    if batch:
        yield batch
