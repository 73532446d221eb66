"""From the positions of parallel slices to a verdict, an affine and findings.

PS3.3 C.7.6.2.1.1 gives the position of a pixel from Image Position (Patient) S, the row cosines X, the column cosines
Y and Pixel Spacing (Δi between columns is its second value, between rows its first): S + X·Δcolumn·column +
Y·Δrow·row. What it does not give is where the next slice lies; that is measured here, never taken from Slice
Thickness, Spacing Between Slices or Slice Location.

All tolerances of the room stand here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pacscore.geometry.stack import SpacingMm, StackGeometry
from pacscore.geometry.verdict import Finding, Verdict

Vectors = NDArray[np.float64]

POSITION_MM = 0.01
"""Slices may miss their place by this much, or by ``SPACING_FRACTION`` of their distance if that is more."""
SPACING_FRACTION = 0.001
FINE_FRACTION = 0.1
"""Below a spacing of 0.1 mm the limit is this part of it: 0.01 mm would hide a missing slice of 5 µm micro-CT."""
ROUNDING_MM = 1e-6
TILT_DEG = 0.05
"""A smaller angle between the line of slices and the normal is the rounding of Image Orientation (Patient)."""
ORTHOGONAL = 1e-4
"""Cosines whose dot product is at most this are made orthonormal: a pixel 300 mm away moves by 0.015 mm."""
COSINE = 1e-2
"""Cosines farther than this from unit length, or from a right angle, are no orientation at all."""
SAME_PLANE_MM = 1e-4
"""Closer planes are always one; up to ``POSITION_MM`` they are if that is under a tenth of the usual distance."""
LISTED = 100
"""How many positions a finding lists at most."""


@dataclass(frozen=True, slots=True)
class Plane:
    """Orientation and pixel spacing that a stack's frames share.

    Attributes
    ----------
    row, column, normal : (3,) float64
        Unit vectors: of increasing column index, of increasing row index, and their cross product.
    spacing : (float, float)
        Pixel Spacing (0028,0030), mm: between rows, between columns.
    dot : float
        Of row and column as they were given.
    """

    row: Vectors
    column: Vectors
    normal: Vectors
    spacing: tuple[float, float]
    dot: float

    @classmethod
    def of(cls, orientation: tuple[float, ...], spacing: tuple[float, float]) -> Plane:
        """Make unit vectors of ``orientation``, which must have passed ``is_orientation``; see ``ORTHOGONAL``."""
        row, column = np.array(orientation[:3]), np.array(orientation[3:])
        row, column = row / np.linalg.norm(row), column / np.linalg.norm(column)
        dot = float(row @ column)
        if 0.0 < abs(dot) <= ORTHOGONAL:
            # Both turn by the same small angle, so that neither is preferred.
            row, column = row - dot / 2.0 * column, column - dot / 2.0 * row
            row, column = row / np.linalg.norm(row), column / np.linalg.norm(column)
        normal = np.cross(row, column)
        return cls(row, column, normal / np.linalg.norm(normal), spacing, dot)

    @property
    def orientation(self) -> tuple[float, ...]:
        """Row cosines, then column cosines."""
        return (*map(float, self.row), *map(float, self.column))

    def affine(self, step: Vectors, origin: Vectors) -> Vectors:
        """``index_to_lps`` for slices at ``origin + index * step``."""
        matrix = np.eye(4)
        matrix[:3, 0] = step
        matrix[:3, 1] = self.column * self.spacing[0]
        matrix[:3, 2] = self.row * self.spacing[1]
        matrix[:3, 3] = origin
        return matrix


def is_orientation(values: tuple[float, ...]) -> bool:
    """Whether six cosines are two unit vectors at a right angle, within ``COSINE``."""
    a, b, c, d, e, f = values
    return (
        abs(math.sqrt(a * a + b * b + c * c) - 1.0) <= COSINE
        and abs(math.sqrt(d * d + e * e + f * f) - 1.0) <= COSINE
        and abs(a * d + b * e + c * f) <= COSINE
    )


def tolerance_mm(spacing: float) -> float:
    """How far a slice may lie from its place in a stack of this spacing."""
    return max(min(POSITION_MM, FINE_FRACTION * abs(spacing)), SPACING_FRACTION * abs(spacing)) + ROUNDING_MM


def plane_codes(distances: Vectors) -> NDArray[np.int64]:
    """Number the planes of frames by their distance along the normal, ascending from 0.

    distances : (frames,) float64, mm, any order

    Frames share a plane if a chain of gaps below the limit joins them: ``SAME_PLANE_MM``, or up to ``POSITION_MM``
    where planes are usually ten times farther apart, so that micro-CT with 5 µm slices is not taken for duplicates.
    """
    order = np.argsort(distances, kind="stable")
    gaps = np.diff(distances[order])
    real = gaps[gaps > SAME_PLANE_MM]
    limit = max(SAME_PLANE_MM, min(POSITION_MM, FINE_FRACTION * float(np.median(real)))) if real.size else SAME_PLANE_MM
    codes = np.empty(distances.size, np.int64)
    codes[order] = np.concatenate(([0], np.cumsum(gaps > limit)))
    return codes


def judge(positions: Vectors, plane: Plane) -> StackGeometry:
    """Verdict, affine and findings for slices in ascending order along the normal.

    positions : (slices, 3) float64, mm LPS, at least one

    The verdicts given here: ``none`` for a single slice, ``duplicates``, ``gaps``, ``irregular``, ``tilted``,
    ``regular``. Those that need to know of other stacks are the caller's.
    """
    findings = _plane_findings(plane)
    in_plane: SpacingMm = (None, *plane.spacing)
    if len(positions) == 1:
        return StackGeometry(
            Verdict.NONE,
            (*findings, Finding("single-slice", "A single slice: the distance to a next one is not known.")),
            plane.affine(np.zeros(3), positions[0]),
            in_plane,
            plane.orientation,
        )
    line = _line(positions, np.arange(len(positions), dtype=np.float64))
    spacing = float(line.step @ plane.normal)
    if line.deviation <= tolerance_mm(spacing) and spacing > SAME_PLANE_MM:
        return _on_a_line(positions, plane, line, findings)
    distances = positions @ plane.normal
    codes = plane_codes(distances)
    if codes[-1] + 1 < len(codes):
        # What the planes would be without the repeats stays a finding; the stack itself has no affine.
        once = judge(positions[np.diff(codes, prepend=-1) > 0], plane)
        return StackGeometry(
            Verdict.DUPLICATES,
            (_duplicates(distances, codes, once.verdict), *once.findings),
            None,
            in_plane,
            plane.orientation,
            positions.copy(),
        )
    verdict, extra = _off_a_line(positions, distances)
    return StackGeometry(
        verdict,
        (*findings, *extra, *_lateral_findings(positions, distances, plane)),
        None,
        in_plane,
        plane.orientation,
        positions.copy(),
    )


@dataclass(frozen=True, slots=True)
class _Line:
    origin: Vectors
    step: Vectors
    deviation: float  # The largest distance of a position from its place, mm.


def _line(positions: Vectors, indices: Vectors) -> _Line:
    """The least-squares line ``origin + index * step`` through positions at the given indices."""
    center, middle = positions.mean(axis=0), float(indices.mean())
    offsets = indices - middle
    step = offsets @ (positions - center) / float(offsets @ offsets)
    return _with_step(positions, indices, step)


def _with_step(positions: Vectors, indices: Vectors, step: Vectors) -> _Line:
    origin = positions.mean(axis=0) - float(indices.mean()) * step
    missed = positions - origin - indices[:, None] * step
    return _Line(origin, step, float(np.sqrt((missed * missed).sum(axis=1).max())))


def _on_a_line(positions: Vectors, plane: Plane, line: _Line, findings: list[Finding]) -> StackGeometry:
    spacing = float(line.step @ plane.normal)
    angle = _angle_deg(line.step, plane.normal)
    indices = np.arange(len(positions), dtype=np.float64)
    straight = _with_step(positions, indices, spacing * plane.normal)
    verdict = Verdict.REGULAR
    if straight.deviation <= tolerance_mm(spacing):
        # The affine is then orthogonal, which NIfTI and ITK ask for, and still right within the tolerance.
        line = straight
    elif angle > TILT_DEG:
        verdict = Verdict.TILTED
        findings = [*findings, _tilt(line.step, plane)]
    return StackGeometry(
        verdict,
        tuple(findings),
        plane.affine(line.step, line.origin),
        (spacing, *plane.spacing),
        plane.orientation,
    )


def _off_a_line(positions: Vectors, distances: Vectors) -> tuple[Verdict, list[Finding]]:
    gaps = np.diff(distances)
    missing = _missing(positions, distances, gaps)
    if missing is not None:
        return Verdict.GAPS, [missing]
    return Verdict.IRREGULAR, [_irregular(gaps)]


def _missing(positions: Vectors, distances: Vectors, gaps: Vectors) -> Finding | None:
    """The finding ``gaps`` if all distances are whole multiples of one, most of them just that one."""
    base = float(gaps.min())
    counts = np.rint(gaps / base)
    indices = np.concatenate(([0.0], np.cumsum(counts)))
    if 2 * np.count_nonzero(counts == 1.0) < counts.size or indices[-1] > 10 * len(positions):
        return None
    line = _line(positions, indices)
    spacing = float(gaps.sum() / indices[-1])
    if counts.max() == 1.0 or 4.0 * tolerance_mm(spacing) > base or line.deviation > tolerance_mm(spacing):
        return None
    holes = np.setdiff1d(np.arange(indices[-1]), indices)
    places = line.origin + holes[:LISTED, None] * line.step
    return Finding(
        "gaps",
        f"{holes.size} of {int(indices[-1]) + 1} slices are missing at a spacing of {spacing:.5g} mm.",
        {
            "missing_count": int(holes.size),
            "spacing_mm": spacing,
            "missing_positions_lps": [list(map(float, place)) for place in places],
            "slice_indices": [int(index) for index in indices[:LISTED]],
        },
    )


def _irregular(gaps: Vectors) -> Finding:
    rounded, counts = np.unique(np.round(gaps, 3), return_counts=True)
    commonest = np.argsort(-counts, kind="stable")[:10]
    return Finding(
        "irregular",
        f"The distances between slices range from {gaps.min():.5g} to {gaps.max():.5g} mm.",
        {
            "spacing_min_mm": float(gaps.min()),
            "spacing_max_mm": float(gaps.max()),
            "spacing_median_mm": float(np.median(gaps)),
            "spacings_mm": [{"spacing_mm": float(rounded[i]), "count": int(counts[i])} for i in commonest],
        },
    )


def _duplicates(distances: Vectors, codes: NDArray[np.int64], once: Verdict) -> Finding:
    repeats = np.bincount(codes)
    planes = np.flatnonzero(repeats > 1)
    first = np.searchsorted(codes, planes)
    return Finding(
        "duplicates",
        f"{planes.size} of {repeats.size} planes hold more than one frame, and no attribute tells them apart.",
        {
            "plane_count": int(planes.size),
            "frame_count": int(repeats[planes].sum()),
            "distances_mm": [float(distances[i]) for i in first[:LISTED]],
            "verdict_of_planes": once.value,
        },
    )


def _lateral_findings(positions: Vectors, distances: Vectors, plane: Plane) -> list[Finding]:
    """Whether unevenly spaced slices lie on a tilted straight line, or beside any straight line."""
    if float(np.ptp(distances)) <= SAME_PLANE_MM:
        return []
    center = distances - distances.mean()
    step = center @ (positions - positions.mean(axis=0)) / float(center @ center)
    line = _with_step(positions, distances, step)
    typical = float(np.median(np.diff(distances)))
    if line.deviation > tolerance_mm(typical):
        return [
            Finding(
                "off-line",
                f"The slices do not lie on a straight line: they leave it by up to {line.deviation:.3g} mm.",
                {"deviation_mm": line.deviation},
            )
        ]
    angle = _angle_deg(step, plane.normal)
    drift = math.sin(math.radians(angle)) * float(np.ptp(distances))
    if angle > TILT_DEG and drift > tolerance_mm(typical):
        return [_tilt(step, plane)]
    return []


def _plane_findings(plane: Plane) -> list[Finding]:
    if abs(plane.dot) <= ORTHOGONAL:
        return []
    angle = math.degrees(math.acos(plane.dot))
    return [
        Finding(
            "not-orthogonal",
            f"Rows and columns meet at {angle:.3f}°, not 90°: Image Orientation (Patient) (0020,0037). "
            "The affine keeps that angle.",
            {"angle_deg": angle},
        )
    ]


def _tilt(step: Vectors, plane: Plane) -> Finding:
    angle = _angle_deg(step, plane.normal)
    per_mm = step / float(step @ plane.normal)
    return Finding(
        "tilt",
        f"The line of slices is tilted by {angle:.2f}° against the slices' normal.",
        {
            "angle_deg": angle,
            "shift_per_mm": {"row": float(per_mm @ plane.column), "column": float(per_mm @ plane.row)},
        },
    )


def _angle_deg(vector: Vectors, unit: Vectors) -> float:
    # By the tangent: the arc cosine loses all angles below 1e-8 rad.
    return math.degrees(math.atan2(float(np.linalg.norm(np.cross(vector, unit))), float(vector @ unit)))
