"""A stack's array in a generation, read by boxes: what ``imaging.ArraySource`` asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.parallel import lazy_property
from pacscore.settings import Settings
from pacscore.store.formats import StoredWords
from pacscore.store.frame_chunks import read_frames
from pacscore.store.generation_file import GenerationFile
from pacscore.store.layout import ArrayLayout
from pacscore.store.shards import read_box

Selection = Sequence[slice]


@dataclass(frozen=True, slots=True)
class ArrayLocator:
    """Where a stack's array is, in a form that can be pickled and opened in another process, without catalog or lock.

    Attributes
    ----------
    path : str
        Of the generation file.
    prefix : str
        Of the series in a pack, or empty.
    stack : int
        Which stack of the series.
    settings : Settings
        Limits to read under.
    """

    path: str
    prefix: str
    stack: int
    settings: Settings

    def open(self) -> StoredWords:
        """Open the array anew."""
        from pacscore.store.generation import Generation

        return Generation.open(Path(self.path), prefix=self.prefix, settings=self.settings).array_source(self.stack)


def open_array(locator: ArrayLocator) -> StoredWords:
    """Open the array anew; what unpickling calls."""
    return locator.open()


def checked_ranges(selection: Selection, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """First and last + 1 of each axis.

    Raises
    ------
    InputError
        The selection is not one slice of step 1 for each axis.
    """
    if len(selection) != len(shape):
        raise InputError(f"An array of {len(shape)} axes needs as many slices; {len(selection)} were given.")
    ranges = []
    for part, length in zip(selection, shape, strict=True):
        start, stop, step = part.indices(length)
        if step != 1:
            raise InputError("Boxes are read with step 1. Take every n-th of what was read.", found=step)
        ranges.append((start, max(start, stop)))
    return ranges


def check_output(out: NDArray[Any], ranges: Sequence[tuple[int, int]], dtype: np.dtype[Any]) -> None:
    """Refuse an output that a box of words does not fit.

    Raises
    ------
    InputError
    """
    shape = tuple(stop - start for start, stop in ranges)
    if out.shape != shape or out.dtype != dtype or not out.flags.writeable:
        raise InputError(
            f"The output must be writeable, of shape {shape} and dtype {dtype}.", expected=shape, found=out.shape
        )


class StoredArray:
    """Words as stored, native byte order, decoded when read.

    Only the chunks a box meets are decoded, and of a chunk only the blocks, where that is at most half of it. Chunks
    decoded as a whole are checked by their CRC32C. Safe from several threads; keeps its file open.
    """

    def __init__(
        self,
        file: GenerationFile,
        layout: ArrayLayout,
        locator: ArrayLocator,
        read_index: Callable[[ArrayLayout], NDArray[np.int64]],
    ) -> None:
        """``read_index`` gives what ``index`` is, when it is first needed."""
        self._file = file
        self._read_index = read_index
        self.layout = layout
        self.locator = locator

    def __reduce__(self) -> tuple[Any, ...]:
        return open_array, (self.locator,)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(axes…, slices, frame…)``."""
        return self.layout.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the words."""
        return np.dtype(self.layout.dtype)

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """What is decoded at once."""
        return self.layout.chunk_shape

    def read(self, selection: Selection) -> NDArray[Any]:
        """The words of a box, in a new array.

        Parameters
        ----------
        selection
            One slice for each axis, of step 1.

        Raises
        ------
        InputError
            It is no such selection.
        DamagedError, StorageError
            A chunk is damaged, or cannot be read.
        """
        ranges = checked_ranges(selection, self.shape)
        out = np.empty([stop - start for start, stop in ranges], self.dtype)
        self._read(ranges, out)
        return out

    def read_into(self, selection: Selection, out: NDArray[Any]) -> None:
        """Put the words of a box into ``out``, which has its shape and the array's dtype; C order is fastest.

        Raises
        ------
        InputError
            The selection is not one of boxes, or ``out`` does not fit it.
        DamagedError, StorageError
            A chunk is damaged, or cannot be read.
        """
        ranges = checked_ranges(selection, self.shape)
        check_output(out, ranges, self.dtype)
        if out.flags.c_contiguous:
            self._read(ranges, out)
        else:
            out[...] = self.read(selection)

    def read_frames(self, start: int, count: int) -> NDArray[Any]:
        """Consecutive frames by their flat positions over all axes before the rows: ``(count, frame…)``."""
        layout = self.layout
        out = np.empty((count, *layout.shape[layout.slice_axis + 1 :]), layout.dtype)
        done = 0
        while done < count:
            step, first = divmod(start + done, layout.slices)
            part = min(count - done, layout.slices - first)
            leading = np.unravel_index(step, layout.shape[: layout.slice_axis]) if layout.slice_axis else ()
            ranges = [(int(index), int(index) + 1) for index in leading]
            ranges += [(first, first + part)]
            ranges += [(0, length) for length in layout.shape[layout.slice_axis + 1 :]]
            self._read(ranges, out[done : done + part].reshape([stop - begin for begin, stop in ranges]))
            done += part
        return out

    def _read(self, ranges: Sequence[tuple[int, int]], out: NDArray[Any]) -> None:
        """Read a box into a C-ordered array of its shape."""
        if out.size == 0:
            return
        layout = self.layout
        first_frame_axis = layout.slice_axis + 1
        behind = ranges[first_frame_axis + 1 :]
        if len(behind) == 2 and behind[1] != (0, layout.shape[-1]):
            # Only whole samples, or whole rows of a colour plane, are one run of bytes: read those and take a part.
            whole = [*ranges[:-1], (0, layout.shape[-1])]
            wider = np.empty([stop - start for start, stop in whole], self.dtype)
            self._read(whole, wider)
            out[...] = wider[..., behind[1][0] : behind[1][1]]
            return
        unit = layout.item_bytes * (layout.shape[-1] if len(behind) == 2 else 1)
        box = [*ranges[first_frame_axis - 1], *ranges[first_frame_axis], behind[0][0] * unit, behind[0][1] * unit]
        outer = np.zeros(1, np.int64)
        for (start, stop), length in zip(ranges[: layout.slice_axis], layout.shape, strict=False):
            outer = (outer[:, None] * length + np.arange(start, stop)).reshape(-1)
        shape = (len(outer), box[1] - box[0], box[3] - box[2], box[5] - box[4])
        read = read_frames if layout.codec.is_of_frames else read_box
        read(
            self._file.descriptor,
            self.index,
            layout,
            outer=outer,
            box=box,
            out=out.reshape(-1).view(np.uint8).reshape(shape),
            threads=self.locator.settings.threads(),
        )

    @lazy_property
    def index(self) -> NDArray[np.int64]:
        """Offset in the file and length of each chunk of the array, in C order; -1 for a chunk of zeros.

        Raises
        ------
        DamagedError
            What says where the chunks lie is damaged.
        """
        return self._read_index(self.layout)
