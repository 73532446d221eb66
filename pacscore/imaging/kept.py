"""A source that keeps what it has decoded, for arrays that are read again and again in small boxes.

C1  A chunk is decoded when a box first meets it, and kept as long as the source is there.
C2  Room is that of the whole array, so what it comes to is known before; pages are used as chunks come.
C3  Threads may read side by side: a chunk counts as there once all of it is; two that decode the same one at once write
    the same words. After a fork the child has what its parent kept, shared until one of them adds to it.
C4  Pickled it is its source, with nothing kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.imaging.sources import ArraySource, Box


class KeptChunks:
    """An ``ArraySource`` over another that keeps its chunks.

    Examples
    --------
    >>> from pacscore.imaging import ArrayInMemory
    >>> kept = KeptChunks(ArrayInMemory(np.arange(6).reshape(2, 3)))
    >>> kept.read((slice(1, 2), slice(0, 2)))
    array([[3, 4]])
    """

    __slots__ = ("_is_there", "_source", "_words")

    def __init__(self, source: ArraySource) -> None:
        self._source = source
        self._words = np.empty(source.shape, source.dtype)
        counts = [-(-length // chunk) for length, chunk in zip(source.shape, source.chunk_shape, strict=True)]
        self._is_there = np.zeros(counts, np.bool_)

    def __reduce__(self) -> tuple[Any, ...]:
        return KeptChunks, (self._source,)

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return self._source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the words."""
        return self._source.dtype

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """Of the source: what is decoded and kept at once."""
        return self._source.chunk_shape

    @property
    def locator(self) -> object:
        """Of the source."""
        return self._source.locator

    def read(self, selection: Box) -> NDArray[Any]:
        """A copy of the words of the box."""
        return np.array(self.met(selection)[selection], order="C", copy=True)

    def read_into(self, selection: Box, out: NDArray[Any]) -> None:
        """Copy the words of the box into ``out``."""
        np.copyto(out, self.met(selection)[selection], casting="no")

    def met(self, selection: Box) -> NDArray[Any]:
        """The whole array, of which the words in the box are there: to look at, without a copy."""
        chunks = tuple(
            slice(part.start // chunk, -(-part.stop // chunk))
            for part, chunk in zip(selection, self.chunk_shape, strict=True)
        )
        there = self._is_there[chunks]
        if not there.all():
            missing = np.argwhere(~there) + [part.start for part in chunks]
            if 2 * len(missing) > there.size:  # One call of the decoder for all takes less than many for some.
                self._decode([(part.start, part.stop) for part in chunks])
            else:
                for place in missing.tolist():
                    self._decode([(at, at + 1) for at in place])
        return self._words

    def _decode(self, chunks: Sequence[tuple[int, int]]) -> None:
        box = tuple(
            slice(first * chunk, min(length, stop * chunk))
            for (first, stop), chunk, length in zip(chunks, self.chunk_shape, self.shape, strict=True)
        )
        self._words[box] = self._source.read(box)
        self._is_there[tuple(slice(*part) for part in chunks)] = True


def bytes_of(source: ArraySource) -> int:
    """What keeping all of a source takes."""
    return math.prod(source.shape) * source.dtype.itemsize
