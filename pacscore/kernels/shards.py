"""Encoding, proving and reading the chunks of a shard: loops around Blosc that hold no Python object.

Every array is seen as ``(outer, slices, rows, row bytes)``: ``outer`` runs over all axes before the slices, whose
chunks are one long, and a row is all that lies behind the row axis. A chunk is ``(1, chunk_slices, chunk_rows,
chunk_row_bytes)``, C order, full-sized also at the edges, as Zarr v3 has it; behind its Blosc buffer stands a CRC32C.

Frames are handed over as addresses, so that neither a slab is assembled before it is encoded nor a copy made to
compare with: rows are gathered from the very buffers whose SHA-256 was taken.

``chunk`` is always the ten numbers ``(chunk_slices, chunk_rows, chunk_row_bytes, bytes of the blocks that are made,
item bytes, whether blocks are joined, block bytes that Blosc is asked for)`` and, where words are kept less their
prediction, ``(rows of an image, words of its row, words from a pixel to its neighbour)``, else 0; ``frame`` is the four
``(rows, row bytes, chunks over the rows, chunks over a row)``.
"""

# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._blosc import blosc_compress, crc32c, memcmp, memcpy, memset
from pacscore.kernels._compile import kernel
from pacscore.kernels.chunks import (
    BLOSC_HEADER_BYTES,
    CHUNK_ABSENT,
    CRC_BYTES,
    KEPT_FLAG,
    OK,
    WORDS_DIFFER,
    load_u32,
    read_part_of_chunk,
    read_whole_chunk,
    store_u32,
    swap_words,
)
from pacscore.kernels.gradient import take_gradient_at


@kernel
def gather_chunk(
    frames: NDArray[np.int64],
    swaps: NDArray[np.uint8],
    frame: NDArray[np.int64],
    chunk: NDArray[np.int64],
    row: int,
    column: int,
    gathered: NDArray[np.uint8],
) -> None:
    """Copy one chunk's rows out of its frames; what lies outside them, or in no frame, is zero.

    frames : (chunk_slices,) addresses, 0 for none
    swaps : (chunk_slices,) uint8, 1 where the words are big-endian at their address
    row, column : which chunk over the rows and over a row
    gathered : uint8, at least one chunk
    """
    rows, row_bytes = frame[0], frame[1]
    slices, chunk_rows, chunk_row_bytes = chunk[0], chunk[1], chunk[2]
    first_row = row * chunk_rows
    first_byte = column * chunk_row_bytes
    row_count = min(chunk_rows, rows - first_row)
    byte_count = min(chunk_row_bytes, row_bytes - first_byte)
    base = gathered.ctypes.data
    plane_bytes = chunk_rows * chunk_row_bytes
    edge = row_count < chunk_rows or byte_count < chunk_row_bytes
    for z in range(slices):
        target = base + z * plane_bytes
        if frames[z] == 0:
            memset(target, 0, plane_bytes)
            continue
        if edge:
            memset(target, 0, plane_bytes)
        source = frames[z] + first_row * row_bytes + first_byte
        if chunk_row_bytes == row_bytes:
            memcpy(target, source, row_count * row_bytes)
        else:
            for _ in range(row_count):
                memcpy(target, source, byte_count)
                target += chunk_row_bytes
                source += row_bytes
        if swaps[z]:
            swap_words(gathered[z * plane_bytes :], plane_bytes, chunk[4])


@kernel
def differs_from_frames(
    frames: NDArray[np.int64],
    swaps: NDArray[np.uint8],
    frame: NDArray[np.int64],
    chunk: NDArray[np.int64],
    row: int,
    column: int,
    decoded: NDArray[np.uint8],
) -> bool:
    """Whether a decoded chunk differs anywhere from the rows of the frames it was made from; swaps it on the way.

    Arguments as in ``gather_chunk``; frames that are absent must have come back as zeros.
    """
    rows, row_bytes = frame[0], frame[1]
    slices, chunk_rows, chunk_row_bytes = chunk[0], chunk[1], chunk[2]
    first_row = row * chunk_rows
    first_byte = column * chunk_row_bytes
    row_count = min(chunk_rows, rows - first_row)
    byte_count = min(chunk_row_bytes, row_bytes - first_byte)
    base = decoded.ctypes.data
    plane_bytes = chunk_rows * chunk_row_bytes
    for z in range(slices):
        target = base + z * plane_bytes
        if frames[z] == 0:
            for i in range(plane_bytes):
                if decoded[z * plane_bytes + i] != 0:
                    return True
            continue
        if swaps[z]:
            swap_words(decoded[z * plane_bytes :], plane_bytes, chunk[4])
        source = frames[z] + first_row * row_bytes + first_byte
        if chunk_row_bytes == row_bytes:
            if memcmp(target, source, row_count * row_bytes) != 0:
                return True
            continue
        for _ in range(row_count):
            if memcmp(target, source, byte_count) != 0:
                return True
            target += chunk_row_bytes
            source += row_bytes
    return False


@kernel
def join_blocks(
    level: int,
    shuffle: int,
    codec: NDArray[np.uint8],
    chunk: NDArray[np.int64],
    source: int,
    gathered: NDArray[np.uint8],
    out: NDArray[np.uint8],
) -> int:
    """Encode a chunk block by block into one Blosc buffer; returns its bytes, or 0 where a block does not compress.

    Blosc itself makes LZ4 blocks of at least 64 KiB; a buffer of one block is as small as asked for, and its header
    differs from that of the whole in the counts only (C-Blosc 1, README_CHUNK_FORMAT: header, starts of the blocks,
    blocks). Blocks must divide the chunk: the format stores a shorter last one in another way.

    source : address of the chunk
    gathered : the room behind one chunk is used
    out : uint8, at least the chunk and CHUNK_OVERHEAD_BYTES
    """
    chunk_bytes = chunk[0] * chunk[1] * chunk[2]
    block_bytes = chunk[3]
    count = chunk_bytes // block_bytes
    one = gathered[chunk_bytes:]
    position = BLOSC_HEADER_BYTES + 4 * count
    for block in range(count):
        written = np.int64(
            blosc_compress(
                level,
                shuffle,
                chunk[4],
                block_bytes,
                source + block * block_bytes,
                one.ctypes.data,
                block_bytes + BLOSC_HEADER_BYTES,
                codec.ctypes.data,
                block_bytes,
                1,
            )
        )
        payload = written - BLOSC_HEADER_BYTES - 4
        if payload <= 0 or one[2] & KEPT_FLAG or load_u32(one, 8) != block_bytes:
            return 0
        if position + payload > chunk_bytes:
            return 0
        if block == 0:
            for k in range(4):
                out[k] = one[k]
        elif one[2] != out[2]:
            return 0
        store_u32(out, BLOSC_HEADER_BYTES + 4 * block, position)
        memcpy(out.ctypes.data + position, one.ctypes.data + BLOSC_HEADER_BYTES + 4, payload)
        position += payload
    store_u32(out, 4, chunk_bytes)
    store_u32(out, 8, block_bytes)
    store_u32(out, 12, position)
    return position  # type: ignore[no-any-return]  # An int64 is the kernel's int.


@kernel
def encode_slabs_into(
    frames: NDArray[np.int64],
    swaps: NDArray[np.uint8],
    frame: NDArray[np.int64],
    chunk: NDArray[np.int64],
    level: int,
    shuffle: int,
    codec: NDArray[np.uint8],
    gathered: NDArray[np.uint8],
    table: NDArray[np.int64],
    out: NDArray[np.uint8],
) -> int:
    """Encode all chunks of consecutive slabs, one behind the other; returns the bytes written, or -1.

    frames : (slabs, chunk_slices) addresses of frames, each of rows × row bytes, C order; 0 where there is none
    swaps : same shape, uint8: 1 where the words are big-endian at their address
    frame, chunk : see the module
    level, shuffle : Blosc's (shuffle 0 none, 1 bytes, 2 bits)
    codec : zero-terminated name
    gathered : uint8, one chunk, and behind it room for one encoded block
    table : (slabs × chunks of a slab, 2): offset in out and length, -1 and 0 for a chunk of zeros, which is left out
    out : uint8, (chunk bytes + CHUNK_OVERHEAD_BYTES) × chunks
    """
    rows, row_bytes, over_rows, over_row = frame[0], frame[1], frame[2], frame[3]
    chunk_bytes = chunk[0] * chunk[1] * chunk[2]
    # A chunk that is exactly one frame is encoded from where it lies.
    whole = chunk[0] == 1 and chunk[1] == rows and chunk[2] == row_bytes
    position = np.int64(0)
    for slab in range(frames.shape[0]):
        for row in range(over_rows):
            for column in range(over_row):
                task = (slab * over_rows + row) * over_row + column
                source = gathered.ctypes.data
                if whole and frames[slab, 0] != 0 and not swaps[slab, 0] and chunk[8] == 0:
                    source = frames[slab, 0]
                else:
                    gather_chunk(frames[slab], swaps[slab], frame, chunk, row, column, gathered)
                first = np.uint8(0)
                if memcmp(source, source + 1, chunk_bytes - 1) == 0:  # All bytes are equal: zeros?
                    memcpy(gathered.ctypes.data, source, 1)
                    first = gathered[0]
                    if first == 0:
                        table[task, 0] = CHUNK_ABSENT
                        table[task, 1] = 0
                        continue
                if chunk[8] != 0:
                    images = chunk_bytes // (chunk[7] * chunk[8] * chunk[4])
                    take_gradient_at(source, chunk[4], images, chunk[7], chunk[8], chunk[9])
                target = out.ctypes.data + position
                written = np.int64(0)
                if chunk[5]:
                    written = join_blocks(level, shuffle, codec, chunk, source, gathered, out[position:])
                if written <= 0:
                    room = chunk_bytes + BLOSC_HEADER_BYTES
                    name = codec.ctypes.data
                    written = np.int64(
                        blosc_compress(level, shuffle, chunk[4], chunk_bytes, source, target, room, name, chunk[6], 1)
                    )
                if written <= 0:
                    return -1
                store_u32(out, position + written, np.int64(crc32c(0, target, written)))
                table[task, 0] = position
                table[task, 1] = written + CRC_BYTES
                position += written + CRC_BYTES
    return position  # type: ignore[return-value]  # An int64 is the kernel's int.


@kernel
def prove_slabs(
    descriptor: int,
    frames: NDArray[np.int64],
    swaps: NDArray[np.uint8],
    frame: NDArray[np.int64],
    chunk: NDArray[np.int64],
    table: NDArray[np.int64],
    stored: NDArray[np.uint8],
    decoded: NDArray[np.uint8],
    status: NDArray[np.int64],
) -> None:
    """Read back what ``encode_slabs_into`` made, decode it and compare with the frames, byte for byte.

    descriptor : of the staged file
    table : as there, with offsets in the file
    stored : uint8, one chunk + CHUNK_OVERHEAD_BYTES
    decoded : uint8, one chunk
    status : (2,): the first failure and its chunk, or OK
    """
    over_rows, over_row = frame[2], frame[3]
    chunk_bytes = chunk[0] * chunk[1] * chunk[2]
    status[0] = OK
    for slab in range(frames.shape[0]):
        for row in range(over_rows):
            for column in range(over_row):
                task = (slab * over_rows + row) * over_row + column
                status[1] = task
                if table[task, 0] == CHUNK_ABSENT:
                    memset(decoded.ctypes.data, 0, chunk_bytes)
                else:
                    status[0] = read_whole_chunk(
                        descriptor, table[task, 0], table[task, 1], chunk, stored, decoded.ctypes.data
                    )
                    if status[0] != OK:
                        return
                if differs_from_frames(frames[slab], swaps[slab], frame, chunk, row, column, decoded):
                    status[0] = WORDS_DIFFER
                    return


@kernel
def scatter_rows(
    source: int,
    plane_bytes: int,
    row_bytes: int,
    target: int,
    target_rows: int,
    target_row_bytes: int,
    size: NDArray[np.int64],
) -> None:
    """Copy a box of rows from one address to another.

    plane_bytes, row_bytes : from one plane, and one row, to the next at the source
    target_rows, target_row_bytes : rows of a plane, and bytes of a row, at the target
    size : (3,) planes, rows and bytes of a row to copy; a source of 0 fills with zeros
    """
    for plane in range(size[0]):
        place = target + plane * target_rows * target_row_bytes
        origin = source + plane * plane_bytes
        if source != 0 and size[2] == row_bytes and size[2] == target_row_bytes:
            memcpy(place, origin, size[1] * row_bytes)
            continue
        for _ in range(size[1]):
            if source == 0:
                memset(place, 0, size[2])
            else:
                memcpy(place, origin, size[2])
            place += target_row_bytes
            origin += row_bytes


@kernel
def read_chunks_into(
    descriptor: int,
    index: NDArray[np.int64],
    outer: NDArray[np.int64],
    slices: int,
    frame: NDArray[np.int64],
    chunk: NDArray[np.int64],
    box: NDArray[np.int64],
    start: int,
    stop: int,
    stored: NDArray[np.uint8],
    decoded: NDArray[np.uint8],
    out: NDArray[np.uint8],
    status: NDArray[np.int64],
) -> None:
    """Read the chunks ``start`` to ``stop`` of those that a box meets, in C order, into the box's bytes.

    index : (outer × chunks over slices, rows and a row, 2): offset in the file and length with CRC, -1 for zeros
    outer : which planes of the axes before the slices are wanted
    slices : how many the array has
    box : (6,): first and last + 1 slice, row and byte of a row, within the array
    stored, decoded : uint8 scratch: one chunk + CHUNK_OVERHEAD_BYTES; one chunk
    out : (len(outer), slices, rows, row bytes) of the box, uint8, C order
    status : (5,): the first failure and its entry of the index, or OK; the rest is scratch
    """
    over_slices = (slices + chunk[0] - 1) // chunk[0]
    first_z, first_y, first_x = box[0] // chunk[0], box[2] // chunk[1], box[4] // chunk[2]
    count_z = (box[1] - 1) // chunk[0] + 1 - first_z
    count_y = (box[3] - 1) // chunk[1] + 1 - first_y
    count_x = (box[5] - 1) // chunk[2] + 1 - first_x
    plane_bytes = chunk[1] * chunk[2]
    out_slices, out_rows, out_row_bytes = box[1] - box[0], box[3] - box[2], box[5] - box[4]
    size = status[2:]
    status[0] = OK
    for task in range(start, stop):
        x = first_x + task % count_x
        y = first_y + (task // count_x) % count_y
        z = first_z + (task // (count_x * count_y)) % count_z
        plane = task // (count_x * count_y * count_z)
        entry = ((outer[plane] * over_slices + z) * frame[2] + y) * frame[3] + x
        status[1] = entry
        # The part of the chunk that is wanted, in the chunk's own coordinates.
        z0, z1 = max(box[0] - z * chunk[0], 0), min(box[1] - z * chunk[0], chunk[0])
        y0, y1 = max(box[2] - y * chunk[1], 0), min(box[3] - y * chunk[1], chunk[1])
        x0, x1 = max(box[4] - x * chunk[2], 0), min(box[5] - x * chunk[2], chunk[2])
        size[0], size[1], size[2] = z1 - z0, y1 - y0, x1 - x0
        row = (plane * out_slices + z * chunk[0] + z0 - box[0]) * out_rows + y * chunk[1] + y0 - box[2]
        target = out.ctypes.data + row * out_row_bytes + x * chunk[2] + x0 - box[4]
        offset, length = index[entry, 0], index[entry, 1]
        if offset == CHUNK_ABSENT:
            scatter_rows(0, plane_bytes, chunk[2], target, out_rows, out_row_bytes, size)
            continue
        if size[2] == out_row_bytes and size[1] == out_rows and size[0] * size[1] * size[2] == chunk[0] * plane_bytes:
            # All of the chunk, and its rows lie in the output as they lie in the chunk: decode to the place itself.
            status[0] = read_whole_chunk(descriptor, offset, length, chunk, stored, target)
            if status[0] != OK:
                return
            continue
        one_run = z1 - z0 == 1 or y1 - y0 == min(chunk[1], frame[0] - y * chunk[1])
        part = (z0, z1, y0, y1)
        status[0] = read_part_of_chunk(descriptor, offset, length, chunk, part, one_run, stored, decoded)
        if status[0] != OK:
            return
        source = decoded.ctypes.data + z0 * plane_bytes + y0 * chunk[2] + x0
        scatter_rows(source, plane_bytes, chunk[2], target, out_rows, out_row_bytes, size)
