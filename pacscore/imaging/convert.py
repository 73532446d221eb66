"""Volumes as what other programs and libraries work with: NIfTI, NRRD, HDF5, OME-Zarr, SimpleITK, xarray, nibabel.

All of them follow O1 to O4 of ``outgoing``. Libraries are imported when they are first needed; the extra ``convert``
brings them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pacscore.errors import AmbiguousError, GeometryError
from pacscore.geometry import column_row_slice
from pacscore.imaging.hdf5_file import to_hdf5
from pacscore.imaging.nifti import to_nibabel, to_nifti
from pacscore.imaging.nrrd import to_nrrd
from pacscore.imaging.ome_zarr import to_ome_zarr
from pacscore.imaging.outgoing import LazyNumbers, is_sheared, library, modality_numbers, placing_affine

if TYPE_CHECKING:
    from pacscore.imaging.volume import Volume

__all__ = ["to_hdf5", "to_nibabel", "to_nifti", "to_nrrd", "to_ome_zarr", "to_simpleitk", "to_xarray"]


def to_simpleitk(volume: Volume, *, thickness_mm: float | None = None) -> Any:
    """The volume as a SimpleITK image of modality values.

    Parameters
    ----------
    thickness_mm : float, optional
        How thick a single slice is; only for one, and needed there.

    Returns
    -------
    SimpleITK.Image
        Three-dimensional, index ``(column, row, slice)``, LPS millimetres as ITK has them; 16-bit integers where every
        possible value is one, else float32; RGB as a vector image.

    Raises
    ------
    GeometryError
        No affine describes the stack; it is tilted, which an ITK image cannot say; or a single slice without thickness.
    AmbiguousError
        It has further axes: choose with ``at`` first.
    UnsupportedError
        SimpleITK is not installed (extra ``convert``), or the modality values are unknown.
    """
    simpleitk = library("SimpleITK", extra="convert")
    if volume.axes:
        names = ", ".join(f"{axis.name} ({len(axis.values)})" for axis in volume.axes)
        raise AmbiguousError(f"A SimpleITK image is one volume, and this stack has further axes: {names}. Use at().")
    affine = placing_affine(volume, what="An ITK image", thickness_mm=thickness_mm)
    if is_sheared(affine):
        raise GeometryError(
            "An ITK image has axes at right angles, and this stack is tilted: take rectified(), which moves its slices "
            "within their planes, or write it with to_nifti() or to_nrrd().",
            verdict=str(volume.geometry.verdict),
        )
    outgoing = modality_numbers(volume)
    image = simpleitk.GetImageFromArray(LazyNumbers(outgoing)[...], isVector=outgoing.is_colour)
    to_lps = column_row_slice(affine)
    spacing = np.linalg.norm(to_lps[:3, :3], axis=0)
    image.SetOrigin(to_lps[:3, 3].tolist())
    image.SetSpacing(spacing.tolist())
    image.SetDirection((to_lps[:3, :3] / spacing).reshape(-1).tolist())
    return image


def to_xarray(volume: Volume) -> Any:
    """The volume as an xarray DataArray of modality values that reads what is asked of it.

    Returns
    -------
    xarray.DataArray
        Dimensions are the extra axes by name, ``slice``, ``row``, ``column`` and, for RGB, ``sample``. Coordinates of
        ``slice``, ``row`` and ``column`` are millimetres from the first voxel along that axis (of ``slice`` along the
        normal), left out where they are not known: slices that are not equally spaced. Where the axes run along those
        of the patient, ``x``, ``y`` and ``z`` (LPS mm) lie beside them. Attributes: ``units``, ``verdict``,
        ``index_to_lps``, ``modality``, ``derivation``.

    Raises
    ------
    UnsupportedError
        xarray is not installed (extra ``convert``), or the modality values are unknown.
    """
    xarray = library("xarray", extra="convert")
    from pacscore.imaging.lazy_xarray import lazy_array

    outgoing = modality_numbers(volume)
    names = [*(axis.name for axis in volume.axes), "slice", "row", "column", "sample"][: len(outgoing.shape)]
    coordinates: dict[str, Any] = {axis.name: (axis.name, list(axis.values)) for axis in volume.axes}
    for axis, name in enumerate(("slice", "row", "column")):
        length = volume.shape[len(volume.axes) + axis]
        spacing = None if volume.spacing_mm is None else volume.spacing_mm[axis]
        if spacing is not None:
            coordinates[name] = (name, np.arange(length) * spacing, {"units": "mm"})
        coordinates |= _along_the_patient(volume, axis, name, length)
    affine = volume.geometry.index_to_lps
    attributes = {
        "units": volume.rescale.unit,
        "modality": volume.presentation.modality,
        "verdict": str(volume.geometry.verdict),
        "index_to_lps": None if affine is None else affine.tolist(),
        "derivation": list(volume.derivation),
    }
    return xarray.DataArray(lazy_array(outgoing), coordinates, names, volume.presentation.modality or None, attributes)


def _along_the_patient(volume: Volume, axis: int, name: str, length: int) -> dict[str, Any]:
    """The patient coordinate that an axis of the array runs along, where it does."""
    affine = volume.geometry.index_to_lps
    if affine is None:
        return {}
    step = affine[:3, axis]
    along = int(np.argmax(np.abs(step)))
    others = np.delete(affine[along, :3], axis)
    size = abs(step[along])
    if size == 0 or np.abs(np.delete(step, along)).max() > 1e-6 * size or np.abs(others).max() > 1e-6 * size:
        return {}
    values = affine[along, 3] + step[along] * np.arange(length)
    return {"xyz"[along]: (name, values, {"units": "mm", "system": "LPS"})}
