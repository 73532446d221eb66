"""Measurements as they come from a scanner, sorted, with what is known of their geometry.

M1  k-space is ``(series…, slices, coils, kz, ky, kx)``; a multi-slice scan has one kz, a volume one slice.
M2  Index ``length // 2`` of a voxel axis lies at the stated position of the slice (of the volume's middle).
M3  Volumes list their slices in ascending order along the normal (row cosines × column cosines), whatever the order of
    acquisition.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import GeometryError, InputError
from pacscore.geometry import Axis, Finding, StackGeometry, Verdict
from pacscore.geometry.placement import Plane, is_orientation, judge
from pacscore.imaging import ArrayInMemory, Presentation, Rescale, StoredFormat, Volume
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.recon.magnetic_resonance.fourier import centred_crop, centred_fft, centred_ifft, finite_array
from pacscore.recon.magnetic_resonance.trajectories import Trajectory

Complex64 = NDArray[np.complex64]


@dataclass(frozen=True, slots=True, eq=False)
class FieldOfView:
    """Where the voxels of a scan lie.

    Attributes
    ----------
    shape : (int, int, int)
        Voxels of one image, ``(slice, row, column)``; one slice for each position of a multi-slice scan.
    extent_mm : (float, float, float)
        Of the image, along slice, row and column axis.
    encoded_mm : (float, float, float)
        What the phase encodings and the readout covered: larger than ``extent_mm`` by oversampling.
    positions_lps : NDArray of float64
        ``(slices, 3)``: the middle of each slice, mm; one row for a volume.
    read, phase, slice : tuple of float
        Unit vectors in LPS along which column, row and slice index grow.

    Raises
    ------
    InputError
        A length is not positive.
    GeometryError
        The directions are not at right angles.
    """

    shape: tuple[int, int, int]
    extent_mm: tuple[float, float, float]
    encoded_mm: tuple[float, float, float]
    positions_lps: NDArray[np.float64]
    read: tuple[float, float, float] = (1.0, 0.0, 0.0)
    phase: tuple[float, float, float] = (0.0, 1.0, 0.0)
    slice: tuple[float, float, float] = (0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        lengths = (*self.shape, *self.extent_mm, *self.encoded_mm)
        if not all(math.isfinite(value) and value > 0 for value in lengths):
            raise InputError(f"Voxels and extents of a field of view are positive: {lengths}.")
        if self.positions_lps.ndim != 2 or self.positions_lps.shape[1] != 3:
            raise InputError(f"Positions are (slices, 3), not {self.positions_lps.shape}.")
        right_angles = abs(float(np.dot(np.cross(self.read, self.phase), self.slice)))
        if not is_orientation((*self.read, *self.phase)) or abs(right_angles - 1) > 1e-2:
            raise GeometryError("Readout, phase and slice directions must be unit vectors at right angles.")

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Between slices of a volume, rows and columns."""
        z, y, x = (extent / count for extent, count in zip(self.extent_mm, self.shape, strict=True))
        return z, y, x

    def placed(self, images: NDArray[Any], slice_axis: int = -3) -> tuple[NDArray[Any], StackGeometry]:
        """Images with their slices in ascending order (M3), and where these lie."""
        plane = Plane.of((*self.read, *self.phase), self.spacing_mm[1:])
        corner = plane.column * self.spacing_mm[1] * (self.shape[1] // 2) + plane.row * self.spacing_mm[2] * (
            self.shape[2] // 2
        )
        positions = self.positions_lps
        if self.shape[0] > 1 and len(positions) == 1:
            steps = np.arange(self.shape[0]) - self.shape[0] // 2
            positions = positions + steps[:, None] * np.array(self.slice) * self.spacing_mm[0]
        order = np.argsort(positions @ plane.normal, kind="stable")
        return np.take(images, order, axis=slice_axis), judge(positions[order] - corner, plane)


@dataclass(frozen=True, slots=True, eq=False)
class CartesianData:
    """A Cartesian measurement.

    Attributes
    ----------
    kspace : NDArray of complex64
        ``(series…, slices, coils, kz, ky, kx)``, 0 where not sampled.
    field_of_view : FieldOfView or None
        None where nothing is known: volumes then have no geometry.
    axes : tuple of Axis
        Of the series, outermost first.
    noise : NDArray of complex64 or None
        ``(coils, samples)`` without signal.
    noise_bandwidth_ratio : float
        See ``noise_covariance``.
    calibration : NDArray of complex64 or None
        ``(slices, coils, kz, ky, kx)``: a scan for calibration alone, on the grid of ``kspace``.

    Raises
    ------
    InputError
        Shapes contradict each other.
    """

    kspace: Complex64
    field_of_view: FieldOfView | None = None
    axes: tuple[Axis, ...] = ()
    noise: Complex64 | None = None
    noise_bandwidth_ratio: float = 1.0
    calibration: Complex64 | None = None

    def __post_init__(self) -> None:
        if self.kspace.ndim != 5 + len(self.axes) or 0 in self.kspace.shape:
            raise InputError("kspace is (series…, slices, coils, kz, ky, kx), with an Axis for each of the series.")
        if self.kspace.shape[-3] > 1 and self.kspace.shape[-5] > 1:
            raise InputError("Several slabs with a second phase encoding each: reconstruct them one by one.")
        if self.calibration is not None and self.calibration.shape != self.kspace.shape[-5:]:
            raise InputError(
                f"A calibration scan lies on the grid {self.kspace.shape[-5:]}, not {self.calibration.shape}."
            )
        _check_axes(self.axes, self.kspace.shape)

    @property
    def is_volume(self) -> bool:
        """Slices are encoded by a second phase encoding."""
        return int(self.kspace.shape[-3]) > 1

    @classmethod
    def of(cls, kspace: NDArray[Any], *, field_of_view: FieldOfView | None = None) -> CartesianData:
        """A measurement of plain arrays: ``(coils, ky, kx)``, ``(coils, kz, ky, kx)`` or as ``kspace`` without series.

        Raises
        ------
        InputError
            There are other numbers of axes.
        """
        given = finite_array(kspace, "kspace", 3)
        shapes = {3: (1, given.shape[0], 1, *given.shape[1:]), 4: (1, *given.shape), 5: given.shape}
        if given.ndim not in shapes:
            raise InputError(f"kspace is (coils, [kz,] ky, kx) or (slices, coils, kz, ky, kx): it is {given.shape}.")
        return cls(given.reshape(shapes[given.ndim]), field_of_view)


@dataclass(frozen=True, slots=True, eq=False)
class NonCartesianData:
    """A measurement along a trajectory that all slices and series share.

    Attributes
    ----------
    samples : NDArray of complex64
        ``(series…, slices, coils, interleaves, samples)``.
    trajectory : Trajectory
        Where they lie; its shape is that of the encoded image, ``([slice,] row, column)``.
    field_of_view, axes, noise, noise_bandwidth_ratio
        As in ``CartesianData``.

    Raises
    ------
    InputError
        Shapes contradict each other.
    """

    samples: Complex64
    trajectory: Trajectory
    field_of_view: FieldOfView | None = None
    axes: tuple[Axis, ...] = ()
    noise: Complex64 | None = None
    noise_bandwidth_ratio: float = 1.0

    def __post_init__(self) -> None:
        if self.samples.ndim != 4 + len(self.axes):
            raise InputError(
                "samples are (series…, slices, coils, interleaves, samples), with an Axis for each series."
            )
        if self.samples.shape[-2:] != self.trajectory.coordinates.shape[:2]:
            raise InputError(
                f"{self.samples.shape[-2:]} samples lie on a trajectory of {self.trajectory.coordinates.shape[:2]}."
            )
        if self.is_volume and self.samples.shape[-4] > 1:
            raise InputError("Several slabs on a trajectory of three axes: reconstruct them one by one.")
        _check_axes(self.axes, self.samples.shape)

    @property
    def is_volume(self) -> bool:
        """The trajectory has three axes."""
        return len(self.trajectory.shape) == 3


def fit_image(image: Complex64, view: FieldOfView | None, *, watch: Watch = UNWATCHED) -> Complex64:
    """Cut oversampling off an image ``(…, slice, row, column)`` and bring it to the voxels wanted.

    The field of view is cut in the image, voxels are made finer or coarser in k-space; values stay.
    """
    if view is None:
        return image
    for axis in (-3, -2, -1):
        length, extent, encoded = image.shape[axis], view.extent_mm[axis], view.encoded_mm[axis]
        if axis == -3 and length == 1:
            continue
        kept = min(length, max(1, round(length * extent / encoded)))
        image = centred_crop(image, {axis: kept})
        wanted = view.shape[axis]
        if wanted != kept:
            kspace = centred_fft(image, axes=(axis,), watch=watch)
            image = centred_ifft(_resized(kspace, axis, wanted), axes=(axis,), watch=watch)
    return np.ascontiguousarray(image)


def volume_of(
    images: NDArray[np.float32], view: FieldOfView | None, *, axes: Sequence[Axis] = (), derivation: str
) -> Volume:
    """A volume of magnitude images ``(series…, slice, row, column)``, placed where they were measured."""
    if view is None:
        geometry = StackGeometry(
            Verdict.NONE, (Finding("no-position", "Raw data without positions: the volume lies nowhere."),)
        )
        placed = images
    else:
        placed, geometry = view.placed(images)
    array = np.ascontiguousarray(placed, np.float32)
    return Volume(
        ArrayInMemory(array),
        geometry,
        StoredFormat.of_dtype(array.dtype),
        Rescale.linear(),
        Presentation(modality="MR"),
        tuple(axes),
        derivation=(derivation,),
    )


def _resized(kspace: Complex64, axis: int, length: int) -> Complex64:
    before = kspace.shape[axis]
    scale = np.float32(math.sqrt(length / before))
    if length <= before:
        return np.asarray(centred_crop(kspace, {axis: length}) * scale, np.complex64)
    shape = list(kspace.shape)
    shape[axis] = length
    out = np.zeros(shape, np.complex64)
    centred_crop(out, {axis: before})[...] = kspace * scale
    return out


def _check_axes(axes: tuple[Axis, ...], shape: tuple[int, ...]) -> None:
    for axis, length in zip(axes, shape, strict=False):
        if len(axis.values) != length:
            raise InputError(f"Axis {axis.name} has {len(axis.values)} values but length {length}.")
