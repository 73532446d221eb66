"""The files of segments: their names, and how one is begun and stated to be synced."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from pacscore.errors import PacscoreError
from pacscore.filesystem import PENDING_PREFIX, FileSystem, WritableFile
from pacscore.store.records import NONCE_BYTES, Kind, draft, place

FORMAT_VERSION = 1
SUFFIX = ".log"

_ZEROS_BYTES = 1 << 20


def segment_path(folder: Path, number: int) -> Path:
    """Where segment ``number`` of a folder lies."""
    return folder / f"{number:08d}{SUFFIX}"


def segment_numbers(folder: Path) -> list[int]:
    """The segments of a folder, ascending."""
    names = os.listdir(folder) if folder.is_dir() else []
    stems = (name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))
    return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdigit())


def make_room(folder: Path, fs: FileSystem, length: int) -> Path:
    """A file of zeros on the disk, for ``make_segment``; without that it is garbage in the next recovery's way."""
    path = folder / f"{PENDING_PREFIX}{os.urandom(8).hex()}"
    zeros = memoryview(bytes(min(length, _ZEROS_BYTES)))
    is_whole = False
    try:
        with fs.create(path) as file:
            while file.size < length:
                file.append(zeros[: length - file.size])
            file.sync()
        is_whole = True
    finally:
        if not is_whole:
            with suppress(PacscoreError):
                fs.remove(path)
    return path


def make_segment(
    path: Path, fs: FileSystem, described: dict[str, str | int], *, room: Path | None = None
) -> tuple[bytes, int]:
    """Publish a segment that holds its first frame only, and return its nonce and where its frames end.

    It is made of the file ``room``, where one is given.
    """
    nonce = os.urandom(NONCE_BYTES)
    head = json.dumps({"format": FORMAT_VERSION, **described}, sort_keys=True).encode()
    frame, parts = place(draft(Kind.SEGMENT, head, ()), nonce=nonce, offset=0, sequence=0, synced=0)
    if room is None:
        fs.publish(path, b"".join(parts))
    else:
        with fs.open_append(room, end=0) as file:
            file.append(*parts)
            file.sync()
        fs.rename(room, path)
        fs.sync_folder(path.parent)
    return nonce, frame.end


def append_mark(file: WritableFile, *, nonce: bytes, sequence: int, synced: int) -> None:
    """State at the end of a segment how far it is synced; the mark itself needs no sync."""
    _, parts = place(draft(Kind.MARK, b"", ()), nonce=nonce, offset=file.size, sequence=sequence, synced=synced)
    file.append(*parts)
