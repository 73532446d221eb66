"""Sampling a volume wherever it lies: only the chunks that the samples meet are read.

P1  Of a stored volume each chunk that holds a voxel which a sample uses is read, and no other; of it only the box that
    the samples need. A B-spline depends on all voxels, on those more than 14 away by less than 1e-6 of their range: the
    chunks within that distance are read, and what lies beyond counts as 0.
P2  Beside the result, memory holds a box of at most ``_BOX_BYTES``: a plane that spans more is done in parts, and a
    chunk on the seam of two parts is read for both.
P3  Values are equal, bit for bit, whether the volume is stored or an array in memory; of a B-spline within 1e-6 of the
    range of values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import GeometryError, UnsupportedError
from pacscore.imaging import arrays
from pacscore.imaging.arrays import UNWATCHED, Watch
from pacscore.imaging.arrays.sampling import sampled_dtype
from pacscore.imaging.sources import ArrayInMemory
from pacscore.kernels import met_chunks
from pacscore.kernels.line_spans import BLOCK
from pacscore.parallel import run_tiles

if TYPE_CHECKING:
    from pacscore.imaging.volume import Volume

_BOX_BYTES = 256 << 20
_SPLINE_MARGIN = 14
_SPLINE_LINES = 128
"""How many lines of a block of columns are filtered at once: the box around them, with its margin, is small."""
_REACH = {"nearest": 0, "linear": 0, "cubic": 1, "bspline": _SPLINE_MARGIN}
_HU_BACKGROUND = -1024.0


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """What is to be sampled.

    Attributes
    ----------
    places : NDArray of float64
        ``(lines, 3, 3)``, see ``arrays.sample_lines``; indices of the volume.
    columns, depths : int
    combine, interpolation : str
    """

    places: NDArray[np.float64]
    columns: int
    depths: int = 1
    combine: str = "mean"
    interpolation: str = "linear"


def refuse_unsampled(volume: Volume) -> None:
    """Raise unless there are values between a volume's voxels.

    Raises
    ------
    AmbiguousError
        It has extra axes.
    UnsupportedError
        It is in colour.
    GeometryError
        No affine describes it, or it has a single slice.
    """
    volume._refuse_axes()
    if not volume.is_monochrome:
        raise UnsupportedError(
            f"{volume.presentation.photometric} is not resampled: only one sample per pixel is (0028,0004).",
            tag="00280004",
            found=volume.presentation.photometric,
        )
    if np.linalg.matrix_rank(volume.index_to_lps[:3, :3]) < 3:
        raise GeometryError("A single slice has no values beside it: its frame is an Image, which can be magnified.")


def background_value(volume: Volume, background: float | None) -> float:
    """What stands outside the volume, in modality values: -1024 HU, else 0, unless something else is asked for."""
    if background is not None:
        return float(background)
    return _HU_BACKGROUND if volume.rescale.unit == "HU" else 0.0


def keeps_words(volume: Volume) -> bool:
    """A resampled volume can be of stored values too: 16-bit integers that share one rescale."""
    return volume.dtype.name in {"int16", "uint16"} and _is_shared(volume)


def stored_value(volume: Volume, value: float) -> float:
    """A modality value as the volume stores it; shared rescale only."""
    slope = float(volume.rescale.slopes[0])
    return (value - float(volume.rescale.intercepts[0])) / slope if slope else 0.0


def _is_shared(volume: Volume) -> bool:
    rescale = volume.rescale
    return rescale.slopes.size == 1 and not rescale.tables and not rescale.missing and bool(rescale.slopes[0])


def sample_values(volume: Volume, lines: Lines, background: float, *, watch: Watch = UNWATCHED) -> NDArray[np.float32]:
    """Modality values along lines, ``(lines, columns)`` float32; the background is one too."""
    if _is_shared(volume):
        scale = arrays.Scale(float(volume.rescale.slopes[0]), float(volume.rescale.intercepts[0]), background)
    else:
        scale = arrays.Scale(background=background)
    target = np.empty((len(lines.places), lines.columns), np.float32)
    _sample_into(volume, lines, scale, target, watch)
    return target


def sample_words(
    volume: Volume, lines: Lines, background: float, out: NDArray[Any], *, watch: Watch = UNWATCHED
) -> None:
    """Stored values along lines, rounded, into ``out`` of the volume's dtype; the background is a modality value."""
    _sample_into(volume, lines, arrays.Scale(background=stored_value(volume, background)), out, watch)


def _sample_into(volume: Volume, lines: Lines, scale: arrays.Scale, out: NDArray[Any], watch: Watch) -> None:
    options: dict[str, Any] = {
        "depths": lines.depths, "combine": lines.combine, "interpolation": lines.interpolation, "scale": scale,
    }  # fmt: skip
    whole = array_in_memory(volume)
    is_spline = lines.interpolation == "bspline"
    if whole is not None and not is_spline:
        arrays.sample_lines(whole, lines.places, lines.columns, out=out, watch=watch, **options)
        return
    extent = (volume.shape[0], volume.shape[1], volume.shape[2])
    done = 0

    def sample(held: NDArray[Any], low: NDArray[Any], part: tuple[int, int, int, int]) -> None:
        nonlocal done
        width = part[3] - part[2]
        told = watch.part(done, len(lines.places) * lines.columns, each=width)
        corner = (int(low[0]), int(low[1]), int(low[2]))
        arrays.sample_lines(
            held, lines.places, lines.columns, corner=corner, extent=extent, part=part, out=out, watch=told, **options
        )
        done += (part[1] - part[0]) * width

    def fill(part: tuple[int, int, int, int]) -> None:
        watch.check()
        if whole is not None:
            held, low = whole, np.zeros(3, np.int32)
        else:
            met = note_met_boxes(volume.shape, volume.source.chunk_shape, lines, part)
            low, high = _bounds(met)
            if math.prod(high - low) * 4 > _BOX_BYTES and (smaller := _halves(part)):
                for half in smaller:
                    fill(half)
                return
            held = _read_boxes(volume, met, low, high)
        if not is_spline:
            sample(held, low, part)
            return
        for tile in _spline_tiles(part):
            inside = _spline_box(lines, tile, low, held.shape)
            sample(arrays.spline_coefficients(held[inside]), low + [each.start for each in inside], tile)

    fill((0, len(lines.places), 0, lines.columns))


def _spline_tiles(part: tuple[int, int, int, int]) -> list[tuple[int, int, int, int]]:
    """A part in tiles of lines and of blocks of columns."""
    first, last, left, right = part
    return [
        (line, min(last, line + _SPLINE_LINES), column, min(right, column + BLOCK))
        for line in range(first, last, _SPLINE_LINES)
        for column in range(left, right, BLOCK)
    ]


def _spline_box(
    lines: Lines, tile: tuple[int, int, int, int], low: NDArray[Any], shape: tuple[int, ...]
) -> tuple[slice, ...]:
    """What the samples of a tile depend on, in an array of that shape that begins at ``low``; one voxel at least."""
    places, columns = lines.places[tile[0] : tile[1]], np.array([tile[2], tile[3] - 1])
    corners = places[:, 0, None, None] + columns[:, None, None] * places[:, 1, None, None]
    corners = corners + np.array([0, lines.depths - 1])[:, None] * places[:, 2, None, None] - low
    first = np.clip(np.floor(corners.min(axis=(0, 1, 2))) - _SPLINE_MARGIN, 0, np.array(shape) - 1).astype(int)
    last = np.clip(np.ceil(corners.max(axis=(0, 1, 2))) + _SPLINE_MARGIN + 1, first + 1, shape).astype(int)
    return tuple(slice(int(begin), int(end)) for begin, end in zip(first, last, strict=True))


def array_in_memory(volume: Volume) -> NDArray[Any] | None:
    """The volume's own array where it can be sampled as it lies; None where it must be read."""
    source = volume.source
    if not isinstance(source, ArrayInMemory) or volume.stored.masks(volume.dtype) or not _is_shared(volume):
        return None
    array = source.view()
    fits = sampled_dtype(array.dtype) == array.dtype and array.flags.c_contiguous and array.flags.aligned
    return array if fits else None


def note_met_boxes(
    shape: tuple[int, ...], chunk_shape: tuple[int, ...], lines: Lines, part: tuple[int, int, int, int]
) -> NDArray[np.int32]:
    """(boxes, 6): first index and end along each axis, of each chunk that is met."""
    extent, chunk = np.array(shape, np.int64), np.array(chunk_shape, np.int64)
    spans = np.empty((*(-(-extent // chunk)), 6), np.int32)
    spans[..., :3], spans[..., 3:] = np.iinfo(np.int32).max, -1
    places = np.ascontiguousarray(lines.places, np.float64)
    met_chunks.meet_chunks_into(
        extent, chunk, places, lines.depths, _REACH[lines.interpolation], np.array(part, np.int64),
        np.empty((3, 2, 3), np.int64), spans,
    )  # fmt: skip
    found = spans.reshape(-1, 6)
    return found[found[:, 3] > found[:, 0]]


def _bounds(boxes: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The box around boxes; one voxel where there are none, since a kernel needs an array."""
    if not len(boxes):
        return np.zeros(3, np.int32), np.ones(3, np.int32)
    return boxes[:, :3].min(axis=0), boxes[:, 3:].max(axis=0)


def _halves(part: tuple[int, int, int, int]) -> tuple[tuple[int, int, int, int], ...]:
    """The part in two along its longer side, columns between blocks; none where it is small."""
    first, last, left, right = part
    if last - first >= right - left and last - first > 1:
        middle = (first + last) // 2
        return (first, middle, left, right), (middle, last, left, right)
    middle = (left + right) // 2 // BLOCK * BLOCK
    if left < middle < right:
        return (first, last, left, middle), (first, last, middle, right)
    return ()


def _read_boxes(
    volume: Volume, boxes: NDArray[np.int32], low: NDArray[np.int32], high: NDArray[np.int32]
) -> NDArray[Any]:
    """What is met, each box at its place in an array that goes from ``low`` to ``high``; the rest is 0."""
    shared = _is_shared(volume)
    # Pages of zeros that nobody writes to take no memory.
    held = np.zeros(tuple(high - low), sampled_dtype(volume.dtype) if shared else np.dtype(np.float32))

    def read(first: int, last: int) -> None:
        for box in boxes[first:last].tolist():
            selection = tuple(slice(box[axis], box[3 + axis]) for axis in range(3))
            words = volume.read_box(selection)
            if not shared:
                words = volume.rescale.frames(selection[0]).apply(words)
            place = tuple(slice(box[axis] - low[axis], box[3 + axis] - low[axis]) for axis in range(3))
            held[place] = words

    run_tiles(read, len(boxes), tile=2)
    return held


def read_slices(volume: Volume, first: int, last: int) -> NDArray[Any]:
    """Slices as they are sampled: words where the rescale is shared, else modality values."""
    whole = array_in_memory(volume)
    if whole is not None:
        return whole[first:last]
    words = volume.read_box((slice(first, last), slice(0, volume.shape[1]), slice(0, volume.shape[2])))
    return words if _is_shared(volume) else volume.rescale.frames(slice(first, last)).apply(words)
