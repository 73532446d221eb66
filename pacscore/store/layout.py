"""How an array is cut into chunks and shards, and the arithmetic that writer and reader share.

An array is ``(axes…, slices, frame…)``: the last ``frame_rank`` axes make up one frame. Kernels see it as ``(outer,
slices, rows, row bytes)``, where the outer axes, whose chunks are one long, run as one, and a row is all that lies
behind the first axis of the frame.

L1  A chunk covers one step of each outer axis, and whole samples.
L2  A shard is a box of whole chunks, at most ``shard_bytes_max`` uncompressed unless one chunk is larger.
L3  Blosc's block size is always stated, and a block holds a multiple of eight items where it can: Blosc leaves a
    block that does not unshuffled, in silence, and such blocks hardly compress.
L4  For LZ4 this Blosc makes blocks of at least 64 KiB whatever size is asked for, and a plane of a brick would cost
    half of it. So where blocks divide the chunk, each is encoded by itself and the kernel joins them (a plane then
    takes a quarter of the time, for one percent more bytes).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.parallel import lazy_property
from pacscore.settings import Settings
from pacscore.store.frame_codecs import frame_codec
from pacscore.store.plan import StackPlan
from pacscore.store.strategy import LZ4, ZSTD, ZSTD_BYTES, Codec, Strategy

MIB = 1 << 20
SLAB_BYTES_MAX = 128 * MIB  # Bricks need all frames of a slab at once: larger ones are kept frame by frame.
CHUNK_BYTES_MAX = 8 * MIB
LZ4_BLOCK_BYTES_MIN = 64 << 10
SPLIT_BYTES_MIN = 128  # Blosc splits blocks into streams of at least this; shorter ones would not be joinable.
DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")


@dataclass(frozen=True)
class ArrayLayout:
    """One array's grid and codec.

    Attributes
    ----------
    shape, chunk_shape, shard_shape : tuple of int
        In words, one number for each axis of the array.
    dtype : str
        NumPy name of the words, little-endian on disk.
    frame_rank : int
        2 or 3.
    block_bytes : int
        The block size that Blosc is asked for.
    codec : Codec
        Of the chunks.
    row_axis : int
        Which axis are the rows of an image; its columns follow, and the samples of a pixel where they are interleaved.
    """

    shape: tuple[int, ...]
    dtype: str
    frame_rank: int
    chunk_shape: tuple[int, ...]
    shard_shape: tuple[int, ...]
    block_bytes: int
    codec: Codec
    row_axis: int

    @lazy_property
    def item_bytes(self) -> int:
        """Bytes of a word."""
        return np.dtype(self.dtype).itemsize

    @lazy_property
    def slice_axis(self) -> int:
        """Which axis the slices are."""
        return len(self.shape) - self.frame_rank - 1

    @lazy_property
    def outer_count(self) -> int:
        """Steps of all axes before the slices together."""
        return math.prod(self.shape[: self.slice_axis])

    @property
    def slices(self) -> int:
        """Slices of one outer step."""
        return self.shape[self.slice_axis]

    @property
    def rows(self) -> int:
        """Length of the first axis of a frame."""
        return self.shape[self.slice_axis + 1]

    @lazy_property
    def row_bytes(self) -> int:
        """Bytes of all that lies behind one step of the first axis of a frame."""
        return math.prod(self.shape[self.slice_axis + 2 :]) * self.item_bytes

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame."""
        return self.rows * self.row_bytes

    @property
    def chunk_slices(self) -> int:
        """Slices of a chunk."""
        return self.chunk_shape[self.slice_axis]

    @lazy_property
    def chunk_bytes(self) -> int:
        """Bytes of a decoded chunk."""
        return math.prod(self.chunk_shape) * self.item_bytes

    @lazy_property
    def chunk_counts(self) -> tuple[int, ...]:
        """Chunks along each axis."""
        return tuple(-(-length // chunk) for length, chunk in zip(self.shape, self.chunk_shape, strict=True))

    @lazy_property
    def shard_counts(self) -> tuple[int, ...]:
        """Shards along each axis."""
        return tuple(-(-length // shard) for length, shard in zip(self.shape, self.shard_shape, strict=True))

    @lazy_property
    def slab_counts(self) -> tuple[int, int]:
        """Outer steps, and slabs (chunks over the slices) of each."""
        return self.outer_count, self.chunk_counts[self.slice_axis]

    @lazy_property
    def chunks_per_slab(self) -> int:
        """Chunks that cover the frames of one slab."""
        return math.prod(self.chunk_counts[self.slice_axis + 1 :])

    @lazy_property
    def joins_blocks(self) -> bool:
        """Whether blocks are encoded one by one and joined (L4)."""
        return (
            self.codec.name == "lz4"
            and self.block_bytes < self.chunk_bytes
            and self.chunk_bytes % self.block_bytes == 0
            and self.block_bytes >= SPLIT_BYTES_MIN * self.item_bytes
        )

    @lazy_property
    def made_block_bytes(self) -> int:
        """The size of the blocks that are made, as far as known: reading in part relies on it and checks it."""
        if self.codec.name != "lz4" or self.joins_blocks:
            return self.block_bytes
        return min(self.chunk_bytes, max(LZ4_BLOCK_BYTES_MIN, self.block_bytes * self.item_bytes))

    @lazy_property
    def kernel_chunk(self) -> NDArray[np.int64]:
        """What kernels know of a chunk; see ``kernels.shards``."""
        row_bytes = math.prod(self.chunk_shape[self.slice_axis + 2 :]) * self.item_bytes
        rows = self.chunk_shape[self.slice_axis + 1]
        blocks = [self.made_block_bytes, self.item_bytes, self.joins_blocks, self.block_bytes]
        image = self.predicted_image if self.codec.predictor else (0, 0, 0)
        return np.array([self.chunk_slices, rows, row_bytes, *blocks, *image], np.int64)

    @lazy_property
    def predicted_image(self) -> tuple[int, int, int]:
        """Of the images in a chunk: rows, words of a row, and words from a pixel to its neighbour."""
        step = math.prod(self.chunk_shape[self.row_axis + 2 :])
        return self.chunk_shape[self.row_axis], self.chunk_shape[self.row_axis + 1] * step, step

    @lazy_property
    def kernel_frame(self) -> NDArray[np.int64]:
        """What kernels know of a frame: rows, row bytes, chunks over the rows, chunks over a row."""
        over_rows = self.chunk_counts[self.slice_axis + 1]
        return np.array([self.rows, self.row_bytes, over_rows, self.chunks_per_slab // over_rows], dtype=np.int64)

    def shard_chunks(self, shard: tuple[int, ...]) -> NDArray[np.int64]:
        """For each chunk of a shard, in the order of the shard's index, its number in the array; -1 beyond the edge.

        shard : which shard along each axis
        """
        along_shard = tuple(length // chunk for length, chunk in zip(self.shard_shape, self.chunk_shape, strict=True))
        if along_shard == self.chunk_counts:  # One shard, and no chunk of it beyond the edge.
            return np.arange(math.prod(along_shard), dtype=np.int64)
        number = np.zeros((), np.int64)
        outside = np.zeros((), np.bool_)
        for axis, count in enumerate(self.chunk_counts):
            per_shard = along_shard[axis]
            along = np.arange(per_shard, dtype=np.int64) + shard[axis] * per_shard
            number = number[..., None] * count + along
            outside = outside[..., None] | (along >= count)
        return np.where(outside, -1, number).reshape(-1)


def choose_layout(stack: StackPlan, strategy: Strategy, settings: Settings, codec: Codec | None = None) -> ArrayLayout:
    """The grid a strategy gives a stack.

    Raises
    ------
    InputError
        The stack has a shape or dtype that no array here can have.
    """
    _check_stack(stack)
    first_frame_axis = len(stack.shape) - stack.frame_rank
    item_bytes = np.dtype(stack.dtype).itemsize
    frame = stack.shape[first_frame_axis:]
    slices = stack.shape[first_frame_axis - 1]
    codec = codec or strategy.codec
    brick = None if codec.is_of_frames else _brick(strategy, slices, frame, item_bytes)
    if codec.is_of_frames:
        slice_chunk, frame_chunk = 1, frame
    else:
        slice_chunk, frame_chunk = brick or _frame_chunk(strategy, slices, frame, item_bytes)
    chunk = (1,) * (first_frame_axis - 1) + (slice_chunk, *frame_chunk)
    chunk_bytes = math.prod(chunk) * item_bytes
    plane_bytes = math.prod(frame_chunk) * item_bytes
    row_bytes = plane_bytes // frame_chunk[0]
    if strategy.block_bytes == 0 or codec.is_of_frames:
        block = chunk_bytes
    elif brick is None:
        block = _block(row_bytes, slice_chunk * frame_chunk[0], strategy.block_bytes, item_bytes)
    elif codec.name == "lz4":
        block = plane_bytes
    else:  # Zstd decodes small blocks at a third of its speed.
        block = _block(plane_bytes, slice_chunk, strategy.block_bytes, item_bytes)
    return ArrayLayout(
        shape=stack.shape,
        dtype=stack.dtype,
        frame_rank=stack.frame_rank,
        chunk_shape=chunk,
        shard_shape=_shard(stack.shape, chunk, item_bytes, settings.shard_bytes_max),
        block_bytes=min(block, chunk_bytes),
        codec=codec,
        row_axis=stack.dimension_names.index("row") if "row" in stack.dimension_names else first_frame_axis,
    )


def fitting_strategy(stack: StackPlan, strategy: Strategy) -> Strategy:
    """The strategy, or, where its frame codec cannot hold the words of this stack, with the default codec in its place.

    Frame codecs hold monochrome frames; each says of which dtypes.
    """
    if not strategy.codec.is_of_frames:
        return strategy
    if stack.frame_rank == 2 and frame_codec(strategy.codec.name).accepts(np.dtype(stack.dtype)):
        return strategy
    return replace(strategy, codec=LZ4, others=(ZSTD, ZSTD_BYTES))


def _check_stack(stack: StackPlan) -> None:
    if stack.dtype not in DTYPES:
        raise InputError(f"A stack cannot have the dtype {stack.dtype!r}. Use one of: {', '.join(DTYPES)}.")
    if stack.frame_rank not in (2, 3) or len(stack.shape) <= stack.frame_rank:
        raise InputError(
            f"A stack has slices and frames of 2 or 3 axes: shape {stack.shape}, frames of {stack.frame_rank}."
        )
    if min(stack.shape) < 1 or len(stack.dimension_names) != len(stack.shape):
        raise InputError(f"A stack has one name for each of its axes, and none is empty: shape {stack.shape}.")


def _brick(
    strategy: Strategy, slices: int, frame: tuple[int, ...], item_bytes: int
) -> tuple[int, tuple[int, ...]] | None:
    """Slices and frame part of a brick near the strategy's, or None where the stack is kept by frames."""
    if strategy.brick is None or len(frame) != 2 or slices < strategy.brick_slices_min:
        return None
    # Near the wanted size, so that the bricks at the edge are nearly full: 80 rows are one brick of 80, not two of 64.
    depth, *sides = (
        -(-length // max(1, round(length / wanted)))
        for length, wanted in zip((slices, *frame), strategy.brick, strict=True)
    )
    if depth * math.prod(frame) * item_bytes > SLAB_BYTES_MAX:
        return None
    return depth, tuple(-(-side // 8) * 8 for side in sides)


def _frame_chunk(
    strategy: Strategy, slices: int, frame: tuple[int, ...], item_bytes: int
) -> tuple[int, tuple[int, ...]]:
    """One frame or a few, or rows of one where it is very large."""
    behind = math.prod(frame[1:])
    frame_bytes = frame[0] * behind * item_bytes
    if frame_bytes > CHUNK_BYTES_MAX:
        rows = max(8, CHUNK_BYTES_MAX // 2 // (behind * item_bytes) // 8 * 8)
        return 1, (min(rows, frame[0]), *frame[1:])
    count = max(1, min(slices, strategy.frame_chunk_bytes // frame_bytes))
    # A few rows of padding make the items a multiple of eight; they lie behind the frame, which stays in one piece.
    rows = next((rows for rows in range(frame[0], frame[0] + 8) if rows * behind * count % 8 == 0), frame[0])
    return count, (rows if rows - frame[0] <= frame[0] // 32 else frame[0], *frame[1:])


def _block(unit_bytes: int, count: int, wanted: int, item_bytes: int) -> int:
    """As many rows, or planes, as divide the chunk evenly and are at most ``wanted``; else just ``wanted``."""
    for units in range(max(1, wanted // unit_bytes), 0, -1):
        if count % units == 0 and units * unit_bytes // item_bytes % 8 == 0 and units * unit_bytes * 4 >= wanted:
            return units * unit_bytes
    return wanted


def _shard(shape: tuple[int, ...], chunk: tuple[int, ...], item_bytes: int, bytes_max: int) -> tuple[int, ...]:
    """As many whole chunks as fit, grown from the last axis to the first."""
    shard = list(chunk)
    for axis in reversed(range(len(shape))):
        whole = -(-shape[axis] // chunk[axis])
        others = math.prod(shard) // shard[axis] * item_bytes
        fits = max(1, min(whole, bytes_max // (others * chunk[axis])))
        shard[axis] = fits * chunk[axis]
        if fits < whole:
            break
    return tuple(shard)
