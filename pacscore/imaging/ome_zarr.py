"""OME-Zarr 0.5: a Zarr v3 group of one volume and coarser copies, with the scale of its axes.

The format knows scale and translation along the array's own axes, neither tilt nor gaps nor where the patient lies, so
only regular stacks go out. The full affine stands beside it under ``pacscore``. Source: ngff.openmicroscopy.org/0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pacscore.errors import GeometryError, InputError, UnsupportedError
from pacscore.geometry import Axis, Verdict
from pacscore.imaging.outgoing import Outgoing, appearing, library, modality_numbers

if TYPE_CHECKING:
    from pacscore.imaging.volume import Volume

_SPACE = ("z", "y", "x")


def to_ome_zarr(volume: Volume, path: Path | str, *, levels: int = 0) -> None:
    """Write the volume as an OME-Zarr 0.5 image.

    Parameters
    ----------
    path : str or Path
        A folder that does not exist yet; it appears when it is complete.
    levels : int
        How many coarser copies to add (see ``pyramid``).

    Raises
    ------
    InputError
        Something of that name exists, or the folder around it does not; ``levels`` is negative.
    GeometryError
        The stack is not regular: OME-Zarr has a scale for each axis and cannot say tilt or gaps.
    AmbiguousError
        Coarser copies of a stack with a further axis were asked for.
    UnsupportedError
        zarr is not installed (extra ``convert``); more than one further axis; colours; unknown modality values.

    Notes
    -----
    Modality values: as 16-bit integers where every possible value is one, else as float32. Nothing of the patient is
    written.
    """
    target = Path(path)
    if target.exists():
        raise InputError("Something of that name exists: choose another, or remove it.", path=str(target))
    spacing = volume.spacing_mm
    if volume.geometry.verdict != Verdict.REGULAR or spacing is None or spacing[0] is None:
        raise GeometryError(
            f"OME-Zarr states one spacing for each axis, and this stack is {volume.geometry.verdict}. Take rectified() "
            "of a tilted one, or export it as HDF5, which keeps each slice's position.",
            verdict=str(volume.geometry.verdict),
        )
    if len(volume.axes) > 1 or not volume.is_monochrome:
        raise UnsupportedError("An OME-Zarr image here is grey and has one axis beside space: choose with at() first.")
    zarr = library("zarr", extra="convert")
    copies = volume.pyramid(levels) if levels else (volume,)
    with appearing(target) as pending:
        group = zarr.create_group(pending, zarr_format=3, attributes=_attributes(copies))
        for number, copy in enumerate(copies):
            _write_level(group, str(number), modality_numbers(copy))


def ome_axes(axes: Sequence[Axis]) -> list[dict[str, str]]:
    """The axes of an image as OME-Zarr names them: what lies outside space, then z, y and x."""
    named = [{"name": "t", "type": "time"} if axis.name == "time" else {"name": axis.name} for axis in axes]
    return [*named, *({"name": name, "type": "space", "unit": "millimeter"} for name in _SPACE)]


def _attributes(copies: Sequence[Volume]) -> dict[str, Any]:
    first = copies[0]
    ones, zeros = [1.0] * len(first.axes), [0.0] * len(first.axes)
    directions = first.index_to_lps[:3, :3] / np.linalg.norm(first.index_to_lps[:3, :3], axis=0)
    data_sets = []
    for number, copy in enumerate(copies):
        affine = copy.index_to_lps
        shift = directions.T @ (affine[:3, 3] - first.index_to_lps[:3, 3])
        scale = {"type": "scale", "scale": ones + np.linalg.norm(affine[:3, :3], axis=0).tolist()}
        moved = {"type": "translation", "translation": zeros + shift.tolist()}
        data_sets.append({"path": str(number), "coordinateTransformations": [scale, moved] if number else [scale]})
    return {
        "ome": {"version": "0.5", "multiscales": [{"axes": ome_axes(first.axes), "datasets": data_sets}]},
        "pacscore": {
            "index_to_lps": first.index_to_lps.tolist(),
            "unit": first.rescale.unit,
            "modality": first.presentation.modality,
            "verdict": str(first.geometry.verdict),
            "axes": [axis.as_dict() for axis in first.axes],
            "derivation": list(first.derivation),
            "sop_instance_uids": list(first.sop_instance_uids),
        },
    }


def _write_level(group: Any, name: str, outgoing: Outgoing) -> None:
    volume = outgoing.volume
    chunks = tuple(
        max(1, min(chunk, length)) for chunk, length in zip(volume.source.chunk_shape, volume.shape, strict=True)
    )
    names = [axis["name"] for axis in ome_axes(volume.axes)]
    array = group.create_array(name, shape=outgoing.shape, chunks=chunks, dtype=outgoing.dtype, dimension_names=names)
    for slab, words in outgoing.in_slabs():
        array[(*slab.outer, slice(slab.start, slab.stop))] = words
