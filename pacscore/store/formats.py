"""Formats: ways to lay out a series in a generation, behind one protocol.

``zarr`` is the default. ``part10`` keeps each object as a plain file: the control, against which the other is checked
and measured. Reading a generation never depends on which it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import UnsupportedError

if TYPE_CHECKING:
    from pacscore.store.array import ArrayLocator
    from pacscore.store.generation_file import Bytes
    from pacscore.store.manifest import Span
    from pacscore.store.series_file import SeriesFile
    from pacscore.store.series_writer import SeriesWriter


class StoredWords(Protocol):
    """The words of a stack, read by boxes; it satisfies ``imaging.ArraySource``."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``(axes…, slices, frame…)``."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the words, native byte order."""
        ...

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """What is decoded at once."""
        ...

    @property
    def locator(self) -> ArrayLocator:
        """From which another process opens the same words."""
        ...

    def read(self, selection: Sequence[slice]) -> NDArray[Any]:
        """The words of a box, in a new array."""
        ...

    def read_into(self, selection: Sequence[slice], out: NDArray[Any]) -> None:
        """Put the words of a box into ``out``."""
        ...


@dataclass(frozen=True, slots=True)
class ObjectPieces:
    """An object as buffers that, one behind the other, are its bytes.

    Attributes
    ----------
    length
        Of all of them together.
    buffers
        They may share memory with those of other objects of a run; of a large object they are decoded as they are
        asked for, once.
    is_checked
        All that was read for it agreed with its CRC32C. Where not, whoever gives it out hashes it.
    """

    length: int
    buffers: Iterable[Bytes]
    is_checked: bool


class FormatReader(Protocol):
    """Reads the objects of one open series; safe from several threads."""

    def whole(self, index: int) -> bytes:
        """An object as it was taken."""
        ...

    def header(self, index: int) -> bytes:
        """All before its pixel value; the whole object where there is none."""
        ...

    def pixels(self, index: int) -> bytes:
        """Its pixel value; empty where there is none."""
        ...

    def pixel_range(self, index: int, begin: int, end: int) -> bytes:
        """A part of a pixel value that is kept as bytes."""
        ...

    def words(self, stack: int) -> StoredWords:
        """The array of a stack."""
        ...

    def runs(self, indices: Sequence[int], bytes_max: int) -> list[list[int]]:
        """Objects, in their order, cut into such runs as are best read at once; an object that is larger is alone."""
        ...

    def pieces(self, indices: Sequence[int], bytes_max: int) -> list[ObjectPieces]:
        """The objects of a run; one larger than ``bytes_max`` is read as its buffers are asked for."""
        ...


class Format(Protocol):
    """A way to lay out a series."""

    def write_members(self, series: SeriesWriter) -> list[Span]:
        """Write and prove the members that hold the objects, and fill in the rows; returns the manifest's spans."""
        ...

    def reader(self, series: SeriesFile) -> FormatReader:
        """Read a series that was written so."""
        ...


class ZarrFormat:
    """Sharded Zarr arrays, headers compressed together, blobs."""

    def write_members(self, series: SeriesWriter) -> list[Span]:
        """See ``zarr_writer``."""
        from pacscore.store.zarr_writer import ZarrMembers

        return ZarrMembers(series).write()

    def reader(self, series: SeriesFile) -> FormatReader:
        """See ``zarr_reader``."""
        from pacscore.store.zarr_reader import ZarrReader

        return ZarrReader(series)


class Part10Format:
    """Each object a plain file."""

    def write_members(self, series: SeriesWriter) -> list[Span]:
        """See ``part10``."""
        from pacscore.store.part10 import write_plain_files

        return write_plain_files(series)

    def reader(self, series: SeriesFile) -> FormatReader:
        """See ``part10``."""
        from pacscore.store.part10 import PlainReader

        return PlainReader(series)


_FORMATS: dict[str, Format] = {"zarr": ZarrFormat(), "part10": Part10Format()}


def format_named(name: str) -> Format:
    """The format of that name.

    Raises
    ------
    UnsupportedError
        This pacscore has none of that name.
    """
    try:
        return _FORMATS[name]
    except KeyError:
        raise UnsupportedError(
            f"No format is called {name!r}; this pacscore has {', '.join(_FORMATS)}.", found=name
        ) from None
