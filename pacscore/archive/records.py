"""What a manifest keeps for the archive: the stacks of a series and the columns of its instances, as JSON.

These records are all that opening a volume needs (no header is read for it), and all that a rebuild of the catalog
needs beside the series document. Each is a frozen value with ``as_dict`` and ``from_dict``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.geometry import Axis, Stack, StackGeometry, Verdict, series_verdict
from pacscore.imaging.attributes import StackAttributes
from pacscore.imaging.ome_zarr import ome_axes
from pacscore.imaging.records import attributes_from_record, attributes_record


@dataclass(frozen=True, slots=True, eq=False)
class StackRecord:
    """One stack of a sealed or received series.

    Attributes
    ----------
    frames : (n, 2) int32
        Instance ordinal and frame index of each frame, flat over axes and slices.
    grid : tuple of int
        Lengths of the axes and the number of slices; their product is n.
    array : int
        Which array of the generation holds it; -1 when frames are decoded from their objects.
    """

    kind: str
    axes: tuple[Axis, ...]
    grid: tuple[int, ...]
    frame_shape: tuple[int, ...]
    dtype: str
    geometry: StackGeometry
    values: StackAttributes
    frames: NDArray[np.int32]
    array: int = -1

    @classmethod
    def of(cls, stack: Stack, dtype: str, values: StackAttributes) -> StackRecord:
        """The record of a stack whose words have this dtype."""
        frames = np.ascontiguousarray(stack.frames.reshape(-1, 2))
        return cls(
            stack.kind, stack.axes, stack.frames.shape[:-1], stack.frame_shape, dtype, stack.geometry, values, frames
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array: axes, slices, then the frame."""
        return (*self.grid, *self.frame_shape)

    @property
    def dimension_names(self) -> tuple[str, ...]:
        """One per axis of the array."""
        samples = ("sample",) if len(self.frame_shape) == 3 else ()
        slices = "slice" if self.kind == "volume" else "frame"
        return (*(axis.name for axis in self.axes), slices, "row", "column", *samples)

    def array_attributes(self) -> dict[str, Any]:
        """What the Zarr array says under ``pacscore``: enough for a reader that knows nothing of manifests."""
        return {
            "kind": self.kind,
            "axes": [axis.as_dict() for axis in self.axes],
            **self.geometry.as_dict(),
            "values": attributes_record(self.values),
        }

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON."""
        frames = self.frames
        return {
            "kind": self.kind,
            "axes": [axis.as_dict() for axis in self.axes],
            "grid": list(self.grid),
            "frame_shape": list(self.frame_shape),
            "dtype": self.dtype,
            "geometry": self.geometry.as_dict(),
            "values": attributes_record(self.values),
            "instances": frames[:, 0].tolist(),
            "frame_indices": frames[:, 1].tolist() if frames[:, 1].any() else None,
            "array": self.array,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> StackRecord:
        """The record that ``as_dict`` gave."""
        instances = np.asarray(value["instances"], np.int32)
        indices = value["frame_indices"]
        frames = np.zeros((len(instances), 2), np.int32)
        frames[:, 0] = instances
        if indices is not None:
            frames[:, 1] = indices
        return cls(
            value["kind"],
            tuple(Axis.from_dict(axis) for axis in value["axes"]),
            tuple(value["grid"]),
            tuple(value["frame_shape"]),
            value["dtype"],
            StackGeometry.from_dict(value["geometry"]),
            attributes_from_record(value["values"]),
            frames,
            value["array"],
        )


@dataclass(frozen=True, slots=True, eq=False)
class SeriesRecord:
    """All of a series that its manifest keeps for the archive."""

    stacks: tuple[StackRecord, ...]
    varying: tuple[str, ...]
    instance_numbers: tuple[int | None, ...]
    rows: tuple[int | None, ...]
    columns: tuple[int | None, ...]
    bits: tuple[int | None, ...]
    frame_counts: tuple[int | None, ...]
    stated_by: str = ""

    @classmethod
    def of(
        cls, stacks: Sequence[StackRecord], documents: Sequence[Mapping[str, Any]], *, varying: Sequence[str]
    ) -> SeriesRecord:
        """The record of a series with these stacks and, object by object, these documents."""

        def column(keyword: str) -> tuple[int | None, ...]:
            found = (document.get(keyword) for document in documents)
            return tuple(value if isinstance(value, int) else None for value in found)

        return cls(
            tuple(stacks),
            tuple(varying),
            column("InstanceNumber"),
            column("Rows"),
            column("Columns"),
            column("BitsAllocated"),
            column("NumberOfFrames"),
        )

    @property
    def verdict(self) -> str:
        """Of the series: ``regular`` when all its volume stacks are, else the first of theirs in precedence."""
        return series_verdict(self.stacks).value

    @property
    def frame_count(self) -> int:
        """Frames in all stacks."""
        return sum(len(stack.frames) for stack in self.stacks)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its stacks, each once, sorted."""
        return tuple(sorted({stack.kind for stack in self.stacks}))

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON; a column that holds one value is kept as that value."""
        return {
            "stacks": [stack.as_dict() for stack in self.stacks],
            "varying": list(self.varying),
            "count": len(self.rows),
            "columns": {name: _packed(getattr(self, name)) for name in _COLUMNS},
            "stated_by": self.stated_by,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> SeriesRecord:
        """The record that ``as_dict`` gave."""
        columns = {name: _unpacked(value["columns"][name], value["count"]) for name in _COLUMNS}
        return cls(
            tuple(StackRecord.from_dict(stack) for stack in value["stacks"]),
            tuple(value["varying"]),
            **columns,
            stated_by=value["stated_by"],
        )


_COLUMNS = ("instance_numbers", "rows", "columns", "bits", "frame_counts")


def _packed(column: tuple[int | None, ...]) -> Any:
    return column[0] if column and len(set(column)) == 1 else list(column)


def _unpacked(value: Any, count: int) -> tuple[int | None, ...]:
    return tuple(value) if isinstance(value, list) else (value,) * count


def ome_of(record: StackRecord) -> dict[str, Any] | None:
    """One entry of OME-Zarr 0.5 ``multiscales`` without its data set's path, or None.

    Only a regular stack has a spacing that OME-Zarr can state: it knows neither tilt nor gaps, and a made-up scale
    would break promise 6. At most one axis beside the three of space can be named there.
    """
    spacing = record.geometry.spacing_mm
    regular = record.kind == "volume" and record.geometry.verdict == Verdict.REGULAR
    if not regular or spacing is None or spacing[0] is None or len(record.axes) > 1 or len(record.frame_shape) != 2:
        return None
    return {
        "axes": ome_axes(record.axes),
        "coordinateTransformations": [
            {"type": "scale", "scale": [1.0] * len(record.axes) + [float(s or 1.0) for s in spacing]}
        ],
        "name": record.kind,
    }
