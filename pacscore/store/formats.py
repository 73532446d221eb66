"""Formats: ways to lay out a series in a generation, behind one protocol.

``zarr`` is the default, ``hdf5`` the same with its arrays in HDF5 files. ``part10`` keeps each object as a plain file:
the control, against which the others are checked and measured. Reading a generation never depends on which it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import UnsupportedError
from pacscore.store.plugins import plugin, plugin_names

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
        """See ``spliced_writer`` and ``zarr_arrays``."""
        from pacscore.store.spliced_writer import SplicedMembers
        from pacscore.store.zarr_arrays import ZarrArrays

        return SplicedMembers(series, ZarrArrays(series)).write()

    def reader(self, series: SeriesFile) -> FormatReader:
        """See ``spliced_reader`` and ``zarr_arrays``."""
        from pacscore.store.spliced_reader import SplicedReader
        from pacscore.store.zarr_arrays import open_zarr_stack

        return SplicedReader(series, open_zarr_stack)


class Hdf5Format:
    """As ``zarr``, with the arrays in HDF5 files."""

    def write_members(self, series: SeriesWriter) -> list[Span]:
        """See ``spliced_writer`` and ``hdf5_arrays``."""
        from pacscore.store.hdf5_arrays import Hdf5Arrays
        from pacscore.store.spliced_writer import SplicedMembers

        return SplicedMembers(series, Hdf5Arrays(series)).write()

    def reader(self, series: SeriesFile) -> FormatReader:
        """See ``spliced_reader`` and ``hdf5_arrays``."""
        from pacscore.store.hdf5_arrays import open_hdf5_stack
        from pacscore.store.spliced_reader import SplicedReader

        return SplicedReader(series, open_hdf5_stack)


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


_FORMATS: dict[str, Format] = {"zarr": ZarrFormat(), "hdf5": Hdf5Format(), "part10": Part10Format()}


def format_named(name: str) -> Format:
    """The format of that name.

    Raises
    ------
    UnsupportedError
        This pacscore has none of that name.
    """
    found: Format | None = _FORMATS.get(name) or plugin("pacscore.formats", name)
    if found is None:
        names = ", ".join([*_FORMATS, *plugin_names("pacscore.formats")])
        raise UnsupportedError(f"No format is called {name!r}; this pacscore has {names}.", found=name)
    return found
