"""A container of named columns and JSON texts: the outer form of a manifest.

    offset  bytes  content
    0       8      "pacscman"
    8       4      format version, little-endian like all numbers here
    12      4      D, the bytes of the directory
    16      D      directory: JSON, UTF-8: [[name, type, count, offset, stored bytes, codec, CRC32C], …]
    16 + D  4      CRC32C of all bytes before
    …              the sections; offsets count from here, the first byte behind the directory's CRC32C

``type`` is ``json`` or the NumPy name of a little-endian number (``i8``, ``u4``, ``u2``, ``u1``); ``count`` is the
number of bytes of the text, or of numbers. ``codec`` is ``raw`` or ``zstd``; the CRC32C is of the stored bytes. Unknown
sections are ignored, so that a later minor version may add some.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from pacscore.errors import DamagedError, FormatVersionError
from pacscore.store.compression import compress, decompress

MAGIC = b"pacscman"
VERSION = 1
HEAD = struct.Struct("<8sLL")
COMPRESS_BYTES_MIN = 256
NATIVE = sys.byteorder == "little"

Value = Mapping[str, Any] | list[Any] | NDArray[Any]


class Section(NamedTuple):
    """One entry of the directory."""

    name: str
    type: str
    items: int
    offset: int
    stored: int
    codec: str
    crc32c: int


def write_sections(values: Mapping[str, Value]) -> bytes:
    """The container of these values, in this order."""
    bodies: list[bytes] = []
    entries: list[list[Any]] = []
    position = 0
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            kind = f"{value.dtype.kind}{value.dtype.itemsize}"
            raw, count = (value if NATIVE else value.byteswap()).tobytes(), value.size
        else:
            raw = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
            kind, count = "json", len(raw)
        stored, codec = raw, "raw"
        if len(raw) >= COMPRESS_BYTES_MIN:
            smaller = compress(raw)
            if len(smaller) < len(raw):
                stored, codec = smaller, "zstd"
        bodies.append(stored)
        entries.append([name, kind, count, position, len(stored), codec, google_crc32c.value(stored)])
        position += len(stored)
    directory = json.dumps(entries, separators=(",", ":")).encode()
    head = HEAD.pack(MAGIC, VERSION, len(directory)) + directory
    return b"".join([head, google_crc32c.value(head).to_bytes(4, "little"), *bodies])


class SectionReader:
    """Reads sections on demand, each checked by its CRC32C."""

    def __init__(self, data: bytes) -> None:
        """Read the directory.

        Raises
        ------
        DamagedError
            The container is cut or its directory differs from its CRC32C.
        FormatVersionError
            A newer version wrote it.
        """
        entries, self._start = _read_head(data)
        self._data = data
        self._entries: dict[str, list[Any]] = {entry[0]: entry for entry in entries}

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def names(self) -> list[str]:
        """All sections that are there."""
        return list(self._entries)

    def check(self, name: str) -> None:
        """Read a section and raise ``DamagedError`` where it differs from its CRC32C or length."""
        section = Section(*self._entries[name])
        size = 1 if section.type == "json" else np.dtype(section.type).itemsize
        self._raw(section, section.items * size)

    def column(self, name: str) -> NDArray[Any]:
        """A column of numbers, native order, read-only."""
        section = Section(*self._entries[name])
        if section.type == "json":
            raise DamagedError(f"Section {name!r} of a manifest is not a column.")
        dtype = np.dtype(f"<{section.type}")
        column = np.frombuffer(self._raw(section, section.items * dtype.itemsize), dtype)
        return column.astype(dtype.newbyteorder("="), copy=False)

    def text(self, name: str) -> Any:
        """A JSON value."""
        section = Section(*self._entries[name])
        return json.loads(self._raw(section, section.items))

    def _raw(self, section: Section, length: int) -> bytes:
        start = self._start + section.offset
        stored = self._data[start : start + section.stored]
        if len(stored) != section.stored or google_crc32c.value(stored) != section.crc32c:
            raise DamagedError(
                f"Section {section.name!r} of a manifest is damaged. Run verify and restore the generation.",
                offset=section.offset,
            )
        raw = decompress(stored, length) if section.codec == "zstd" else stored
        if len(raw) != length:
            raise DamagedError(f"Section {section.name!r} of a manifest has a wrong length.", offset=section.offset)
        return raw


def _read_head(data: bytes) -> tuple[list[list[Any]], int]:
    """The entries of the directory, and where what it describes begins."""
    if len(data) < HEAD.size or data[: len(MAGIC)] != MAGIC:
        raise DamagedError("A manifest does not begin like one. Run verify and restore the generation.", offset=0)
    _, version, length = HEAD.unpack_from(data)
    if version > VERSION:
        raise FormatVersionError(
            f"A generation has format {version}; this pacscore reads up to {VERSION}. Install a newer one.",
            expected=VERSION,
            found=version,
        )
    end = HEAD.size + length
    if len(data) < end + 4 or google_crc32c.value(data[:end]) != int.from_bytes(data[end : end + 4], "little"):
        raise DamagedError("The directory of a manifest is damaged. Run verify and restore the generation.", offset=0)
    return json.loads(data[HEAD.size : end]), end + 4
