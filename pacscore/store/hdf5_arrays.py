"""The arrays of the format ``hdf5``: one HDF5 file for each shard, a member of its own, that h5py reads like any other.

H1  HDF5 writes its file where the member lies, so nothing is written twice; the seam writes, in whatever order HDF5
    asks for, and the member's CRC32 is taken from what then stands there.
H2  Chunks are encoded and decoded by our own engine. HDF5 is told of them when they are written, and says where they
    lie when an array is opened; none goes through its filters, which work one by one under a lock.
H3  A chunk is a Blosc buffer (filter 32001) and behind it its CRC32C, four bytes that the filter does not look at: the
    buffer states its own length. Chunks of zeros are not allocated (fill value 0).
"""

from __future__ import annotations

import io
import json
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import DamagedError, PacscoreError, ProofError, UnsupportedError
from pacscore.store.array import StoredArray
from pacscore.store.generation_file import GenerationFile
from pacscore.store.layout import ArrayLayout
from pacscore.store.plan import StackPlan
from pacscore.store.series_file import SeriesFile
from pacscore.store.series_writer import SeriesWriter
from pacscore.store.strategy import Codec
from pacscore.store.units import SlabUnit
from pacscore.store.zip_layout import InPlaceMember, Member

BLOSC_FILTER = 32001
DATASET = "words"
_BLOSC_FORMAT = 2
_SHUFFLES = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}
_COMPRESSORS = {"lz4": 1, "zstd": 5}


class Hdf5Arrays:
    """Writes the arrays of one series as members: ``ArrayWriter`` of ``spliced_writer``."""

    def __init__(self, series: SeriesWriter) -> None:
        self._series = series
        _import_h5py()
        try:
            import hdf5plugin  # noqa: F401  # Registers the filters, which HDF5 wants to know when it makes a dataset.
        except ImportError as error:
            raise _missing("hdf5plugin") from error

    def begin_stack(self, number: int, layout: ArrayLayout, stack: StackPlan) -> None:
        """Refuse what a reader with h5py alone would get wrong."""
        if layout.codec.predictor or layout.codec.name not in _COMPRESSORS:
            raise UnsupportedError(
                "The format hdf5 holds words as they are, in Blosc; it has no filter for others. Use the format zarr.",
                found=f"{layout.codec.predictor} {layout.codec.name}".strip(),
            )

    def write_shard(
        self,
        number: int,
        layout: ArrayLayout,
        shard: tuple[int, ...],
        units: Sequence[SlabUnit],
        taken: Callable[[SlabUnit], None],
    ) -> None:
        """Write a shard; ``taken`` is told of each unit that is done, in order."""
        stack = self._series.plan.stacks[number]
        expected = np.full((math.prod(layout.chunk_counts), 2), -1, np.int64)
        with self._series.in_place(_member_name(number, shard, layout)) as member:
            with _created(member, layout, shard, stack) as chunks:

                def work(unit: SlabUnit) -> SlabUnit:
                    (encoded,) = unit.encode()
                    unit.table = chunks.write(unit, memoryview(encoded))
                    unit.prove_chunks(self._series.staging.descriptor, unit.table)
                    return unit

                for unit in self._series.staging.each(work, units):
                    numbers, table = unit.placed(0)
                    expected[numbers] = table
                    taken(unit)
            found = np.full_like(expected, -1)
            with _opened(self._series.staging.file, member.offset, member.length) as dataset:
                _take_table(dataset, layout, shard, member, found)
            if not np.array_equal(found, expected):
                raise ProofError("HDF5 does not say where its chunks were written. Nothing was published.")

    def finish(self) -> None:
        """Nothing: each file says all of itself."""


class _Chunks:
    """The chunks of one shard, as they are written; safe from several threads."""

    def __init__(self, dataset: Any, layout: ArrayLayout, shard: tuple[int, ...], placed: _Placed, base: int) -> None:
        self._dataset = dataset
        self._placed = placed
        self._layout = layout
        self._origin = np.array(shard) * layout.shard_shape
        self._base = base
        self._lock = threading.Lock()

    def write(self, unit: SlabUnit, encoded: memoryview) -> NDArray[np.int64]:
        """Write the chunks of an encoded unit; returns its table with their places in the generation file."""
        table = unit.table.copy()
        numbers, _ = unit.placed(0)
        places = np.stack(np.unravel_index(numbers, self._layout.chunk_counts), axis=1) * self._layout.chunk_shape
        present = np.flatnonzero(table[:, 0] >= 0)
        for row, place in zip(present.tolist(), (places - self._origin).tolist(), strict=True):
            offset, length = unit.table[row].tolist()
            with self._lock:
                self._dataset.id.write_direct_chunk(tuple(place), encoded[offset : offset + length])
                self._placed.check()
                table[row, 0] = self._base + self._dataset.id.get_chunk_info_by_coord(tuple(place)).byte_offset
        return table


@contextmanager
def _created(member: InPlaceMember, layout: ArrayLayout, shard: tuple[int, ...], stack: StackPlan) -> Iterator[_Chunks]:
    """A new file with the one dataset of a shard; complete when the block is left."""
    h5py = _import_h5py()
    origin = [index * length for index, length in zip(shard, layout.shard_shape, strict=True)]
    shape = [
        min(part, whole - first) for part, whole, first in zip(layout.shard_shape, layout.shape, origin, strict=True)
    ]
    codec = layout.codec
    options = [_BLOSC_FORMAT, 2, layout.item_bytes, layout.chunk_bytes, codec.level]
    options += [_SHUFFLES[codec.shuffle], _COMPRESSORS[codec.name]]
    placed = _Placed(member)
    with h5py.File(placed, "w", libver=("v110", "v110"), track_order=False) as file:
        dataset = file.create_dataset(
            DATASET,
            shape,
            np.dtype(layout.dtype).newbyteorder("<"),
            chunks=layout.chunk_shape,
            maxshape=[max(pair) for pair in zip(shape, layout.chunk_shape, strict=True)],  # Never smaller than a chunk.
            compression=BLOSC_FILTER,
            compression_opts=tuple(options),
            track_times=False,
        )
        for axis, name in enumerate(stack.dimension_names):
            dataset.dims[axis].label = name
        dataset.attrs["first"] = origin
        dataset.attrs["layout"] = json.dumps(asdict(layout))
        dataset.attrs["pacscore"] = json.dumps(dict(stack.attributes))
        yield _Chunks(dataset, layout, shard, placed, member.offset)
    placed.check()


def open_hdf5_stack(series: SeriesFile, stack: int) -> StoredArray:
    """The array of a stack; where its chunks lie is asked of HDF5 at once."""
    member = _member(series, f"{stack}.h5")
    with _opened(series.file, member.offset, member.length) as dataset:
        layout = _layout_of(dataset)
        index = np.full((math.prod(layout.chunk_counts), 2), -1, np.int64)
        shards = list(np.ndindex(layout.shard_counts))
        _take_table(dataset, layout, shards[0], member, index)
    for shard in shards[1:]:
        member = _member(series, _member_name(stack, shard, layout))
        with _opened(series.file, member.offset, member.length) as dataset:
            _take_table(dataset, layout, shard, member, index)
    return StoredArray(series.file, layout, series.locator(stack), lambda _: index)


def _member(series: SeriesFile, name: str) -> Member:
    member = series.members.get(name)
    if member is None:
        raise DamagedError(f"Member {name!r} of a generation is missing.", member=name)
    return member


def _member_name(number: int, shard: tuple[int, ...], layout: ArrayLayout) -> str:
    """``0.h5``, and ``0.1.h5`` and so on where an array has several shards."""
    flat = int(np.ravel_multi_index(shard, layout.shard_counts))
    return f"{number}.{flat}.h5" if flat else f"{number}.h5"


def _take_table(
    dataset: Any, layout: ArrayLayout, shard: tuple[int, ...], member: Member | InPlaceMember, index: NDArray[np.int64]
) -> None:
    """Fill in where the chunks of one shard lie: (chunks of the array, 2), offset in the generation file and bytes."""
    base, length = member.offset, member.length
    rows: list[tuple[Any, ...]] = []
    dataset.id.chunk_iter(rows.append)
    if not rows:
        return
    places = np.array([row[0] for row in rows], np.int64)
    placed = np.array([(row[2], row[3]) for row in rows], np.int64)
    masked = any(row[1] for row in rows)
    if masked or placed.min() < 0 or placed.sum(axis=1).max() > length:
        raise DamagedError("A chunk of an HDF5 file lies outside it, or did not go through its filter.", offset=base)
    steps = places // layout.chunk_shape + np.array(shard) * layout.shard_shape // layout.chunk_shape
    if (steps >= layout.chunk_counts).any():
        raise DamagedError("An HDF5 file has chunks outside its array.", offset=base)
    numbers = np.ravel_multi_index(tuple(steps.T), layout.chunk_counts)
    placed[:, 0] += base
    index[numbers] = placed


def _layout_of(dataset: Any) -> ArrayLayout:
    try:
        values: Mapping[str, Any] = json.loads(dataset.attrs["layout"])
        return ArrayLayout(
            shape=tuple(values["shape"]),
            dtype=values["dtype"],
            frame_rank=values["frame_rank"],
            chunk_shape=tuple(values["chunk_shape"]),
            shard_shape=tuple(values["shard_shape"]),
            block_bytes=values["block_bytes"],
            codec=Codec.from_dict(values["codec"]),
            row_axis=values["row_axis"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError("The metadata of an array cannot be read. Run verify and restore the generation.") from error


@contextmanager
def _opened(file: GenerationFile, offset: int, length: int) -> Iterator[Any]:
    """The dataset of an HDF5 file inside a generation file."""
    h5py = _import_h5py()
    try:
        with h5py.File(_Part(file, offset, length), "r") as opened:
            yield opened[DATASET]
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        if isinstance(error, PacscoreError):
            raise
        raise DamagedError("An HDF5 file of a generation cannot be read. Run verify.", offset=offset) from error


class _Part(io.RawIOBase):
    """A part of a generation file as a file, for HDF5 to read."""

    def __init__(self, file: GenerationFile, offset: int, length: int) -> None:
        super().__init__()
        self._file, self._offset, self._length, self._at = file, offset, length, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._length - self._at))
        view[:count] = self._file.read(self._offset + self._at, count)
        self._at += count
        return count


class _Placed(io.RawIOBase):
    """A member that is written in place as a file, for HDF5 to write.

    HDF5 that cannot write cannot close either, and uses its file again when it is long gone. So a failure is kept
    here, nothing more is written, and whoever writes asks ``check``.
    """

    def __init__(self, member: InPlaceMember) -> None:
        super().__init__()
        self._member, self._at = member, 0
        self._failure: BaseException | None = None

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._member.length}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        self._try(lambda: self._read_into(view))
        self._at += len(view)
        return len(view)

    def _read_into(self, view: memoryview) -> None:
        data = self._member.read(self._at, len(view))
        view[: len(data)] = data

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._try(lambda: self._member.write(self._at, view))
        self._at += len(view)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        # What HDF5 has reserved and not written must be there; what it gives up at the end may stay.
        wanted = self._at if size is None else size
        self._try(lambda: self._member.lengthen(wanted))
        return wanted

    def check(self) -> None:
        """Raise what went wrong, if anything did."""
        if self._failure is not None:
            raise self._failure

    def _try(self, action: Callable[[], None]) -> None:
        """Do it unless something has failed already; HDF5 hears of no failure."""
        if self._failure is None:
            try:
                action()
            except BaseException as error:
                self._failure = error


def _import_h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise _missing("h5py") from error
    return h5py


def _missing(package: str) -> UnsupportedError:
    return UnsupportedError(f"The format hdf5 needs {package}: pip install 'pacscore[hdf5]'.", found=package)
