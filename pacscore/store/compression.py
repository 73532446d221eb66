"""Zstd for bytes that are not arrays: headers, manifests, odd pixel values."""

from __future__ import annotations

from pacscore.errors import DamagedError
from pacscore.store.generation_file import Bytes

LEVEL = 3
_MAGIC = b"\x28\xb5\x2f\xfd"
_HEAD_BYTES_MAX = 18


def compress(data: Bytes) -> bytes:
    """One Zstd frame (RFC 8878) that states its content's length."""
    from numcodecs import zstd

    return bytes(zstd.compress(data, LEVEL))


def decompress(data: Bytes, length: int) -> bytes:
    """The content of one frame, which must state ``length`` bytes and have them.

    Nothing is allocated from what the frame says before it is known to be that. A frame given room of ours instead
    takes twice the time, for checks of that room, most of it with the interpreter lock held.

    Raises
    ------
    DamagedError
        It is no such frame.
    """
    from numcodecs import zstd

    if length == 0:
        return b""
    try:
        found: bytes = zstd.decompress(data) if _content_length(data) == length else b""
    except (RuntimeError, ValueError) as error:
        raise DamagedError("A compressed part of a generation does not decompress.", expected=length) from error
    if len(found) != length:
        raise DamagedError("A compressed part of a generation does not decompress.", expected=length, found=len(found))
    return found


def _content_length(data: Bytes) -> int:
    """The Frame_Content_Size that a Zstd frame states (RFC 8878 3.1.1.1); -1 where it states none, or is no frame."""
    head = bytes(data[:_HEAD_BYTES_MAX])
    if len(head) < len(_MAGIC) + 1 or head[: len(_MAGIC)] != _MAGIC:
        return -1
    descriptor = head[4]
    is_single = descriptor >> 5 & 1  # Then there is no Window_Descriptor.
    size = 1 << (descriptor >> 6) if descriptor >> 6 else is_single
    start = 6 - is_single + (0, 1, 2, 4)[descriptor & 3]
    if not size or len(head) < start + size:
        return -1
    stated = int.from_bytes(head[start : start + size], "little")
    return stated + 256 if size == 2 else stated
