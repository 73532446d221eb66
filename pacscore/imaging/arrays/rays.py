"""Parallel rays through plain arrays: their grid, a volume made ready for them, and projections along them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError, LimitError
from pacscore.imaging.arrays.checks import native
from pacscore.imaging.arrays.projection import check_kind
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.kernels import blocks, rays
from pacscore.parallel import run_tiles

_TILE = (32, 64)
_VOXELS_MAX = (1 << 31) - 1
_PIXELS_MAX = 1 << 28
_SCAN_SLACK = 0.02


@dataclass(frozen=True, slots=True)
class RayGrid:
    """Parallel rays of a picture.

    Sample ``k`` of pixel ``(i, j)`` lies at ``origin + i * row_step + j * column_step + k * sample_step``.

    Attributes
    ----------
    origin, row_step, column_step, sample_step : tuple of float
        Voxel indices (slice, row, column).
    shape : tuple of int
        ``(rows, columns)`` of the picture.
    samples : int
        Along each ray, at least 1.

    Raises
    ------
    InputError
        A number is not finite, the sample step is zero, or there are no pixels or samples.
    LimitError
        More than 2**28 pixels or 2**24 samples.
    """

    origin: tuple[float, float, float]
    row_step: tuple[float, float, float]
    column_step: tuple[float, float, float]
    sample_step: tuple[float, float, float]
    shape: tuple[int, int]
    samples: int

    def __post_init__(self) -> None:
        steps = (self.origin, self.row_step, self.column_step, self.sample_step)
        if any(len(step) != 3 for step in steps) or not all(math.isfinite(number) for step in steps for number in step):
            raise InputError("The origin and steps of rays are three finite voxel indices each.")
        if not any(self.sample_step) or min(self.shape) < 1 or self.samples < 1:
            raise InputError("Rays need a step, and at least one pixel and one sample.", found=self.shape)
        if math.prod(self.shape) > _PIXELS_MAX or self.samples > 1 << 24:
            raise LimitError(f"A picture of {self.shape} with {self.samples} samples a ray is beyond all use.")

    def matrix(self) -> NDArray[np.float64]:
        """(4, 3), as kernels take it."""
        return np.array([self.origin, self.row_step, self.column_step, self.sample_step], np.float64)

    def tiles(self) -> list[tuple[int, int, int, int]]:
        """The picture in parts; the same ones whatever the threads. Small ones keep a ray's neighbourhood in cache."""
        rows, columns = self.shape
        return [
            (row, min(row + _TILE[0], rows), column, min(column + _TILE[1], columns))
            for row in range(0, rows, _TILE[0])
            for column in range(0, columns, _TILE[1])
        ]

    def reach(self) -> tuple[int, int, int]:
        """How many cells beyond its own a group of eight samples can touch along each axis."""
        spans = (4.0 + 7.0 * abs(step) + 2 * _SCAN_SLACK for step in self.sample_step)
        z, y, x = (int(min(span, 1e9) // 4.0) for span in spans)
        return z, y, x


@dataclass(frozen=True, slots=True, eq=False)
class RayVolume:
    """A volume made ready for rays: its words as the kernels take them, and the limits of its cells.

    Making it reads the volume once; every picture after that reads what its rays meet.

    Attributes
    ----------
    words : NDArray
        ``(slices, rows, columns)`` int16 or float32, C order.
    slope, intercept : float
        ``words * slope + intercept`` are the values.
    low, high : NDArray
        ``(layers, lines, columns)`` of cells of 4 × 4 × 4 voxels: smallest and largest word.
    """

    words: NDArray[Any]
    slope: float
    intercept: float
    low: NDArray[Any]
    high: NDArray[Any]

    @classmethod
    def of(cls, values: NDArray[Any], *, slope: float = 1.0, intercept: float = 0.0, limits: bool = True) -> RayVolume:
        """Make an array ready.

        Parameters
        ----------
        values : NDArray
            ``(slices, rows, columns)``, at least 2 each. Integers of at most 16 bits are kept exactly; all else becomes
            float32. Values that are not finite count as the lowest finite one. The array may be kept, not copied.
        slope, intercept : float
            From ``values`` to what results are in.
        limits : bool
            Look at all voxels to pass over what cannot matter; off for a single picture of a thin slab.

        Raises
        ------
        InputError
            Another shape or dtype; the slope is zero or not finite.
        LimitError
            2**31 voxels or more.
        """
        if values.ndim != 3 or min(values.shape) < 2 or values.dtype.kind not in "biuf":
            raise InputError(
                f"Rays need (slices, rows, columns) of real numbers, two or more along each axis: these are "
                f"{values.dtype} of shape {values.shape}. Project along an axis instead.",
                found=values.shape,
            )
        if values.size > _VOXELS_MAX:
            raise LimitError(f"{values.size} voxels are more than 2**31 - 1: take a part, or fewer of them.")
        if slope == 0 or not (math.isfinite(slope) and math.isfinite(intercept)):
            raise InputError("The slope of a volume for rays is finite and not zero.", found=slope)
        words, shift = _ray_words(values)
        low, high = _limits(words) if limits else _no_limits(words)
        return cls(words, slope, intercept + slope * shift, low, high)

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(slices, rows, columns)``."""
        slices, rows, columns = self.words.shape
        return slices, rows, columns


def _ray_words(values: NDArray[Any]) -> tuple[NDArray[Any], float]:
    """The words, and what must be added to them."""
    kind, size = values.dtype.kind, values.dtype.itemsize
    if kind == "b" or (kind in "iu" and size == 1):
        return np.ascontiguousarray(values, np.int16), 0.0
    if kind == "i" and size == 2:
        return native(values), 0.0
    if kind == "u" and size == 2:
        # The sign bit turned over lowers unsigned words by 32768, so that all of them fit.
        return (native(values) ^ np.uint16(0x8000)).view(np.int16), 32768.0
    words = np.ascontiguousarray(values, np.float32)
    finite = np.isfinite(words)
    if not finite.all():
        lowest = words[finite].min() if finite.any() else np.float32(0)
        words = np.where(finite, words, lowest)
    return words, 0.0


def _limits(words: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    shape = _cells_of(words)
    low, high = np.empty(shape, words.dtype), np.empty(shape, words.dtype)

    def measure(start: int, stop: int) -> None:
        scratch = np.empty((2, words.shape[2]), words.dtype)
        blocks.cell_limits_into(words, start, stop, scratch, low, high)

    run_tiles(measure, shape[0], tile=4)
    if words.dtype.kind == "f":
        # Interpolating floats rounds, by less than this: the limits must hold for what comes out.
        slack = np.maximum(np.abs(low), np.abs(high)) * np.float32(16 * np.finfo(np.float32).eps)
        low, high = low - slack, high + slack
    return low, high


def _no_limits(words: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    shape = _cells_of(words)
    info: Any = np.finfo(words.dtype) if words.dtype.kind == "f" else np.iinfo(words.dtype)
    return np.full(shape, info.min, words.dtype), np.full(shape, info.max, words.dtype)


def _cells_of(words: NDArray[Any]) -> tuple[int, int, int]:
    layers, lines, columns = ((length + 2) // 4 for length in words.shape)
    return layers, lines, columns


def spread_cells(cells: NDArray[Any], reach: tuple[int, int, int], *, largest: bool = True) -> NDArray[Any]:
    """Give each cell the largest (smallest) of itself and of those up to ``reach`` beyond it along each axis."""
    kernel: Callable[..., None] = blocks.spread_maximum_into if largest else blocks.spread_minimum_into
    out = np.empty_like(cells)

    def spread(start: int, stop: int) -> None:
        kernel(cells, reach, start, stop, np.empty((1, cells.shape[2]), cells.dtype), out)

    run_tiles(spread, len(cells), tile=4)
    return out


def project_rays(
    volume: RayVolume, grid: RayGrid, *, kind: str = "max", seeded: bool = True, watch: Watch = UNWATCHED
) -> NDArray[np.float32]:
    """Project a volume along parallel rays.

    Parameters
    ----------
    volume : RayVolume
        Made ready once for any number of pictures.
    grid : RayGrid
        The rays; their samples inside the volume, which reaches from the first to the last voxel's centre, count.
    kind : str
        ``max``, ``min``, ``mean`` or ``sum`` of the samples, which are trilinear.
    seeded : bool
        Let each ray begin where its neighbour found the extreme; off only to compare: the result is the same.
    watch : Watch
        Progress and cancelling, between parts of the picture.

    Returns
    -------
    NDArray of float32
        ``grid.shape``; NaN where a ray has no sample inside. The same for any number of threads.

    Raises
    ------
    InputError
        There is no such kind.

    Notes
    -----
    The extremes of rays cost far less than all their samples: see ``kernels/rays.py``. Sum and mean take every sample.

    Examples
    --------
    >>> ramp = RayVolume.of(np.arange(64, dtype=np.int16).reshape(4, 4, 4))
    >>> grid = RayGrid((0, 0.5, 1.25), (0, 1, 0), (0, 0, 1), (0.5, 0, 0), shape=(1, 2), samples=7)
    >>> project_rays(ramp, grid)
    array([[51.25, 52.25]], dtype=float32)
    """
    check_kind(kind)
    out = np.empty(grid.shape, np.float32)
    flat, matrix, tiles = volume.words.reshape(-1), grid.matrix(), grid.tiles()
    if kind in ("mean", "sum"):
        counts = np.empty(grid.shape, np.int32)

        def add(start: int, stop: int) -> None:
            for tile in tiles[start:stop]:
                rays.sum_rays_into(flat, volume.shape, matrix, grid.samples, tile, counts, out)

        watch.run("projecting", add, len(tiles))
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = out.astype(np.float64) / counts * volume.slope + volume.intercept
        return (mean if kind == "mean" else mean * counts).astype(np.float32)
    largest = (kind == "max") == (volume.slope > 0)
    limits = volume.high if largest else volume.low
    spread = spread_cells(limits, grid.reach(), largest=largest)
    sign = 1.0 if largest else -1.0

    def extreme(start: int, stop: int) -> None:
        for tile in tiles[start:stop]:
            rays.extreme_rays_into(flat, volume.shape, limits, spread, matrix, grid.samples, sign, seeded, tile, out)

    watch.run("projecting", extreme, len(tiles))
    if (volume.slope, volume.intercept) == (1.0, 0.0):
        return out
    return (out.astype(np.float64) * volume.slope + volume.intercept).astype(np.float32)
