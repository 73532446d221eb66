"""Connected components of masks, their measures, and regions that grow from seeds, on plain arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError, LimitError
from pacscore.imaging.arrays.checks import kernel_input, output_array, read_only
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.kernels import components as kernels
from pacscore.kernels import runs
from pacscore.kernels import statistics as statistics_kernels

CONNECTIVITIES = (6, 18, 26)
"""Neighbours of a voxel: those that share a face; or an edge, too; or a corner, too."""

_SLABS = 8  # The labels are the same for any number.
_RUNS_MAX = (1 << 31) - 1
_COLUMNS_MAX = 1 << 20
_ROW_TILE = 2048
_LAYER_TILE = 8


@dataclass(frozen=True, slots=True, eq=False)
class LabelStatistics:
    """Measures of each label, label 1 first.

    Attributes
    ----------
    voxels : NDArray of int64
        ``(labels,)`` how many there are.
    centroids : NDArray of float64
        ``(labels, 3)`` mean (slice, row, column).
    boxes : NDArray of int64
        ``(labels, 3, 2)`` first index and one behind the last, of slice, row, column.
    means, deviations, minima, maxima : NDArray of float64, optional
        ``(labels,)`` of the values inside, the deviation that of the population; None where no values were given.
    """

    voxels: NDArray[np.int64]
    centroids: NDArray[np.float64]
    boxes: NDArray[np.int64]
    means: NDArray[np.float64] | None = None
    deviations: NDArray[np.float64] | None = None
    minima: NDArray[np.float64] | None = None
    maxima: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.voxels)


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """A mask as rows of bits, and the runs of its blocks of rows, as the kernels take them."""

    shape: tuple[int, int, int]
    size: int
    bits: NDArray[np.uint64]
    merged: NDArray[np.uint64]
    firsts: NDArray[np.int64]
    edges: NDArray[np.int32]

    @property
    def run_count(self) -> int:
        return int(self.firsts[-1])

    @property
    def layer_count(self) -> int:
        return -(-self.shape[0] // self.size)


def label_components(
    mask: NDArray[Any],
    *,
    connectivity: int = 26,
    dtype: type[np.uint16 | np.uint32] | None = None,
    out: NDArray[Any] | None = None,
    threads: int | None = None,
    watch: Watch = UNWATCHED,
) -> tuple[NDArray[Any], int]:
    """Number the connected components of a mask.

    Parameters
    ----------
    mask : NDArray
        ``(slices, rows, columns)`` or ``(rows, columns)`` bool or uint8; any value but 0 is inside.
    connectivity : int
        6, 18 or 26; in two dimensions 6 means four neighbours, 18 and 26 eight.
    dtype : type, optional
        numpy.uint16 or numpy.uint32; by default that of ``out``, or the narrower that numbers all components: labels
        are counted before the first is written, and most of the time of few components is memory to fill.
    out : NDArray, optional
        Shape of ``mask``, dtype as asked for, C order.
    threads : int, optional
        At most so many; by default those of ``Settings``.
    watch : Watch
        Progress and cancelling.

    Returns
    -------
    labels : NDArray
        Shape of ``mask``; 0 outside, 1 for the component whose first voxel comes first in C order, and so on.
    count : int
        How many components there are.

    Raises
    ------
    InputError
        Another dtype, number of axes or connectivity, or ``out`` does not fit.
    LimitError
        The mask has more than 2**31 runs along rows, rows of more than 2**20 columns, or more components than the
        dtype can number.

    Notes
    -----
    The labels do not depend on the number of threads. Beside the result, a bit per voxel and 16 bytes per run are
    needed.

    Examples
    --------
    >>> label_components(np.array([[1, 0, 1], [0, 1, 0]], np.uint8), connectivity=6)[1]
    3
    """
    if connectivity not in CONNECTIVITIES:
        raise InputError(f"Connectivity is 6, 18 or 26, not {connectivity}.", found=connectivity)
    asked = out.dtype if dtype is None and out is not None else dtype
    if asked not in (None, np.uint16, np.uint32):
        raise InputError(f"Labels are uint16 or uint32, not {asked}.", found=str(asked))
    if out is not None:
        output_array(out, mask.shape, np.dtype(asked))[...] = 0
    watch = watch.limited(threads)
    rows = _rows_of(mask, 2 if connectivity == 26 else 1, watch)
    roots, labels = _number(rows, connectivity, watch)
    wanted = np.dtype(asked or (np.uint16 if len(labels) < 1 << 16 else np.uint32))
    if len(labels) >= 1 << (8 * wanted.itemsize):
        raise LimitError(f"The mask has {len(labels)} components, more than {wanted} can number. Ask for uint32.")
    target = np.zeros(mask.shape, wanted) if out is None else out
    if not len(labels):
        return target, 0
    lines, names = target.reshape(-1, rows.shape[2]), labels.astype(wanted)

    def fill(start: int, stop: int) -> None:
        kernels.fill_rows_into(
            rows.bits, rows.shape[1], rows.size, rows.firsts, rows.edges, names, roots, lines, start, stop
        )

    watch.run("filling components", fill, len(lines), tile=_ROW_TILE)
    return target, len(labels)


def measure_labels(
    labels: NDArray[Any], values: NDArray[Any] | Iterable[NDArray[Any]] | None = None
) -> LabelStatistics:
    """Measure each label of a labelled array.

    Parameters
    ----------
    labels : NDArray
        ``(slices, rows, columns)`` integers; 0 is outside, the largest says how many there are.
    values : NDArray or an iterable of them, optional
        Of the same shape, or its parts along the slices in their order; their statistics inside each label are added.
        NaN and infinities are left out.

    Raises
    ------
    InputError
        Labels are negative, no integers or not of three axes, or values have another shape.

    Examples
    --------
    >>> measure_labels(np.array([[[0, 1, 1]]])).centroids
    array([[0. , 0. , 1.5]])
    """
    if labels.ndim != 3 or labels.dtype.kind not in "iub" or (labels.dtype.kind == "i" and (labels < 0).any()):
        raise InputError(
            f"Labels are (slices, rows, columns) integers from 0: these are {labels.dtype} {labels.shape}."
        )
    ready = read_only(np.ascontiguousarray(labels, np.uint16 if labels.dtype == np.uint16 else np.uint32))
    count = int(ready.max()) if ready.size else 0
    voxels, sums, boxes = np.zeros(count, np.int64), np.zeros((count, 3), np.int64), np.empty((count, 6), np.int64)
    boxes[:, ::2], boxes[:, 1::2] = np.iinfo(np.int64).max, -1
    if count:
        statistics_kernels.measure_labels_into(ready.reshape(-1, ready.shape[2]), ready.shape[1], voxels, sums, boxes)
    boxes[voxels == 0, ::2] = 0
    centroids = np.full((count, 3), np.nan)
    np.divide(sums, 2.0 * voxels[:, None], out=centroids, where=voxels[:, None] > 0)
    found = LabelStatistics(voxels, centroids, np.stack([boxes[:, ::2], boxes[:, 1::2] + 1], axis=-1))
    if values is None:
        return found
    return _with_values(found, ready, [values] if isinstance(values, np.ndarray) else values)


def grow_region(
    values: NDArray[Any],
    seeds: Sequence[Sequence[int]],
    *,
    low: float,
    high: float,
    connectivity: int = 6,
    threads: int | None = None,
) -> NDArray[np.bool_]:
    """The voxels between two values that are connected with a seed.

    Parameters
    ----------
    values : NDArray
        ``(slices, rows, columns)`` numbers.
    seeds : sequence of index triples
        Where growing begins; a seed whose own value lies outside is no error and adds nothing.
    low, high : float
        Both belong to the region.
    connectivity : int
        6, 18 or 26.

    Returns
    -------
    NDArray of bool
        Shape of ``values``.

    Raises
    ------
    InputError
        There is no seed, one lies outside the array, or the bounds are the wrong way round.
    """
    if not low <= high:
        raise InputError(f"A region grows between two values, the lower first: {low} and {high} are not.")
    inside = (values >= low) & (values <= high)
    return connected_region(inside, seeds, connectivity=connectivity, threads=threads)


def connected_region(
    mask: NDArray[Any],
    seeds: Sequence[Sequence[int]],
    *,
    connectivity: int = 6,
    threads: int | None = None,
    watch: Watch = UNWATCHED,
) -> NDArray[np.bool_]:
    """The part of a mask that is connected with a seed.

    Parameters
    ----------
    mask : NDArray
        ``(slices, rows, columns)`` bool or uint8; any value but 0 is inside.
    seeds, connectivity, threads
        As in ``grow_region``; a seed outside the mask adds nothing.
    watch : Watch
        Progress and cancelling.

    Raises
    ------
    InputError
        There is no seed, or one lies outside the array.
    """
    places = np.asarray(seeds, np.int64)
    if mask.ndim != 3 or places.ndim != 2 or places.shape[1] != 3 or not len(places):
        raise InputError("Give seeds as (slice, row, column) of an array of three axes.", found=places.shape)
    if (places < 0).any() or (places >= mask.shape).any():
        raise InputError(f"A seed lies outside the array of shape {mask.shape}.", found=places.tolist())
    labels, _ = label_components(mask, connectivity=connectivity, threads=threads, watch=watch)
    wanted = np.unique(labels[tuple(places.T)])
    if wanted.size and wanted[0] == 0:
        wanted = wanted[1:]
    return np.asarray(labels == wanted[0] if wanted.size == 1 else np.isin(labels, wanted))


def _rows_of(mask: NDArray[Any], size: int, watch: Watch) -> _Rows:
    """The bits of a mask's rows and the runs of its blocks."""
    if mask.ndim not in {2, 3} or mask.dtype not in (np.bool_, np.uint8):
        raise InputError(
            f"Components are of (slices, rows, columns) or (rows, columns) bool or uint8: the mask is {mask.dtype} of "
            f"{mask.ndim} axes.",
            found=mask.shape,
        )
    slices, rows, columns = shape = (1, *mask.shape) if mask.ndim == 2 else mask.shape
    if not mask.size:
        return _Rows(
            shape,
            size,
            np.zeros((0, 0), np.uint64),
            np.zeros((0, 0), np.uint64),
            np.zeros(1, np.int64),
            np.zeros(0, np.int32),
        )
    if columns > _COLUMNS_MAX:
        raise LimitError(f"Rows have {columns} columns, more than {_COLUMNS_MAX}. Turn the mask round.")
    lines = kernel_input(mask).reshape(-1, columns).view(np.uint8)
    bits = np.empty((len(lines), -(-columns // 64)), np.uint64)
    watch.run(
        "packing rows",
        lambda start, stop: runs.pack_rows_into(lines[start:stop], bits[start:stop]),
        len(lines), tile=_ROW_TILE,
    )  # fmt: skip
    layers, across = -(-slices // size), -(-rows // size)
    merged, counts = np.empty((layers * across, bits.shape[1]), np.uint64), np.empty(layers * across, np.int64)
    watch.run(
        "merging rows",
        lambda start, stop: runs.merge_blocks_into(bits, slices, rows, size, merged, counts, start, stop),
        layers, tile=_LAYER_TILE,
    )  # fmt: skip
    firsts = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=firsts[1:])
    if firsts[-1] > _RUNS_MAX:
        raise LimitError(f"The mask has {firsts[-1]} runs, more than {_RUNS_MAX}. Label it in parts.")
    edges = np.empty(2 * int(firsts[-1]), np.int32)
    watch.run(
        "finding runs",
        lambda start, stop: runs.find_runs_into(merged[start:stop], columns, firsts[start : stop + 1], edges),
        len(counts), tile=_ROW_TILE,
    )  # fmt: skip
    return _Rows(shape, size, bits, merged, firsts, edges)


def _number(rows: _Rows, connectivity: int, watch: Watch) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The root of each run, roots numbered from 0, and the label of each root."""
    slices, height, _ = rows.shape
    parents = np.arange(rows.run_count, dtype=np.int32)
    places = np.arange(rows.run_count)  # Blocks of one row begin in the order of their first voxels.
    if not rows.run_count:
        return parents, places
    slab = max(2, -(-rows.layer_count // _SLABS))

    def link(start: int, stop: int, within: bool = True) -> None:
        kernels.link_blocks_into(
            rows.bits, rows.merged, slices, height, connectivity, rows.firsts, parents, start, stop, within
        )
        if within and rows.size > 1:
            kernels.find_first_voxels_into(rows.bits, slices, height, rows.firsts, rows.edges, places, start, stop)

    watch.run("linking runs", link, rows.layer_count, tile=slab)
    for seam in range(slab, rows.layer_count, slab):
        link(seam, seam + 1, within=False)
    roots = np.empty(rows.run_count, np.int32)
    count = int(kernels.find_roots_into(parents, roots, places))
    labels = np.empty(count, np.int64)
    labels[np.argsort(places[:count])] = np.arange(1, count + 1)
    return roots, labels


def _with_values(found: LabelStatistics, labels: NDArray[Any], parts: Iterable[NDArray[Any]]) -> LabelStatistics:
    """Add the statistics of values inside the labels."""
    moments = np.empty((len(found), 5))
    moments[:] = 0, 0, 0, np.inf, -np.inf
    start = 0
    for values in parts:
        stop = start + len(values)
        if values.shape != labels[start:stop].shape:
            raise InputError(f"Values have the labels' shape {labels.shape}, not {values.shape}.", found=values.shape)
        ready = read_only(np.ascontiguousarray(values, np.float32))
        statistics_kernels.label_moments_into(labels[start:stop].reshape(-1), ready.reshape(-1), moments)
        start = stop
    if start != len(labels):
        raise InputError(f"There are values of {start} slices for labels of {len(labels)}.", found=start)
    count = np.where(moments[:, 0] > 0, moments[:, 0], np.nan)
    means = moments[:, 1] / count
    spread = np.sqrt(np.maximum(moments[:, 2] / count - means * means, 0.0))
    minima, maxima = (np.where(np.isfinite(moments[:, at]), moments[:, at], np.nan) for at in (3, 4))
    return LabelStatistics(found.voxels, found.centroids, found.boxes, means, spread, minima, maxima)
