"""Objects spliced from compressed headers and the words of arrays, whatever holds these: ``zarr`` and ``hdf5``."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import DamagedError
from pacscore.store.array import StoredArray
from pacscore.store.plan import Treatment
from pacscore.store.series_file import SeriesFile

HEADER_FRAMES_KEPT = 4


class SplicedReader:
    """Reads the objects of one series; ``open_stack`` opens the array of a stack."""

    def __init__(self, series: SeriesFile, open_stack: Callable[[SeriesFile, int], StoredArray]) -> None:
        self._series = series
        self._open_stack = open_stack
        self._manifest = series.manifest
        self._arrays: dict[int, StoredArray] = {}
        self._header_frames: OrderedDict[int, bytes] = OrderedDict()

    def words(self, stack: int) -> StoredArray:
        """The array of a stack."""
        found = self._arrays.get(stack)
        if found is None:
            found = self._arrays[stack] = self._open_stack(self._series, stack)
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
        frames = self._manifest.frames(index)
        parts: list[NDArray[Any]] = []
        start = 0
        while start < len(frames):
            stack, position = frames[start]
            stop = start + 1
            while stop < len(frames) and frames[stop] == (stack, position + stop - start):
                stop += 1
            parts.append(self.words(stack).read_frames(position, stop - start))
            start = stop
        words = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if self._manifest.number("swap", index):
            words.byteswap(inplace=True)
        return words.reshape(-1).view(np.uint8).data

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
