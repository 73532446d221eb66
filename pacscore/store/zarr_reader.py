"""The default format, as it is read: originals are spliced from compressed headers and the words of arrays."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import DamagedError
from pacscore.store.array import StoredArray
from pacscore.store.formats import ObjectPieces
from pacscore.store.generation_file import Bytes
from pacscore.store.plan import Treatment
from pacscore.store.series_file import SeriesFile
from pacscore.store.zarr_metadata import array_name, read_array_json

HEADER_FRAMES_KEPT = 4


class _Place(NamedTuple):
    """Where a frame stands: in which stack, at which flat position."""

    stack: int
    position: int

    def following(self) -> _Place:
        return _Place(self.stack, self.position + 1)


class ZarrReader:
    """Reads the objects of one series."""

    def __init__(self, series: SeriesFile) -> None:
        self._series = series
        self._manifest = series.manifest
        self._arrays: dict[int, StoredArray] = {}
        self._header_frames: OrderedDict[int, bytes] = OrderedDict()

    def words(self, stack: int) -> StoredArray:
        """The array of a stack."""
        found = self._arrays.get(stack)
        if found is None:
            series, name = self._series, array_name(stack)
            layout = read_array_json(series.member_bytes(f"{name}/zarr.json"), series.stacks[stack].frame_rank)
            members = {
                key.removeprefix(f"{name}/"): member
                for key, member in series.members.items()
                if key.startswith(f"{name}/")
            }
            found = self._arrays[stack] = StoredArray(series.file, layout, members, series.locator(stack))
        return found

    def whole(self, index: int) -> bytes:
        """An object as it was taken."""
        record, kept = self._record(index)
        if self._manifest.treatment(index) == Treatment.NONE:
            return b"".join([record, self._kept_bytes(index)])
        return b"".join([memoryview(record)[:kept], self._words(index), memoryview(record)[kept:]])

    def header(self, index: int) -> bytes:
        """All before its pixel value; the whole object where there is none."""
        record, kept = self._record(index)
        if self._manifest.treatment(index) == Treatment.NONE:
            return b"".join([record, self._kept_bytes(index)])
        return record[:kept]

    def pixels(self, index: int) -> bytes:
        """Its pixel value; empty where there is none."""
        if self._manifest.treatment(index) == Treatment.NONE:
            return b""
        pad = self._manifest.number("pad", index)
        if not pad:
            return bytes(self._words(index))
        record, kept = self._record(index)
        return b"".join([self._words(index), memoryview(record)[kept : kept + pad]])

    def pixel_range(self, index: int, begin: int, end: int) -> bytes:
        """A part of a pixel value that is kept as bytes; each span it meets is checked whole."""
        return self._kept_bytes(index, begin, end)

    def runs(self, indices: Sequence[int], bytes_max: int) -> list[list[int]]:
        """Objects cut where a slab of chunks ends, so that each chunk is decoded once."""
        found: list[list[int]] = []
        before: _Place | None = None
        for index in indices:
            place = self._place(index)
            size = self._manifest.number("length", index)
            if before is not None and place is not None and place == before.following() and size <= bytes_max:
                found[-1].append(index)
            else:
                found.append([index])
            is_full = place is None or len(found[-1]) * size + size > bytes_max
            before = None if place is None or is_full or self._ends_slab(place.stack, place.position + 1) else place
        return found

    def pieces(self, indices: Sequence[int], bytes_max: int) -> list[ObjectPieces]:
        """The objects of a run; words that lie one behind the other are read at once."""
        first = self._place(indices[0])
        length = self._manifest.number("length", indices[0])
        if len(indices) == 1 or first is None:
            return [self._large(index) if length > bytes_max else self._alone(index) for index in indices]
        count = len(indices)
        words = self.words(first.stack).read_frames(first.position, count).reshape(-1).view(np.uint8).data
        size = len(words) // count
        is_checked = self._are_whole_slabs(first.stack, first.position, first.position + count)
        found = []
        for number, index in enumerate(indices):
            record, kept = self._record(index)
            view = memoryview(record)
            buffers = (view[:kept], words[number * size : (number + 1) * size], view[kept:])
            found.append(ObjectPieces(sum(map(len, buffers)), buffers, is_checked))
        return found

    def _alone(self, index: int) -> ObjectPieces:
        record, kept = self._record(index)
        view = memoryview(record)
        buffers: tuple[Bytes, ...] = (record, self._kept_bytes(index))
        if self._manifest.treatment(index) != Treatment.NONE:
            buffers = (view[:kept], self._words(index), view[kept:])
        return ObjectPieces(sum(map(len, buffers)), buffers, self._is_checked(index))

    def _large(self, index: int) -> ObjectPieces:
        """An object whose words are read slab by slab, or whose spans one by one, as they are asked for."""
        return ObjectPieces(self._manifest.number("length", index), self._stream(index), self._is_checked(index))

    def _stream(self, index: int) -> Iterator[Bytes]:
        record, kept = self._record(index)
        manifest, treatment = self._manifest, self._manifest.treatment(index)
        yield record if treatment == Treatment.NONE else memoryview(record)[:kept]
        if treatment == Treatment.ARRAY:
            for stack, start, stop in self._stretches(index):
                step = self.words(stack).layout.chunk_slices
                cuts = [start, *range((start // step + 1) * step, stop, step), stop]
                for begin, end in itertools.pairwise(cuts):
                    words = self.words(stack).read_frames(begin, end - begin)
                    yield self._in_order(index, words).reshape(-1).view(np.uint8).data
        else:
            first = manifest.number("first_span", index)
            for number in range(first, first + manifest.number("span_count", index)):
                yield self._series.span_bytes(manifest.span(number))
        if treatment != Treatment.NONE:
            yield memoryview(record)[kept:]

    def _place(self, index: int) -> _Place | None:
        """Where the only frame of an object stands; None where it has several, or other bytes than an array's."""
        manifest = self._manifest
        if manifest.treatment(index) != Treatment.ARRAY or manifest.number("frame_count", index) != 1:
            return None
        if manifest.number("swap", index):
            return None
        first = manifest.number("first_frame", index)
        return _Place(manifest.number("array_stack", first), manifest.number("array_position", first))

    def _ends_slab(self, stack: int, stop: int) -> bool:
        layout = self.words(stack).layout
        return stop % layout.slices == 0 or stop % layout.slices % layout.chunk_slices == 0

    def _are_whole_slabs(self, stack: int, start: int, stop: int) -> bool:
        """Whether all chunks of these frames are decoded as a whole, and so checked by their CRC32C."""
        return self._ends_slab(stack, start) and self._ends_slab(stack, stop)

    def _is_checked(self, index: int) -> bool:
        if self._manifest.treatment(index) != Treatment.ARRAY:
            return True
        return all(self._are_whole_slabs(*stretch) for stretch in self._stretches(index))

    def _record(self, index: int) -> tuple[bytes, int]:
        """Header and tail of an object, and where the tail begins."""
        number = self._manifest.number
        kept = number("header_kept", index)
        tail = number("length", index) - number("header_length", index) - number("pixel_length", index)
        start = number("header_start", index)
        frame = self._header_frame(number("header_span", index))
        record = frame[start : start + kept + tail + number("pad", index)]
        if len(record) != kept + tail + number("pad", index):
            raise DamagedError("An object's header lies outside the compressed headers.", index=index)
        return record, kept

    def _header_frame(self, span: int) -> bytes:
        """One Zstd frame of headers; a few are kept, since objects are mostly asked for in order."""
        frames = self._header_frames
        found = frames.get(span)
        if found is None:
            found = self._series.span_bytes(self._manifest.span(span))
            frames[span] = found
            while len(frames) > HEADER_FRAMES_KEPT:
                frames.popitem(last=False)
        return found

    def _words(self, index: int) -> bytes | memoryview:
        """The pixel value without pad bytes, in the object's byte order."""
        if self._manifest.treatment(index) != Treatment.ARRAY:
            return self._kept_bytes(index)
        parts = [self.words(stack).read_frames(start, stop - start) for stack, start, stop in self._stretches(index)]
        words = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return self._in_order(index, words).reshape(-1).view(np.uint8).data

    def _stretches(self, index: int) -> Iterator[tuple[int, int, int]]:
        """Stack, first and last + 1 position of frames of an object that stand one behind the other."""
        frames = self._manifest.frames(index)
        start = 0
        while start < len(frames):
            stack, position = frames[start]
            stop = start + 1
            while stop < len(frames) and frames[stop] == (stack, position + stop - start):
                stop += 1
            yield stack, position, position + stop - start
            start = stop

    def _in_order(self, index: int, words: NDArray[Any]) -> NDArray[Any]:
        """Words that were just read, brought to the byte order of the object."""
        return words.byteswap(inplace=True) if self._manifest.number("swap", index) else words

    def _kept_bytes(self, index: int, begin: int = 0, end: int | None = None) -> bytes:
        """The bytes that are kept in spans, or the part ``begin`` to ``end`` of them."""
        first = self._manifest.number("first_span", index)
        count = self._manifest.number("span_count", index)
        if count == 0:
            return b""
        ends = np.cumsum(self._manifest.column("span_raw_length")[first : first + count])
        if end is None:
            end = int(ends[-1])
        low = int(np.searchsorted(ends, begin, side="right"))
        high = min(count, int(np.searchsorted(ends, end)) + 1)
        data = b"".join(self._series.span_bytes(self._manifest.span(first + number)) for number in range(low, high))
        start = int(ends[low - 1]) if low else 0
        return data if (start, end) == (begin, begin + len(data)) else data[begin - start : end - start]
