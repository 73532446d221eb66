"""A volume on another grid: of another spacing, of another volume, any affine, without tilt, coarser levels."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pacscore.errors import InputError
from pacscore.imaging import arrays
from pacscore.imaging.arrays import Progress, Watch
from pacscore.imaging.resampling import derived, grid_geometry, sample_grid
from pacscore.imaging.sampled import (
    array_in_memory,
    background_value,
    keeps_words,
    read_slices,
    refuse_unsampled,
    stored_value,
)

if TYPE_CHECKING:
    from pacscore.imaging.volume import Volume

_ALIGNED = 1e-6
_SHRINKS = 1.25
_VOXELS_MAX = 1 << 36
_READ_BYTES = 64 << 20


def resample(
    volume: Volume,
    spacing_mm: float | Sequence[float] | None = None,
    *,
    like: Volume | None = None,
    index_to_lps: ArrayLike | None = None,
    shape: tuple[int, int, int] | None = None,
    interpolation: str = "linear",
    background: float | None = None,
    smooth: bool = True,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Volume:
    """The same body on another grid: give a spacing, or a volume whose grid to take, or an affine with a shape.

    Parameters
    ----------
    spacing_mm : float or three of them
        Between slices, rows and columns; one number is isotropic. The middle of the volume stays where it is. Tilt
        stays too: slices keep their direction (``rectified`` removes it).
    like : Volume
        Take its grid.
    index_to_lps, shape : (4, 4) array, tuple of int
        ``(slice, row, column, 1)`` to LPS mm, rows perpendicular to columns; slices, rows, columns.
    interpolation : str
        ``nearest``, ``linear``, ``cubic`` (Catmull-Rom) or ``bspline``.
    background : float, optional
        Modality value outside the volume; by default -1024 for HU, else 0.
    smooth : bool
        Where the new grid is coarser, average what falls between its points, so that fine detail does not alias.
    progress : callable, optional
        Called as ``progress(phase, done, total)`` from the working threads.
    cancel : threading.Event, optional
        Once set, the work ends with ``CancelledError``.

    Returns
    -------
    Volume
        Stored values and rescale of the volume where these are 16-bit integers that share one rescale (rounded to the
        nearest), else float32 modality values.

    Raises
    ------
    GeometryError
        No affine describes the volume, it has a single slice, or the new rows and columns are not perpendicular.
    AmbiguousError, UnsupportedError
        It has extra axes, or colours.
    InputError
        Not exactly one grid was given, or a number or name is none that can be used.
    CancelledError
        ``cancel`` was set.

    Notes
    -----
    Along the volume's own axes each axis is resampled by itself; any other grid is sampled point by point. A stored
    volume is read in slabs, but for a B-spline along its axes, whose coefficients are those of the whole.
    """
    refuse_unsampled(volume)
    arrays.check_interpolation(interpolation)
    watch = Watch(progress, cancel)
    affine, lengths = _grid(volume, spacing_mm, like, index_to_lps, shape)
    grid_geometry(affine, "")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    words = f"resampled to {spacing[0]:.4g} x {spacing[1]:.4g} x {spacing[2]:.4g} mm, {interpolation}"
    mapping = np.linalg.inv(volume.index_to_lps) @ affine
    steps = mapping[:3, :3].diagonal()
    aligned = np.abs(mapping[:3, :3] - np.diag(steps)) * (np.array(lengths) - 1).clip(1)
    if (aligned < _ALIGNED).all() and (steps > 0).all():
        axes = tuple(
            arrays.axis_taps(length, start=start, step=step, count=count, interpolation=interpolation, smooth=smooth)
            for length, start, step, count in zip(volume.shape, mapping[:3, 3], steps, lengths, strict=True)
        )
        spline = interpolation == "bspline"
        return _along_axes(volume, axes, affine, background=background, words=words, spline=spline, watch=watch)
    finer = np.abs(mapping[:3, :3]).max(axis=1)
    shrinks = smooth and interpolation != "nearest" and bool((finer > _SHRINKS).any())
    source = _smoothed(volume, finer, watch) if shrinks else volume
    sampled = sample_grid(
        source, affine, lengths, interpolation=interpolation, background=background, derivation=words, watch=watch
    )
    return (
        sampled
        if source is volume
        else derived(
            volume, sampled.source.read(tuple(slice(0, n) for n in lengths)), affine, words, keep=keeps_words(volume)
        )
    )


def rectified(
    volume: Volume,
    *,
    interpolation: str = "linear",
    background: float | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Volume:
    """The volume without gantry tilt: its slices moved within their planes until they lie one behind the other.

    Parameters
    ----------
    interpolation, background, progress, cancel
        As in ``resample``.

    Returns
    -------
    Volume
        As in ``resample``; slices, spacing and orientation are the volume's, rows and columns are added until all
        voxels have room. A volume that is not tilted comes back as it is.

    Raises
    ------
    GeometryError, AmbiguousError, UnsupportedError, InputError
        As in ``resample``.

    Notes
    -----
    Slices stay in their planes, so nothing is interpolated across them.
    """
    refuse_unsampled(volume)
    affine = volume.index_to_lps
    normal = np.cross(affine[:3, 2], affine[:3, 1])
    normal /= np.linalg.norm(normal)
    along = normal * (affine[:3, 0] @ normal)
    if np.linalg.norm(affine[:3, 0] - along) < 1e-6 * np.linalg.norm(affine[:3, 0]):
        return volume
    straight = affine.copy()
    straight[:3, 0] = along
    # How far each slice lies from where it would without tilt, in rows and columns.
    drift = (np.linalg.inv(straight) @ affine)[1:3, 0] * (volume.shape[0] - 1)
    before = np.ceil(np.maximum(0, -drift) - 1e-6)
    more = np.ceil(np.abs(drift) - 1e-6)
    straight[:3, 3] -= straight[:3, 1:3] @ before
    shape = (volume.shape[0], volume.shape[1] + int(more[0]), volume.shape[2] + int(more[1]))
    angle = math.degrees(math.atan2(float(np.linalg.norm(affine[:3, 0] - along)), float(np.linalg.norm(along))))
    return sample_grid(
        volume, straight, shape, interpolation=interpolation, background=background,
        derivation=f"gantry tilt of {angle:.3g} degrees removed, {interpolation}", watch=Watch(progress, cancel),
    )  # fmt: skip


def pyramid(
    volume: Volume,
    levels: int | None = None,
    *,
    interpolation: str = "linear",
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> tuple[Volume, ...]:
    """Coarser and coarser copies for looking at, the volume itself first.

    Parameters
    ----------
    levels : int, optional
        How many beside the volume; by default until the longest axis has at most 64 voxels.
    interpolation : str
        As in ``resample``; each level is averaged from the one before.
    progress, cancel
        As in ``resample``; progress begins anew with each level.

    Returns
    -------
    tuple of Volume
        Each level has half the rows and columns of the one before it (rounded up) and covers the very same body; axes
        that are coarser than the finest stay, so that voxels become cubes before they grow.

    Raises
    ------
    GeometryError, AmbiguousError, UnsupportedError, InputError
        As in ``resample``.
    """
    refuse_unsampled(volume)
    if levels is not None and levels < 0:
        raise InputError(f"A pyramid has 0 or more levels beside the volume, not {levels}.")
    result = [volume]
    while len(result) - 1 < levels if levels is not None else max(result[-1].shape) > 64:
        last = result[-1]
        spacing = np.linalg.norm(last.index_to_lps[:3, :3], axis=0)
        halved = (spacing < spacing.min() * math.sqrt(2)) & (np.array(last.shape) > 1)
        if not halved.any():
            break
        shape = tuple(-(-length // 2) if half else length for length, half in zip(last.shape, halved, strict=True))
        steps = np.array(last.shape) / shape  # 2, or a little less where the length is odd: borders stay.
        affine = last.index_to_lps
        affine[:3, 3] += affine[:3, :3] @ ((steps - 1) / 2)
        affine[:3, :3] *= steps
        result.append(
            resample(
                last,
                index_to_lps=affine,
                shape=(shape[0], shape[1], shape[2]),
                interpolation=interpolation,
                progress=progress,
                cancel=cancel,
            )
        )
    return tuple(result)


def _grid(
    volume: Volume,
    spacing_mm: float | Sequence[float] | None,
    like: Volume | None,
    index_to_lps: ArrayLike | None,
    shape: tuple[int, int, int] | None,
) -> tuple[NDArray[np.float64], tuple[int, int, int]]:
    given = [spacing_mm is not None, like is not None, index_to_lps is not None and shape is not None]
    if sum(given) != 1 or (index_to_lps is None) != (shape is None):
        raise InputError("Give one grid: spacing_mm, or like, or index_to_lps together with shape.")
    if like is not None:
        affine, lengths = like.index_to_lps, like.shape[len(like.axes) : len(like.axes) + 3]
    elif spacing_mm is not None:
        affine, lengths = _respaced(volume, spacing_mm)
    else:
        assert shape is not None
        affine, lengths = np.array(index_to_lps, np.float64), tuple(shape)
    usable = affine.shape == (4, 4) and np.isfinite(affine).all() and np.linalg.matrix_rank(affine) == 4
    if not usable or len(lengths) != 3 or min(lengths) < 1 or math.prod(lengths) > _VOXELS_MAX:
        raise InputError(f"There is no grid of shape {lengths} with that affine or spacing.", found=lengths)
    return affine, (lengths[0], lengths[1], lengths[2])


def _respaced(volume: Volume, spacing_mm: float | Sequence[float]) -> tuple[NDArray[np.float64], tuple[int, ...]]:
    """The volume's grid with other steps about the same middle; slices as far apart as along their normal."""
    if np.size(spacing_mm) not in {1, 3}:
        raise InputError("spacing_mm is one number, or three: between slices, rows and columns.")
    wanted = np.broadcast_to(np.asarray(spacing_mm, np.float64).reshape(-1), 3)
    if not (np.isfinite(wanted).all() and (wanted > 0).all()):
        raise InputError("spacing_mm is positive.", found=wanted.tolist())
    affine = volume.index_to_lps
    normal = np.cross(affine[:3, 2], affine[:3, 1])
    has = np.linalg.norm(affine[:3, :3], axis=0)
    has[0] = abs(affine[:3, 0] @ normal) / np.linalg.norm(normal)
    steps = wanted / has
    lengths = tuple(max(1, round(length / step)) for length, step in zip(volume.shape, steps.tolist(), strict=True))
    starts = ((np.array(volume.shape) - 1) - (np.array(lengths) - 1) * steps) / 2
    affine[:3, 3] += affine[:3, :3] @ starts
    affine[:3, :3] *= steps
    return affine, lengths


def _smoothed(volume: Volume, finer: NDArray[np.float64], watch: Watch) -> Volume:
    """The volume averaged to about the resolution of a coarser grid that is not along its axes."""
    axes, starts, steps = [], [], []
    for length, factor in zip(volume.shape, finer.tolist(), strict=True):
        step = min(factor, float(length)) if factor > _SHRINKS else 1.0
        count = max(1, round(length / step))
        starts.append(((length - 1) - (count - 1) * step) / 2)
        steps.append(step)
        axes.append(arrays.axis_taps(length, start=starts[-1], step=step, count=count))
    affine = volume.index_to_lps
    affine[:3, 3] += affine[:3, :3] @ starts
    affine[:3, :3] *= steps
    return _along_axes(volume, tuple(axes), affine, background=None, words="averaged", spline=False, watch=watch)


def _along_axes(
    volume: Volume,
    axes: tuple[arrays.AxisTaps, ...],
    affine: NDArray[np.float64],
    *,
    background: float | None,
    words: str,
    spline: bool,
    watch: Watch,
) -> Volume:
    keep = keeps_words(volume)
    outside = background_value(volume, background)
    shared = volume.rescale.slopes.size == 1 and not volume.rescale.tables and not volume.rescale.missing
    if keep:
        scale = arrays.Scale(background=stored_value(volume, outside))
    elif shared and volume.rescale.slopes[0]:
        scale = arrays.Scale(float(volume.rescale.slopes[0]), float(volume.rescale.intercepts[0]), outside)
    else:
        scale = arrays.Scale(background=outside)
    shape = tuple(axis.firsts.size for axis in axes)
    out: NDArray[Any] = np.empty(shape, volume.dtype if keep else np.float32)
    slices, rows, columns = axes
    whole = array_in_memory(volume)
    if spline or whole is not None:
        source = read_slices(volume, 0, volume.shape[0]) if whole is None else whole
        sampled = arrays.spline_coefficients(source, watch=watch) if spline else source
        arrays.regrid(sampled, (slices, rows, columns), scale=scale, out=out, watch=watch)
        return derived(volume, out, affine, words, keep=keep)
    for begin, end in _runs(volume, slices):
        used = slices.firsts[begin:end]
        low, high = int(used.min()), int(used.max()) + slices.weights.shape[1]
        inside = (max(0, slices.inside[0] - begin), max(0, min(end, slices.inside[1]) - begin))
        part = arrays.AxisTaps((used - low).astype(np.int32), slices.weights[begin:end], inside)
        watch.check()
        held = read_slices(volume, low, high)
        told = watch.part(begin, shape[0])
        arrays.regrid(held, (part, rows, columns), scale=scale, out=out[begin:end], watch=told)
    return derived(volume, out, affine, words, keep=keep)


def _runs(volume: Volume, slices: arrays.AxisTaps) -> list[tuple[int, int]]:
    """Consecutive slices of the result that need about 64 MiB of the volume, in whole chunks."""
    slice_bytes = max(1, math.prod(volume.shape[1:]) * volume.dtype.itemsize)
    chunk = max(1, volume.source.chunk_shape[0])
    depth = max(chunk, _READ_BYTES // slice_bytes // chunk * chunk)
    groups = slices.firsts // depth
    edges = [0, *(np.flatnonzero(np.diff(groups)) + 1).tolist(), groups.size]
    return list(pairwise(edges))
