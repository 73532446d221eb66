"""One series in an open generation file: its members, its manifest, and checked pieces of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import google_crc32c

from pacscore.errors import DamagedError, LimitError, NotFoundError
from pacscore.parallel import lazy_property
from pacscore.settings import Settings
from pacscore.store.array import ArrayLocator
from pacscore.store.compression import decompress
from pacscore.store.generation_file import GenerationFile
from pacscore.store.manifest import ZSTD, Manifest, Span
from pacscore.store.zip_layout import END, END64, LOCATOR64, locate_directory, read_directory

TAIL_BYTES = 64 << 10


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


class SeriesFile:
    """What the reader of every format needs. Opening reads the end of the file, where the manifest is."""

    def __init__(self, file: GenerationFile, prefix: str, settings: Settings) -> None:
        """Read directory and manifest.

        Raises
        ------
        NotFoundError
            The file holds no such series.
        DamagedError, FormatVersionError
            See ``Generation.open``.
        """
        self.file = file
        self.prefix = prefix
        self.settings = settings
        self._tail_start = max(0, file.length - TAIL_BYTES)
        self._tail = file.read(self._tail_start, file.length - self._tail_start)
        place = locate_directory(self._tail[-(END.size + LOCATOR64.size + END64.size) :], file.length)
        self.members = read_directory(self._bytes(place.offset, place.length), prefix)
        if "manifest.bin" not in self.members:
            raise NotFoundError("The generation file holds no such series.", prefix=prefix)
        self.manifest = Manifest(self.member_bytes("manifest.bin"))

    @lazy_property
    def stacks(self) -> tuple[StackInfo, ...]:
        """What the series' arrays are."""
        return tuple(
            StackInfo(
                shape=tuple(stack["shape"]),
                dtype=stack["dtype"],
                frame_rank=stack["frame_rank"],
                dimension_names=tuple(stack["dimension_names"]),
                attributes=stack["attributes"],
            )
            for stack in self.manifest.series["stacks"]
        )

    def locator(self, stack: int) -> ArrayLocator:
        """From which another process opens the array of a stack."""
        return ArrayLocator(str(self.file.path), self.prefix, stack, self.settings)

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
        if span.raw_length > max(self.settings.header_bytes_max, span.length):
            raise LimitError(
                f"A span states {span.raw_length} bytes; the limit is {self.settings.header_bytes_max}.",
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
        return self.file.read(offset, length)

    def member_bytes(self, name: str) -> bytes:
        """The bytes of a member; not checked."""
        member = self.members.get(name)
        if member is None:
            raise DamagedError(f"Member {name!r} of a generation is missing.", member=name)
        return self._bytes(member.offset, member.length)
