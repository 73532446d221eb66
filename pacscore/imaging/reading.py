"""Reading a volume in parts: selections with steps, words turned into stored values, modality values slab by slab."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pacscore.imaging import arrays
from pacscore.imaging.selection import Selection
from pacscore.imaging.sources import Box, everything
from pacscore.imaging.values import StoredFormat
from pacscore.parallel import run_tiles

if TYPE_CHECKING:
    from pacscore.imaging.volume import Volume

_SLAB_BYTES = 16 << 20
_TILE_WORDS = 1 << 20


def read_selection(volume: Volume, selection: Selection) -> Any:
    """Stored values of a selection: an array, or a scalar when every axis got an integer.

    One box is read; only where the first axis is stepped over by a chunk or more, a box for each index visited.
    """
    if 0 in selection.shape:
        return np.empty(selection.shape, volume.dtype)
    leading = selection.inside[0]
    if isinstance(leading, slice) and abs(leading.step or 1) >= max(2, volume.source.chunk_shape[0]):
        span = selection.box[0]
        result = np.empty(selection.shape, volume.dtype)
        for place, index in enumerate(range(span.start, span.stop)[leading]):
            words = volume.read_box((slice(index, index + 1), *selection.box[1:]))
            result[place] = words[(0, *selection.inside[1:])]
        return result
    found = volume.read_box(selection.box)[selection.inside]
    return np.ascontiguousarray(found) if isinstance(found, np.ndarray) else found


def read_modality_into(volume: Volume, out: NDArray[np.float32]) -> None:
    """Put the modality values of a whole volume into ``out``, C order and its shape.

    Slabs of whole chunks of slices, about 16 MiB each, side by side: beside the result this needs one per thread.
    """
    lead = len(volume.axes) + 1
    frame_shape = volume.shape[lead:]
    slices = volume.shape[lead - 1]
    chunk = max(1, volume.source.chunk_shape[lead - 1])
    chunk_bytes = chunk * max(1, math.prod(frame_shape) * volume.dtype.itemsize)
    slab = chunk * max(1, _SLAB_BYTES // chunk_bytes)
    slabs = [(outer, start) for outer in np.ndindex(*volume.shape[: lead - 1]) for start in range(0, slices, slab)]

    def fill(first: int, last: int) -> None:
        for outer, start in slabs[first:last]:
            stop = min(slices, start + slab)
            box = (*(slice(index, index + 1) for index in outer), slice(start, stop), *everything(frame_shape))
            stored = volume.read_box(box).reshape(stop - start, *frame_shape)
            frame = int(np.ravel_multi_index((*outer, start), volume.shape[:lead]))
            volume.rescale.frames(slice(frame, frame + stop - start)).apply(stored, out[outer][start:stop])

    run_tiles(fill, len(slabs))


def mask_all(volume: Volume, words: NDArray[Any]) -> None:
    """Turn all words of a volume into stored values, in place, frames side by side."""
    if not volume.stored.masks(volume.dtype):
        return
    frames = words.reshape(volume.frame_count, -1)
    tile = max(1, _TILE_WORDS // max(1, frames.shape[1]))
    run_tiles(
        lambda start, stop: _mask_frames(volume.stored, frames[start:stop], range(start, stop)), len(frames), tile=tile
    )


def mask_box(volume: Volume, words: NDArray[Any], box: Box) -> None:
    """Turn the words of a box into stored values, in place."""
    mask_part(volume.stored, volume.shape[: len(volume.axes) + 1], words, box)


def mask_part(stored: StoredFormat, grid: Sequence[int], words: NDArray[Any], box: Box) -> None:
    """Turn the words of a box of frames that lie on a ``grid`` of ``(axes…, slices)`` into stored values, in place."""
    if not stored.masks(words.dtype):
        return
    places = np.arange(math.prod(grid)).reshape(grid)[box[: len(grid)]].reshape(-1)
    _mask_frames(stored, words.reshape(len(places), -1), places.tolist())


def _mask_frames(stored: StoredFormat, frames: NDArray[Any], places: Sequence[int]) -> None:
    """Turn the words of some frames, ``(frames, words)``, into stored values, each frame by its own format."""
    if not stored.of_frames:
        _mask_words(stored, frames)
        return
    for words, place in zip(frames, places, strict=True):
        _mask_words(stored.of_frames[place], words)


def _mask_words(stored: StoredFormat, words: NDArray[Any]) -> None:
    if stored.masks(words.dtype):
        arrays.mask_stored(
            words, bits_stored=stored.bits_stored, high_bit=stored.high_bit, signed=stored.signed, out=words
        )
