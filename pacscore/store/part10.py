"""The control format: each object is a member of its own, ``objects/000001.dcm``, byte for byte as it came.

What a stack's array is, is recorded as in the default format; its words are taken from the files when they are read.
Nothing is compressed, and a box costs a read for each frame it meets.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from pacscore.errors import DamagedError
from pacscore.store.array import check_output, checked_ranges, open_array
from pacscore.store.formats import ObjectPieces
from pacscore.store.manifest import RAW, Span
from pacscore.store.plan import Treatment
from pacscore.store.series_file import SeriesFile
from pacscore.store.series_writer import SeriesWriter


def write_plain_files(series: SeriesWriter) -> list[Span]:
    """Write each object as a member, and read it back."""
    for index in range(len(series.plan.objects)):
        series.reader.expect(index)

    def write(index: int) -> Span:
        data = series.reader.take(index)
        name = f"objects/{index + 1:06d}.dcm"
        series.add(name, data)
        span = Span(name, 0, len(data), len(data), google_crc32c.value(bytes(data)), RAW)
        series.reader.release(index)
        return span

    spans = []
    for index, span in enumerate(series.staging.each(write, range(len(series.plan.objects)))):
        row = series.rows[index]
        row.header_span = row.first_span = index
        row.span_count = 1
        row.header_kept = series.plan.objects[index].header_length
        spans.append(span)
        series.progress(span.length)
    return spans


class PlainReader:
    """Reads the objects of one series."""

    def __init__(self, series: SeriesFile) -> None:
        self._series = series
        self._manifest = series.manifest

    def whole(self, index: int) -> bytes:
        """An object as it was taken."""
        return self._series.span_bytes(self._span(index))

    def header(self, index: int) -> bytes:
        """All before its pixel value; the whole object where there is none."""
        return self.part(index, 0, self._manifest.number("header_length", index))

    def pixels(self, index: int) -> bytes:
        """Its pixel value; empty where there is none."""
        return self.pixel_range(index, 0, self._manifest.number("pixel_length", index))

    def pixel_range(self, index: int, begin: int, end: int) -> bytes:
        """A part of a pixel value."""
        start = self._manifest.number("header_length", index)
        return self.part(index, start + begin, start + end)

    def words(self, stack: int) -> PlainWords:
        """The array of a stack."""
        return PlainWords(self, self._series, stack)

    def runs(self, indices: Sequence[int], bytes_max: int) -> list[list[int]]:
        """Each object alone: nothing is shared."""
        return [[index] for index in indices]

    def pieces(self, indices: Sequence[int], bytes_max: int) -> list[ObjectPieces]:
        """The objects; a large one as parts of its file, unchecked."""
        return [self._object(index, bytes_max) for index in indices]

    def _object(self, index: int, bytes_max: int) -> ObjectPieces:
        length = self._manifest.number("length", index)
        if length <= bytes_max:
            return ObjectPieces(length, (self.whole(index),), is_checked=True)
        begins = range(0, length, bytes_max)
        parts = (self.part(index, begin, min(length, begin + bytes_max)) for begin in begins)
        return ObjectPieces(length, parts, is_checked=False)

    def part(self, index: int, begin: int, end: int) -> bytes:
        """Some bytes of an object; only ``whole`` and ``verify`` check its CRC32C."""
        span = self._span(index)
        member = self._series.members.get(span.member)
        if member is None or not 0 <= begin <= end <= member.length:
            raise DamagedError("An object's file is missing or too short.", member=span.member, offset=begin)
        return self._series.file.read(member.offset + begin, end - begin)

    def _span(self, index: int) -> Span:
        return self._manifest.span(self._manifest.number("first_span", index))


class PlainWords:
    """The words of a stack, taken from plain files: an ``ArraySource``."""

    def __init__(self, reader: PlainReader, series: SeriesFile, stack: int) -> None:
        self._reader = reader
        self._manifest = series.manifest
        self._stack = stack
        self._info = series.stacks[stack]
        self.locator = series.locator(stack)

    def __reduce__(self) -> tuple[Any, ...]:
        return open_array, (self.locator,)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(axes…, slices, frame…)``."""
        return self._info.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the words."""
        return np.dtype(self._info.dtype)

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """One frame."""
        rank = self._info.frame_rank
        return (1,) * (len(self.shape) - rank) + self.shape[len(self.shape) - rank :]

    def read(self, selection: Sequence[slice]) -> NDArray[Any]:
        """The words of a box, in a new array."""
        ranges = checked_ranges(selection, self.shape)
        out = np.empty([stop - start for start, stop in ranges], self.dtype)
        self._read(ranges, out)
        return out

    def read_into(self, selection: Sequence[slice], out: NDArray[Any]) -> None:
        """Put the words of a box into ``out``."""
        ranges = checked_ranges(selection, self.shape)
        check_output(out, ranges, self.dtype)
        self._read(ranges, out)

    def _read(self, ranges: Sequence[tuple[int, int]], out: NDArray[Any]) -> None:
        leading = len(self.shape) - self._info.frame_rank
        (first_row, last_row), *behind = ranges[leading:]
        inner = tuple(slice(start, stop) for start, stop in behind)
        row_shape = self.shape[leading + 1 :]
        row_bytes = int(np.prod(row_shape)) * self.dtype.itemsize
        frame_bytes = row_bytes * self.shape[leading]
        for place in np.ndindex(out.shape[:leading]):
            at = tuple(start + step for (start, _), step in zip(ranges, place, strict=False))
            index, frame = self._owners[int(np.ravel_multi_index(at, self.shape[:leading]))].tolist()
            begin = frame * frame_bytes
            data = self._reader.pixel_range(index, begin + first_row * row_bytes, begin + last_row * row_bytes)
            dtype = self.dtype.newbyteorder(">") if self._manifest.number("swap", index) else self.dtype
            rows = np.frombuffer(data, dtype).reshape(last_row - first_row, *row_shape)
            out[place] = rows[(slice(None), *inner)]

    @cached_property
    def _owners(self) -> NDArray[np.int64]:
        """(positions, 2): which object, and which of its frames, stands at each position."""
        counts = np.where(
            self._manifest.column("treatment") == Treatment.ARRAY, self._manifest.column("frame_count"), 0
        )
        objects = np.repeat(np.arange(len(counts)), counts)
        frames = np.arange(len(objects)) - np.repeat(np.cumsum(counts) - counts, counts)
        own = self._manifest.column("array_stack") == self._stack
        owners = np.empty((int(own.sum()), 2), np.int64)
        owners[self._manifest.column("array_position")[own]] = np.stack([objects[own], frames[own]], axis=1)
        return owners
