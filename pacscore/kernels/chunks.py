"""One chunk of a shard: a Blosc buffer and its CRC32C, read whole or in part.

``chunk`` is always the ten numbers that ``shards`` describes; its last three are 0 where the words are kept themselves
and not less their prediction. What stands in a file is not trusted: lengths and offsets are compared with the layout
before Blosc sees the buffer.
"""

# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._blosc import blosc_decompress, blosc_getitem, crc32c, pread
from pacscore.kernels._compile import kernel
from pacscore.kernels.gradient import undo_gradient_at

CHUNK_ABSENT = -1
BLOSC_HEADER_BYTES = 16
CRC_BYTES = 4
KEPT_FLAG = 2  # In the third byte of a Blosc header: the bytes are kept as they are.
# What ``blosc_compress`` may need beyond the bytes it is given, plus the CRC.
CHUNK_OVERHEAD_BYTES = BLOSC_HEADER_BYTES + CRC_BYTES

OK = 0
READ_FAILED = 1
CRC_DIFFERS = 2
HEADER_WRONG = 3
DECODE_FAILED = 4
WORDS_DIFFER = 5
OTHER_BLOCKS = 6


@kernel
def swap_words(words: NDArray[np.uint8], count: int, item_bytes: int) -> None:
    """Reverse the bytes of each word of the first ``count`` bytes, in place.

    words : uint8, one axis
    count : a multiple of item_bytes
    item_bytes : 1, 2, 4 or 8
    """
    if item_bytes == 2:
        for i in range(0, count, 2):
            low = words[i]
            words[i] = words[i + 1]
            words[i + 1] = low
    elif item_bytes > 2:
        half = item_bytes // 2
        for i in range(0, count, item_bytes):
            for k in range(half):
                low = words[i + k]
                words[i + k] = words[i + item_bytes - 1 - k]
                words[i + item_bytes - 1 - k] = low


@kernel
def load_u32(data: NDArray[np.uint8], offset: int) -> int:
    """The little-endian 32-bit number at ``offset``."""
    value = np.int64(0)
    for k in range(4):
        value |= np.int64(data[offset + k]) << np.int64(8 * k)
    return value  # type: ignore[return-value]  # An int64 is the kernel's int.


@kernel
def store_u32(data: NDArray[np.uint8], offset: int, value: int) -> None:
    """Write a little-endian 32-bit number at ``offset``."""
    for k in range(4):
        data[offset + k] = np.uint8((value >> (8 * k)) & 255)


@kernel
def undo_prediction(chunk: NDArray[np.int64], address: int, size: int) -> None:
    """Make words of what is left of them, in ``size`` bytes of whole images, or whole rows of the last, at an address.

    chunk : see the module
    """
    row_bytes = chunk[8] * chunk[4]
    if row_bytes == 0:
        return
    image_bytes = chunk[7] * row_bytes
    for start in range(0, size, image_bytes):
        rows = min(image_bytes, size - start) // row_bytes
        undo_gradient_at(address + start, chunk[4], rows, chunk[8], chunk[9])


@kernel
def read_whole_chunk(
    descriptor: int, offset: int, length: int, chunk: NDArray[np.int64], stored: NDArray[np.uint8], target: int
) -> int:
    """Read one chunk, check its CRC32C and header, and decode it to the address ``target``; returns a status.

    length : with the CRC; at most ``stored.size``
    """
    chunk_bytes = chunk[0] * chunk[1] * chunk[2]
    if length < CHUNK_OVERHEAD_BYTES or length > stored.size:
        return HEADER_WRONG
    address = stored.ctypes.data
    if pread(descriptor, address, length, offset) != length:
        return READ_FAILED
    body = length - CRC_BYTES
    if np.int64(crc32c(0, address, body)) != load_u32(stored, body):
        return CRC_DIFFERS
    if load_u32(stored, 4) != chunk_bytes or load_u32(stored, 12) != body:
        return HEADER_WRONG
    if blosc_decompress(address, target, chunk_bytes, 1) != chunk_bytes:
        return DECODE_FAILED
    undo_prediction(chunk, target, chunk_bytes)
    return OK


@kernel
def load_blocks(
    descriptor: int,
    offset: int,
    length: int,
    chunk: NDArray[np.int64],
    begin: int,
    end: int,
    stored: NDArray[np.uint8],
) -> int:
    """Bring into ``stored`` the part of one Blosc buffer that decoding its bytes ``begin`` to ``end`` will touch.

    Everything lands at its place in the buffer, so Blosc can work on it as if all were there. The header is checked
    against the layout, since no CRC covers a part.
    """
    chunk_bytes = chunk[0] * chunk[1] * chunk[2]
    block_bytes = chunk[3]
    block_count = (chunk_bytes + block_bytes - 1) // block_bytes
    starts_end = BLOSC_HEADER_BYTES + 4 * block_count
    body = length - CRC_BYTES
    address = stored.ctypes.data
    if body < BLOSC_HEADER_BYTES or length > stored.size:
        return HEADER_WRONG
    head = min(starts_end, body)
    if pread(descriptor, address, head, offset) != head:
        return READ_FAILED
    if load_u32(stored, 4) != chunk_bytes or load_u32(stored, 12) != body or stored[3] != chunk[4]:
        return HEADER_WRONG
    if stored[2] & KEPT_FLAG:  # Kept as it is: the bytes stand right behind the header.
        low = BLOSC_HEADER_BYTES + begin
        high = BLOSC_HEADER_BYTES + end
    else:
        if load_u32(stored, 8) != block_bytes:
            return OTHER_BLOCKS
        if head < starts_end:
            return HEADER_WRONG
        first = begin // block_bytes
        last = (end - 1) // block_bytes
        low = load_u32(stored, BLOSC_HEADER_BYTES + 4 * first)
        high = body
        if last + 1 < block_count:
            high = load_u32(stored, BLOSC_HEADER_BYTES + 4 * (last + 1))
        if low < starts_end:
            return HEADER_WRONG
    if high > body or low >= high:
        return HEADER_WRONG
    if pread(descriptor, address + low, high - low, offset + low) != high - low:
        return READ_FAILED
    return OK


@kernel
def read_part_of_chunk(
    descriptor: int,
    offset: int,
    length: int,
    chunk: NDArray[np.int64],
    part: tuple[int, int, int, int],
    one_run: bool,
    stored: NDArray[np.uint8],
    decoded: NDArray[np.uint8],
) -> int:
    """Decode at least ``part`` of a chunk to its place in ``decoded``; returns a status.

    part : first and last + 1 slice, first and last + 1 row, in the chunk
    one_run : its rows are one run of bytes; otherwise each slice is a run of its own

    Only the Blosc blocks that hold the part are read and decoded where they are at most half of the chunk; all of it
    otherwise, which is also checked by its CRC32C.
    """
    plane_bytes = chunk[1] * chunk[2]
    chunk_bytes = chunk[0] * plane_bytes
    block_bytes = chunk[3]
    block_count = (chunk_bytes + block_bytes - 1) // block_bytes
    first_row = part[2]
    if chunk[7] == chunk[1]:  # Rows of one image are predicted from those above: all from its first are needed.
        first_row = 0
    begin = part[0] * plane_bytes + first_row * chunk[2]
    end = (part[1] - 1) * plane_bytes + part[3] * chunk[2]
    runs = 1 if one_run else part[1] - part[0]
    run_bytes = end - begin if one_run else (part[3] - first_row) * chunk[2]
    needed = np.int64(0)
    for k in range(runs):
        low = begin + k * plane_bytes
        needed += (low + run_bytes - 1) // block_bytes - low // block_bytes + 1
    status: int = OTHER_BLOCKS
    if needed * 2 <= block_count:
        status = load_blocks(descriptor, offset, length, chunk, begin, end, stored)
    if status == OTHER_BLOCKS:
        whole: int = read_whole_chunk(descriptor, offset, length, chunk, stored, decoded.ctypes.data)
        return whole
    if status != OK:
        return status
    for k in range(runs):
        low = begin + k * plane_bytes
        target = decoded.ctypes.data + low
        if blosc_getitem(stored.ctypes.data, low // chunk[4], run_bytes // chunk[4], target) != run_bytes:
            return DECODE_FAILED
        undo_prediction(chunk, target, run_bytes)
    return OK
