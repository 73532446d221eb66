"""Raw data of magnetic resonance from files, by their suffix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pacscore.errors import InputError, NotFoundError
from pacscore.recon.magnetic_resonance.bart import cartesian_of_cfl, read_cfl
from pacscore.recon.magnetic_resonance.ismrmrd import IsmrmrdFile
from pacscore.recon.magnetic_resonance.raw import CartesianData, NonCartesianData


def read_raw(path: str | Path, **choices: Any) -> CartesianData | NonCartesianData:
    """Read a measurement by its suffix: ISMRMRD (``.h5``, ``.mrd``), BART (``.cfl``, ``.hdr``), NumPy (``.npy``).

    Parameters
    ----------
    path : str or Path
        The file.
    **choices
        For ISMRMRD: ``dataset``, and those of ``IsmrmrdFile.read``.

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
    if choices:
        raise InputError(f"A {place.suffix} file takes no choices: {', '.join(choices)}.")
    if place.suffix in {".cfl", ".hdr"}:
        return cartesian_of_cfl(read_cfl(place))
    if place.suffix == ".npy":
        try:
            return CartesianData.of(np.load(place, allow_pickle=False))
        except FileNotFoundError as error:
            raise NotFoundError("There is no file of that name.") from error
        except (OSError, ValueError) as error:
            raise InputError("This .npy file cannot be read, or holds no k-space.") from error
    raise InputError(f"Raw data of magnetic resonance are .h5, .mrd, .cfl or .npy, not {place.suffix!r}.")
