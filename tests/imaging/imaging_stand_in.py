"""Volumes for tests without the archive: real series read with pydicom, geometry from their headers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from pacscore.imaging.attributes import IMAGING_KEYWORDS, read_attributes
from pacscore.imaging.sources import ArrayInMemory
from pacscore.imaging.volume import Volume


@dataclass(frozen=True)
class Geometry:
    """What imaging asks of a geometry, computed for slices of one orientation."""

    verdict: str = "regular"
    index_to_lps: NDArray[np.float64] | None = None
    spacing_mm: tuple[float | None, float, float] | None = None
    orientation: tuple[float, ...] | None = None
    positions: NDArray[np.float64] | None = None
    findings: Sequence[object] = field(default_factory=tuple)
    frame_of_reference_uid: str = ""

    def slice_position_lps(self, index: int) -> NDArray[np.float64] | None:
        if self.positions is not None:
            return self.positions[index]
        return None if self.index_to_lps is None else (self.index_to_lps @ [index, 0, 0, 1])[:3]


@dataclass(frozen=True)
class Axis:
    name: str
    values: tuple[float | str, ...]
    unit: str = ""


def affine_geometry(
    spacing: tuple[float, float, float] = (3.0, 1.0, 1.0), *, origin: Sequence[float] = (0, 0, 0), tilt: float = 0.0
) -> Geometry:
    """An axial stack; ``tilt`` is what y moves from slice to slice."""
    affine = np.zeros((4, 4))
    affine[:3, 0] = 0, tilt, spacing[0]
    affine[1, 1], affine[0, 2], affine[3, 3] = spacing[1], spacing[2], 1
    affine[:3, 3] = origin
    return Geometry("tilted" if tilt else "regular", affine, spacing, (1, 0, 0, 0, 1, 0))


def geometry_of(datasets: Sequence[pydicom.Dataset]) -> Geometry:
    """Of classic slices already in order."""
    if any("ImagePositionPatient" not in ds or "PixelSpacing" not in ds for ds in datasets):
        return Geometry("none")
    rows, columns = (float(value) for value in datasets[0].PixelSpacing)
    orientation = tuple(float(value) for value in datasets[0].ImageOrientationPatient)
    positions = np.array([[float(value) for value in ds.ImagePositionPatient] for ds in datasets])
    normal = np.cross(orientation[:3], orientation[3:])
    if len(datasets) == 1:
        return Geometry("none", None, (None, rows, columns), orientation, positions)
    steps = np.diff(positions, axis=0)
    spacing = float(steps[0] @ normal)
    if np.abs(steps - steps[0]).max() > max(0.01, 0.001 * spacing):
        return Geometry("irregular", None, (None, rows, columns), orientation, positions)
    affine = np.eye(4)
    affine[:3, 0] = (positions[-1] - positions[0]) / (len(datasets) - 1)
    affine[:3, 1] = np.asarray(orientation[3:]) * rows
    affine[:3, 2] = np.asarray(orientation[:3]) * columns
    affine[:3, 3] = positions[0]
    tilted = np.abs(np.cross(steps[0], normal)).max() > 0.01
    return Geometry("tilted" if tilted else "regular", affine, (spacing, rows, columns), orientation)


def document_of(dataset: pydicom.Dataset) -> dict[str, Any]:
    """The attributes that imaging reads, as the dicom room gives them."""
    document = {}
    for element in dataset:
        if element.keyword not in IMAGING_KEYWORDS:
            continue
        document[element.keyword] = _plain(element)
    return document


def read_series(folder: Path, *, keep: Any = None) -> Volume:
    """All slices of a folder of one series, in order along the normal; ``keep`` filters data sets."""
    datasets = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    datasets = [ds for ds in datasets if "Rows" in ds and (keep is None or keep(ds))]
    orientation = getattr(datasets[0], "ImageOrientationPatient", None)
    if orientation is not None:
        normal = np.cross(np.array(orientation[:3], float), np.array(orientation[3:], float))
        datasets.sort(key=lambda ds: float(np.array(ds.ImagePositionPatient, float) @ normal))
    return volume_of(datasets)


def volume_of(datasets: Sequence[pydicom.Dataset]) -> Volume:
    attributes = read_attributes([(document_of(ds), 0) for ds in datasets])
    return Volume(
        ArrayInMemory(np.stack([ds.pixel_array for ds in datasets])),
        geometry_of(datasets),
        attributes.stored,
        attributes.rescale,
        attributes.presentation,
        sop_instance_uids=tuple(str(ds.SOPInstanceUID) for ds in datasets),
    )


def _plain(element: pydicom.DataElement) -> Any:
    if element.VR == "SQ":
        return [{inner.keyword: _plain(inner) for inner in item} for item in element.value]
    value = element.value
    if element.VM > 1:
        return [_number(part) for part in value]
    return _number(value)


def _number(value: Any) -> Any:
    if value is None or isinstance(value, (bytes, int)):
        return value
    if isinstance(value, float):
        return float(value)
    return int(value) if isinstance(value, pydicom.valuerep.IS) else str(value)
