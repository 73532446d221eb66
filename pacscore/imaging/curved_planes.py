"""Sections along a curve: the centre line of a vessel, a jaw, a spine.

A centre line is the natural cubic spline through its points, parameterised by chord length; along it a frame that
turns no more than the curve itself (rotation-minimising) says where left and right are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pacscore.errors import InputError
from pacscore.imaging.resampling import depth_samples, finest_mm, image_of_values
from pacscore.imaging.sampled import Lines, background_value, refuse_unsampled, sample_values

if TYPE_CHECKING:
    from pacscore.imaging.image import Image
    from pacscore.imaging.volume import Volume

STYLES = ("straightened", "stretched")
"""How a curved section is laid flat."""
_POINTS_MAX = 10_000
_FINE = 16
_COUNT_MAX = 1 << 15


@dataclass(frozen=True, slots=True, eq=False)
class CenterLine:
    """Points along a curve, equally far apart along it.

    Attributes
    ----------
    positions_lps : (n, 3) float64
        mm.
    tangents, normals, binormals : (n, 3) float64
        The frame at each: unit vectors, LPS; binormal = tangent × normal.
    step_mm : float
        Along the curve.
    """

    positions_lps: NDArray[np.float64]
    tangents: NDArray[np.float64]
    normals: NDArray[np.float64]
    binormals: NDArray[np.float64]
    step_mm: float


def curved(
    volume: Volume,
    points_lps: ArrayLike,
    *,
    width_mm: float,
    style: str = "straightened",
    spacing_mm: float | None = None,
    angle_deg: float = 0.0,
    thickness_mm: float = 0.0,
    combine: str = "mean",
    interpolation: str = "linear",
    background: float | None = None,
) -> Image:
    """A section along a curve, laid flat.

    Parameters
    ----------
    points_lps : (n, 3) array
        Points on the curve in LPS mm, in order, at least two; a natural cubic spline passes through them.
    width_mm : float
        Of the section, across the curve.
    style : str
        ``straightened``: the curve is the straight middle column; rows lie across it, so that its diameter can be
        measured everywhere. ``stretched``: rows all have one direction in space, and the curve bends within the
        picture; lengths along it stay true.
    spacing_mm : float, optional
        Of the result, both ways; by default the volume's finest.
    angle_deg : float
        Turns the section about the curve.
    thickness_mm, combine
        Samples perpendicular to the section are combined as in ``Volume.slab``.
    interpolation, background
        As in ``Volume.reslice``.

    Returns
    -------
    Image
        ``(rows, columns)`` float32 modality values: rows follow one another along the curve. It has a spacing but no
        affine, since it is not flat in space; ``center_line`` with the same points and spacing says where they lie.

    Raises
    ------
    GeometryError, AmbiguousError, UnsupportedError
        As in ``Volume.reslice``.
    InputError
        There are fewer than two different points, or a number or name is none that can be used.

    Notes
    -----
    A. Kanitsar et al., "CPR: curved planar reformation", IEEE Visualization 2002, sections 3.2 (stretched) and 3.3
    (straightened).
    """
    refuse_unsampled(volume)
    step = finest_mm(volume) if spacing_mm is None else spacing_mm
    if not all(math.isfinite(value) and value > 0 for value in (width_mm, step)):
        raise InputError("width_mm and spacing_mm are positive.", found=(width_mm, step))
    if style not in STYLES:
        raise InputError(f"Style is {style!r}, which is none of {', '.join(STYLES)}.", found=style)
    columns = max(1, round(width_mm / step))
    if columns > _COUNT_MAX:
        raise InputError(f"A section of {columns} columns cannot be made: give a larger spacing_mm.", found=columns)
    lay_flat = straightened_lines if style == "straightened" else stretched_lines
    starts, across, depth = lay_flat(points_lps, step_mm=step, columns=columns, angle_deg=angle_deg)
    depths, apart = depth_samples(volume, thickness_mm, None)
    to_index = np.linalg.inv(volume.index_to_lps)
    places = np.empty((len(starts), 3, 3))
    places[:, 0] = (starts - depth * apart * (depths - 1) / 2) @ to_index[:3, :3].T + to_index[:3, 3]
    places[:, 1] = across * step @ to_index[:3, :3].T
    places[:, 2] = depth * apart @ to_index[:3, :3].T
    lines = Lines(places, columns, depths, combine, interpolation)
    values = sample_values(volume, lines, background_value(volume, background))
    words = f"{style} section along a curve, {step:.4g} mm, {interpolation}"
    return image_of_values(volume, values, index_to_lps=None, spacing_mm=(step, step), derivation=words)


def straightened_lines(
    points_lps: ArrayLike, *, step_mm: float, columns: int, angle_deg: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Where rows across a curve begin, run and have their depth: (rows, 3) arrays, LPS; the last two unit vectors."""
    line = center_line(points_lps, step_mm=step_mm)
    angle = math.radians(angle_deg)
    across = line.normals * math.cos(angle) + line.binormals * math.sin(angle)
    depth = np.cross(line.tangents, across)
    return line.positions_lps - across * step_mm * (columns - 1) / 2, across, depth


def stretched_lines(
    points_lps: ArrayLike, *, step_mm: float, columns: int, angle_deg: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The same with one direction for all rows, about the middle of the curve.

    Rows are ``step_mm`` apart along the curve as seen along that direction, so that no length in the surface changes.
    """
    positions, tangents = _walk(points_lps, step_mm / _FINE)
    angle = math.radians(angle_deg)
    chord = positions[-1] - positions[0]
    along = chord / np.linalg.norm(chord) if np.linalg.norm(chord) > step_mm else tangents[0]
    first = _perpendicular(along)
    across = first * math.cos(angle) + np.cross(along, first) * math.sin(angle)
    beside = positions @ across
    flat = positions - beside[:, None] * across
    travelled = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(flat, axis=0), axis=1))])
    if travelled[-1] == 0.0:
        raise InputError("The curve runs along the rows of its stretched section: turn it with angle_deg.")
    wanted = np.arange(0.0, travelled[-1] + step_mm * 1e-6, step_mm)
    rows = np.stack([np.interp(wanted, travelled, flat[:, axis]) for axis in range(3)], axis=1)
    ahead = np.gradient(rows, axis=0) if len(rows) > 1 else np.broadcast_to(along, rows.shape)
    depth = np.cross(ahead, across)
    depth /= np.linalg.norm(depth, axis=1, keepdims=True)
    middle = (beside.min() + beside.max()) / 2 - step_mm * (columns - 1) / 2
    return rows + middle * across, np.broadcast_to(across, rows.shape), depth


def center_line(points_lps: ArrayLike, *, step_mm: float) -> CenterLine:
    """Walk along a curve through points, in equal steps, with a frame that does not twist.

    Parameters
    ----------
    points_lps : (n, 3) array
        LPS mm, in order; the same point twice in a row counts once.
    step_mm : float
        Along the curve.

    Raises
    ------
    InputError
        There are fewer than two different points or too many, one is not finite, or the step is not positive.

    Notes
    -----
    Frames by double reflection: W. Wang et al., "Computation of rotation minimizing frames", ACM Trans. Graphics 27
    (2008) 2, table I. The first normal is as near to the patient's left as the first tangent lets it be, or to the
    back where the curve begins leftward.

    Examples
    --------
    >>> center_line([(0, 0, 0), (0, 0, 10)], step_mm=5).positions_lps.tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 5.0], [0.0, 0.0, 10.0]]
    """
    positions, tangents = _walk(points_lps, step_mm)
    normals = _frames(positions, tangents)
    return CenterLine(positions, tangents, normals, np.cross(tangents, normals), step_mm)


def _walk(points_lps: ArrayLike, step_mm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions and tangents of ``center_line``."""
    points = np.asarray(points_lps, np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all() or len(points) > _POINTS_MAX:
        raise InputError(f"A curve is (points, 3) finite numbers, at most {_POINTS_MAX} points.", found=points.shape)
    moved = np.linalg.norm(np.diff(points, axis=0), axis=1) > 0
    points = points[np.concatenate([[True], moved])] if len(points) else points
    if len(points) < 2 or not (math.isfinite(step_mm) and step_mm > 0):
        raise InputError("A curve needs two different points, and a positive step.", found=(len(points), step_mm))
    knots = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    if knots[-1] / step_mm > _COUNT_MAX * _FINE:
        raise InputError("The curve has too many steps: give a larger one.", found=knots[-1] / step_mm)
    curvatures = _natural_spline(knots, points)
    # Arc length by chords a sixteenth of the step long: their error is of the fourth order.
    fine = np.linspace(0.0, knots[-1], min(1 << 20, _FINE * (math.ceil(knots[-1] / step_mm) + len(knots))) + 1)
    places, slopes = _evaluate(knots, points, curvatures, fine)
    travelled = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(places, axis=0), axis=1))])
    count = int(travelled[-1] / step_mm + 1e-6) + 1
    wanted = np.interp(np.arange(count) * step_mm, travelled, fine)
    positions, slopes = _evaluate(knots, points, curvatures, wanted)
    return positions, slopes / np.linalg.norm(slopes, axis=1, keepdims=True)


def _natural_spline(knots: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Second derivatives at the knots, 0 at both ends: the tridiagonal system, eliminated forward and back."""
    count = len(knots)
    result = np.zeros_like(points)
    if count < 3:
        return result
    widths = np.diff(knots)
    slopes = np.diff(points, axis=0) / widths[:, None]
    right = 6.0 * np.diff(slopes, axis=0)
    diagonal = 2.0 * (widths[:-1] + widths[1:])
    for row in range(1, count - 2):
        factor = widths[row] / diagonal[row - 1]
        diagonal[row] -= factor * widths[row]
        right[row] -= factor * right[row - 1]
    for row in range(count - 3, -1, -1):
        beyond = widths[row + 1] * result[row + 2] if row < count - 3 else 0.0
        result[row + 1] = (right[row] - beyond) / diagonal[row]
    return result


def _evaluate(
    knots: NDArray[np.float64], points: NDArray[np.float64], curvatures: NDArray[np.float64], at: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Position and derivative of the spline."""
    piece = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 2)
    width = (knots[piece + 1] - knots[piece])[:, None]
    t = (at[:, None] - knots[piece][:, None]) / width
    a, b = points[piece], points[piece + 1]
    c, d = curvatures[piece] * width**2 / 6, curvatures[piece + 1] * width**2 / 6
    s = 1 - t
    position = s * a + t * b + (s**3 - s) * c + (t**3 - t) * d
    slope = (b - a - (3 * s**2 - 1) * c + (3 * t**2 - 1) * d) / width
    return position, slope


def _frames(positions: NDArray[np.float64], tangents: NDArray[np.float64]) -> NDArray[np.float64]:
    normals = np.empty_like(positions)
    normals[0] = _perpendicular(tangents[0])
    for number in range(len(positions) - 1):
        first = positions[number + 1] - positions[number]
        normal, tangent = normals[number], tangents[number]
        square = first @ first
        normal = normal - (2 / square) * (first @ normal) * first
        tangent = tangent - (2 / square) * (first @ tangent) * first
        second = tangents[number + 1] - tangent
        square = second @ second
        if square > 1e-24:
            normal = normal - (2 / square) * (second @ normal) * second
        normal = normal - tangents[number + 1] * (normal @ tangents[number + 1])
        normals[number + 1] = normal / np.linalg.norm(normal)
    return normals


def _perpendicular(tangent: NDArray[np.float64]) -> NDArray[np.float64]:
    """The unit vector across a tangent that lies nearest to the patient's left, or back."""
    toward = np.array([1.0, 0.0, 0.0]) if abs(tangent[0]) < 0.9 else np.array([0.0, 1.0, 0.0])
    across = toward - tangent * (tangent @ toward)
    unit: NDArray[np.float64] = across / np.linalg.norm(across)
    return unit
