"""The values of this room: axes, the geometry of a stack, the stack itself.

Arrays are indexed ``(axis…, slice, row, column)``. Positions are millimetres in the patient coordinate system of
PS3.3 C.7.6.2.1.1: x to the patient's left, y to posterior, z to the head (LPS). A pixel's position is that of its
centre.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pacscore.geometry.verdict import Finding, Json, Verdict

SpacingMm: TypeAlias = tuple[float | None, float, float]


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis of a stack besides slice, row and column.

    Attributes
    ----------
    name : str
        ``echo_time``, ``b_value``, ``time`` …; ``docs/geometry.md`` lists them.
    values : tuple of float or str
        One for each index, in order.
    unit : str
        Of the values; empty where they are names or counts.
    """

    name: str
    values: tuple[float | str, ...]
    unit: str

    def as_dict(self) -> dict[str, Json]:
        """The axis as JSON values."""
        return {"name": self.name, "values": list(self.values), "unit": self.unit}

    @classmethod
    def from_dict(cls, value: Mapping[str, Json]) -> Axis:
        """The axis that ``as_dict`` gave."""
        values = value["values"]
        assert isinstance(values, list)
        return cls(
            str(value["name"]),
            tuple(item if isinstance(item, str) else _number(item) for item in values),
            str(value["unit"]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class StackGeometry:
    """Where the pixels of a stack lie, and how far that can be trusted.

    Attributes
    ----------
    verdict : Verdict
    findings : tuple of Finding
    index_to_lps : (4, 4) float64 or None
        Maps ``(slice, row, column, 1)`` to ``(x, y, z, 1)`` in mm. Its first column is the step from one slice to the
        next, the second the step from one row to the next (along the column cosines, the second triple of Image
        Orientation (Patient)), the third the step from one column to the next (along the row cosines, the first
        triple), the fourth the centre of the first pixel of the first slice. Sheared when tilted. A single slice has a
        zero first column: where a second one would lie is not known. None where slices are not equally spaced.
    spacing_mm : (slice, row, column) or None
        Between slices perpendicular to them, so that the product is the volume of a voxel also when tilted; between
        rows; between columns. The first is None where slices are not equally spaced or single.
    orientation : six floats or None
        Row cosines, then column cosines, orthonormal; PS3.3 C.7.6.2.1.1.
    positions_lps : (slices, 3) float64 or None
        Centre of the first pixel of each slice, mm; kept where ``index_to_lps`` cannot say it.
    frame_of_reference_uid : str
        Empty if the object states none.
    """

    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    index_to_lps: NDArray[np.float64] | None = None
    spacing_mm: SpacingMm | None = None
    orientation: tuple[float, ...] | None = None
    positions_lps: NDArray[np.float64] | None = None
    frame_of_reference_uid: str = ""

    def __post_init__(self) -> None:
        for array in (self.index_to_lps, self.positions_lps):
            if array is not None:
                array.setflags(write=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StackGeometry) and self.as_dict() == other.as_dict()

    __hash__ = None  # type: ignore[assignment]  # Arrays inside: equal by value, not hashable.

    def slice_position_lps(self, index: int) -> NDArray[np.float64] | None:
        """Centre of the first pixel of slice ``index``, mm LPS; None where no position is known."""
        if self.positions_lps is not None:
            stored: NDArray[np.float64] = self.positions_lps[index]
            return stored
        if self.index_to_lps is not None:
            position: NDArray[np.float64] = self.index_to_lps[:3, 3] + index * self.index_to_lps[:3, 0]
            return position
        return None

    def as_dict(self) -> dict[str, Json]:
        """The geometry as JSON values; floats survive exactly."""
        return {
            "verdict": self.verdict.value,
            "findings": [finding.as_dict() for finding in self.findings],
            "index_to_lps": None if self.index_to_lps is None else self.index_to_lps.tolist(),
            "spacing_mm": None if self.spacing_mm is None else list(self.spacing_mm),
            "orientation": None if self.orientation is None else list(self.orientation),
            "positions_lps": None if self.positions_lps is None else self.positions_lps.tolist(),
            "frame_of_reference_uid": self.frame_of_reference_uid,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Json]) -> StackGeometry:
        """The geometry that ``as_dict`` gave."""
        findings, spacing, orientation = value["findings"], value["spacing_mm"], value["orientation"]
        assert isinstance(findings, list)
        return cls(
            verdict=Verdict(str(value["verdict"])),
            findings=tuple(Finding.from_dict(item) for item in findings if isinstance(item, dict)),
            index_to_lps=_matrix(value["index_to_lps"]),
            spacing_mm=_spacing(spacing) if isinstance(spacing, list) else None,
            orientation=tuple(map(_number, orientation)) if isinstance(orientation, list) else None,
            positions_lps=_matrix(value["positions_lps"]),
            frame_of_reference_uid=str(value["frame_of_reference_uid"]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Frames of one series that make one array.

    Attributes
    ----------
    kind : str
        ``volume``: parallel planes of one sample per pixel; ``mosaic``: frames that each hold the tiles of a whole
        volume, kept as they are; ``frames``: all else, colour and tiled images included.
    axes : tuple of Axis
        Extra axes, slowest first.
    frames : (axis…, slices, 2) int32
        Which frame lies where: (instance, frame_index), the ``instance`` being the number given to ``frames_of``.
    frame_shape : tuple of int
        (rows, columns), or (rows, columns, samples) for more than one sample per pixel.
    geometry : StackGeometry
    """

    kind: str
    axes: tuple[Axis, ...]
    frames: NDArray[np.int32]
    frame_shape: tuple[int, ...]
    geometry: StackGeometry

    def __post_init__(self) -> None:
        self.frames.setflags(write=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array: the lengths of the axes, slices, then the frame's shape."""
        return (*self.frames.shape[:-1], *self.frame_shape)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Stack)
            and (self.kind, self.axes, self.frame_shape) == (other.kind, other.axes, other.frame_shape)
            and np.array_equal(self.frames, other.frames)
            and self.geometry == other.geometry
        )

    __hash__ = None  # type: ignore[assignment]  # Arrays inside: equal by value, not hashable.


def _number(value: Json) -> float:
    assert isinstance(value, int | float)
    return float(value)


def _matrix(value: Json) -> NDArray[np.float64] | None:
    return None if value is None else np.array(value, np.float64)


def _spacing(value: list[Json]) -> SpacingMm:
    between_slices = None if value[0] is None else _number(value[0])
    return (between_slices, _number(value[1]), _number(value[2]))
