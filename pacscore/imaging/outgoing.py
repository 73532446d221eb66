"""What leaves a volume for other programs: which numbers, in which order, placed by which affine.

O1  A reader of the export gets the modality values: the numbers themselves, or after the one slope and intercept that
    the format can state. A rescale that differs from frame to frame is applied before.
O2  Nothing is held as a whole: values are read in slabs of whole chunks, side by side in the pool.
O3  A geometry that the format cannot say is refused, never bent (promise 6).
O4  A file appears under its name when it is complete.
"""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import GeometryError, InputError, UnsupportedError
from pacscore.filesystem import PENDING_PREFIX
from pacscore.imaging.selection import select
from pacscore.imaging.sources import Box, everything
from pacscore.parallel import map_ordered

if TYPE_CHECKING:
    from pacscore.imaging.volume import Volume

SLAB_BYTES = 8 << 20
_FLOAT32 = np.dtype(np.float32)
_EXACT_BELOW = 1 << 24
_SHEAR_MAX = 1e-4
"""Cosine between two axes up to which headers' rounding explains it: direction cosines are often given to 6 digits."""


@dataclass(frozen=True, slots=True)
class Slab:
    """Consecutive slices of one step of the extra axes.

    Attributes
    ----------
    outer : tuple of int
        Index along each extra axis.
    start, stop : int
        Slices.
    frame : int
        Number of the first frame, in C order of ``(axes…, slices)``.
    """

    outer: tuple[int, ...]
    start: int
    stop: int
    frame: int


@dataclass(frozen=True, slots=True, eq=False)
class Outgoing:
    """The numbers of a volume as an export holds them.

    Attributes
    ----------
    volume : Volume
    dtype : dtype
        Of the numbers.
    slope, intercept : float
        What a reader applies to get modality values.
    is_stored : bool
        They are the stored values; otherwise modality values, or RGB.
    """

    volume: Volume
    dtype: np.dtype[Any]
    slope: float = 1.0
    intercept: float = 0.0
    is_stored: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """``(axes…, slices, rows, columns[, 3])``."""
        shape = self.volume.shape
        if self.is_colour and self.volume.ndim == len(self.volume.axes) + 3:  # A palette: one sample becomes three.
            return (*shape, 3)
        return (*shape[:-1], 3) if self.is_colour else shape

    @property
    def is_colour(self) -> bool:
        """RGB, three samples a pixel."""
        return not self.volume.is_monochrome

    @property
    def frame_bytes(self) -> int:
        """Of one frame of these numbers."""
        return math.prod(self.shape[len(self.volume.axes) + 1 :]) * self.dtype.itemsize

    def read(self, box: Box) -> NDArray[Any]:
        """The numbers of a box, an array of the caller's own, C order."""
        volume = self.volume
        if self.is_colour:
            return self._colours(box)
        words = volume.read_box(box)
        if self.is_stored:
            return words.view(self.dtype) if words.dtype == np.bool_ else words
        places = frame_places(volume, box)
        values = volume.rescale.frames(places).apply(words.reshape(len(places), *words.shape[len(volume.axes) + 1 :]))
        return values.reshape(words.shape).astype(self.dtype, copy=False)

    def read_slab(self, slab: Slab) -> NDArray[Any]:
        """The frames of a slab, ``(slices, rows, columns[, 3])``."""
        lead = len(self.volume.axes) + 1
        outer = tuple(slice(index, index + 1) for index in slab.outer)
        box = (*outer, slice(slab.start, slab.stop), *everything(self.shape[lead:]))
        return self.read(box).reshape(slab.stop - slab.start, *self.shape[lead:])

    def slabs(self, bytes_max: int = SLAB_BYTES) -> list[Slab]:
        """All of the volume, in slabs of whole chunks of slices, in C order of the frames."""
        volume = self.volume
        lead = len(volume.axes) + 1
        slices = volume.shape[lead - 1]
        chunk = max(1, volume.source.chunk_shape[lead - 1])
        step = chunk * max(1, bytes_max // max(1, chunk * self.frame_bytes))
        return [
            Slab(outer, start, min(slices, start + step), number * slices + start)
            for number, outer in enumerate(np.ndindex(*volume.shape[: lead - 1]))
            for start in range(0, slices, step)
        ]

    def in_slabs(self) -> Iterator[tuple[Slab, NDArray[Any]]]:
        """Each slab with its frames, in order; what follows is decoded in the pool meanwhile."""
        slabs = self.slabs()
        return zip(slabs, map_ordered(self.read_slab, slabs), strict=True)

    def write_behind(self, header: bytes, path: Path) -> None:
        """Make a file of a header and all numbers, C order, native byte order.

        One thread writes: two that write to one file wait for each other (measured: twice the time). The file's room is
        asked for at once, so that a full disk says so before anything is decoded.
        """
        with path.open("xb", buffering=0) as file:
            if hasattr(os, "posix_fallocate"):  # Not on macOS.
                os.posix_fallocate(file.fileno(), 0, len(header) + self.volume.frame_count * self.frame_bytes)
            write_all(file.fileno(), header, 0)
            for slab, words in self.in_slabs():
                write_all(file.fileno(), words, len(header) + slab.frame * self.frame_bytes)

    def _colours(self, box: Box) -> NDArray[Any]:
        """RGB of a box: its frames are read whole, since colours may be shared between pixels."""
        volume, lead = self.volume, len(self.volume.axes) + 1
        stored = volume.read_box((*box[:lead], *everything(volume.shape[lead:])))
        frames = stored.reshape(-1, *volume.shape[lead:])
        if volume.to_rgb is not None:
            frames = np.stack([volume.to_rgb(frame) for frame in frames])
        if frames.dtype != np.uint8 or frames.shape[-1] != 3:
            raise UnsupportedError(f"RGB of 8 bits goes out, not {frames.dtype}: take frames as pictures instead.")
        return np.ascontiguousarray(
            frames.reshape(*stored.shape[:lead], *frames.shape[1:])[(slice(None),) * lead + box[lead:]]
        )


class LazyNumbers:
    """An array to look at that reads what is indexed: what lazy libraries are handed in place of an array."""

    def __init__(self, outgoing: Outgoing) -> None:
        self.outgoing = outgoing
        self.shape = outgoing.shape
        self.dtype = outgoing.dtype
        self.ndim = len(self.shape)

    def __getitem__(self, key: object) -> Any:
        """The numbers of a NumPy-style selection: integers, slices with any step, an ellipsis."""
        chosen = select(key, self.shape)
        if 0 in chosen.shape:
            return np.empty(chosen.shape, self.dtype)
        found = self.outgoing.read(chosen.box)[chosen.inside]
        return np.ascontiguousarray(found) if isinstance(found, np.ndarray) else found


def stored_numbers(volume: Volume) -> Outgoing:
    """For formats that state one slope and intercept: stored values, or float32 where that does not say it all.

    Raises
    ------
    UnsupportedError
        The header names a transformation that cannot be done, or the dtype is none that other programs read.
    """
    plain = _without_rescale(volume)
    if plain is not None:
        return plain
    rescale = volume.rescale
    if rescale.tables or rescale.slopes.size > 1 or rescale.slopes[0] == 0:
        return Outgoing(volume, _FLOAT32)
    return Outgoing(volume, _plain_dtype(volume), float(rescale.slopes[0]), float(rescale.intercepts[0]), True)


def modality_numbers(volume: Volume) -> Outgoing:
    """For formats without a rescale: modality values, as integers where they are integers of 16 bits, else float32.

    Raises
    ------
    UnsupportedError
        As ``stored_numbers``.
    """
    plain = _without_rescale(volume)
    if plain is not None:
        return plain
    rescale, stored = volume.rescale, volume.stored
    if rescale.is_identity:
        return Outgoing(volume, _plain_dtype(volume), is_stored=True)
    steps = np.concatenate([rescale.slopes, rescale.intercepts])
    if volume.dtype.kind in "iu" and not rescale.tables and bool((steps == np.rint(steps)).all()):
        low = -(1 << (stored.bits_stored - 1)) if stored.signed else 0
        ends = np.array([low, low + (1 << stored.bits_stored) - 1], np.float64)
        reached = ends[:, None] * rescale.slopes + rescale.intercepts
        for dtype in (np.dtype(np.int16), np.dtype(np.uint16)):
            limits = np.iinfo(dtype)
            if limits.min <= reached.min() and reached.max() <= limits.max and np.abs(ends).max() < _EXACT_BELOW:
                return Outgoing(volume, dtype)
    return Outgoing(volume, _FLOAT32)


def _without_rescale(volume: Volume) -> Outgoing | None:
    """What has no rescale to speak of: colours."""
    if volume.rescale.missing:
        raise UnsupportedError(volume.rescale.missing)
    if volume.is_monochrome:
        return None
    if volume.to_rgb is None and volume.presentation.photometric != "RGB":
        raise UnsupportedError(
            f"{volume.presentation.photometric} needs a conversion to RGB that this volume was not given: (0028,0004).",
            tag="00280004",
        )
    return Outgoing(volume, np.dtype(np.uint8))


def _plain_dtype(volume: Volume) -> np.dtype[Any]:
    if volume.dtype == np.bool_:
        return np.dtype(np.uint8)
    if volume.dtype.kind not in "iuf" or volume.dtype.itemsize not in {1, 2, 4, 8}:
        raise UnsupportedError(f"{volume.dtype} is no dtype that other programs read: convert it with with_array().")
    return volume.dtype


def frame_places(volume: Volume, box: Box) -> NDArray[np.int64]:
    """The numbers of the frames that a box meets, in C order of ``(axes…, slices)``."""
    lead = len(volume.axes) + 1
    numbers: NDArray[np.int64] = np.arange(volume.frame_count, dtype=np.int64).reshape(volume.shape[:lead])
    return numbers[box[:lead]].reshape(-1)


def placing_affine(volume: Volume, *, what: str, thickness_mm: float | None) -> NDArray[np.float64]:
    """The affine for a format that knows nothing else: ``(slice, row, column, 1)`` to LPS millimetres, never singular.

    Parameters
    ----------
    what : str
        The format, for messages.
    thickness_mm : float, optional
        How thick a single slice is, which no position says.

    Raises
    ------
    GeometryError
        The stack has no affine, or is a single slice and no thickness was given.
    InputError
        A thickness was given to more than one slice, or is not positive.
    """
    if not volume.has_affine:
        raise GeometryError(
            f"{what} states one affine, and none maps this stack's slices to space: its verdict is "
            f"{volume.geometry.verdict}. Export it as HDF5, which keeps each slice's position, or make a volume of the "
            "slices that are regular.",
            verdict=str(volume.geometry.verdict),
        )
    affine = volume.index_to_lps
    is_single = not affine[:3, 0].any()
    if not is_single:
        if thickness_mm is not None:
            raise InputError("thickness_mm is for a single slice: this stack states the distance of its slices.")
        return affine
    if thickness_mm is None:
        raise GeometryError(
            f"{what} needs a distance between slices, and this stack is a single one: give thickness_mm, for example "
            "its Slice Thickness (0018,0050)."
        )
    if not thickness_mm > 0:
        raise InputError(f"thickness_mm must be positive, not {thickness_mm}.")
    normal = np.cross(affine[:3, 2], affine[:3, 1])
    affine[:3, 0] = normal / np.linalg.norm(normal) * thickness_mm
    return affine


def is_sheared(affine: NDArray[np.float64]) -> bool:
    """Whether the axes of an affine are not at right angles, beyond the rounding of headers."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() > _SHEAR_MAX)


def library(name: str, *, extra: str) -> Any:
    """An optional library.

    Raises
    ------
    UnsupportedError
        It is not installed; the message names the extra that brings it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UnsupportedError(
            f"This needs {name.partition('.')[0]}, which is not installed: pip install 'pacscore[{extra}]'.", found=name
        ) from error


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write a file or folder to; it takes the name when all went well, and goes otherwise.

    The name of a file is taken over from an older one. It ends as ``path`` does, so that libraries see the format.

    Raises
    ------
    InputError
        The folder does not exist.
    """
    if not path.parent.is_dir():
        raise InputError("The folder to write to does not exist: make it first.", path=str(path))
    pending = path.with_name(f"{PENDING_PREFIX}{os.urandom(8).hex()}{''.join(path.suffixes[-2:])}")
    try:
        yield pending
        os.replace(pending, path)
    except BaseException:  # Ctrl-C, too.
        with suppress(OSError):
            remove(pending)
        raise


def remove(path: Path) -> None:
    """Remove a file, or a folder with all in it; nothing happens where there is none."""
    if path.is_dir() and not path.is_symlink():
        rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_all(descriptor: int, data: NDArray[Any] | bytes, offset: int) -> None:
    """Write all of ``data`` at ``offset``: the system may take less than it is given."""
    rest = np.ascontiguousarray(data).reshape(-1).view(np.uint8) if isinstance(data, np.ndarray) else data
    while len(rest):
        written = os.pwrite(descriptor, memoryview(rest), offset)  # type: ignore[arg-type]  # Arrays are buffers.
        rest, offset = rest[written:], offset + written
