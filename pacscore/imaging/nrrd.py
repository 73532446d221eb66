"""NRRD: a text header that says all about the axes, then the voxels, column fastest.

It can say a sheared stack and a patient coordinate system by name, but no rescale: modality values go out. Source:
Definition of NRRD File Format, version 5 (teem.sourceforge.net).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.geometry import column_row_slice
from pacscore.imaging.outgoing import Outgoing, appearing, modality_numbers, placing_affine

if TYPE_CHECKING:
    from pacscore.imaging.volume import Volume

_TYPES = {"float32": "float", "float64": "double"}


def to_nrrd(volume: Volume, path: Path | str, *, thickness_mm: float | None = None) -> None:
    """Write the volume as an NRRD file, uncompressed.

    Parameters
    ----------
    path : str or Path
        Ends in ``.nrrd``. An older file is replaced once the new one is whole.
    thickness_mm : float, optional
        How thick a single slice is; only for one, and needed there.

    Raises
    ------
    InputError
        Another ending, or the folder does not exist.
    GeometryError
        No affine describes the stack, or it is a single slice and no thickness was given.
    UnsupportedError
        Its modality values are unknown, or it is in colours that are not RGB of 8 bits.

    Notes
    -----
    Modality values: as 16-bit integers where every possible value is one, else as float32. ``space`` is
    left-posterior-superior, and ``space directions`` are those of the volume, sheared where it is tilted; programs that
    cannot work with that refuse it. Nothing of the patient is written.
    """
    target = Path(path)
    if target.suffix != ".nrrd":
        raise InputError(f"An NRRD file is named .nrrd, not {target.suffix or 'without an ending'}.")
    affine = placing_affine(volume, what="NRRD", thickness_mm=thickness_mm)
    outgoing = modality_numbers(volume)
    header = nrrd_header(outgoing, affine)
    with appearing(target) as pending:
        outgoing.write_behind(header, pending)


def nrrd_header(outgoing: Outgoing, affine: NDArray[np.float64]) -> bytes:
    """The header with the empty line that ends it.

    affine : (4, 4), (slice, row, column, 1) to LPS millimetres
    """
    volume = outgoing.volume
    to_lps = column_row_slice(affine)
    axes = [axis.name for axis in reversed(volume.axes)]
    samples = 1 if outgoing.is_colour else 0
    kinds = ["RGB-color"] * samples + ["domain"] * 3 + ["list"] * len(axes)
    directions = ["none"] * samples + [_vector(to_lps[:3, n]) for n in range(3)] + ["none"] * len(axes)
    labels = ['"colour"'] * samples + ['"column"', '"row"', '"slice"'] + [f'"{name}"' for name in axes]
    fields = {
        "type": _TYPES.get(outgoing.dtype.name, outgoing.dtype.name),
        "dimension": str(len(outgoing.shape)),
        "space": "left-posterior-superior",
        "sizes": " ".join(map(str, reversed(outgoing.shape))),
        "space directions": " ".join(directions),
        "kinds": " ".join(kinds),
        "labels": " ".join(labels),
        "endian": sys.byteorder,
        "encoding": "raw",
        "space origin": _vector(to_lps[:3, 3]),
        "space units": '"mm" "mm" "mm"',
    }
    lines = ["NRRD0005", *(f"{name}: {value}" for name, value in fields.items())]
    if outgoing.dtype.itemsize == 1:
        lines.remove(f"endian: {sys.byteorder}")
    return ("\n".join(lines) + "\n\n").encode("ascii")


def _vector(numbers: Iterable[float]) -> str:
    return f"({','.join(repr(float(number)) for number in numbers)})"
