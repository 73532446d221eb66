"""The voxels of a reconstruction: how many, how far apart, where in space.

The scanner's coordinate system is used as LPS: x to the patient's left, y to the back, z to the head, in mm; the
isocentre is its origin and z the axis of rotation. A patient who lies otherwise has another ``directions``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pacscore.errors import InputError
from pacscore.imaging import Volume
from pacscore.imaging.resampling import grid_geometry
from pacscore.imaging.sources import ArrayInMemory
from pacscore.imaging.values import Presentation, Rescale, StoredFormat

VOXELS_MAX = 1 << 34


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Where voxels lie.

    Attributes
    ----------
    shape : tuple of int
        ``(slices, rows, columns)``.
    spacing_mm : tuple of float
        Between slices, rows and columns; one number serves all.
    center_lps : (3,) float64
        The middle of the grid, mm.
    directions : (3, 3) float64
        Its columns are the unit vectors along which slice, row and column index rise, LPS. By default slices to the
        head, rows to the back, columns to the left.

    Raises
    ------
    InputError
        A number is none that can be used, or the directions are not perpendicular unit vectors.

    Examples
    --------
    >>> grid = Grid((1, 2, 4), 0.5)
    >>> grid.index_to_lps[:3, 3]
    array([-0.75, -0.25,  0.  ])
    >>> print(grid)
    1 × 2 × 4 voxels of 0.5 × 0.5 × 0.5 mm about (0, 0, 0)
    """

    shape: tuple[int, int, int]
    spacing_mm: float | tuple[float, float, float] = 1.0
    center_lps: ArrayLike = (0.0, 0.0, 0.0)
    directions: ArrayLike = field(default=((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)))

    def __post_init__(self) -> None:
        shape = tuple(int(length) for length in self.shape)
        if len(shape) != 3 or min(shape) < 1 or math.prod(shape) > VOXELS_MAX:
            raise InputError(f"A grid has a number of slices, rows and columns, each 1 or more: {self.shape} is none.")
        spacing = np.broadcast_to(np.asarray(self.spacing_mm, np.float64), (3,)) if np.size(self.spacing_mm) in {1, 3} \
            else np.zeros(3)  # fmt: skip
        if not (np.isfinite(spacing).all() and (spacing > 0).all()):
            raise InputError("spacing_mm is one positive number, or three: between slices, rows and columns.")
        center = np.array(self.center_lps, np.float64)
        if center.shape != (3,) or not np.isfinite(center).all():
            raise InputError("center_lps is a point: three finite numbers, in mm.")
        directions = np.array(self.directions, np.float64)
        if directions.shape != (3, 3) or not np.allclose(directions.T @ directions, np.eye(3), atol=1e-6):
            raise InputError("directions has three perpendicular unit vectors as columns: of slices, rows, columns.")
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "spacing_mm", tuple(spacing.tolist()))
        object.__setattr__(self, "center_lps", center)
        object.__setattr__(self, "directions", directions)

    @property
    def steps_mm(self) -> NDArray[np.float64]:
        """(3,) between slices, rows and columns."""
        return np.array(self.spacing_mm, np.float64)

    @property
    def index_to_lps(self) -> NDArray[np.float64]:
        """4 × 4, ``(slice, row, column, 1)`` to LPS mm."""
        affine = np.eye(4)
        affine[:3, :3] = np.asarray(self.directions) * self.steps_mm
        affine[:3, 3] = np.asarray(self.center_lps) - affine[:3, :3] @ ((np.array(self.shape) - 1) / 2)
        return affine

    @property
    def column_first(self) -> NDArray[np.float64]:
        """4 × 4, ``(column, row, slice, 1)`` to LPS mm: the order in which maps of projections are written."""
        return self.index_to_lps[:, [2, 1, 0, 3]]

    def corners_lps(self) -> NDArray[np.float64]:
        """(8, 3) the outer corners of the outermost voxels."""
        ends = np.array(list(np.ndindex(2, 2, 2))) * np.array(self.shape) - 0.5
        corners: NDArray[np.float64] = ends @ self.index_to_lps[:3, :3].T + self.index_to_lps[:3, 3]
        return corners

    def slices(self, start: int, stop: int) -> Grid:
        """The grid of some of the slices."""
        moved = (start + stop - self.shape[0]) / 2 * self.index_to_lps[:3, 0]
        return replace(self, shape=(stop - start, *self.shape[1:]), center_lps=np.asarray(self.center_lps) + moved)

    def volume(self, values: NDArray[np.float32], *, derivation: str, unit: str = "", modality: str = "CT") -> Volume:
        """The array of a reconstruction as a volume in patient space.

        Parameters
        ----------
        values : NDArray of float32
            The grid's shape.
        derivation : str
            What was done, for people.
        unit : str
            Of the values: HU, or 1/mm; empty where it is not known.

        Raises
        ------
        InputError
            The shape is another, or nothing is said in ``derivation``.
        """
        if values.shape != self.shape:
            raise InputError(f"The grid has the shape {self.shape}, not {values.shape}.", expected=self.shape)
        if not derivation.strip():
            raise InputError("Say in derivation how the volume was reconstructed.")
        return Volume(
            ArrayInMemory(values),
            grid_geometry(self.index_to_lps, ""),
            StoredFormat.of_dtype(values.dtype),
            rescale=Rescale.linear(unit=unit),
            presentation=Presentation(modality=modality),
            derivation=(derivation,),
        )

    def __str__(self) -> str:
        size = " × ".join(map(str, self.shape))
        steps = " × ".join(f"{step:g}" for step in self.steps_mm)
        middle = ", ".join(f"{value:g}" for value in np.asarray(self.center_lps).tolist())
        return f"{size} voxels of {steps} mm about ({middle})"
