"""Where the slices of a volume lie, in the terms of the Image Plane module (PS3.3 C.7.6.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import GeometryError
from pacscore.geometry.placement import SAME_PLANE_MM, is_orientation, tolerance_mm

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True, slots=True, eq=False)
class SlicePlanes:
    """Where the slices of a volume lie, in the terms of DICOM.

    Attributes
    ----------
    orientation : tuple of six floats
        Row cosines (the direction of increasing column index), then column cosines.
    pixel_spacing : tuple of float
        Between rows, between columns, mm.
    positions_lps : NDArray of float64
        ``(slices, 3)``: centre of the first pixel of each slice, mm LPS.
    spacing_mm : float, optional
        Between slices, along their normal; None for a single one.
    """

    orientation: tuple[float, ...]
    pixel_spacing: tuple[float, float]
    positions_lps: NDArray[np.float64]
    spacing_mm: float | None

    @classmethod
    def of(cls, index_to_lps: NDArray[np.float64], count: int) -> SlicePlanes:
        """The planes of ``count`` slices.

        Raises
        ------
        GeometryError
            The affine is not finite, flat, or its rows and columns are not at right angles: DICOM cannot say it.
        """
        slice_step, row_step, column_step, origin = (index_to_lps[:3, column] for column in range(4))
        between_rows, between_columns = float(np.linalg.norm(row_step)), float(np.linalg.norm(column_step))
        if not np.isfinite(index_to_lps).all() or min(between_rows, between_columns) <= 0:
            raise GeometryError("The volume's affine is not finite, or a step between pixels is zero.")
        orientation = (*(column_step / between_columns).tolist(), *(row_step / between_rows).tolist())
        if not is_orientation(orientation):
            raise GeometryError(
                "Rows and columns of the volume are not at right angles: Image Orientation (Patient) (0020,0037) "
                "cannot say that. Resample the volume first.",
                tag="00200037",
            )
        along = abs(float(slice_step @ np.cross(orientation[:3], orientation[3:])))
        if count > 1 and along <= SAME_PLANE_MM:
            raise GeometryError("All slices of the volume lie in one plane: the slice step of its affine is flat.")
        positions = origin + np.arange(count)[:, None] * slice_step
        return cls(orientation, (between_rows, between_columns), positions, along if count > 1 else None)

    def is_place_of(self, source: Dataset, index: int, shape: tuple[int, ...]) -> bool:
        """Whether a source's pixels lie where those of a slice do, to the tolerance of a verdict."""
        try:
            stated = [source.get(name) for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")]
            if not all(stated) or (source.get("Rows"), source.get("Columns")) != shape:
                return False
            position, orientation, spacing = (np.array(value, np.float64) for value in stated)
        except (ValueError, TypeError):  # No numbers there: what they meant is not known.
            return False
        reach = max(shape) * max(self.pixel_spacing)
        limit = tolerance_mm(self.spacing_mm or 0.0)
        return bool(
            position.shape == (3,)
            and orientation.shape == (6,)
            and spacing.shape == (2,)
            and np.abs(position - self.positions_lps[index]).max() <= limit
            and np.abs(orientation - self.orientation).max() * reach <= max(self.pixel_spacing)
            and np.abs(spacing - self.pixel_spacing).max() * max(shape) <= max(self.pixel_spacing)
        )
