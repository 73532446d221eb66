"""A generation file: a ZIP archive whose members are stored, not compressed.

One file is one inode, one sync and one rename, and every unzip and zarr-python's ``ZipStore`` reads it. Written front
to back; the central directory, sorted by name, ends the file without a comment.

Z1  Members follow each other without gaps, and each local header is the exact counterpart of its directory entry, so
    that ``verify`` can tell a change of any byte of the file.
Z2  No member reaches 4 GiB. Only offsets and counts may need ZIP64.
Z3  Dates are 1980-01-01: equal content makes equal bytes.

Source: PKWARE APPNOTE 6.3.10, sections 4.3 and 4.5.3.
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pacscore.errors import BugError, DamagedError, LimitError
from pacscore.filesystem import WritableFile
from pacscore.store.generation_file import Bytes

LOCAL = struct.Struct("<4s5H3L2H")
ENTRY = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
END64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR64 = struct.Struct("<4sLQL")
OFFSET64 = struct.Struct("<2HQ")

PIECE_BYTES = 4 << 20
MEMBER_BYTES_MAX = (1 << 32) - 2
_DATE_1980 = (1 << 5) | 1
_VERSION, _VERSION_64 = 20, 45
_ATTRIBUTES = 0o100644 << 16
_MADE_BY_UNIX = 3 << 8


@dataclass(frozen=True, slots=True)
class Member:
    """One stored member: ``offset`` is that of its first byte in the file."""

    name: str
    offset: int
    length: int
    crc32: int

    @property
    def header_offset(self) -> int:
        """Where its local header begins."""
        return self.offset - LOCAL.size - len(self.name)

    def local_header(self) -> bytes:
        """The bytes in front of its data."""
        name = self.name.encode("ascii")
        fixed = LOCAL.pack(b"PK\3\4", _VERSION, 0, 0, 0, _DATE_1980, self.crc32, self.length, self.length, len(name), 0)
        return fixed + name

    def entry(self) -> bytes:
        """Its entry of the central directory."""
        name = self.name.encode("ascii")
        offset, extra, version = self.header_offset, b"", _VERSION
        if offset >= 0xFFFFFFFF:
            extra, offset, version = OFFSET64.pack(1, 8, offset), 0xFFFFFFFF, _VERSION_64
        fixed = ENTRY.pack(
            b"PK\1\2",
            _MADE_BY_UNIX | version,
            version,
            0,
            0,
            0,
            _DATE_1980,
            self.crc32,
            self.length,
            self.length,
            len(name),
            len(extra),
            0,
            0,
            0,
            _ATTRIBUTES,
            offset,
        )
        return fixed + name + extra


class OpenMember:
    """A member being written piece by piece; the file is its alone until it is closed."""

    def __init__(self, archive: ZipWriter, name: str) -> None:
        self._archive = archive
        self._name = name
        self._lock = threading.Lock()
        self.crc32 = 0
        self.length = 0
        self.offset = archive._append(Member(name, 0, 0, 0).local_header()) + LOCAL.size + len(name)

    def append(self, *parts: Bytes) -> int:
        """Write a piece, given in parts, and return its offset in the file; safe from several threads."""
        with self._lock:
            for part in parts:
                self.crc32 = zlib.crc32(part, self.crc32)
                self.length += len(part)
            if self.length > MEMBER_BYTES_MAX:
                raise BugError(f"Member {self._name!r} of a generation grew beyond {MEMBER_BYTES_MAX} bytes.")
            return self._archive._append(*parts)


class InPlaceMember:
    """A member whose bytes are written in any order; the file is its alone until it is closed.

    Its CRC32 is taken from what stands in the file in the end.
    """

    def __init__(self, archive: ZipWriter, name: str, read: Callable[[int, int], bytes]) -> None:
        """``read`` gives bytes of the file: offset and length."""
        self._archive = archive
        self._read = read
        self.offset = archive._append(Member(name, 0, 0, 0).local_header()) + LOCAL.size + len(name)
        self.length = 0

    def write(self, position: int, data: Bytes) -> None:
        """Write at a position in the member, which grows as far as that needs."""
        self.lengthen(position)
        if position + len(data) > MEMBER_BYTES_MAX:
            raise LimitError(f"A member of a generation would grow beyond {MEMBER_BYTES_MAX} bytes.")
        self._archive._put(self.offset + position, data)
        self.length = max(self.length, position + len(data))

    def lengthen(self, length: int) -> None:
        """Add zeros up to a length."""
        while self.length < length:
            zeros = bytes(min(PIECE_BYTES, length - self.length))
            self._archive._put(self.offset + self.length, zeros)
            self.length += len(zeros)

    def read(self, position: int, length: int) -> bytes:
        """Bytes of the member, as far as it goes."""
        return self._read(self.offset + position, max(0, min(length, self.length - position)))

    def crc32(self) -> int:
        """Of all that stands in the file."""
        crc = 0
        for start in range(0, self.length, PIECE_BYTES):
            crc = zlib.crc32(self.read(start, PIECE_BYTES), crc)
        return crc


class ZipWriter:
    """Writes the members of one generation file; members may be added from several threads."""

    def __init__(self, file: WritableFile) -> None:
        self._file = file
        self._lock = threading.RLock()
        self._members: dict[str, Member] = {}
        self._open = False
        self.size = 0

    def add(self, name: str, *parts: Bytes) -> Member:
        """Write a whole member."""
        with self._alone():
            crc, length = 0, 0
            for part in parts:
                crc = zlib.crc32(part, crc)
                length += len(part)
            offset = self.size + LOCAL.size + len(name)
            member = self._keep(Member(name, offset, length, crc))
            self._append(member.local_header(), *parts)
            return member

    @contextmanager
    def member(self, name: str) -> Iterator[OpenMember]:
        """Write a member in pieces; others wait until it is complete."""
        with self._alone():
            opened = OpenMember(self, name)
            yield opened
            member = self._keep(Member(name, opened.offset, opened.length, opened.crc32))
            self._file.write_at(member.header_offset, member.local_header())

    @contextmanager
    def in_place(self, name: str, read: Callable[[int, int], bytes]) -> Iterator[InPlaceMember]:
        """Write a member in any order of its bytes; others wait until it is complete."""
        with self._alone():
            opened = InPlaceMember(self, name, read)
            yield opened
            member = self._keep(Member(name, opened.offset, opened.length, opened.crc32()))
            self._file.write_at(member.header_offset, member.local_header())

    def finish(self) -> None:
        """Write the central directory."""
        with self._alone():
            self._append(directory_bytes(list(self._members.values()), self.size))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait for other threads; a thread that already writes a member may not begin another."""
        with self._lock:
            if self._open:
                raise BugError("A member of a generation was begun inside another.")
            self._open = True
            try:
                yield
            finally:
                self._open = False

    def _keep(self, member: Member) -> Member:
        if member.name in self._members or member.length > MEMBER_BYTES_MAX:
            raise BugError(f"Member {member.name!r} of a generation stands twice or is too long.", found=member.length)
        self._members[member.name] = member
        return member

    def _put(self, offset: int, data: Bytes) -> None:
        self._file.write_at(offset, data)
        self.size = max(self.size, offset + len(data))

    def _append(self, *parts: Bytes) -> int:
        offset = self._file.append(*parts)
        if offset != self.size:
            raise BugError("A generation file was written to by someone else.", expected=self.size, found=offset)
        self.size += sum(len(part) for part in parts)
        return offset


def directory_bytes(members: list[Member], offset: int) -> bytes:
    """Central directory and its end, for a file in which it begins at ``offset``."""
    entries = b"".join(member.entry() for member in sorted(members, key=lambda member: member.name))
    count = len(members)
    end64 = b""
    if count >= 0xFFFF or offset + len(entries) >= 0xFFFFFFFF:
        end64 = END64.pack(
            b"PK\6\6",
            END64.size - 12,
            _MADE_BY_UNIX | _VERSION_64,
            _VERSION_64,
            0,
            0,
            count,
            count,
            len(entries),
            offset,
        ) + LOCATOR64.pack(b"PK\6\7", 0, offset + len(entries), 1)
    short = min(count, 0xFFFF)
    end = END.pack(b"PK\5\6", 0, 0, short, short, min(len(entries), 0xFFFFFFFF), min(offset, 0xFFFFFFFF), 0)
    return entries + end64 + end


@dataclass(frozen=True, slots=True)
class DirectoryPlace:
    """Where the central directory of a file lies."""

    offset: int
    length: int
    count: int


def locate_directory(tail: bytes, file_length: int) -> DirectoryPlace:
    """Find the central directory from the last bytes of a file, at least 98 where the file has as many.

    Raises
    ------
    DamagedError
        The file does not end like a generation.
    """
    if len(tail) < END.size or tail[-END.size :][:4] != b"PK\5\6":
        raise DamagedError(
            "A generation file does not end with its directory: it was cut or overwritten.", offset=file_length
        )
    _, _, _, _, count, length, offset, _ = END.unpack(tail[-END.size :])
    if offset == 0xFFFFFFFF or count == 0xFFFF or length == 0xFFFFFFFF:
        start = len(tail) - END.size - LOCATOR64.size - END64.size
        record = tail[max(0, start) :][: END64.size]
        if start < 0 or record[:4] != b"PK\6\6":
            raise DamagedError("The ZIP64 end of a generation file is not where it must be.", offset=file_length)
        *_, count, length, offset = END64.unpack(record)
    if offset + length > file_length:
        raise DamagedError("The directory of a generation file lies beyond its end.", offset=offset)
    return DirectoryPlace(offset, length, count)


def read_directory(directory: bytes, prefix: str) -> dict[str, Member]:
    """The members whose names begin with ``prefix``, by the rest of their names.

    The directory is sorted, so those of one series of a pack stand together: the others are passed over by a search.

    Raises
    ------
    DamagedError
        An entry is not one that this module wrote.
    """
    members = {}
    position = _first_entry(directory, prefix.encode("ascii"))
    while position < len(directory):
        member, end = _read_entry(directory, position)
        if not member.name.startswith(prefix):
            break
        members[member.name[len(prefix) :]] = member
        position = end
    return members


def _first_entry(directory: bytes, prefix: bytes) -> int:
    if not prefix:
        return 0
    found = directory.find(prefix, ENTRY.size)
    while found >= 0:
        if directory[found - ENTRY.size :][:4] == b"PK\1\2":
            return found - ENTRY.size
        found = directory.find(prefix, found + 1)
    return len(directory)


def _read_entry(directory: bytes, position: int) -> tuple[Member, int]:
    fixed = directory[position : position + ENTRY.size]
    if len(fixed) < ENTRY.size or fixed[:4] != b"PK\1\2":
        raise DamagedError("An entry of the directory of a generation file is damaged.", offset=position)
    values = ENTRY.unpack(fixed)
    crc, length, name_length, extra_length, offset = values[7], values[9], values[10], values[11], values[16]
    start = position + ENTRY.size
    try:
        name = directory[start : start + name_length].decode("ascii")
    except UnicodeDecodeError as error:
        raise DamagedError("The name of a member of a generation file is damaged.", offset=position) from error
    end = start + name_length + extra_length
    if offset == 0xFFFFFFFF and extra_length == OFFSET64.size:
        offset = OFFSET64.unpack(directory[start + name_length : end])[2]
    return Member(name, offset + LOCAL.size + name_length, length, crc), end
