"""Where the results of a run go: values into its record, arrays and pictures into files of its folder.

Workers write the files themselves, whole and synced under their final names, so that a large array crosses no process
and an item that is computed again after a kill replaces what was left of it.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.bulk.outcomes import Kind
from pacscore.errors import InputError, UnsupportedError
from pacscore.filesystem import PENDING_PREFIX, LocalFileSystem
from pacscore.imaging import Image, Volume
from pacscore.syncing import sync_descriptor

RESULTS = "results"


@dataclass(frozen=True, slots=True)
class Keep:
    """Where a run keeps results: its folder; volumes go there (``zarr``) or into the archive (``series``)."""

    folder: str
    volumes: str


def keep_result(keep: Keep, index: int, value: Any, about: Mapping[str, Any]) -> tuple[Kind, Any]:
    """Write what the function gave, and say what it is and where.

    Parameters
    ----------
    about
        Provenance and UIDs, written into arrays and pictures; no identity of the patient.

    Raises
    ------
    InputError
        It is nothing that a run folder can hold.
    UnsupportedError
        It is an array, and zarr is not installed.
    StorageError
        It cannot be written.
    """
    if isinstance(value, Volume):
        if keep.volumes == "series":
            return Kind.VOLUME, value
        return Kind.ARRAY, _write_array(keep, index, _values(value), {**about, **_placed(value)}, _dimensions(value))
    if isinstance(value, np.ndarray) and value.ndim:
        return Kind.ARRAY, _write_array(keep, index, value, about, None)
    picture = value.picture() if isinstance(value, Image) else value
    if hasattr(picture, "save") and hasattr(picture, "getbands"):  # A Pillow picture.
        return Kind.PICTURE, _write_picture(keep, index, picture, about)
    return Kind.VALUE, plain(value)


def plain(value: Any) -> Any:
    """Numbers, text, lists and mappings as JSON holds them.

    Raises
    ------
    InputError
        Something else is in it.

    Examples
    --------
    >>> plain({"mean": np.float32(1.5), "shape": (2, 3)})
    {'mean': 1.5, 'shape': [2, 3]}
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim):
        return plain(value.item())
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if hasattr(value, "as_dict"):
        return plain(value.as_dict())
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    raise InputError(
        f"A run folder cannot keep a {type(value).__name__}. Return numbers, text, lists or mappings of them, an "
        "array, a picture or a volume."
    )


def _values(volume: Volume) -> NDArray[Any]:
    return volume.array() if volume.rescale.is_identity else volume.modality()


def _placed(volume: Volume) -> dict[str, Any]:
    """What an array of a volume must say to be one again: where it lies, and what its numbers mean."""
    affine = volume.geometry.index_to_lps
    return {
        "index_to_lps": None if affine is None else affine.tolist(),
        "spacing_mm": volume.spacing_mm,
        "verdict": str(volume.geometry.verdict),
        "unit": volume.rescale.unit,
        "modality": volume.presentation.modality,
        "derivation": list(volume.derivation),
    }


def _dimensions(volume: Volume) -> tuple[str, ...]:
    names = (*(axis.name for axis in volume.axes), "slice", "row", "column", "sample")
    return names[: volume.ndim]


def _write_array(
    keep: Keep, index: int, array: NDArray[Any], about: Mapping[str, Any], dimensions: tuple[str, ...] | None
) -> str:
    try:
        import zarr
    except ImportError as error:
        raise UnsupportedError("Arrays are kept with zarr, an extra: pip install 'pacscore[zarr]'.") from error
    name, seam = f"{RESULTS}/{index:06d}.zarr", LocalFileSystem()
    path = Path(keep.folder, name)
    pending = path.with_name(f"{PENDING_PREFIX}{os.urandom(8).hex()}")
    zarr.create_array(
        str(pending), data=array, attributes={"pacscore": dict(about)}, dimension_names=dimensions, zarr_format=3
    )
    for folder, _, names in os.walk(pending, topdown=False):
        for each in names:
            with Path(folder, each).open("rb") as file:
                sync_descriptor(file.fileno())
        seam.sync_folder(Path(folder))
    seam.remove_tree(path)
    seam.rename(pending, path)
    seam.sync_folder(path.parent)
    return name


def _write_picture(keep: Keep, index: int, picture: Any, about: Mapping[str, Any]) -> str:
    from PIL.PngImagePlugin import PngInfo

    buffer, name, said = io.BytesIO(), f"{RESULTS}/{index:06d}.png", PngInfo()
    said.add_text("pacscore", json.dumps(about))
    picture.save(buffer, "PNG", pnginfo=said)
    LocalFileSystem().publish(Path(keep.folder, name), buffer.getvalue())
    return name
