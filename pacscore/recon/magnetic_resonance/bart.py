"""BART's arrays: ``.cfl`` (complex64, the first dimension fastest) with ``.hdr`` (dimensions as text).

BART counts dimensions from the fastest: 0 readout, 1 and 2 phase encodings, 3 coils, 4 maps, 5 echo times, 10 time,
13 slices. Reversed, and as NumPy has it, an array of k-space is ``(…, coils, kz, ky, kx)``.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError, NotFoundError
from pacscore.geometry import Axis
from pacscore.recon.magnetic_resonance.raw import CartesianData, FieldOfView

Complex64 = NDArray[np.complex64]

DIMENSIONS = 16
_COIL, _MAPS, _ECHO, _TIME, _SLICE = 3, 4, 5, 10, 13
_NAMES = {_ECHO: "contrast", _TIME: "repetition"}


def read_cfl(path: str | Path, *, squeeze: bool = False) -> Complex64:
    """Map an array of BART into memory.

    Parameters
    ----------
    path : str or Path
        With or without the suffix ``.cfl`` or ``.hdr``.
    squeeze : bool
        Leave out dimensions of length 1.

    Returns
    -------
    NDArray of complex64
        Dimensions reversed: 16 of them, readout last. Read-only, read from the file as it is used.

    Raises
    ------
    NotFoundError
        One of the two files is missing.
    InputError
        The header is none, or the length of the data contradicts it.
    """
    header, data = _files(path)
    try:
        lines = header.read_text("ascii", "replace").splitlines()
        size = data.stat().st_size
    except OSError as error:
        raise NotFoundError("A BART array needs both its .hdr and its .cfl file.") from error
    place = next((number for number, line in enumerate(lines) if line.strip().lower() == "# dimensions"), None)
    fields = lines[place + 1].split() if place is not None and place + 1 < len(lines) else []
    if not fields or len(fields) > DIMENSIONS or not all(field.isdecimal() and int(field) >= 1 for field in fields):
        raise InputError("A .hdr file names 1 to 16 positive dimensions in the line after '# Dimensions'.")
    lengths = [int(field) for field in fields] + [1] * (DIMENSIONS - len(fields))
    if math.prod(lengths) * 8 != size:
        raise InputError(
            f"The .cfl file has {size} bytes, but its dimensions need {math.prod(lengths) * 8}.", found=size
        )
    array = np.memmap(data, np.complex64, "r", shape=tuple(reversed(lengths)))
    return np.asarray(array.squeeze() if squeeze else array)


def write_cfl(path: str | Path, array: NDArray[Any]) -> None:
    """Write an array for BART: axes reversed, so that the last becomes the readout.

    Parameters
    ----------
    path : str or Path
        With or without suffix; both files are replaced.
    array : NDArray
        At most 16 axes; complex64 afterwards.

    Raises
    ------
    InputError
        There are more axes, or none along one.
    """
    given = np.require(array, "<c8", ("C",))
    if given.ndim > DIMENSIONS or 0 in given.shape:
        raise InputError(f"BART takes 16 dimensions, none of them empty: {given.shape}.", found=given.shape)
    header, data = _files(path)
    lengths = [*reversed(given.shape)] + [1] * (DIMENSIONS - given.ndim)
    header.write_text("# Dimensions\n" + " ".join(map(str, lengths)) + "\n", "ascii")
    given.tofile(data)


def cartesian_of_cfl(array: NDArray[Any], *, field_of_view: FieldOfView | None = None) -> CartesianData:
    """A Cartesian measurement of 16 reversed dimensions, as ``read_cfl`` gives them.

    Raises
    ------
    InputError
        It holds several maps, or other dimensions.
    """
    given = np.asarray(array, np.complex64)
    if given.ndim != DIMENSIONS:
        raise InputError(f"An array of BART has 16 dimensions, not {given.ndim}.", found=given.ndim)
    lengths = given.shape[::-1]
    if lengths[_MAPS] != 1:
        raise InputError("k-space has no dimension of maps (4): these look like sensitivities.")
    series = [number for number in reversed(range(5, DIMENSIONS)) if number != _SLICE and lengths[number] > 1]
    order = [*series, _SLICE, _COIL, 2, 1, 0]
    rest = [number for number in range(DIMENSIONS) if number not in order]
    moved = given.transpose([DIMENSIONS - 1 - number for number in (*rest, *order)])
    axes = tuple(
        Axis(_NAMES.get(number, f"dimension {number}"), tuple(map(float, range(lengths[number]))), "")
        for number in series
    )
    return CartesianData(np.ascontiguousarray(moved.reshape(moved.shape[len(rest) :])), field_of_view, axes)


def _files(path: str | Path) -> tuple[Path, Path]:
    base = Path(path)
    if base.suffix in {".cfl", ".hdr"}:
        base = base.with_suffix("")
    return base.with_name(base.name + ".hdr"), base.with_name(base.name + ".cfl")
