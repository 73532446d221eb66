"""Where a volume's words come from: the seam to the store, and what arrays put behind it.

S1  ``read`` and ``read_into`` take one slice per axis, step 1, within the shape; nothing else.
S2  What ``read`` returns belongs to the caller: changing it changes no later read.
S3  A source can be pickled; the store's reopen themselves from their locator in another process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError

Box = tuple[slice, ...]
"""One slice per axis, step 1, start and stop within the shape."""


class ArraySource(Protocol):
    """A rectangular array that can be read in boxes, wherever it lies."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the words, native byte order."""
        ...

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """What is decoded at once: boxes along this grid cost least."""
        ...

    @property
    def locator(self) -> object:
        """A picklable value from which another process opens the same source."""
        ...

    def read(self, selection: Box) -> NDArray[Any]:
        """The words of the box, in an array of the caller's own, C order."""
        ...

    def read_into(self, selection: Box, out: NDArray[Any]) -> None:
        """Put the words of the box into ``out``: its shape, the source's dtype, C order."""
        ...


def everything(shape: Sequence[int]) -> Box:
    """The box that is the whole array."""
    return tuple(slice(0, length) for length in shape)


class ArrayInMemory:
    """A NumPy array as a source.

    The array is not copied: do not change it afterwards. Byte-swapped arrays are turned to native order.

    Examples
    --------
    >>> ArrayInMemory(np.arange(6).reshape(2, 3)).read((slice(1, 2), slice(0, 2)))
    array([[3, 4]])
    """

    __slots__ = ("_array", "_chunk_shape")

    def __init__(self, array: NDArray[Any], *, chunk_shape: tuple[int, ...] | None = None) -> None:
        self._array = np.asarray(array, array.dtype.newbyteorder("="))
        self._chunk_shape = chunk_shape or (1,) * max(0, array.ndim - 2) + array.shape[-2:]

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return self._array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the words."""
        return self._array.dtype

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """One frame unless told otherwise."""
        return self._chunk_shape

    @property
    def locator(self) -> object:
        """The array itself, which is picklable."""
        return self._array

    def read(self, selection: Box) -> NDArray[Any]:
        """A copy of the box."""
        return np.array(self._array[selection], order="C", copy=True)

    def read_into(self, selection: Box, out: NDArray[Any]) -> None:
        """Copy the box into ``out``."""
        np.copyto(out, self._array[selection], casting="no")

    def view(self) -> NDArray[Any]:
        """The array itself, to look at: kernels take it without a copy."""
        return self._array


class PartOfSource:
    """A source with some leading axes held at one index each: one phase of a time series.

    Only what is asked for is read.
    """

    __slots__ = ("_fixed", "_source")

    def __init__(self, source: ArraySource, fixed: Sequence[int | None]) -> None:
        """Hold axis ``n`` at ``fixed[n]``; None, and axes beyond the end, stay."""
        if len(fixed) > len(source.shape):
            raise InputError(f"{len(fixed)} axes were given to an array of {len(source.shape)}.")
        self._source = source
        self._fixed = tuple(fixed) + (None,) * (len(source.shape) - len(fixed))

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis that stays."""
        return self._kept(self._source.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the words."""
        return self._source.dtype

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """The source's, along the axes that stay."""
        return self._kept(self._source.chunk_shape)

    @property
    def locator(self) -> object:
        """The source's, with the indices held."""
        return (self._source.locator, self._fixed)

    def read(self, selection: Box) -> NDArray[Any]:
        """The words of the box."""
        lengths = tuple(part.stop - part.start for part in selection)
        return self._source.read(self._whole(selection)).reshape(lengths)

    def read_into(self, selection: Box, out: NDArray[Any]) -> None:
        """Put the words of the box into ``out``."""
        lengths = iter(out.shape)
        shape = tuple(1 if index is not None else next(lengths) for index in self._fixed)
        self._source.read_into(self._whole(selection), out.reshape(shape))

    def _kept(self, lengths: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(length for length, index in zip(lengths, self._fixed, strict=True) if index is None)

    def _whole(self, selection: Box) -> Box:
        kept = iter(selection)
        return tuple(slice(index, index + 1) if index is not None else next(kept) for index in self._fixed)


class InterleavedSource:
    """Colour frames that lie by plane, ``(…, samples, rows, columns)``, read as ``(…, rows, columns, samples)``.

    Planar Configuration (0028,0006) 1; PS3.3 C.7.6.3.1.3.
    """

    __slots__ = ("_source",)

    def __init__(self, source: ArraySource) -> None:
        if len(source.shape) < 3:
            raise InputError(f"Colour planes have at least three axes: the array has shape {source.shape}.")
        self._source = source

    @property
    def shape(self) -> tuple[int, ...]:
        """With the samples last."""
        return _samples_last(self._source.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the words."""
        return self._source.dtype

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """With the samples last."""
        return _samples_last(self._source.chunk_shape)

    @property
    def locator(self) -> object:
        """The source's."""
        return self._source.locator

    def read(self, selection: Box) -> NDArray[Any]:
        """The words of the box."""
        *leading, rows, columns, samples = selection
        planes = self._source.read((*leading, samples, rows, columns))
        return np.ascontiguousarray(np.moveaxis(planes, -3, -1))

    def read_into(self, selection: Box, out: NDArray[Any]) -> None:
        """Put the words of the box into ``out``."""
        np.copyto(out, self.read(selection), casting="no")


def _samples_last(lengths: tuple[int, ...]) -> tuple[int, ...]:
    return (*lengths[:-3], lengths[-2], lengths[-1], lengths[-3])
