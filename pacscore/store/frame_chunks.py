"""Encoding, proving and reading the chunks of a shard where each is one frame's codestream and its CRC32C.

The counterpart of ``shards`` for frame codecs: the same arguments, Python around libraries that release the interpreter
lock in place of a kernel around Blosc.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from pacscore.errors import DamagedError, PacscoreError, ProofError
from pacscore.kernels.chunks import CHUNK_ABSENT, CRC_BYTES
from pacscore.parallel import run_tiles
from pacscore.store.frame_codecs import frame_codec
from pacscore.store.generation_file import read_exactly
from pacscore.store.layout import ArrayLayout


def encode_frames(
    frames: NDArray[np.int64], layout: ArrayLayout, *, swaps: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Encode consecutive frames; see ``shards.encode_slabs``."""
    codec = frame_codec(layout.codec.name)
    table = np.zeros((len(frames), 2), np.int64)
    parts: list[bytes] = []
    position = 0
    for number, (address, swap) in enumerate(zip(frames[:, 0].tolist(), swaps[:, 0].tolist(), strict=True)):
        frame = _frame_at(address, layout, swapped=bool(swap))
        if frame is None or not frame.any():
            table[number] = CHUNK_ABSENT, 0
            continue
        data = codec.encode(frame)
        data += int(google_crc32c.value(data)).to_bytes(CRC_BYTES, "little")
        table[number] = position, len(data)
        position += len(data)
        parts.append(data)
    return np.frombuffer(b"".join(parts), np.uint8), table


def check_frames(
    descriptor: int,
    frames: NDArray[np.int64],
    layout: ArrayLayout,
    *,
    swaps: NDArray[np.uint8],
    table: NDArray[np.int64],
) -> None:
    """Read frames back, decode and compare them; see ``shards.check_slabs``.

    Raises
    ------
    ProofError
        One differs, or does not read back.
    """
    for address, swap, (offset, length) in zip(
        frames[:, 0].tolist(), swaps[:, 0].tolist(), table.tolist(), strict=True
    ):
        expected = _frame_at(address, layout, swapped=bool(swap))
        try:
            found = _decoded(descriptor, offset, length, layout)
        except PacscoreError as error:
            raise ProofError("A staged frame does not read back. Nothing was published.", offset=offset) from error
        if expected is None or not np.array_equal(found, expected):
            raise ProofError(
                "A staged frame does not read back as the words it was made from. Nothing was published.", offset=offset
            )


def read_frames(
    descriptor: int,
    index: NDArray[np.int64],
    layout: ArrayLayout,
    *,
    outer: NDArray[np.int64],
    box: Sequence[int],
    out: NDArray[np.uint8],
    threads: int,
) -> None:
    """Read a box; a frame of which anything is wanted is decoded whole. See ``shards.read_box``."""
    slices = box[1] - box[0]

    def read(start: int, stop: int) -> None:
        for task in range(start, stop):
            step, along = divmod(task, slices)
            offset, length = index[outer[step] * layout.slices + box[0] + along].tolist()
            frame = _decoded(descriptor, offset, length, layout)
            rows = frame.view(np.uint8).reshape(layout.rows, layout.row_bytes)
            out[step, along] = rows[box[2] : box[3], box[4] : box[5]]

    run_tiles(read, len(outer) * slices, threads=threads)


def _frame_at(address: int, layout: ArrayLayout, *, swapped: bool) -> NDArray[Any] | None:
    """The frame in memory that somebody else holds, read-only; None for none."""
    if address == 0:
        return None
    memory = memoryview((ctypes.c_uint8 * layout.frame_bytes).from_address(address))
    frame: NDArray[Any] = np.frombuffer(memory, layout.dtype).reshape(layout.shape[layout.slice_axis + 1 :])
    frame.flags.writeable = False
    return frame.byteswap() if swapped else frame


def _decoded(descriptor: int, offset: int, length: int, layout: ArrayLayout) -> NDArray[Any]:
    frame = np.zeros(layout.shape[layout.slice_axis + 1 :], layout.dtype)
    if offset == CHUNK_ABSENT:
        return frame
    data = read_exactly(descriptor, offset, length)
    body = data[:-CRC_BYTES]
    if google_crc32c.value(body) != int.from_bytes(data[-CRC_BYTES:], "little"):
        raise DamagedError("A frame of an array is damaged. Run verify and restore the generation.", offset=offset)
    codec = frame_codec(layout.codec.name)
    try:
        codec.decode(body, frame)
    except (ValueError, RuntimeError) as error:
        if isinstance(error, PacscoreError):
            raise
        raise DamagedError("A frame of an array cannot be decoded. Run verify.", offset=offset) from error
    return frame
