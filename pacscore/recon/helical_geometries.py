"""Where rays run in helical scans: a source on a helix, a cylindrical detector, a focal spot that may fly.

Projections are arrays (views, rows, columns); coordinates are those of ``grids``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pacscore.errors import InputError, UnsupportedError
from pacscore.recon.cone_geometries import ConeGeometry
from pacscore.recon.geometries import arc_text, check_angles, check_center, check_count, check_length

if TYPE_CHECKING:
    from PIL import Image as PillowImage

    from pacscore.recon.grids import Grid


@dataclass(frozen=True, slots=True, eq=False)
class HelicalGeometry:
    """A source on a helix about z, and a cylindrical detector about the source.

    Attributes
    ----------
    angles_rad : (views,) float64
        Rising or falling evenly over all turns, not wrapped. The source lies at ``source_to_axis_mm * (cos, sin)``,
        columns rise along ``(-sin, cos)``, rows along z.
    pitch_mm : float
        How far the source moves along z in a turn of rising angle, negative toward the feet.
    row_count, column_count, row_spacing_mm, column_spacing_mm
        Spacing on the detector; columns lie at equal angles.
    source_to_axis_mm, source_to_detector_mm : float
    start_z_lps : float
        z of the source in the first view.
    center_row, center_column : float
        Where the ray through the axis, perpendicular to it, meets the detector; by default the middle.
    focal_spot_mm : (views, 3) float64
        Flying focal spot: by how much each view's source is shifted outward, along the columns, and along z.

    Raises
    ------
    InputError
        A number is none that can be used, or angles do not go one way.
    """

    angles_rad: ArrayLike
    pitch_mm: float
    row_count: int
    column_count: int
    row_spacing_mm: float
    column_spacing_mm: float
    source_to_axis_mm: float
    source_to_detector_mm: float
    start_z_lps: float = 0.0
    center_row: float | None = None
    center_column: float | None = None
    focal_spot_mm: ArrayLike = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        angles = check_angles(self.angles_rad)
        steps = np.diff(angles)
        if steps.size and not ((steps > 0).all() or (steps < 0).all()):
            raise InputError("Angles of a helix rise or fall over all turns: unwrap them (numpy.unwrap).")
        object.__setattr__(self, "angles_rad", angles)
        for name in ("row_count", "column_count"):
            object.__setattr__(self, name, check_count(getattr(self, name), name))
        for name in ("row_spacing_mm", "column_spacing_mm", "source_to_axis_mm", "source_to_detector_mm"):
            object.__setattr__(self, name, check_length(getattr(self, name), name))
        if self.source_to_detector_mm < self.source_to_axis_mm:
            raise InputError("The detector lies before the axis of rotation: is a distance from axis to detector?")
        if not (math.isfinite(self.pitch_mm) and math.isfinite(self.start_z_lps)):
            raise InputError("pitch_mm and start_z_lps must be finite.")
        object.__setattr__(self, "center_row", check_center(self.center_row, self.row_count, "center_row"))
        object.__setattr__(self, "center_column", check_center(self.center_column, self.column_count, "center_column"))
        spot = np.asarray(self.focal_spot_mm, np.float64).reshape(-1, 3)
        if spot.shape[0] not in {1, angles.size} or not np.isfinite(spot).all():
            raise InputError(f"focal_spot_mm is (views, 3), finite, for {angles.size} views.", found=spot.shape)
        object.__setattr__(self, "focal_spot_mm", np.broadcast_to(spot, (angles.size, 3)).copy())
        if self.column_count * self.column_spacing_mm > 2.0 * self.source_to_detector_mm:
            raise InputError("The arc of the detector spans more than 2 radians.")

    @property
    def angles(self) -> NDArray[np.float64]:
        """The angles as an array."""
        return np.asarray(self.angles_rad)

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(views, rows, columns)``."""
        return self.angles.size, self.row_count, self.column_count

    @property
    def center(self) -> tuple[float, float]:
        """``(center_row, center_column)`` as numbers."""
        return float(self.center_row or 0.0), float(self.center_column or 0.0)

    @property
    def flies(self) -> bool:
        """Whether the focal spot is anywhere but on the helix."""
        return bool(np.abs(np.asarray(self.focal_spot_mm)).max() > 1e-9)

    @property
    def rise_mm_per_rad(self) -> float:
        """Of the source."""
        return self.pitch_mm / (2 * math.pi)

    @property
    def heights_lps(self) -> NDArray[np.float64]:
        """(views,) z of the source, without the flying spot."""
        heights: NDArray[np.float64] = self.start_z_lps + (self.angles - self.angles[0]) * self.rise_mm_per_rad
        return heights

    @property
    def pitch_factor(self) -> float:
        """Movement in a turn over the height of the detector at the axis."""
        height = self.row_count * self.row_spacing_mm * self.source_to_axis_mm / self.source_to_detector_mm
        return abs(self.pitch_mm) / height

    def rays(self, view: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The focal spot and the unit direction of each ray, both (rows, columns, 3) in LPS mm.

        The detector stays where it is when the focal spot flies.
        """
        angle = self.angles[view]
        out, across = (
            np.array([math.cos(angle), math.sin(angle), 0.0]),
            np.array([-math.sin(angle), math.cos(angle), 0]),
        )
        up = np.array([0.0, 0.0, 1.0])
        home = out * self.source_to_axis_mm + up * self.heights_lps[view]
        shift = np.asarray(self.focal_spot_mm)[view]
        turn = (np.arange(self.column_count) - self.center[1]) * self.column_spacing_mm / self.source_to_detector_mm
        level = self.source_to_detector_mm * (np.sin(turn)[:, None] * across - np.cos(turn)[:, None] * out)
        rows = (np.arange(self.row_count) - self.center[0])[:, None, None] * self.row_spacing_mm * up
        spot = home + shift[0] * out + shift[1] * across + shift[2] * up
        toward = (home - spot) + level[None] + rows
        directions = toward / np.linalg.norm(toward, axis=-1, keepdims=True)
        return np.broadcast_to(spot, directions.shape), directions

    def columns_seen(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(views, 3) focal spots in LPS, and (views, columns, 3) from each to the central row of the columns."""
        c, s, none = np.cos(self.angles), np.sin(self.angles), np.zeros(self.angles.size)
        axes = np.stack([np.stack(each, axis=1) for each in ((c, s, none), (-s, c, none), (none, none, none + 1))], 1)
        shift = np.einsum("vk,vkj->vj", np.asarray(self.focal_spot_mm), axes)
        home = axes[:, 0] * self.source_to_axis_mm + axes[:, 2] * self.heights_lps[:, None]
        turn = (np.arange(self.column_count) - self.center[1]) * self.column_spacing_mm / self.source_to_detector_mm
        level = np.sin(turn)[:, None] * axes[:, None, 1] - np.cos(turn)[:, None] * axes[:, None, 0]
        return home + shift, self.source_to_detector_mm * level - shift[:, None]

    def cone(self, *, about_spots: bool = False) -> ConeGeometry:
        """The same views as a general cone geometry.

        Parameters
        ----------
        about_spots : bool
            Where the focal spot flies, take the detector with it: that is not where rays run, but where they come from.

        Raises
        ------
        UnsupportedError
            The focal spot flies, so that the detector is not centred on it.
        """
        if self.flies and not about_spots:
            raise UnsupportedError(
                "A flying focal spot leaves the axis of its cylindrical detector, which no ConeGeometry says: take the "
                "helix itself (wfbp and Projector do), or choose the views of one spot position."
            )
        c, s, none = np.cos(self.angles), np.sin(self.angles), np.zeros(self.angles.size)
        source, out = self.columns_seen()[0], np.stack([c, s, none], axis=1)
        return ConeGeometry(
            source, source - out * self.source_to_detector_mm, np.stack([-s, c, none], axis=1), (0.0, 0.0, 1.0),
            self.row_count, self.column_count, self.row_spacing_mm, self.column_spacing_mm, *self.center, curved=True,
        )  # fmt: skip

    def picture(self, grid: Grid | None = None, *, size: int = 480) -> PillowImage.Image:
        """The arrangement seen from the feet, and from the side, as a picture."""
        from pacscore.recon.drawing import draw_geometry

        return draw_geometry(self, grid, size=size)

    def __str__(self) -> str:
        flying = ", flying focal spot" if self.flies else ""
        return (
            f"helix of pitch {self.pitch_mm:g} mm ({self.pitch_factor:.3g} of the detector), {arc_text(self.angles)}, "
            f"{self.row_count} × {self.column_count} cylindrical detector of {self.row_spacing_mm:g} × "
            f"{self.column_spacing_mm:g} mm, source to axis {self.source_to_axis_mm:g} mm, to detector "
            f"{self.source_to_detector_mm:g} mm{flying}"
        )
