"""Helices whose focal spot flies, as seen by one whose spot does not: which measured rays stand for each of its own.

The detector stays where it is, so that rays of a deflected spot have other fan angles, other distances from the axis,
and other heights (Kachelrieß, Knaup, Penssel and Kalender 2006, IEEE Trans. Nucl. Sci. 53(3)).

S1  In the plane nothing is approximated: of each view the ray at the wanted distance from the axis is taken, at the
    place where it meets the detector, and views are interpolated between the angles these rays really have.
S2  Along z a ray stands for that of the still spot which has the same height where it passes the axis. What remains
    grows with the distance ``t`` from there, to ``t / source_to_axis`` of how far the spot is from its mean height.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import GeometryError
from pacscore.recon.helical_geometries import HelicalGeometry

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class FlyingSpots:
    """The still helix, and where its rays were measured.

    Attributes
    ----------
    measured : HelicalGeometry
        Of rising angles.
    still : HelicalGeometry
        At the mean height of the spots; with fewer rows where spots fly so far that outer ones would not be measured.
    trimmed : int
        Rows left out at either edge.
    """

    measured: HelicalGeometry
    still: HelicalGeometry
    trimmed: int

    @classmethod
    def of(cls, geometry: HelicalGeometry) -> FlyingSpots:
        """Of a helix of rising angles.

        Raises
        ------
        GeometryError
            The spot flies so far along z that no row is seen from all its positions.
        """
        rise = np.asarray(geometry.focal_spot_mm)[:, 2]
        magnified = geometry.source_to_detector_mm / geometry.source_to_axis_mm - 1
        moved = np.abs(rise - rise.mean()).max() * magnified / geometry.row_spacing_mm
        # Half a row beyond the outermost has their values, as without deflection.
        trimmed = max(0, math.ceil(moved - 0.5 - 1e-9))
        if geometry.row_count - 2 * trimmed < 1:
            raise GeometryError("The focal spot flies so far along z that no row is seen from all its positions.")
        mean = float(rise.mean())
        still = replace(
            geometry, row_count=geometry.row_count - 2 * trimmed, start_z_lps=geometry.start_z_lps + mean,
            center_row=geometry.center[0] + mean / geometry.row_spacing_mm - trimmed, focal_spot_mm=(0.0, 0.0, 0.0),
        )  # fmt: skip
        return cls(geometry, still, trimmed)

    def rays_of(self, angle_rad: float, across_mm: Float64) -> tuple[NDArray[np.int64], Float64, NDArray[np.float32]]:
        """Where the rays of one parallel view were measured, as ``kernels/helical.py`` takes it.

        Parameters
        ----------
        angle_rad : float
            Rays are the lines ``x cos + y sin = s``.
        across_mm : (rays,) float64
            ``s``.

        Returns
        -------
        views : (2, rays) int64
            Those whose rays lie next to the angle on either side.
        places : (2, rays, 3) float64
            Column, row for row 0 of the still detector, and rows a row of it.
        parts : (rays,) float32
            How far the angle lies from the first to the second.
        """
        angles = self.measured.angles
        spots = np.asarray(self.measured.focal_spot_mm)
        out = self.measured.source_to_axis_mm + spots[:, 0]
        turned, radius = np.arctan2(spots[:, 1], out), np.hypot(spots[:, 1], out)
        source = angle_rad - np.pi / 2 + np.arcsin(across_mm / self.measured.source_to_axis_mm)
        spread = 1 + math.ceil(2 * float(np.abs(turned).max()) / float(np.diff(angles).min()))
        near = np.searchsorted(angles, source) + np.arange(-spread - 1, spread + 1)[:, None]
        near = np.clip(near, 0, angles.size - 1)
        seen = angles[near] + turned[near] + np.pi / 2 - np.arcsin(across_mm / radius[near])
        before = np.where(seen <= angle_rad, seen, -np.inf).argmax(axis=0)
        after = np.where(seen > angle_rad, seen, np.inf).argmin(axis=0)
        # Beyond the first and the last view there is one side only.
        before = np.where((seen <= angle_rad).any(axis=0), before, after)
        after = np.where((seen > angle_rad).any(axis=0), after, before)
        rays = np.arange(across_mm.size)
        views, found = (
            np.stack([near[before, rays], near[after, rays]]),
            np.stack([seen[before, rays], seen[after, rays]]),
        )
        between = found[1] - found[0]
        parts = np.where(between > 0, (angle_rad - found[0]) / np.where(between > 0, between, 1.0), 0.0)
        return views.astype(np.int64), self._places(views, found, across_mm), parts.astype(np.float32)

    def _places(self, views: NDArray[np.intp], seen: Float64, across_mm: Float64) -> Float64:
        """(2, rays, 3) where rays at a distance from the axis meet the detector of their views."""
        one, still = self.measured, self.still
        far, near = one.source_to_detector_mm, one.source_to_axis_mm
        out, along, up = np.moveaxis(np.asarray(one.focal_spot_mm)[views], -1, 0)
        radius = np.hypot(near + out, along)
        fan = np.arcsin(across_mm / radius) - np.arctan2(along, near + out)
        c, s = np.cos(fan), np.sin(fan)
        ahead = along * s - out * c
        length = np.sqrt(ahead**2 + far**2 - out**2 - along**2) - ahead
        column = np.arctan2(along + length * s, length * c - out) * far / one.column_spacing_mm + one.center[1]
        # S2: heights where rays pass the axis, of the spot that flies and of the one that does not.
        to_axis, still_to_axis = np.sqrt(radius**2 - across_mm**2), np.sqrt(near**2 - across_mm**2)
        source = seen - np.pi / 2 + np.arcsin(across_mm / near)
        height = still.start_z_lps + (source - one.angles[0]) * one.rise_mm_per_rad
        apart = one.heights_lps[views] - height + up * (1 - to_axis / length)
        rows = still_to_axis / far * length / to_axis
        first = one.center[0] - still.center[0] * rows - apart * length / (to_axis * one.row_spacing_mm)
        return np.stack([column, first, rows], axis=-1)
