"""Parts of volumes by their values: thresholds, regions that grow, connected components; methods of ``Volume``."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pacscore.errors import GeometryError, InputError
from pacscore.imaging import arrays
from pacscore.imaging.analysis import refuse_axes, refuse_colour
from pacscore.imaging.arrays import LabelStatistics, Progress, Watch
from pacscore.imaging.slabs import mask_between, modality_slabs
from pacscore.imaging.values import Rescale, Window

if TYPE_CHECKING:
    from pacscore.imaging.volume import Volume


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """Connected components of a volume.

    Attributes
    ----------
    volume : Volume
        Labels, uint32; 0 is outside.
    statistics : LabelStatistics
        In voxels and modality values.
    centroids_lps : NDArray of float64
        ``(labels, 3)`` LPS millimetres.
    volumes_mm3 : NDArray of float64
        ``(labels,)``.
    """

    volume: Volume
    statistics: LabelStatistics
    centroids_lps: NDArray[np.float64]
    volumes_mm3: NDArray[np.float64]


def threshold(
    volume: Volume,
    low: float,
    high: float = math.inf,
    *,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Volume:
    """The voxels between two modality values, both included: a derived volume of 0 and 1.

    Parameters
    ----------
    low, high : float
        Both belong to it.
    progress, cancel
        As for ``statistics``.

    Raises
    ------
    InputError
        The bounds are the wrong way round, or the volume is in colour.
    CancelledError
        ``cancel`` was set.

    Notes
    -----
    Beside the mask, a slab of whole chunks, about 16 MiB, is held for each thread.
    """
    refuse_colour(volume)
    if not low <= high:
        raise InputError(f"A threshold takes the lower value first: {low} and {high} are not in order.")
    inside = mask_between(volume, low, high, Watch(progress, cancel))
    return _mask_volume(volume, inside, f"threshold {low:g} to {high:g}")


def grow(
    volume: Volume,
    seeds_lps: Sequence[ArrayLike],
    *,
    low: float,
    high: float = math.inf,
    connectivity: int = 6,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Volume:
    """The voxels between two modality values that are connected with a seed: a derived volume of 0 and 1.

    Parameters
    ----------
    seeds_lps : sequence of three floats
        LPS millimetres; the nearest voxel of each is where growing begins.
    low, high : float
        Both belong to the region.
    connectivity : int
        6, 18 or 26.
    progress, cancel
        As for ``statistics``.

    Raises
    ------
    InputError
        There is no seed, one lies outside the volume, or the bounds are the wrong way round.
    GeometryError, AmbiguousError
        The volume has no affine, or further axes.
    CancelledError
        ``cancel`` was set.

    Notes
    -----
    Values are read in slabs; a mask of the whole volume and its labels are held: 3 bytes a voxel, 5 where there are
    more than 65,535 parts.
    """
    refuse_axes(volume)
    affine = volume.index_to_lps
    points = np.asarray(seeds_lps, np.float64).reshape(-1, 3)
    if abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise GeometryError("A single slice has no thickness: growing needs a volume of two slices or more.")
    seeds = np.floor(np.linalg.solve(affine[:3, :3], (points - affine[:3, 3]).T).T + 0.5).astype(np.int64)
    if not low <= high:
        raise InputError(f"A region grows between two values, the lower first: {low} and {high} are not.")
    if not len(seeds) or (seeds < 0).any() or (seeds >= volume.shape).any():
        raise InputError(f"A seed lies outside the volume of shape {volume.shape}, or there is none.")
    watch = Watch(progress, cancel)
    inside = mask_between(volume, low, high, watch)
    region = arrays.connected_region(inside, seeds.tolist(), connectivity=connectivity, watch=watch)
    return _mask_volume(volume, region, f"region grown from {len(seeds)} seeds, {low:g} to {high:g}")


def components(
    volume: Volume,
    low: float,
    high: float = math.inf,
    *,
    connectivity: int = 26,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Components:
    """Label the connected parts of what lies between two modality values, and measure each.

    Parameters
    ----------
    low, high : float
        Both belong to the parts.
    connectivity : int
        6, 18 or 26.
    progress, cancel
        As for ``statistics``.

    Raises
    ------
    InputError
        The bounds are the wrong way round, the volume is in colour, or there is no such connectivity.
    GeometryError, AmbiguousError
        The volume has no affine, or further axes.
    CancelledError
        ``cancel`` was set.

    Notes
    -----
    Values are read in slabs, twice; a mask of the whole volume and its labels are held: 3 bytes a voxel, 5 where there
    are more than 65,535 parts.
    """
    refuse_axes(volume)
    if not low <= high:
        raise InputError(f"A threshold takes the lower value first: {low} and {high} are not in order.")
    affine = volume.index_to_lps
    watch = Watch(progress, cancel)
    inside = mask_between(volume, low, high, watch)
    labels, _ = arrays.label_components(inside, connectivity=connectivity, watch=watch)
    measured = arrays.measure_labels(labels, modality_slabs(volume, "measuring", watch))
    said = f"connected components of {low:g} to {high:g}, {connectivity} neighbours"
    shown = replace(volume.presentation, padding=None, windows=(), voi_tables=(), photometric="MONOCHROME2")
    labelled = replace(volume.with_array(labels, derivation=said, presentation=shown), rescale=Rescale.linear())
    centroids = measured.centroids @ affine[:3, :3].T + affine[:3, 3]
    sizes = np.asarray(measured.voxels * abs(float(np.linalg.det(affine[:3, :3]))), np.float64)
    return Components(labelled, measured, centroids, sizes)


def _mask_volume(volume: Volume, mask: NDArray[np.bool_], said: str) -> Volume:
    shown = replace(
        volume.presentation,
        padding=None,
        windows=((Window.between(0, 1),),),
        voi_tables=(),
        photometric="MONOCHROME2",
        inverse=False,
    )
    derived = volume.with_array(mask.view(np.uint8), derivation=said, presentation=shown)
    return replace(derived, rescale=Rescale.linear())
