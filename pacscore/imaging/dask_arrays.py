"""A volume as a Dask array: tasks that open the source where they run, and decode straight into their block.

The graph holds no pixel, only the source, which pickles as its locator, and the numbers of the chunk grid; it is one
layer that Dask turns into tasks where it runs them, so that graphs over thousands of volumes stay small.
"""

from __future__ import annotations

import itertools
import math
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError, UnsupportedError
from pacscore.imaging.reading import mask_part
from pacscore.imaging.selection import select
from pacscore.imaging.sources import ArraySource
from pacscore.imaging.values import StoredFormat
from pacscore.parallel import serially

if TYPE_CHECKING:
    import dask.array

    from pacscore.imaging.volume import Volume

Chunks = str | Sequence[int]

_GROUP_BYTES = 32 << 20
_GRID = "auto, native, or one length per axis"


class StoredValues:
    """What the tasks of a Dask array index: the stored values of a volume, without its geometry.

    Each read runs serially: Dask runs as many tasks side by side as there are cores for them.
    """

    __slots__ = ("_grid_rank", "_source", "_stored")

    def __init__(self, source: ArraySource, stored: StoredFormat, grid_rank: int) -> None:
        self._source = source
        self._stored = stored
        self._grid_rank = grid_rank

    @property
    def shape(self) -> tuple[int, ...]:
        """``(axes…, slices, rows, columns[, samples])``."""
        return self._source.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self._source.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the stored values."""
        return self._source.dtype

    def __getitem__(self, key: object) -> NDArray[Any]:
        """A selection of integers and slices; only its bounding box is decoded."""
        selection = select(key, self.shape)
        if 0 in selection.shape:
            return np.empty(selection.shape, self.dtype)
        with serially():
            words = self._source.read(selection.box)
            mask_part(self._stored, self.shape[: self._grid_rank], words, selection.box)
        return np.asarray(words[selection.inside])


def dask_array(volume: Volume, chunks: Chunks = "auto") -> dask.array.Array:
    """Stored values as a Dask array; nothing is read until Dask computes.

    Parameters
    ----------
    chunks
        ``auto``: groups of whole chunks of slices, alike and of at most about 32 MiB, one task each. ``native``: the
        grid that is decoded at once, one task for each of its chunks, for algorithms that want it. Or a length for each
        axis.

    Returns
    -------
    dask.array.Array
        The volume's shape and dtype. Its tasks run under threads, processes or a cluster whose workers see the archive
        under the same path; each reads on one thread.

    Raises
    ------
    InputError
        ``chunks`` is something else.
    UnsupportedError
        Dask is not installed.
    """
    try:
        from dask.array import from_array
    except ImportError as error:
        raise UnsupportedError("Dask arrays need an extra: pip install 'pacscore[dask]'.") from error
    values = StoredValues(volume.source, volume.stored, len(volume.axes) + 1)
    return from_array(
        values,
        chunks=_grid(volume, chunks),
        # A name of its own for each: telling equal sources apart would cost more than all the rest.
        name=f"volume-{uuid.uuid4().hex}",
        inline_array=True,
        meta=np.empty((0,) * volume.ndim, volume.dtype),
    )


def _grid(volume: Volume, chunks: Chunks) -> tuple[tuple[int, ...], ...]:
    """Lengths of the blocks along each axis."""
    shape, native = volume.shape, volume.source.chunk_shape
    if chunks == "auto":
        return _groups(shape, native, volume.dtype.itemsize, slice_axis=len(volume.axes))
    if chunks == "native":
        lengths: Sequence[int] = native
    elif isinstance(chunks, str) or len(chunks) != len(shape) or any(length < 1 for length in chunks):
        raise InputError(f"Chunks are {_GRID}: {chunks!r} is none for shape {shape}.", found=chunks)
    else:
        lengths = chunks
    return tuple(_cut(extent, length) for extent, length in zip(shape, lengths, strict=True))


def _groups(
    shape: Sequence[int], native: Sequence[int], itemsize: int, *, slice_axis: int
) -> tuple[tuple[int, ...], ...]:
    """Whole frames; of slices, and then of the axes before them from the inside out, as many as make a group.

    A group is always of whole chunks, however large these are, so that no chunk is decoded twice; groups are alike, so
    that no worker waits for a large last one.
    """
    grid: list[tuple[int, ...]] = [(length,) for length in shape]
    unit = itemsize * math.prod(shape[slice_axis + 1 :])
    for axis in range(slice_axis, -1, -1):
        length, step = shape[axis], max(1, native[axis])
        count = -(-length // step)
        groups = max(1, min(count, -(-count * step * unit // _GROUP_BYTES)))
        ends = [min(length, number * count // groups * step) for number in range(groups + 1)]
        grid[axis] = tuple(stop - start for start, stop in itertools.pairwise(ends))
        if groups > 1:
            grid[:axis] = [_cut(outer, max(1, of)) for outer, of in zip(shape[:axis], native[:axis], strict=True)]
            break
        unit *= length
    return tuple(grid)


def _cut(extent: int, length: int) -> tuple[int, ...]:
    whole, rest = divmod(extent, length)
    return (length,) * whole + ((rest,) if rest or not whole else ())
