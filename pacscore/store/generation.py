"""Reading one series in one generation file: its arrays, and every original byte of its objects."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from pacscore.errors import DamagedError, InputError, LimitError, NotFoundError
from pacscore.settings import Settings
from pacscore.store.array import ArrayLocator, StoredArray
from pacscore.store.compression import decompress
from pacscore.store.generation_file import GenerationFile
from pacscore.store.manifest import ZSTD, Manifest, Span
from pacscore.store.plan import Treatment
from pacscore.store.zarr_metadata import read_array_json
from pacscore.store.zip_layout import END, END64, LOCATOR64, locate_directory, read_directory

if TYPE_CHECKING:
    from pacscore.store.verify import Damage

TAIL_BYTES = 64 << 10
HEADER_FRAMES_KEPT = 4


@dataclass(frozen=True, slots=True)
class StackInfo:
    """What is recorded of one stack.

    ``attributes`` are those the archive gave; ``frame_rank`` how many of the last axes are one frame.
    """

    shape: tuple[int, ...]
    dtype: str
    frame_rank: int
    dimension_names: tuple[str, ...]
    attributes: Mapping[str, Any]


class Generation:
    """One series in one generation file. Opening reads the end of the file; all else is read when asked for.

    Safe from several threads. Arrays that were taken from it outlive it; ``close`` is for those who took none.
    """

    def __init__(self, file: GenerationFile, prefix: str, settings: Settings) -> None:
        """Use ``open``."""
        self._file = file
        self._settings = settings
        self._tail_start = max(0, file.length - TAIL_BYTES)
        self._tail = file.read(self._tail_start, file.length - self._tail_start)
        place = locate_directory(self._tail[-(END.size + LOCATOR64.size + END64.size) :], file.length)
        self.prefix = prefix
        self.members = read_directory(self._bytes(place.offset, place.length), prefix)
        if "manifest.bin" not in self.members:
            raise NotFoundError("The generation file holds no such series.", prefix=prefix)
        self.manifest = Manifest(self._member_bytes("manifest.bin"))
        self._header_frames: OrderedDict[int, bytes] = OrderedDict()

    @classmethod
    def open(cls, path: Path, *, prefix: str = "", settings: Settings | None = None) -> Generation:
        """Open a series.

        Parameters
        ----------
        path
            Of the generation file.
        prefix
            ``"<key>/"`` for a series in a pack.

        Raises
        ------
        NotFoundError
            There is no such file, or no such series in it.
        DamagedError
            The directory or manifest is damaged.
        FormatVersionError
            A newer pacscore wrote it.
        """
        return cls(GenerationFile(path), prefix, settings or Settings())

    def __enter__(self) -> Generation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; arrays taken from it fail from now on."""
        self._file.close()

    @property
    def file(self) -> GenerationFile:
        """The open file."""
        return self._file

    @property
    def object_count(self) -> int:
        """How many objects the series has here."""
        return self.manifest.object_count

    @property
    def bytes_stored(self) -> int:
        """Bytes of the series' members."""
        return sum(member.length for member in self.members.values())

    @cached_property
    def stacks(self) -> tuple[StackInfo, ...]:
        """What the series' arrays are."""
        infos = []
        for stack in self.manifest.series["stacks"]:
            values = json.loads(self._member_bytes(f"{stack['array']}/zarr.json"))
            infos.append(
                StackInfo(
                    shape=tuple(values["shape"]),
                    dtype=values["data_type"],
                    frame_rank=stack["frame_rank"],
                    dimension_names=tuple(values["dimension_names"]),
                    attributes=values["attributes"]["pacscore"],
                )
            )
        return tuple(infos)

    def array_source(self, stack: int) -> StoredArray:
        """The array of one stack: an ``ArraySource``.

        Raises
        ------
        NotFoundError
            There is no such stack.
        """
        found = self._arrays.get(stack)
        if found is None:
            stacks = self.manifest.series["stacks"]
            if not 0 <= stack < len(stacks):
                raise NotFoundError(f"The series has {len(stacks)} stacks; there is no number {stack}.", found=stack)
            name = stacks[stack]["array"]
            layout = read_array_json(self._member_bytes(f"{name}/zarr.json"), stacks[stack]["frame_rank"])
            members = {
                key.removeprefix(f"{name}/"): member
                for key, member in self.members.items()
                if key.startswith(f"{name}/")
            }
            locator = ArrayLocator(str(self._file.path), self.prefix, stack, self._settings)
            found = self._arrays[stack] = StoredArray(self._file, layout, members, locator)
        return found

    @cached_property
    def _arrays(self) -> dict[int, StoredArray]:
        return {}

    def object_bytes(self, index: int) -> bytes:
        """The whole object as it was taken."""
        record, kept = self._record(index)
        if self.manifest.treatment(index) == Treatment.NONE:
            return b"".join([record, self._kept_bytes(index)])
        return b"".join([memoryview(record)[:kept], self._words(index), memoryview(record)[kept:]])

    def header_bytes(self, index: int) -> bytes:
        """All before the pixel value; the whole object where there is none."""
        record, kept = self._record(index)
        if self.manifest.treatment(index) == Treatment.NONE:
            return b"".join([record, self._kept_bytes(index)])
        return record[:kept]

    def pixel_bytes(self, index: int) -> bytes:
        """The pixel value as it was taken; empty where there is none."""
        treatment = self.manifest.treatment(index)
        if treatment == Treatment.NONE:
            return b""
        pad = self.manifest.number("pad", index)
        if not pad:
            return bytes(self._words(index))
        record, kept = self._record(index)
        return b"".join([self._words(index), memoryview(record)[kept : kept + pad]])

    def frame_count(self, index: int) -> int:
        """How many frames of an object are mapped: those in arrays, or encapsulated ones."""
        return self.manifest.number("frame_count", index)

    def frame_bytes(self, index: int, frame_index: int) -> bytes:
        """One encapsulated frame: the bytes of its fragments, joined.

        Raises
        ------
        InputError
            The object is not encapsulated, or has no such frame.
        """
        count = self.frame_count(index)
        if self.manifest.treatment(index) != Treatment.ENCAPSULATED or not 0 <= frame_index < count:
            raise InputError(
                f"Object {index} has no encapsulated frame with index {frame_index}.", found=frame_index, expected=count
            )
        fragments = self.manifest.fragments(index, frame_index)
        if not fragments:
            return b""
        begin = min(offset for offset, _ in fragments)
        end = max(offset + length for offset, length in fragments)
        part = memoryview(self._kept_bytes(index, begin, end))
        return b"".join([part[offset - begin : offset - begin + length] for offset, length in fragments])

    def verify(self) -> Iterator[Damage]:
        """Check everything of this series and yield what is wrong; see ``verify.verify_series``."""
        from pacscore.store.verify import verify_series

        return verify_series(self, self._settings)

    def span_bytes(self, span: Span) -> bytes:
        """What a span stands for.

        Raises
        ------
        DamagedError
            Its bytes differ from their CRC32C, or it points outside its member.
        """
        member = self.members.get(span.member)
        if member is None or span.offset < 0 or span.offset + span.length > member.length:
            raise DamagedError("A span lies outside its member.", member=span.member, offset=span.offset)
        if span.raw_length > max(self._settings.header_bytes_max, span.length):
            raise LimitError(
                f"A span states {span.raw_length} bytes; the limit is {self._settings.header_bytes_max}.",
                found=span.raw_length,
            )
        stored = self._bytes(member.offset + span.offset, span.length)
        if google_crc32c.value(stored) != span.crc32c:
            raise DamagedError(
                f"Bytes {span.offset} to {span.offset + span.length} of {span.member} are damaged. Run verify.",
                member=span.member,
                offset=span.offset,
            )
        return decompress(stored, span.raw_length) if span.codec == ZSTD else stored

    def _bytes(self, offset: int, length: int) -> bytes:
        """From the end of the file that opening has read, else from the file."""
        if offset >= self._tail_start:
            start = offset - self._tail_start
            found = self._tail[start : start + length]
            if len(found) == length:
                return found
        return self._file.read(offset, length)

    def _member_bytes(self, name: str) -> bytes:
        member = self.members.get(name)
        if member is None:
            raise DamagedError(f"Member {name!r} of a generation is missing.", member=name)
        return self._bytes(member.offset, member.length)

    def _record(self, index: int) -> tuple[bytes, int]:
        """Header and tail of an object, and where the tail begins."""
        number = self.manifest.number
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
            found = self.span_bytes(self.manifest.span(span))
            frames[span] = found
            while len(frames) > HEADER_FRAMES_KEPT:
                frames.popitem(last=False)
        return found

    def _words(self, index: int) -> bytes | memoryview:
        """The pixel value without pad bytes, in the object's byte order."""
        if self.manifest.treatment(index) != Treatment.ARRAY:
            return self._kept_bytes(index)
        frames = self.manifest.frames(index)
        parts: list[NDArray[Any]] = []
        start = 0
        while start < len(frames):
            stack, position = frames[start]
            stop = start + 1
            while stop < len(frames) and frames[stop] == (stack, position + stop - start):
                stop += 1
            parts.append(self.array_source(stack).read_frames(position, stop - start))
            start = stop
        words = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if self.manifest.number("swap", index):
            words.byteswap(inplace=True)
        return words.reshape(-1).view(np.uint8).data

    def _kept_bytes(self, index: int, begin: int = 0, end: int | None = None) -> bytes:
        """The bytes that are kept in spans, or the part ``begin`` to ``end`` of them."""
        first = self.manifest.number("first_span", index)
        count = self.manifest.number("span_count", index)
        if count == 0:
            return b""
        ends = np.cumsum(self.manifest.column("span_raw_length")[first : first + count])
        if end is None:
            end = int(ends[-1])
        low = int(np.searchsorted(ends, begin, side="right"))
        high = min(count, int(np.searchsorted(ends, end)) + 1)
        data = b"".join(self.span_bytes(self.manifest.span(first + number)) for number in range(low, high))
        start = int(ends[low - 1]) if low else 0
        return data if (start, end) == (begin, begin + len(data)) else data[begin - start : end - start]
