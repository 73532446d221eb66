"""Objects too large for a segment, each in a file of its own beside it.

P1  A spool file is synced, and so is its name, before the record that makes it exist is written.
P2  A spool file without a record is an unfinished receive: recovery removes it, unless a segment of the same writer is
    damaged and may have held the record.
P3  A spool file never changes. It goes after the record that retires it has been synced.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pacscore.errors import DamagedError, PacscoreError, StorageFullError
from pacscore.filesystem import Buffer, FileSystem
from pacscore.store.records import Draft, Kind, checksum, draft

if TYPE_CHECKING:
    from pacscore.store.group_commit import Written

_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Spooled:
    """A file in the spool, as the body of its record states it."""

    name: str
    length: int
    crc32c: int

    def as_bytes(self) -> bytes:
        """The body of the record."""
        return json.dumps({"crc32c": self.crc32c, "length": self.length, "name": self.name}).encode()

    @classmethod
    def from_bytes(cls, body: bytes) -> Self:
        """Read the body of a record.

        Raises
        ------
        DamagedError
            It names no file of a spool.
        """
        stated = json.loads(body)
        name = str(stated["name"])
        if not name or not _HEX.issuperset(name):
            raise DamagedError("A spool record does not name a spool file. Run verify.")
        return cls(name, int(stated["length"]), int(stated["crc32c"]))


class Spool:
    """A spool file that is there, and waits for the record that makes it exist.

    Attributes
    ----------
    path : Path
        Where it lies; whoever moves it away instead of appending takes it out of the journal.
    length : int
        Its bytes.
    written : bool
        A record of it may have been written.
    """

    def __init__(self, path: Path, spooled: Spooled, write: Callable[[list[Draft]], list[Written]]) -> None:
        self.path = path
        self.length = spooled.length
        self.written = False
        self._spooled = spooled
        self._write = write

    def write(self, head: bytes) -> Written:
        """Write the record, as ``Journal.write`` does."""
        record = draft(Kind.SPOOL, head, (self._spooled.as_bytes(),))
        self.written = True  # From here on a record may be on the disk, even where this raises.
        try:
            return self._write([record])[0]
        except StorageFullError:  # Then the journal is as it was.
            self.written = False
            raise


def write_spool(folder: Path, fs: FileSystem, chunks: Iterable[Buffer]) -> Spooled:
    """Write a spool file into an existing folder, durably (P1). Where ``chunks`` raises, it is removed again."""
    name = os.urandom(16).hex()
    path = folder / name
    length = 0
    crc32c = 0
    complete = False
    try:
        with fs.create(path) as file:
            for chunk in chunks:
                file.append(chunk)
                crc32c = checksum(chunk, start=crc32c)
                length += memoryview(chunk).nbytes
            file.sync()
        fs.sync_folder(folder)
        complete = True
    finally:
        if not complete:
            with suppress(PacscoreError):
                fs.remove(path)
    return Spooled(name, length, crc32c)


def read_spool(folder: Path, spooled: Spooled) -> memoryview:
    """A spool file's bytes, mapped and checked; they take no anonymous memory.

    Raises
    ------
    DamagedError
        The file is gone, or is not what its record states.
    """
    path = folder / spooled.name
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if spooled.length else b""
    except (OSError, ValueError) as error:
        raise DamagedError(f"The spool file {spooled.name} cannot be read. Run verify.", path=str(path)) from error
    view = memoryview(mapped)
    if len(view) != spooled.length or checksum(view) != spooled.crc32c:
        raise DamagedError(f"The spool file {spooled.name} has the wrong checksum. Run verify.", path=str(path))
    return view


def remove_spooled(folder: Path, fs: FileSystem, names: Iterable[str]) -> None:
    """Remove these of the folder's files that are there."""
    present = set(os.listdir(folder)) if folder.is_dir() else set()
    going = sorted(present.intersection(names))
    for name in going:
        fs.remove(folder / name)
    if going:
        fs.sync_folder(folder)
