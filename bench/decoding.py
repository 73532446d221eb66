"""The pure decode time of a box: nothing but Blosc on the blocks that hold it, from memory, on two threads."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._blosc import blosc_decompress, blosc_getitem
from pacscore.kernels._compile import kernel
from pacscore.store.array import StoredArray

_HEADER_BYTES = 16
_CRC_BYTES = 4
_KEPT = 2


@kernel
def decode_pieces_into(pieces: NDArray[np.int64], decoded: NDArray[np.uint8]) -> int:
    """Decode pieces of Blosc buffers one after the other into the same place; returns how many failed.

    pieces : (n, 4): address of the buffer, first item, items, and bytes of the whole where all of it is wanted, else 0
    decoded : uint8, one chunk
    """
    failures = 0
    for k in range(pieces.shape[0]):
        if pieces[k, 3]:
            made = blosc_decompress(pieces[k, 0], decoded.ctypes.data, pieces[k, 3], 1)
        else:
            made = blosc_getitem(pieces[k, 0], pieces[k, 1], pieces[k, 2], decoded.ctypes.data)
        if made <= 0:
            failures += 1
    return failures


def decoder(array: StoredArray, box: tuple[slice, ...]) -> tuple[Callable[[], None], str]:
    """A call that decodes the blocks a box of a three-axis array touches, and what these are in words."""
    kept: list[NDArray[np.uint8]] = []
    pieces: list[tuple[int, int, int, int]] = []
    blocks = 0
    chunks = 0
    with open(array.locator.path, "rb") as file:
        for place, part in _chunks(array, box):
            offset, length = array.index[place]
            if offset < 0:
                continue  # A chunk of zeros is not stored.
            file.seek(offset)
            stored = np.frombuffer(file.read(length - _CRC_BYTES), np.uint8)
            kept.append(stored)
            made, count = _pieces(stored, array, part)
            pieces += made
            blocks += count
            chunks += 1
    table = np.array(pieces, np.int64).reshape(-1, 4)
    halves = [np.ascontiguousarray(table[start::2]) for start in range(2)]
    rooms = [np.empty(array.layout.chunk_bytes, np.uint8) for _ in halves]
    pool = ThreadPoolExecutor(1)

    def decode() -> None:
        other = pool.submit(decode_pieces_into, halves[1], rooms[1])
        failures = decode_pieces_into(halves[0], rooms[0]) + other.result()
        assert failures == 0, f"{failures} of {len(kept)} chunks"  # Keeps the bytes alive, too.

    return decode, f"{blocks} blocks of {chunks} chunks"


def _chunks(array: StoredArray, box: tuple[slice, ...]) -> list[tuple[int, list[tuple[int, int]]]]:
    """The chunks a box meets: number in the array, and the part of each axis."""
    layout = array.layout
    along = []
    for part, length, chunk in zip(box, layout.shape, layout.chunk_shape, strict=True):
        start, stop, _ = part.indices(length)
        along.append([
            (number, (max(start - number * chunk, 0), min(stop - number * chunk, chunk)))
            for number in range(start // chunk, -(-stop // chunk))
        ])  # fmt: skip
    return [
        (int(np.ravel_multi_index([number for number, _ in each], layout.chunk_counts)), [part for _, part in each])
        for each in itertools.product(*along)
    ]


def _pieces(
    stored: NDArray[np.uint8], array: StoredArray, part: list[tuple[int, int]]
) -> tuple[list[tuple[int, int, int, int]], int]:
    """What must be decoded of one chunk: runs of whole blocks that hold the part, and how many blocks."""
    item = array.layout.item_bytes
    whole, block = (int(number) for number in stored[4:12].view("<u4"))
    address = stored.__array_interface__["data"][0]
    if stored[2] & _KEPT:
        block = whole
    (first_slice, last_slice), (first_row, last_row), _ = part
    row = array.layout.chunk_shape[2] * item
    plane = array.layout.chunk_shape[1] * row
    wanted = set()
    for z in range(first_slice, last_slice):
        wanted.update(range((z * plane + first_row * row) // block, (z * plane + last_row * row - 1) // block + 1))
    if len(wanted) * block >= whole:
        return [(address, 0, 0, whole)], len(wanted)
    pieces = []
    for _, run in itertools.groupby(sorted(wanted), key=_run_of(sorted(wanted))):
        numbers = list(run)
        start, stop = numbers[0] * block, min((numbers[-1] + 1) * block, whole)
        pieces.append((address, start // item, (stop - start) // item, 0))
    return pieces, len(wanted)


def _run_of(ordered: list[int]) -> Callable[[int], int]:
    """Numbers that follow each other have one key."""
    places = {number: at for at, number in enumerate(ordered)}
    return lambda number: number - places[number]
