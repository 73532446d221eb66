"""Planes and slabs of a volume in any direction, in millimetres.

Directions are unit vectors of the patient coordinate system (LPS); a plane's are those of Image Orientation (Patient):
``row_direction`` points along a row, to the next column, ``column_direction`` down a column, to the next row.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pacscore.errors import GeometryError, InputError
from pacscore.geometry import StackGeometry, Verdict
from pacscore.imaging.arrays import UNWATCHED, Progress, Watch
from pacscore.imaging.image import Image
from pacscore.imaging.planes import derived_image
from pacscore.imaging.sampled import (
    Lines,
    background_value,
    keeps_words,
    refuse_unsampled,
    sample_values,
    sample_words,
)
from pacscore.imaging.sources import ArrayInMemory
from pacscore.imaging.values import Rescale, StoredFormat

if TYPE_CHECKING:
    from pacscore.imaging.volume import Volume

_SKEW_MAX = 1e-3
_COUNT_MAX = 1 << 15


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """Where a plane's pixels lie.

    Attributes
    ----------
    index_to_lps : NDArray of float64
        4 × 4, ``(slice, row, column, 1)`` to LPS mm; its first column is the plane's unit normal.
    shape : tuple of int
        ``(rows, columns)``.
    spacing_mm : tuple of float
        Between rows, between columns.
    """

    index_to_lps: NDArray[np.float64]
    shape: tuple[int, int]
    spacing_mm: tuple[float, float]


def reslice(
    volume: Volume,
    center_lps: ArrayLike | None = None,
    *,
    row_direction: ArrayLike = (1.0, 0.0, 0.0),
    column_direction: ArrayLike = (0.0, 1.0, 0.0),
    spacing_mm: float | Sequence[float] | None = None,
    shape: tuple[int, int] | None = None,
    interpolation: str = "linear",
    background: float | None = None,
) -> Image:
    """A plane in any direction.

    Parameters
    ----------
    center_lps : (3,) array, optional
        The plane's middle in LPS mm; by default the volume's.
    row_direction, column_direction : (3,) array
        LPS, perpendicular, of any length. By default an axial plane; ``(1, 0, 0), (0, 0, -1)`` is a coronal one with
        the head at the top, ``(0, 1, 0), (0, 0, -1)`` a sagittal one.
    spacing_mm : float or two of them, optional
        Between rows and between columns; by default the volume's finest.
    shape : tuple of int, optional
        ``(rows, columns)``; by default as many as cover the volume.
    interpolation : str
        ``nearest``, ``linear``, ``cubic`` (Catmull-Rom) or ``bspline``.
    background : float, optional
        Modality value outside the volume; by default -1024 for HU, else 0.

    Returns
    -------
    Image
        ``(rows, columns)`` float32 modality values, with its affine.

    Raises
    ------
    GeometryError
        No affine describes the volume, or it has a single slice.
    AmbiguousError, UnsupportedError
        It has extra axes, or colours.
    InputError
        The directions are not perpendicular, or a number or name is none that can be used.

    Notes
    -----
    Of a stored volume only the chunks are decoded that the plane meets. A sample is inside the volume where it lies at
    most half a voxel beyond the outermost voxel centres.
    """
    refuse_unsampled(volume)
    plane = plane_through(volume, center_lps, (row_direction, column_direction), spacing_mm=spacing_mm, shape=shape)
    lines = grid_lines(volume, plane.index_to_lps, (1, *plane.shape), interpolation)
    words = f"oblique plane, {_spacing_words(plane)}, {interpolation}"
    return plane_of_values(volume, plane, lines, background, words)


def slab(
    volume: Volume,
    center_lps: ArrayLike | None = None,
    *,
    thickness_mm: float,
    combine: str = "mean",
    row_direction: ArrayLike = (1.0, 0.0, 0.0),
    column_direction: ArrayLike = (0.0, 1.0, 0.0),
    spacing_mm: float | Sequence[float] | None = None,
    shape: tuple[int, int] | None = None,
    step_mm: float | None = None,
    interpolation: str = "linear",
    background: float | None = None,
) -> Image:
    """A thick plane: what lies within half the thickness on both sides of a plane, combined along its normal.

    Parameters
    ----------
    thickness_mm : float
        0 is a plane.
    combine : str
        ``mean``, ``max`` (MIP), ``min`` (MinIP) or ``sum`` (of the samples). Samples outside the volume are left out.
    step_mm : float, optional
        At most so far apart are samples along the normal; by default the volume's finest spacing. They are spread
        evenly from one face of the slab to the other.
    center_lps, row_direction, column_direction, spacing_mm, shape, interpolation, background
        As in ``reslice``.

    Raises
    ------
    GeometryError, AmbiguousError, UnsupportedError, InputError
        As in ``reslice``.
    """
    refuse_unsampled(volume)
    plane = plane_through(volume, center_lps, (row_direction, column_direction), spacing_mm=spacing_mm, shape=shape)
    depths, step = depth_samples(volume, thickness_mm, step_mm)
    lines = grid_lines(volume, plane.index_to_lps, (1, *plane.shape), interpolation)
    normal = np.linalg.inv(volume.index_to_lps)[:3, :3] @ plane.index_to_lps[:3, 0]
    places = lines.places.copy()
    places[:, 2] = normal * step
    places[:, 0] -= normal * step * (depths - 1) / 2
    thick = replace(lines, places=places, depths=depths, combine=combine)
    words = f"slab of {thickness_mm:g} mm, {combine}, {_spacing_words(plane)}, {interpolation}"
    return plane_of_values(volume, plane, thick, background, words)


def reslice_stack(
    volume: Volume,
    center_lps: ArrayLike | None = None,
    *,
    slice_count: int,
    slice_spacing_mm: float,
    row_direction: ArrayLike = (1.0, 0.0, 0.0),
    column_direction: ArrayLike = (0.0, 1.0, 0.0),
    spacing_mm: float | Sequence[float] | None = None,
    shape: tuple[int, int] | None = None,
    interpolation: str = "linear",
    background: float | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Volume:
    """Parallel planes in any direction, as a volume of their own.

    Parameters
    ----------
    slice_count, slice_spacing_mm : int, float
        How many planes, and how far apart, along row direction × column direction; the middle is ``center_lps``.
    progress, cancel
        As in ``resample``.
    center_lps, row_direction, column_direction, spacing_mm, shape, interpolation, background
        As in ``reslice``.

    Returns
    -------
    Volume
        Stored values and rescale of the volume where these are 16-bit integers that share one rescale (rounded to the
        nearest), else float32 modality values.

    Raises
    ------
    GeometryError, AmbiguousError, UnsupportedError, InputError
        As in ``reslice``.
    """
    refuse_unsampled(volume)
    if not (0 < slice_count <= _COUNT_MAX and math.isfinite(slice_spacing_mm) and slice_spacing_mm > 0):
        raise InputError(f"{slice_count} slices {slice_spacing_mm} mm apart are no stack.")
    plane = plane_through(volume, center_lps, (row_direction, column_direction), spacing_mm=spacing_mm, shape=shape)
    affine = plane.index_to_lps.copy()
    affine[:3, 0] *= slice_spacing_mm
    affine[:3, 3] -= affine[:3, 0] * (slice_count - 1) / 2
    words = f"resliced to {slice_spacing_mm:g} x {plane.spacing_mm[0]:g} x {plane.spacing_mm[1]:g} mm, {interpolation}"
    return sample_grid(
        volume,
        affine,
        (slice_count, *plane.shape),
        interpolation=interpolation,
        background=background,
        derivation=words,
        watch=Watch(progress, cancel),
    )


def plane_through(
    volume: Volume,
    center_lps: ArrayLike | None,
    directions: tuple[ArrayLike, ArrayLike],
    *,
    spacing_mm: float | Sequence[float] | None,
    shape: tuple[int, int] | None,
) -> Plane:
    """The plane that the arguments of ``reslice`` describe."""
    right, down = (_unit(np.asarray(direction, np.float64), "direction") for direction in directions)
    if abs(right @ down) > _SKEW_MAX:
        raise InputError("row_direction and column_direction must be perpendicular.", found=float(right @ down))
    down = _unit(down - right * (right @ down), "direction")
    affine = volume.index_to_lps
    middle = (affine @ [*((np.array(volume.shape) - 1) / 2), 1.0])[:3]
    center = middle if center_lps is None else np.asarray(center_lps, np.float64)
    if center.shape != (3,) or not np.isfinite(center).all():
        raise InputError("center_lps is a point: three finite numbers, in mm.")
    spacing = _two_steps(finest_mm(volume) if spacing_mm is None else spacing_mm)
    if shape is None:
        ends = np.array([[*corner, 1.0] for corner in np.ndindex(2, 2, 2)]) * [*(np.array(volume.shape) - 1), 1.0]
        reach = np.abs(((ends @ affine.T)[:, :3] - center) @ np.stack([down, right], axis=1)).max(axis=0)
        rows, columns = (2 * math.ceil(far / step - 1e-6) + 1 for far, step in zip(reach, spacing, strict=True))
    else:
        rows, columns = shape
    if not (0 < rows <= _COUNT_MAX and 0 < columns <= _COUNT_MAX):
        raise InputError(f"A plane of {rows} × {columns} pixels cannot be made.", found=(rows, columns))
    result = np.eye(4)
    result[:3, 0] = np.cross(right, down)
    result[:3, 1], result[:3, 2] = down * spacing[0], right * spacing[1]
    result[:3, 3] = center - result[:3, 1] * (rows - 1) / 2 - result[:3, 2] * (columns - 1) / 2
    return Plane(result, (rows, columns), spacing)


def plane_of_values(volume: Volume, plane: Plane, lines: Lines, background: float | None, derivation: str) -> Image:
    """The image of a plane, sampled along ``lines``."""
    values = sample_values(volume, lines, background_value(volume, background))
    affine = plane.index_to_lps.copy()
    affine[:3, 0] = 0.0  # A plane alone has no next one.
    return image_of_values(volume, values, index_to_lps=affine, spacing_mm=plane.spacing_mm, derivation=derivation)


def image_of_values(
    volume: Volume,
    values: NDArray[np.float32],
    *,
    index_to_lps: NDArray[np.float64] | None,
    spacing_mm: tuple[float, float],
    derivation: str,
) -> Image:
    """Modality values sampled from a volume, shown as it is."""
    presentation = volume.presentation
    image = Image(
        values,
        index_to_lps=index_to_lps,
        spacing_mm=spacing_mm,
        modality=presentation.modality,
        photometric=presentation.photometric,
        unit=volume.rescale.unit,
        window=presentation.shared_window(volume.frame_count),
    )
    return derived_image(image, volume, derivation)


def sample_grid(
    volume: Volume,
    index_to_lps: NDArray[np.float64],
    shape: tuple[int, int, int],
    *,
    interpolation: str,
    background: float | None,
    derivation: str,
    watch: Watch = UNWATCHED,
) -> Volume:
    """A volume sampled on any grid, line by line."""
    lines = grid_lines(volume, index_to_lps, shape, interpolation)
    outside = background_value(volume, background)
    flat = (shape[0] * shape[1], shape[2])
    if keeps_words(volume):
        words = np.empty(flat, volume.dtype)
        sample_words(volume, lines, outside, words, watch=watch)
        return derived(volume, words.reshape(shape), index_to_lps, derivation, keep=True)
    values = sample_values(volume, lines, outside, watch=watch)
    return derived(volume, values.reshape(shape), index_to_lps, derivation, keep=False)


def derived(
    volume: Volume, array: NDArray[Any], index_to_lps: NDArray[np.float64], derivation: str, *, keep: bool
) -> Volume:
    """A volume of resampled values: stored ones with the same rescale (``keep``), or modality values."""
    shown = volume.presentation.shared_window(volume.frame_count)
    windows = ((shown,),) if shown else ()
    presentation = replace(volume.presentation, windows=windows, padding=None, pixel_aspect=1.0, as_seen=False)
    return replace(
        volume,
        source=ArrayInMemory(array),
        geometry=grid_geometry(index_to_lps, volume.geometry.frame_of_reference_uid),
        stored=StoredFormat.of_dtype(array.dtype),
        rescale=volume.rescale if keep else Rescale.linear(unit=volume.rescale.unit),
        presentation=presentation,
        sop_instance_uids=_nearest_instances(volume, index_to_lps, array.shape),
        to_rgb=None,
        derivation=(*volume.derivation, derivation),
        further_sop_instance_uids=volume.source_instance_uids,
    )


def _nearest_instances(volume: Volume, index_to_lps: NDArray[np.float64], shape: tuple[int, ...]) -> tuple[str, ...]:
    """The source of each new slice: the instance whose slice its middle lies nearest to."""
    if not volume.sop_instance_uids:
        return ()
    places = np.array([[number, (shape[1] - 1) / 2, (shape[2] - 1) / 2, 1.0] for number in range(shape[0])])
    slices = (places @ (np.linalg.inv(volume.index_to_lps) @ index_to_lps).T)[:, 0]
    nearest = np.clip(np.rint(slices), 0, volume.shape[0] - 1).astype(int)
    return tuple(volume.sop_instance_uids[number] for number in nearest)


def grid_geometry(index_to_lps: NDArray[np.float64], frame_of_reference_uid: str) -> StackGeometry:
    """The geometry of a grid: regular, or tilted where its slices do not follow one another along their normal."""
    steps = index_to_lps[:3, :3]
    lengths = np.linalg.norm(steps, axis=0)
    along_row, along_column = steps[:, 2] / lengths[2], steps[:, 1] / lengths[1]
    normal = np.cross(along_row, along_column)
    if abs(along_row @ along_column) > _SKEW_MAX:
        raise GeometryError("The rows and columns of a slice must be perpendicular.")
    between = float(abs(steps[:, 0] @ normal))
    tilted = np.linalg.norm(np.cross(steps[:, 0], normal)) > _SKEW_MAX * lengths[0]
    return StackGeometry(
        Verdict.TILTED if tilted else Verdict.REGULAR,
        index_to_lps=np.array(index_to_lps, np.float64),
        spacing_mm=(between, float(lengths[1]), float(lengths[2])),
        orientation=(*along_row.tolist(), *along_column.tolist()),
        frame_of_reference_uid=frame_of_reference_uid,
    )


def grid_lines(
    volume: Volume, index_to_lps: NDArray[np.float64], shape: tuple[int, int, int], interpolation: str
) -> Lines:
    """The rows of a grid as lines through the volume."""
    mapping = np.linalg.inv(volume.index_to_lps) @ index_to_lps
    # A place computed by way of millimetres misses whole numbers by a rounding error, and with them the border.
    mapping[:3] = np.where(np.abs(mapping[:3] - np.rint(mapping[:3])) < 1e-9, np.rint(mapping[:3]), mapping[:3])
    places = np.empty((shape[0] * shape[1], 3, 3))
    numbers = np.indices(shape[:2]).reshape(2, -1)
    places[:, 0] = (mapping[:3, 3, None] + mapping[:3, :2] @ numbers).T
    places[:, 1], places[:, 2] = mapping[:3, 2], 0.0
    return Lines(places, shape[2], interpolation=interpolation)


def depth_samples(volume: Volume, thickness_mm: float, step_mm: float | None) -> tuple[int, float]:
    """How many samples span a thickness, and how far apart they are."""
    wanted = finest_mm(volume) if step_mm is None else step_mm
    if not (math.isfinite(thickness_mm) and thickness_mm >= 0 and math.isfinite(wanted) and wanted > 0):
        raise InputError("A slab has a thickness of 0 mm or more, and a step above 0.", found=(thickness_mm, wanted))
    count = math.ceil(thickness_mm / wanted - 1e-6) + 1
    if count > _COUNT_MAX:
        raise InputError(f"A slab of {count} samples in depth cannot be made: give a larger step_mm.", found=count)
    return count, thickness_mm / max(1, count - 1)


def finest_mm(volume: Volume) -> float:
    """The smallest distance between neighbouring voxels."""
    return float(np.linalg.norm(volume.index_to_lps[:3, :3], axis=0).min())


def _spacing_words(plane: Plane) -> str:
    return f"{plane.spacing_mm[0]:.4g} x {plane.spacing_mm[1]:.4g} mm"


def _unit(vector: NDArray[np.float64], what: str) -> NDArray[np.float64]:
    length = np.linalg.norm(vector)
    if vector.shape != (3,) or not np.isfinite(length) or length == 0:
        raise InputError(f"A {what} is three finite numbers, not all 0.")
    return vector / length


def _two_steps(spacing_mm: float | Sequence[float]) -> tuple[float, float]:
    steps = (
        np.broadcast_to(np.asarray(spacing_mm, np.float64).reshape(-1), 2) if np.size(spacing_mm) in {1, 2} else None
    )
    if steps is None or not (np.isfinite(steps).all() and (steps > 0).all()):
        raise InputError("spacing_mm is one positive number, or two: between rows, between columns.")
    return float(steps[0]), float(steps[1])
