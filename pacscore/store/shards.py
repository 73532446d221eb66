"""Checked entries of the shard kernels: encode slabs, prove them, read boxes."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import BugError, DamagedError, ProofError, StorageError
from pacscore.kernels.chunks import CHUNK_OVERHEAD_BYTES, OK, READ_FAILED, WORDS_DIFFER
from pacscore.kernels.shards import encode_slabs_into, prove_slabs, read_chunks_into
from pacscore.parallel import is_worker, run_tiles
from pacscore.store.layout import ArrayLayout
from pacscore.store.strategy import Codec

SHUFFLES = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}
SCRATCH_BYTES_KEPT = 16 << 20
# Handing work to another thread costs some 30 µs; less than this is decoded sooner by one.
PARALLEL_BYTES_MIN = 256 << 10
TILES_PER_THREAD = 4
NOTHING = (1 << 64) - 1  # Offset and length of an absent chunk in a shard's index.


class _Scratch(threading.local):
    """Buffers that a thread keeps between calls, so that no call pays for fresh pages."""

    def __init__(self) -> None:
        self._kept: dict[str, NDArray[np.uint8]] = {}

    def take(self, name: str, length: int) -> NDArray[np.uint8]:
        """At least ``length`` bytes, content unspecified, valid until the next call with this name."""
        found = self._kept.get(name)
        if found is None or found.size < length:
            found = np.empty(length, np.uint8)
            if length <= SCRATCH_BYTES_KEPT:
                self._kept[name] = found
        return found


_scratch = _Scratch()


def address_of(buffer: bytes | memoryview) -> int:
    """The address of a buffer's first byte; the caller keeps the buffer alive."""
    address: int = np.frombuffer(buffer, np.uint8).__array_interface__["data"][0]
    return address


def encode_slabs(
    frames: NDArray[np.int64], layout: ArrayLayout, *, swaps: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Encode consecutive slabs.

    Parameters
    ----------
    frames : (slabs, chunk_slices) int64
        Address of each frame, ``layout.frame_bytes`` long; 0 where there is none.
    swaps : (slabs, chunk_slices) uint8
        1 where the words of a frame are big-endian at their address.

    Returns
    -------
    encoded : uint8
        The chunks one behind the other; valid until this thread's next call.
    table : (chunks, 2) int64
        Offset in ``encoded`` and length of each chunk of each slab; -1 and 0 for a chunk of zeros, left out.
    """
    _check_frames(frames, layout, swaps)
    chunks = frames.shape[0] * layout.chunks_per_slab
    out = _scratch.take("encoded", chunks * (layout.chunk_bytes + CHUNK_OVERHEAD_BYTES))
    table = np.zeros((chunks, 2), np.int64)
    written: int = encode_slabs_into(
        frames,
        swaps,
        layout.kernel_frame,
        layout.kernel_chunk,
        layout.codec.level,
        SHUFFLES[layout.codec.shuffle],
        _codec_name(layout.codec),
        _scratch.take("gathered", _gathered_bytes(layout.chunk_bytes, layout.made_block_bytes)),
        table,
        out,
    )
    if written < 0:
        raise BugError("Blosc refused to encode a chunk.", codec=layout.codec.name, shape=layout.chunk_shape)
    return out[:written], table


def check_slabs(
    descriptor: int,
    frames: NDArray[np.int64],
    layout: ArrayLayout,
    *,
    swaps: NDArray[np.uint8],
    table: NDArray[np.int64],
) -> None:
    """Read slabs back, decode them and compare them with their frames, byte for byte.

    Parameters
    ----------
    descriptor
        Of the staged file.
    table
        As from ``encode_slabs``, with offsets in the file.

    Raises
    ------
    ProofError
        They differ, or do not read back.
    """
    _check_frames(frames, layout, swaps)
    status = np.zeros(2, np.int64)
    prove_slabs(
        descriptor,
        frames,
        swaps,
        layout.kernel_frame,
        layout.kernel_chunk,
        table,
        _scratch.take("stored", layout.chunk_bytes + CHUNK_OVERHEAD_BYTES),
        _scratch.take("decoded", layout.chunk_bytes),
        status,
    )
    if status[0] != OK:
        raise ProofError(
            "A staged chunk does not read back as the words it was made from. Nothing was published.",
            status=int(status[0]),
            differs=bool(status[0] == WORDS_DIFFER),
            offset=int(table[status[1], 0]),
        )


def encoded_length(address: int, length: int, layout: ArrayLayout) -> int:
    """How many bytes the codec of a layout makes of a sample of words, in blocks as the layout has them.

    The sample is whole rows of an image, as long as the frame's.
    """
    block = min(layout.block_bytes, length)
    image = [0, 0, 0]
    if layout.codec.predictor:
        row_words = math.prod(layout.shape[layout.row_axis + 1 :])
        image = [length // (row_words * layout.item_bytes), row_words, layout.predicted_image[2]]
        block = length  # A whole number of rows and of blocks at once may not be there: one block is near enough.
    length -= length % block
    joined = layout.joins_blocks and block < length
    written: int = encode_slabs_into(
        np.array([[address]], np.int64),
        np.zeros((1, 1), np.uint8),
        np.array([1, length, 1, 1], np.int64),
        np.array([1, 1, length, block, layout.item_bytes, joined, block, *image], np.int64),
        layout.codec.level,
        SHUFFLES[layout.codec.shuffle],
        _codec_name(layout.codec),
        _scratch.take("gathered", _gathered_bytes(length, block)),
        np.zeros((1, 2), np.int64),
        _scratch.take("encoded", length + CHUNK_OVERHEAD_BYTES),
    )
    return written


def read_box(
    descriptor: int,
    index: NDArray[np.int64],
    layout: ArrayLayout,
    *,
    outer: NDArray[np.int64],
    box: Sequence[int],
    out: NDArray[np.uint8],
    threads: int,
) -> None:
    """Read a box of an array into ``out``, decoding only the chunks, and the blocks of them, that it meets.

    Parameters
    ----------
    descriptor
        Of the generation file.
    index : (chunks of the array, 2) int64
        Offset in the file and length of each chunk; -1 for a chunk of zeros.
    outer : (n,) int64
        The wanted steps of the outer axes.
    box
        First and last + 1 slice, row, and byte of a row; not empty, within the array.
    out : (n, slices, rows, row bytes) uint8
        C order.

    Raises
    ------
    DamagedError
        A chunk differs from its checksum or cannot be decoded.
    StorageError
        The file cannot be read.
    """
    shape = (len(outer), box[1] - box[0], box[3] - box[2], box[5] - box[4])
    limits = (layout.slices, layout.rows, layout.row_bytes)
    inside = all(0 <= box[2 * k] < box[2 * k + 1] <= limits[k] for k in range(3))
    if not inside or out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
        raise BugError("A box to be read does not fit its array or output.", expected=shape, found=out.shape)
    if len(index) != np.prod(layout.chunk_counts) or outer.min() < 0 or outer.max() >= layout.outer_count:
        raise BugError("A shard's index does not fit its array.", found=len(index))
    wanted = np.array(box, np.int64)
    chunk = layout.kernel_chunk
    counts = [int((box[2 * k + 1] - 1) // chunk[k] - box[2 * k] // chunk[k]) + 1 for k in range(3)]
    tasks = len(outer) * counts[0] * counts[1] * counts[2]

    def read(start: int, stop: int) -> None:
        status = np.zeros(5, np.int64)
        read_chunks_into(
            descriptor,
            index,
            outer,
            layout.slices,
            layout.kernel_frame,
            chunk,
            wanted,
            start,
            stop,
            _scratch.take("stored", layout.chunk_bytes + CHUNK_OVERHEAD_BYTES),
            _scratch.take("decoded", layout.chunk_bytes),
            out,
            status,
        )
        if status[0] != OK:
            raise _read_error(int(status[0]), int(status[1]), index)

    # What is decoded counts, not what is kept of it: a sagittal plane keeps one word of each row it decodes.
    decoded = tasks * layout.chunk_bytes * min(1.0, (box[1] - box[0]) / chunk[0])
    # One call where nobody helps: between two the interpreter lock would have to be waited for.
    if decoded < PARALLEL_BYTES_MIN or threads == 1 or is_worker():
        read(0, tasks)
    else:
        run_tiles(read, tasks, tile=-(-tasks // (threads * TILES_PER_THREAD)), threads=threads)


def _read_error(status: int, entry: int, index: NDArray[np.int64]) -> Exception:
    offset = int(index[entry, 0])
    if status == READ_FAILED:
        return StorageError("A generation file could not be read to the end of a chunk.", offset=offset)
    return DamagedError(
        f"Chunk {entry} of an array is damaged. Run verify and restore the generation.",
        offset=offset,
        chunk=entry,
        status=status,
    )


def _check_frames(frames: NDArray[np.int64], layout: ArrayLayout, swaps: NDArray[np.uint8]) -> None:
    assert frames.dtype == np.int64
    assert frames.flags.c_contiguous
    assert frames.shape == swaps.shape == (len(frames), layout.chunk_slices)
    assert swaps.dtype == np.uint8


def _gathered_bytes(chunk_bytes: int, block_bytes: int) -> int:
    """A chunk, and behind it one encoded block."""
    return chunk_bytes + block_bytes + CHUNK_OVERHEAD_BYTES


def _codec_name(codec: Codec) -> NDArray[np.uint8]:
    return np.frombuffer(codec.name.encode() + b"\0", np.uint8).copy()
