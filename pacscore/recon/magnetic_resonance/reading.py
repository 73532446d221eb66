"""Raw data of magnetic resonance from files, by their suffix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pacscore.errors import InputError, NotFoundError
from pacscore.recon.magnetic_resonance.bart import cartesian_of_cfl, read_cfl
from pacscore.recon.magnetic_resonance.ismrmrd import IsmrmrdFile
from pacscore.recon.magnetic_resonance.raw import CartesianData, FieldOfView, NonCartesianData


def read_raw(path: str | Path, **choices: Any) -> CartesianData | NonCartesianData:
    """Read a measurement by its suffix: ISMRMRD (``.h5``, ``.mrd``), BART (``.cfl``, ``.hdr``), NumPy (``.npy``).

    Parameters
    ----------
    path : str or Path
        The file.
    **choices
        For ISMRMRD: ``dataset``, ``bytes_max`` and those of ``IsmrmrdFile.read``. For BART and NumPy:
        ``field_of_view_mm`` (slice, row, column), which places images along the axes of the patient about the origin.

    Raises
    ------
    InputError
        The suffix is another, or the file is none of its kind.
    NotFoundError
        There is no such file.
    """
    place = Path(path)
    if place.suffix in {".h5", ".hdf5", ".mrd"}:
        opening = {name: choices.pop(name) for name in ("dataset", "bytes_max") if name in choices}
        with IsmrmrdFile(place, **opening) as file:
            return file.read(**choices)
    extent = choices.pop("field_of_view_mm", None)
    if choices:
        raise InputError(f"A {place.suffix} file takes no choices: {', '.join(choices)}.")
    if place.suffix in {".cfl", ".hdr"}:
        return _placed(cartesian_of_cfl(read_cfl(place)), extent)
    if place.suffix == ".npy":
        try:
            kspace = np.load(place, allow_pickle=False)
        except FileNotFoundError as error:
            raise NotFoundError("There is no file of that name.") from error
        except (OSError, ValueError) as error:
            raise InputError("This .npy file cannot be read, or holds no array of numbers.") from error
        return _placed(CartesianData.of(kspace), extent)
    raise InputError(f"Raw data of magnetic resonance are .h5, .mrd, .cfl or .npy, not {place.suffix!r}.")


def _placed(raw: CartesianData, extent_mm: Any) -> CartesianData:
    """The measurement with a field of view of its own matrix; slices of a stack lie one behind the other."""
    if extent_mm is None:
        return raw
    try:
        extent = tuple(float(value) for value in extent_mm)
    except (TypeError, ValueError) as error:
        raise InputError("field_of_view_mm is three numbers: slice, row, column.") from error
    if len(extent) != 3:
        raise InputError("field_of_view_mm is three numbers: slice, row, column.", found=extent_mm)
    slices, (partitions, rows, columns) = raw.kspace.shape[-5], raw.kspace.shape[-3:]
    count = max(slices, partitions)
    steps = (np.arange(slices) - slices // 2) * extent[0] / count
    positions = steps[:, None] * np.array([0.0, 0.0, 1.0])
    return replace(raw, field_of_view=FieldOfView((count, rows, columns), extent, extent, positions))
