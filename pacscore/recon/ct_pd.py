"""DICOM-CT-PD: projections of clinical scanners in an open, vendor-neutral format, one view a file.

Chen et al. 2015, Med. Phys. 42(12), and the tags of its user manual, version 3. Sources lie at ``(-rho sin phi, rho cos
phi, z)`` of the format's own scanner coordinates, which are used as they are: what is left and back of the patient in
them is not stated by the format.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError, UnsupportedError
from pacscore.recon.helical_geometries import HelicalGeometry
from pacscore.recon.raw_projections import RawProjections

_TAGS = {
    "rows": (0x7029, 0x1010), "columns": (0x7029, 0x1011), "column_spacing": (0x7029, 0x1002),
    "row_spacing": (0x7029, 0x1006), "shape": (0x7029, 0x100B), "angle": (0x7031, 0x1001), "z": (0x7031, 0x1002),
    "radius": (0x7031, 0x1003), "distance": (0x7031, 0x1031), "center": (0x7031, 0x1033),
    "angle_shift": (0x7033, 0x100B), "z_shift": (0x7033, 0x100C), "radius_shift": (0x7033, 0x100D),
    "water": (0x7041, 0x1001),
}  # fmt: skip
_FORMATS = {"rows": "H", "columns": "H"}


def read_ct_pd(paths: Sequence[Path]) -> RawProjections:
    """Read the views of a helical scan.

    Parameters
    ----------
    paths : sequence of Path
        One view each, in any order: Instance Number (0020,0013) orders them.

    Raises
    ------
    InputError
        A file is no DICOM-CT-PD, or views contradict each other.
    UnsupportedError
        The detector is not a cylinder about the source.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    views: list[tuple[int, dict[str, Any], NDArray[np.float32]]] = []
    for path in paths:
        try:
            dataset = pydicom.dcmread(path)
        except (InvalidDicomError, OSError) as error:
            raise InputError("The file is no DICOM object.", path=str(path)) from error
        facts = {name: _value(dataset, name) for name in _TAGS}
        if facts["angle"] is None or facts["rows"] is None or facts["columns"] is None:
            raise InputError("The file is no DICOM-CT-PD: (7031,1001), (7029,1010) or (7029,1011) is missing.")
        views.append((int(dataset.get("InstanceNumber", len(views)) or 0), facts, _image(dataset, facts)))
    if not views:
        raise InputError("There are no views.")
    views.sort(key=lambda view: view[0])
    values = np.stack([image for _, _, image in views])
    first = views[0][1]
    if first["shape"] and "CYLIND" not in str(first["shape"]).upper():
        raise UnsupportedError(f"The detector shape {str(first['shape']).strip()} (7029,100B) is not read here.")
    columns = {name: np.array([facts[name] or 0.0 for _, facts, _ in views], np.float64) for name in ("angle", "z")}
    return RawProjections(values, geometry=_geometry(first, columns, views, values.shape), water=_water(first))


def _geometry(
    first: dict[str, Any], columns: dict[str, NDArray[np.float64]], views: list[Any], shape: tuple[int, ...]
) -> HelicalGeometry:
    missing = [name for name in ("radius", "distance", "column_spacing", "row_spacing") if not first[name]]
    if missing:
        raise InputError(f"The scan does not state its {', '.join(missing)}.", found=missing)
    angles = np.unwrap(columns["angle"]) + np.pi / 2
    turned = float(angles[-1] - angles[0]) if angles.size > 1 else 0.0
    pitch = float(columns["z"][-1] - columns["z"][0]) / turned * 2 * np.pi if turned else 0.0
    spot = np.array(
        [[facts["radius_shift"] or 0.0, (facts["angle_shift"] or 0.0) * first["radius"], facts["z_shift"] or 0.0]
         for _, facts, _ in views]
    )  # fmt: skip
    center = first["center"] if isinstance(first["center"], tuple) else None
    return HelicalGeometry(
        angles, pitch, shape[1], shape[2], float(first["row_spacing"]), float(first["column_spacing"]),
        float(first["radius"]), float(first["distance"]), start_z_lps=float(columns["z"][0]),
        # Elements are counted from 1.
        center_row=None if center is None else center[1] - 1.0,
        center_column=None if center is None else center[0] - 1.0,
        focal_spot_mm=spot,
    )  # fmt: skip


def _water(first: dict[str, Any]) -> float | None:
    return float(first["water"]) if first["water"] else None


def _image(dataset: Any, facts: dict[str, Any]) -> NDArray[np.float32]:
    """(rows, columns) line integrals; some writers keep columns of the detector as rows of the image."""
    try:
        words = np.asarray(dataset.pixel_array)
    except (AttributeError, ValueError, NotImplementedError) as error:
        raise InputError("A view has no pixels that can be read.") from error
    rows, columns = int(facts["rows"]), int(facts["columns"])
    if words.shape == (columns, rows) and rows != columns:
        words = words.T
    if words.shape != (rows, columns):
        raise InputError(f"A view is {words.shape}, and its detector {(rows, columns)}.", expected=(rows, columns))
    slope, intercept = float(dataset.get("RescaleSlope", 1) or 1), float(dataset.get("RescaleIntercept", 0) or 0)
    return words.astype(np.float32) * np.float32(slope) + np.float32(intercept)


def _value(dataset: Any, name: str) -> Any:
    element = dataset.get(_TAGS[name])
    if element is None:
        return None
    value = element.value
    if isinstance(value, bytes):
        if name == "shape":
            return value.decode("ascii", "replace")
        kind = _FORMATS.get(name, "f")
        size = struct.calcsize(kind)
        numbers = struct.unpack(f"<{len(value) // size}{kind}", value[: len(value) // size * size])
        return numbers[0] if len(numbers) == 1 else numbers
    if isinstance(value, str):
        return value
    return tuple(float(each) for each in value) if hasattr(value, "__iter__") else value
