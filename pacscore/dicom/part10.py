"""The shell of a DICOM file: preamble and File Meta Information (PS3.10 clause 7).

Files without a preamble, without meta information, or without a transfer syntax in it are read too. What such a file
is written in is then proven rather than assumed: the transfer syntax is the one under which the whole data set is a
sound walk.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pacscore.dicom.elements import DEFAULTS, PIXEL_TAGS, Buffer, ElementTable, NeedMore, as_bytes, raise_for, walk
from pacscore.dicom.syntaxes import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, transfer_syntax
from pacscore.errors import InputError, InvalidDicomError
from pacscore.kernels import unchecked_bytes as unchecked
from pacscore.kernels.file_meta import read_meta_into
from pacscore.settings import Settings

PREAMBLE_LENGTH = 128
_PREFIX = b"DICM"

# Ours: 2.25 and the number of the UUID of version 5 of the name "pacscore" as a URL (PS3.5 B.2). Neither may ever
# change: objects that came without a file meta are returned with exactly this one (make_file_prefix).
IMPLEMENTATION_CLASS_UID = "2.25.208400507228646304100645744531931075384"
IMPLEMENTATION_VERSION_NAME = "PACSCORE"

# PS3.5 9.1 allows 64 bytes; wrong UIDs that are longer occur, paragraphs are something else.
UID_BYTES_MAX = 1024


class FileParts(NamedTuple):
    """What lies before a data set, and how the data set is written.

    Attributes
    ----------
    prefix_length : int
        Bytes of preamble and file meta, 0 if there is none; the data set begins here.
    has_preamble : bool
        Whether the file begins with 128 bytes and ``DICM``.
    transfer_syntax_uid : str
        As given by the caller; else as the file meta states; else the one proven.
    media_storage_sop_instance_uid, media_storage_sop_class_uid : str or None
        (0002,0003) and (0002,0002), None where absent.
    """

    prefix_length: int
    has_preamble: bool
    transfer_syntax_uid: str
    media_storage_sop_instance_uid: str | None
    media_storage_sop_class_uid: str | None = None


def read_file_parts(
    data: Buffer,
    *,
    transfer_syntax_uid: str | None = None,
    settings: Settings = DEFAULTS,
    total_length: int | None = None,
) -> FileParts:
    """Read preamble and file meta.

    Parameters
    ----------
    data
        A file, a data set, or the first bytes of one.
    transfer_syntax_uid
        What the data set is written in, if the caller knows: it overrides the file's own statement.
    total_length
        How long the object is, where ``data`` is only its head.

    Raises
    ------
    InvalidDicomError
        The file meta is not well-formed, or no transfer syntax is stated and none can be proven.
    NeedMore
        ``data`` is too short a head.
    """
    view = as_bytes(data)
    total = len(view) if total_length is None else total_length
    return file_parts_of_view(view, view, total, transfer_syntax_uid=transfer_syntax_uid, settings=settings)


def file_parts_of_view(
    view: NDArray[np.uint8],
    raw: bytes | NDArray[np.uint8],
    total: int,
    *,
    transfer_syntax_uid: str | None,
    settings: Settings,
) -> FileParts:
    """``read_file_parts`` for those who have a view made by ``as_bytes``; ``raw`` is the same, to take values from."""
    begin, has_preamble = _meta_start(raw, total)
    if begin is None:
        syntax = transfer_syntax_uid or prove_syntax(view, 0, settings=settings, total_length=total)
        return FileParts(0, False, syntax, None, None)
    found, state = np.empty((3, 2), np.int64), np.empty(5, np.int64)
    status = read_meta_into(view, begin, total, found, state)
    if status != unchecked.DONE:
        raise_for(status, view, state, total, settings, little_endian=True)
    end = state.item(unchecked.POSITION)
    sop_class, sop_instance, stated = [uid_at(raw, offset, length) for offset, length in found.tolist()]
    syntax = transfer_syntax_uid or stated or prove_syntax(view, end, settings=settings, total_length=total)
    return FileParts(end, has_preamble, syntax, sop_instance or None, sop_class or None)


def _meta_start(raw: bytes | NDArray[np.uint8], total: int) -> tuple[int | None, bool]:
    """Offset of the first meta element, None if there is no meta information; whether there is a preamble."""
    with_preamble = PREAMBLE_LENGTH + len(_PREFIX)
    if len(raw) < min(with_preamble, total):
        raise NeedMore(min(4096, total))
    if bytes(raw[PREAMBLE_LENGTH:with_preamble]) == _PREFIX:
        return with_preamble, True
    # Two shortened forms that occur: the prefix without its preamble, and meta elements without either.
    first = bytes(raw[:6])
    if first[:4] == _PREFIX:
        return len(_PREFIX), False
    if first[:2] == b"\x02\x00" and first[4:6].isalpha() and first[4:6].isupper():
        return 0, False
    return None, False


def uid_at(data: bytes | NDArray[np.uint8], offset: int, length: int) -> str:
    """The UID of a value without its padding; empty if there is no value.

    A NUL pads a UID (PS3.5 9.1), and some writers use blanks. Bytes beyond ASCII are wrong there, and are kept apart
    rather than replaced: two different values never become one UID.

    Raises
    ------
    InvalidDicomError
        The value is too long to be a UID.
    """
    if length <= 0:
        return ""
    if length > UID_BYTES_MAX:
        raise InvalidDicomError(
            f"The UID at offset {offset} has {length} bytes, but a UID has 64 at most.",
            offset=offset,
            expected=64,
            found=length,
        )
    return uid_text(bytes(data[offset : offset + length]))


@lru_cache(maxsize=1024)
def uid_text(raw: bytes) -> str:
    """A UID without its padding. A series states the same ones over and over, and an object its own twice."""
    return raw.strip(b" \0").decode("latin-1")


def prove_syntax(data: Buffer, start: int, *, settings: Settings = DEFAULTS, total_length: int | None = None) -> str:
    """The transfer syntax of a data set that states none: the one under which all of it can be walked.

    Explicit VR little endian, implicit VR little endian and explicit VR big endian are tried. The walk must go up to
    the pixels or exactly to the end, with rising tags from a group no later than 0010 on: noise does not.

    Raises
    ------
    InvalidDicomError
        It is none of them. Most likely the data are no DICOM.
    NeedMore
        ``data`` is a head that proves nothing yet.
    """
    view = as_bytes(data)
    total = len(view) if total_length is None else total_length
    wanted: list[int] = []
    for uid in (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG):
        syntax = transfer_syntax(uid)
        if not _may_begin(view, start, little_endian=syntax.little_endian):
            continue  # A large file that is something else is not read through for a length that chance has made up.
        try:
            table = walk(
                view,
                start,
                explicit=syntax.explicit,
                little_endian=syntax.little_endian,
                settings=settings,
                total_length=total,
            )
        except InvalidDicomError:
            continue
        except NeedMore as more:
            wanted.append(more.at_least)
            continue
        if _is_proof(table, total):
            return uid
    if wanted:
        raise NeedMore(min(wanted))
    raise InvalidDicomError(
        f"Not DICOM: no DICM prefix at offset {PREAMBLE_LENGTH} or no transfer syntax behind it, and the bytes from "
        f"offset {start} on are no data set in any byte order. Give the transfer syntax if it is one.",
        offset=start,
        reason="no transfer syntax fits",
    )


def _may_begin(view: NDArray[np.uint8], start: int, *, little_endian: bool) -> bool:
    """Whether the first group is one that data sets begin with: 0001 to 0010, mostly 0008."""
    group = view[start : start + 2].tobytes()
    return 0 < int.from_bytes(group, "little" if little_endian else "big") <= 0x0010


def _is_proof(table: ElementTable, total: int) -> bool:
    top = table.tag[table.depth == 0].astype(np.int64)
    if not len(top) or np.any(np.diff(top) <= 0):
        return False
    if int(top[-1]) in PIXEL_TAGS:
        return int(table.offset[-1] + table.length[-1]) <= total
    return table.end == total


def make_file_prefix(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """The preamble and file meta for an object that came without: the same bytes for the same UIDs, forever.

    Raises
    ------
    InputError
        A UID is not ASCII or too long.

    Examples
    --------
    >>> prefix = make_file_prefix("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.840.10008.1.2")
    >>> read_file_parts(prefix + bytes(8)).prefix_length == len(prefix)
    True
    """
    elements = (
        b"\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01"  # File Meta Information Version
        + _element(0x0002, b"UI", sop_class_uid, b"\0")
        + _element(0x0003, b"UI", sop_instance_uid, b"\0")
        + _element(0x0010, b"UI", transfer_syntax_uid, b"\0")
        + _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID, b"\0")
        + _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME, b" ")
    )
    group_length = struct.pack("<HH2sHI", 0x0002, 0x0000, b"UL", 4, len(elements))
    return bytes(PREAMBLE_LENGTH) + _PREFIX + group_length + elements


def _element(number: int, vr: bytes, text: str, padding: bytes) -> bytes:
    if not text.isascii() or len(text) > UID_BYTES_MAX:
        raise InputError(
            f"(0002,{number:04X}) must be ASCII of at most {UID_BYTES_MAX} bytes to stand in a file meta.",
            tag=f"0002{number:04X}",
        )
    value = text.encode("ascii")
    value += padding * (len(value) % 2)
    return struct.pack("<HH2sH", 0x0002, number, vr, len(value)) + value
