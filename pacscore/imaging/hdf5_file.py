"""HDF5: the stored values, and beside them all that a volume here knows, so that nothing needs to be guessed.

``docs/export.md`` lists the names. Unlike NIfTI and NRRD it keeps stacks that no affine describes: the position of each
slice stands in the file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pacscore.errors import InputError
from pacscore.imaging.outgoing import Outgoing, appearing, library, stored_numbers
from pacscore.version import __version__

if TYPE_CHECKING:
    from pacscore.imaging.volume import Volume

_FORMAT = "pacscore volume 1"


def to_hdf5(volume: Volume, path: Path | str, *, level: int = 1) -> None:
    """Write the volume as an HDF5 file that any HDF5 library reads.

    Parameters
    ----------
    path : str or Path
        Ends in ``.h5`` or ``.hdf5``. An older file is replaced once the new one is whole.
    level : int
        Of gzip, 1 to 9; 0 for none.

    Raises
    ------
    InputError
        Another ending or level, or the folder does not exist.
    UnsupportedError
        h5py is not installed (extra ``convert``), or the modality values are unknown.

    Notes
    -----
    Data set ``volume``, ``(axes…, slice, row, column[, sample])``, chunked as the source is: stored values, to be
    multiplied by its attribute ``rescale_slope``, then ``rescale_intercept`` added; or modality values in float32
    where the rescale differs between frames. The geometry is in its attributes. SOP Instance UIDs are the only
    identifiers written.
    """
    target = Path(path)
    if target.suffix not in {".h5", ".hdf5"}:
        raise InputError(f"An HDF5 file is named .h5 or .hdf5, not {target.suffix or 'without an ending'}.")
    if not 0 <= level <= 9:
        raise InputError(f"A compression level is 0 to 9, not {level}.", found=level)
    h5py = library("h5py", extra="convert")
    outgoing = stored_numbers(volume)
    with appearing(target) as pending, h5py.File(pending, "x") as file:
        file.attrs["format"] = _FORMAT
        file.attrs["made_by"] = f"pacscore {__version__}"
        packed = {"compression": "gzip", "compression_opts": level, "shuffle": True} if level else {}
        data = file.create_dataset("volume", outgoing.shape, outgoing.dtype, chunks=_chunks(outgoing), **packed)
        for slab, words in outgoing.in_slabs():
            data[(*slab.outer, slice(slab.start, slab.stop))] = words
        _describe(outgoing, file, data)


def _chunks(outgoing: Outgoing) -> tuple[int, ...]:
    wanted = (*outgoing.volume.source.chunk_shape, 3)[: len(outgoing.shape)]
    return tuple(max(1, min(chunk, length)) for chunk, length in zip(wanted, outgoing.shape, strict=True))


def _describe(outgoing: Outgoing, file: Any, data: Any) -> None:
    volume = outgoing.volume
    geometry = volume.geometry
    spacing = geometry.spacing_mm
    names = (*(axis.name for axis in volume.axes), "slice", "row", "column", "sample")
    for number, name in enumerate(names[: len(outgoing.shape)]):
        data.dims[number].label = name
    attributes: dict[str, Any] = {
        "rescale_slope": outgoing.slope,
        "rescale_intercept": outgoing.intercept,
        "unit": volume.rescale.unit,
        "modality": volume.presentation.modality,
        "photometric_interpretation": "RGB" if outgoing.is_colour else volume.presentation.photometric,
        "verdict": str(geometry.verdict),
        "findings": json.dumps([finding.as_dict() for finding in geometry.findings]),
        "frame_of_reference_uid": geometry.frame_of_reference_uid,
        "derivation": json.dumps(list(volume.derivation)),
    }
    if geometry.index_to_lps is not None:
        attributes["index_to_lps"] = geometry.index_to_lps
    if spacing is not None:
        attributes["spacing_mm"] = np.array([np.nan if step is None else step for step in spacing])
    if geometry.orientation is not None:
        attributes["orientation"] = np.array(geometry.orientation)
    for name, value in attributes.items():
        data.attrs[name] = value
    if geometry.positions_lps is not None:
        file["positions_lps"] = geometry.positions_lps
    for axis in volume.axes:
        values = list(axis.values)
        held = file.create_dataset(f"axes/{axis.name}", data=values if _are_numbers(values) else list(map(str, values)))
        held.attrs["unit"] = axis.unit
    if volume.sop_instance_uids:
        file["sop_instance_uids"] = list(volume.sop_instance_uids)


def _are_numbers(values: list[float | str]) -> bool:
    return all(not isinstance(value, str) for value in values)
