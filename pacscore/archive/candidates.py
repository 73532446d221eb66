"""Objects on their way in: where their bytes are, and what a look at their headers told.

A candidate is one object that parsed. Its header stays in memory only while the budget of a run allows; the rest is
read again when its series is sealed, so that a folder of any size is scanned in bounded memory (promise 8).
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from io import FileIO
from pathlib import Path
from typing import Protocol

from pacscore.dicom.heads import scan_heads
from pacscore.dicom.scan import NeedMore, Scan, is_dicomdir, locate_pixels_end, scan
from pacscore.errors import ChangedError, InvalidDicomError, LimitError, StorageError
from pacscore.settings import Settings

HEAD_BYTES = 64 * 1024


class Source(Protocol):
    """Where the bytes of one object can be read, again and again."""

    @property
    def size(self) -> int:
        """Length in bytes."""
        ...

    def read(self) -> bytes:
        """The whole object."""
        ...

    def buffer(self) -> bytes | memoryview:
        """The whole object, perhaps mapped: for who only looks at it."""
        ...

    def head(self, length: int) -> bytes:
        """Its first ``length`` bytes, fewer only where it ends."""
        ...


@dataclass(frozen=True, slots=True)
class FileSource:
    """An object in a file outside the archive."""

    path: Path
    size: int
    modified_ns: int

    @classmethod
    def at(cls, path: Path) -> FileSource:
        """The file as it is now."""
        status = path.stat()
        return cls(path, status.st_size, status.st_mtime_ns)

    def read(self) -> bytes:
        """The whole file.

        Raises
        ------
        ChangedError
            It is longer or shorter than when it was first seen.
        """
        with self._open() as file:
            data = file.read()
        if len(data) != self.size:
            raise ChangedError(
                f"a file changed while it was read: {self.size} bytes, now {len(data)}. Ingest it again.",
                path=str(self.path),
                expected=self.size,
                found=len(data),
            )
        return data

    def buffer(self) -> bytes:
        """The whole file. Not mapped: whoever shortens a mapped file ends the process that looks at it."""
        return self.read()

    def head(self, length: int) -> bytes:
        """Its first bytes."""
        with self._open() as file:
            return file.read(length)

    def trouble(self) -> str:
        """Why the file is not what it was when it was first seen; "" if it is."""
        try:
            now = FileSource.at(self.path)
            with self._open():
                pass
        except (OSError, StorageError) as error:
            return f"it cannot be read any more: {getattr(error, 'strerror', None) or error}"
        return "" if now == self else "it changed while it was being ingested: ingest it again"

    def _open(self) -> FileIO:
        try:
            return FileIO(self.path)
        except OSError as error:
            raise StorageError(f"a file cannot be read: {error.strerror}.", path=str(self.path)) from error


@dataclass(frozen=True, slots=True)
class BytesSource:
    """An object in memory."""

    data: bytes

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self.data)

    def read(self) -> bytes:
        """The object."""
        return self.data

    def buffer(self) -> bytes:
        """The object."""
        return self.data

    def head(self, length: int) -> bytes:
        """Its first bytes."""
        return self.data[:length]


@dataclass(frozen=True, slots=True)
class PiecesSource:
    """An object in memory, in the pieces in which it came: joined only where all of it must be seen."""

    pieces: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """Length in bytes."""
        return sum(map(len, self.pieces))

    def read(self) -> bytes:
        """The object."""
        return self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)

    def buffer(self) -> bytes:
        """The object."""
        return self.read()

    def head(self, length: int) -> bytes:
        """Its first bytes."""
        taken: list[bytes] = []
        for piece in self.pieces:
            if length <= 0:
                break
            taken.append(piece[:length])
            length -= len(piece)
        return b"".join(taken)


class MappedSource:
    """An object in a file of the archive's own, which never gets shorter: mapped, so that it takes no memory."""

    def __init__(self, path: Path, size: int) -> None:
        self.size = size
        with path.open("rb") as file:
            self._view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def read(self) -> bytes:
        """A copy of the whole."""
        return bytes(self._view)

    def buffer(self) -> memoryview:
        """The mapped file."""
        return self._view

    def head(self, length: int) -> bytes:
        """Its first bytes."""
        return bytes(self._view[:length])


@dataclass(frozen=True, slots=True)
class Candidate:
    """One object that parsed and has the UIDs it needs.

    Attributes
    ----------
    prefix_length
        Bytes of preamble and file meta; the data set begins behind them.
    header, scan
        Bytes before the pixel value, and what was found there; None where the budget did not allow keeping them.
    sha256
        Of the data set, where it is known already.
    journal
        Position of the journal record that holds it, "" when it comes from outside.
    """

    source: Source
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    prefix_length: int
    scan: Scan | None = None
    header: bytes | None = None
    sha256: bytes | None = None
    journal: str = ""
    version: int = 1
    current: bool = True

    def loaded(self, settings: Settings) -> Candidate:
        """The same candidate with its header, read again if it was let go."""
        if self.scan is not None and self.header is not None:
            return self
        found, header = scan_source(self.source, settings, self.transfer_syntax_uid)
        return replace(self, scan=found, header=header)

    def behind(self, prefix: bytes, source: Source, settings: Settings) -> Candidate:
        """The same candidate with a file's ``prefix`` made for it in front; ``source`` is both.

        Raises
        ------
        LimitError
            Its header passes what ``settings`` allow with it.
        """
        assert self.scan is not None
        assert self.header is not None
        found = self.scan.behind(prefix, settings)
        whole = found.pixels is None  # Then everything is header.
        header = source.read() if whole else prefix + self.header
        return replace(self, source=source, prefix_length=len(prefix), scan=found, header=header)

    def file_prefix(self) -> bytes:
        """Preamble and file meta."""
        return self.source.head(self.prefix_length)

    def unloaded(self) -> Candidate:
        """The same candidate without its header."""
        return replace(self, scan=None, header=None)


class Outcome(Enum):
    """What a look at one file led to."""

    OBJECT = "object"
    SKIPPED = "skipped"
    UNREADABLE = "unreadable"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class Look:
    """The result of looking at one file: a candidate, or why it is none."""

    source: FileSource
    outcome: Outcome
    candidate: Candidate | None = None
    reason: str = ""


def scan_source(source: Source, settings: Settings, transfer_syntax_uid: str | None = None) -> tuple[Scan, bytes]:
    """Scan an object by its head, reading on where the head is not enough.

    Returns
    -------
    scan, header
        The header is the bytes before the pixel value, or the whole object where it has none.
    """
    wanted = HEAD_BYTES
    while True:
        head = source.head(wanted)
        try:
            found = scan(head, transfer_syntax_uid=transfer_syntax_uid, settings=settings, total_length=source.size)
        except NeedMore as more:
            if len(head) >= source.size:
                raise InvalidDicomError(
                    f"the object ends at byte {source.size}, inside an element.", offset=source.size
                ) from more
            wanted = min(source.size, max(more.at_least, 4 * wanted))
            continue
        if found.pixels is not None and found.pixels.length < 0:
            found = locate_pixels_end(source.buffer(), found)  # Only the whole tells where encapsulated pixels end.
        return found, bytes(head[: found.header_length])


def candidate_of(source: Source, settings: Settings, transfer_syntax_uid: str | None = None) -> Candidate:
    """Scan an object and check that it says which series and instance it is.

    Raises
    ------
    InvalidDicomError
        It does not parse, or lacks SOP Instance UID (0008,0018) or Series Instance UID (0020,000E).
    """
    return _identified(source, *scan_source(source, settings, transfer_syntax_uid))


def _identified(source: Source, found: Scan, header: bytes) -> Candidate:
    for uid, name in (
        (found.sop_instance_uid, "SOP Instance UID (0008,0018)"),
        (found.series_instance_uid, "Series Instance UID (0020,000E)"),
    ):
        if not uid:
            raise InvalidDicomError(f"{name} is missing: the object cannot be identified.", tag=name)
    for uid in (found.study_instance_uid, found.series_instance_uid, found.sop_instance_uid):
        if not (uid.isascii() and uid.isprintable()):
            raise InvalidDicomError("a UID holds characters that no UID has: the object cannot be identified.")
    return Candidate(
        source,
        found.study_instance_uid,
        found.series_instance_uid,
        found.sop_instance_uid,
        found.parts.transfer_syntax_uid,
        found.parts.prefix_length,
        found,
        header,
    )


def look_at(path: Path, settings: Settings) -> Look:
    """Decide what a file is: an object to take, something to skip or to quarantine, or out of reach."""
    return look_at_all([path], settings)[0]


def look_at_all(paths: Sequence[Path], settings: Settings) -> list[Look]:
    """Look at several files, best of one series; no file is a reason not to look at the next one."""
    looks: dict[Path, Look] = {}
    heads: dict[FileSource, bytes] = {}
    for path in paths:
        found = _begin_to_look(path)
        if isinstance(found, Look):
            looks[path] = found
        else:
            heads[found[0]] = found[1]
    scans = scan_heads(list(heads.values()), [source.size for source in heads], settings=settings)
    for (source, head), scanned in zip(heads.items(), scans, strict=True):
        known = None
        if isinstance(scanned, Scan) and not (scanned.pixels is not None and scanned.pixels.length < 0):
            known = scanned, head
        looks[source.path] = _look_inside(source, settings, known)
    return [looks[path] for path in paths]


def _begin_to_look(path: Path) -> tuple[FileSource, bytes] | Look:
    try:
        source = FileSource.at(path)
    except OSError as error:
        return Look(FileSource(path, 0, 0), Outcome.UNREADABLE, reason=error.strerror or "it cannot be read")
    if source.size == 0:
        return Look(source, Outcome.SKIPPED, reason="empty file")
    try:
        return source, source.head(HEAD_BYTES)
    except (StorageError, ChangedError) as error:
        return Look(source, Outcome.UNREADABLE, reason=error.message)


def _look_inside(source: FileSource, settings: Settings, scanned: tuple[Scan, bytes] | None) -> Look:
    try:
        if scanned is None:
            found, header = scan_source(source, settings)
        else:
            found, header = scanned[0], scanned[1][: scanned[0].header_length]
        if is_dicomdir(found):
            return Look(source, Outcome.SKIPPED, reason="DICOMDIR")
        return Look(source, Outcome.OBJECT, _identified(source, found, header))
    except (InvalidDicomError, LimitError) as error:
        try:
            claims = claims_to_be_dicom(source.head(1024))
        except (StorageError, ChangedError) as trouble:
            return Look(source, Outcome.UNREADABLE, reason=trouble.message)
        return Look(
            source, Outcome.QUARANTINED if claims else Outcome.SKIPPED, reason=error.message if claims else "not DICOM"
        )
    except (StorageError, ChangedError) as error:
        return Look(source, Outcome.UNREADABLE, reason=error.message)


def claims_to_be_dicom(head: bytes) -> bool:
    """Whether a file says it is DICOM: by its prefix, or by beginning with an element of group 2 or 8.

    PS3.10 7.1. What claims to be DICOM and does not parse is quarantined; what never claimed it is skipped.
    """
    if head[128:132] == b"DICM":
        return True
    group = head[:2]
    if group not in {b"\x02\x00", b"\x08\x00", b"\x00\x08"} or len(head) < 8:
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    implicit_length = int.from_bytes(head[4:8], "little")
    return explicit or implicit_length < 1024
