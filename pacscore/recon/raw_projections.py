"""What a file of projections holds: counts or line integrals, calibration fields, and what it says of its geometry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError, NotFoundError
from pacscore.recon.cone_geometries import ConeGeometry
from pacscore.recon.geometries import FanGeometry, ParallelGeometry
from pacscore.recon.helical_geometries import HelicalGeometry

AnyGeometry = ParallelGeometry | FanGeometry | ConeGeometry | HelicalGeometry


@dataclass(frozen=True, slots=True, eq=False)
class RawProjections:
    """Projections as a file has them.

    Attributes
    ----------
    values : (views, rows, columns) array
        Counts where ``flats`` are there, else line integrals.
    flats, darks : (frames, rows, columns) array, optional
        Without the object, and without the beam.
    angles_rad : (views,) float64, optional
    spacing_mm : tuple of float, optional
        Of detector rows and columns.
    origin_mm : tuple of float
        Place of the first pixel on the detector, along columns and rows, where the file has such coordinates.
    geometry : optional
        Where the file says all of it.
    water : float, optional
        Attenuation of water in the unit of the result, for Hounsfield units.
    """

    values: NDArray[Any]
    flats: NDArray[Any] | None = None
    darks: NDArray[Any] | None = None
    angles_rad: NDArray[np.float64] | None = None
    spacing_mm: tuple[float, float] | None = None
    origin_mm: tuple[float, float] | None = None
    geometry: AnyGeometry | None = None
    water: float | None = None


def read_projections(path: str | Path) -> RawProjections:
    """Read a file or folder of projections by what it is.

    ========================  =======================================================================================
    ``.h5 .hdf5 .nxs``        DXchange (``/exchange``) or NeXus (``NXtomo``), with dark and flat fields and angles
    ``.mha .mhd``             MetaImage stack, as RTK writes it; its geometry comes from an XML file
    ``.tif .tiff``, folder    one stack, or a folder of images in the order of their names
    ``.npy``                  (views, rows, columns), or (views, columns)
    folder of ``.dcm``        DICOM-CT-PD, one view a file, with its whole geometry
    ========================  =======================================================================================

    Raises
    ------
    NotFoundError
        There is no such file.
    InputError
        It is none of these, or damaged.
    UnsupportedError
        A library that reads it is not installed.
    """
    from pacscore.recon import projection_files

    place = Path(path)
    if not place.exists():
        raise NotFoundError("There is no such file or folder.", path=str(place))
    if place.is_dir():
        names = sorted(place.iterdir())
        if any(name.suffix.lower() == ".dcm" for name in names):
            from pacscore.recon.ct_pd import read_ct_pd

            return read_ct_pd([name for name in names if name.suffix.lower() == ".dcm"])
        images = [name for name in names if name.suffix.lower() in {".tif", ".tiff"}]
        if not images:
            raise InputError("The folder holds neither .dcm nor .tif files.", path=str(place))
        return projection_files.read_tiffs(images)
    readers: dict[str, Callable[[Path], RawProjections]] = {
        ".h5": projection_files.read_hdf5, ".hdf5": projection_files.read_hdf5, ".nxs": projection_files.read_hdf5,
        ".mha": projection_files.read_metaimage, ".mhd": projection_files.read_metaimage,
        ".tif": lambda one: projection_files.read_tiffs([one]),
        ".tiff": lambda one: projection_files.read_tiffs([one]), ".npy": projection_files.read_npy,
    }  # fmt: skip
    reader = readers.get(place.suffix.lower())
    if reader is None:
        raise InputError(f"Projections are read from {', '.join(readers)}, not from {place.suffix or 'this file'}.")
    return reader(place)
