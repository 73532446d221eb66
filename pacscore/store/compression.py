"""Zstd for bytes that are not arrays: headers, manifests, odd pixel values."""

from __future__ import annotations

import numpy as np

from pacscore.errors import DamagedError
from pacscore.store.generation_file import Bytes

LEVEL = 3


def compress(data: Bytes) -> bytes:
    """One Zstd frame (RFC 8878) that states its content's length."""
    from numcodecs import zstd

    return bytes(zstd.compress(data, LEVEL))


def decompress(data: Bytes, length: int) -> bytes:
    """The content of one frame, which must have ``length`` bytes; nothing is allocated from what the frame says.

    Raises
    ------
    DamagedError
        It is no such frame.
    """
    from numcodecs import zstd

    if length == 0:
        return b""
    target = np.zeros(length, np.uint8)
    try:
        zstd.decompress(data, target)
    except (RuntimeError, ValueError) as error:
        raise DamagedError("A compressed part of a generation does not decompress.", expected=length) from error
    return target.tobytes()
