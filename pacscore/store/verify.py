"""Checking what is stored: every byte of the file, and every object by its SHA-256.

Read-only, and reports every finding rather than the first. A change of any byte of a generation file is found: those
of members by the CRC32 of the ZIP directory, those between them because headers and directory are compared with what
the writer makes of the same members (invariant Z1 of ``zip_layout``). What no checksum can see, a wrong place or a
wrong part, is found because each object is reassembled and hashed.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pacscore.errors import PacscoreError
from pacscore.parallel import map_ordered
from pacscore.settings import Settings
from pacscore.store.generation import Generation
from pacscore.store.generation_file import GenerationFile
from pacscore.store.zip_layout import (
    END,
    END64,
    LOCATOR64,
    Member,
    directory_bytes,
    locate_directory,
    read_directory,
)

MANIFEST = "manifest.bin"
READ_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is wrong with a generation.

    Attributes
    ----------
    code : str
        ``file``, ``member``, ``manifest`` or ``object``.
    message : str
        What is wrong, for people.
    where : str
        The member, or the SOP Instance UID of the object, or empty for the file.
    """

    code: str
    message: str
    where: str = ""


def verify_file(path: Path, settings: Settings) -> Iterator[Damage]:
    """Everything that is wrong with a generation file and each series in it."""
    try:
        file = GenerationFile(path)
        yield from _check_structure(file)
        members, _ = _directory(file)
    except PacscoreError as error:
        yield Damage("file", error.message)
        return
    yield from _check_members(file, members.values(), settings)
    manifests = [name for name in members if name == MANIFEST or name.endswith(f"/{MANIFEST}")]
    if not manifests:
        yield Damage("file", "The file holds no manifest.")
    for name in manifests:
        try:
            generation = Generation(file, name.removesuffix(MANIFEST), settings)
        except PacscoreError as error:
            yield Damage("manifest", error.message, name)
            continue
        yield from _check_content(generation, settings)


def verify_series(generation: Generation, settings: Settings | None = None) -> Iterator[Damage]:
    """Everything that is wrong with the members and objects of one series.

    The file's own structure is checked with it only where the series has the file for itself.
    """
    settings = settings or Settings()
    if not generation.prefix:
        yield from _check_structure(generation.file)
    yield from _check_members(generation.file, generation.members.values(), settings)
    yield from _check_content(generation, settings)


def _check_members(file: GenerationFile, members: Iterable[Member], settings: Settings) -> Iterator[Damage]:
    for damage in map_ordered(partial(_check_member, file), list(members), threads=settings.threads()):
        if damage is not None:
            yield damage


def _check_content(generation: Generation, settings: Settings) -> Iterator[Damage]:
    """The manifest, and every object."""
    yield from _check_manifest(generation)
    try:
        count = generation.manifest.object_count
    except PacscoreError as error:
        yield Damage("manifest", error.message)
        return
    for damage in map_ordered(partial(_check_object, generation), range(count), threads=settings.threads()):
        if damage is not None:
            yield damage


def _directory(file: GenerationFile) -> tuple[dict[str, Member], int]:
    tail = END.size + LOCATOR64.size + END64.size
    start = max(0, file.length - tail)
    place = locate_directory(file.read(start, file.length - start), file.length)
    return read_directory(file.read(place.offset, place.length), ""), place.offset


def series_prefixes(path: Path) -> list[str]:
    """The series in a generation file: "" for a file of one series, ``<key>/`` of each in a pack."""
    file = GenerationFile(path)
    try:
        names = _directory(file)[0]
    finally:
        file.close()
    return sorted(name.removesuffix("manifest.bin") for name in names if name.endswith("manifest.bin"))


def _check_structure(file: GenerationFile) -> Iterator[Damage]:
    """Whether the file is exactly its members and the directory the writer would make of them."""
    try:
        members, offset = _directory(file)
        end = file.read(offset, file.length - offset)
    except PacscoreError as error:
        yield Damage("file", error.message)
        return
    if end != directory_bytes(list(members.values()), offset):
        yield Damage("file", "The directory at the end of the file is not the one that was written.")
    position = 0
    for member in sorted(members.values(), key=lambda member: member.offset):
        if member.header_offset != position:
            yield Damage("file", f"Between its members the file has bytes of none, at {position}.", member.name)
        position = member.offset + member.length
    if position != offset:
        yield Damage("file", f"Between members and directory the file has bytes of none, at {position}.")


def _check_member(file: GenerationFile, member: Member) -> Damage | None:
    """Its local header, and its bytes against their CRC32."""
    header = member.local_header()
    try:
        if member.header_offset < 0 or file.read(member.header_offset, len(header)) != header:
            return Damage("member", "The header of a member is not the one its directory entry describes.", member.name)
        crc = 0
        for start in range(0, member.length, READ_BYTES):
            size = min(READ_BYTES, member.length - start)
            crc = zlib.crc32(file.read(member.offset + start, size), crc)
    except PacscoreError as error:
        return Damage("member", error.message, member.name)
    if crc != member.crc32:
        return Damage("member", "The bytes of a member differ from their CRC32.", member.name)
    return None


def _check_manifest(generation: Generation) -> Iterator[Damage]:
    sections = generation.manifest.sections
    for name in sections.names():
        try:
            sections.check(name)
        except PacscoreError as error:
            yield Damage("manifest", error.message, name)


def _check_object(generation: Generation, index: int) -> Damage | None:
    """Reassemble it and hash its data set."""
    manifest = generation.manifest
    try:
        uid = manifest.sop_instance_uids[index]
        data = generation.object_bytes(index)
        digest = hashlib.sha256(memoryview(data)[manifest.number("prefix_length", index) :]).digest()
        expected = manifest.sha256(index)
    except PacscoreError as error:
        return Damage("object", error.message, f"object {index}")
    if digest != expected or len(data) != manifest.number("length", index):
        return Damage("object", "The object does not have the SHA-256 it was taken with.", uid)
    return None
