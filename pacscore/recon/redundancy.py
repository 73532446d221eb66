"""How much each ray counts: views unevenly far apart, rays measured twice, short scans, detectors set off to a side.

W1  All weights of the rays along one line sum to 1, times the angle that a view stands for.
W2  Whether a scan is full is judged by the largest gap between views, not by their order or number.
W3  What cannot be weighted is refused with the reason; a limited angle only counts as wanted where it is asked for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import GeometryError
from pacscore.recon.cone_geometries import ConeGeometry
from pacscore.recon.geometries import FanGeometry, ParallelGeometry

_GAP_MAX = 4.0
"""Largest gap of a full scan, in typical gaps: golden angles have gaps of 1 to 2.6."""
OFFSET = "offset detector"
"""What the weights of a detector set off to a side are called."""
_OFFSET_MIN = 0.05
"""A detector whose sides differ by more than this part of the longer one is set off."""


def arc_weights(angles: NDArray[np.float64], period: float) -> tuple[NDArray[np.float64], float]:
    """The angle that each view stands for, and the largest gap between neighbours.

    Returns
    -------
    weights : (views,) float64
        Half the way to both neighbours around a circle of ``period``. They sum to it.
    gap : float
        The largest gap in units of the typical one; infinite for fewer than three directions.
    """
    wrapped = np.mod(angles, period)
    order = np.argsort(wrapped, kind="stable")
    ordered = wrapped[order]
    gaps = np.diff(ordered, append=ordered[0] + period)
    weights = np.empty(angles.size)
    weights[order] = (gaps + np.roll(gaps, 1)) / 2
    distinct = gaps[gaps > 1e-9]
    if distinct.size < 3:
        return weights, np.inf
    return weights, float(distinct.max() / np.median(distinct))


def limited_weights(angles: NDArray[np.float64], period: float) -> NDArray[np.float64]:
    """``arc_weights`` in which the largest gap counts as a typical one."""
    wrapped = np.mod(angles, period)
    order = np.argsort(wrapped, kind="stable")
    gaps = np.diff(wrapped[order], append=wrapped[order][0] + period)
    if gaps.size > 1:
        largest = int(np.argmax(gaps))
        others = np.delete(gaps, largest)
        gaps[largest] = float(np.median(others[others > 1e-9])) if (others > 1e-9).any() else period / gaps.size
    weights = np.empty(angles.size)
    weights[order] = (gaps + np.roll(gaps, 1)) / 2
    return weights


def parker_weights(angles: NDArray[np.float64], fan_rad: NDArray[np.float64], excess_rad: float) -> NDArray[np.float64]:
    """Weights of a short scan, (views, columns).

    Parameters
    ----------
    angles : (views,) float64
        From the first view of the arc, which spans π + 2 ``excess_rad``.
    fan_rad : (columns,) float64
        Angle of each column's ray, positive toward rising columns.

    Notes
    -----
    Parker 1982, Med. Phys. 9(2), equations 11 and 12, with the arc's excess in place of the fan's half angle
    (Wesarg et al. 2002), so that longer arcs use all their views.
    """
    beta, gamma = angles[:, None], -fan_rad[None, :]
    rise = beta / np.maximum(excess_rad - gamma, 1e-9)
    fall = (np.pi + 2 * excess_rad - beta) / np.maximum(excess_rad + gamma, 1e-9)
    weights = np.where(rise < 2.0, np.sin(np.pi / 4 * np.clip(rise, 0, 2)) ** 2, 1.0)
    falling = beta > np.pi - 2 * gamma
    return np.where(falling, np.sin(np.pi / 4 * np.clip(fall, 0, 2)) ** 2, weights)


def offset_weights(across: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of a detector set off to a side, (columns,).

    Parameters
    ----------
    across : (columns,) float64
        Distance of each column's ray from the axis of rotation, with its sign, edges of the detector at the outermost.

    Notes
    -----
    Wang 2002, Med. Phys. 29(7): 0 to 1 over the part that both sides see, 1 beyond, w(s) + w(-s) = 1.
    """
    low, high = float(across.min()), float(across.max())
    short = max(min(-low, high), 1e-9)
    sign = 1.0 if high > -low else -1.0
    weights: NDArray[np.float64] = 0.5 * (1.0 + np.sin(np.pi / 2 * np.clip(sign * across / short, -1.0, 1.0)))
    return weights


def is_offset(across: NDArray[np.float64]) -> bool:
    """Whether one side of the detector reaches notably farther from the axis than the other."""
    low, high = -float(across.min()), float(across.max())
    return abs(high - low) > _OFFSET_MIN * max(high, low)


def mirrored_columns(center: float, count: int) -> tuple[int, int]:
    """Columns missing before the first and after the last of a detector set off to a side, to see as far on both.

    Rays there count 0, but filtering spreads into them what was measured, and voxels beyond the short side need that.
    """
    short = 2 * center - (count - 1)
    missing = int(np.ceil(abs(short)))
    return (missing, 0) if short < 0 else (0, missing)


def parallel_factors(geometry: ParallelGeometry, *, limited_angle: bool) -> tuple[NDArray[np.float64], str]:
    """(views, columns) angle times weight of each ray of a parallel scan, and what was done in words.

    Raises
    ------
    GeometryError
        The views leave a gap and ``limited_angle`` is false.
    """
    columns = np.arange(geometry.column_count, dtype=np.float64) - geometry.center
    across = columns * geometry.column_spacing_mm
    ones = np.ones(geometry.column_count)
    full, gap = arc_weights(geometry.angles, 2 * np.pi)
    if gap <= _GAP_MAX and is_offset(across):
        refuse_uncovered(across)
        return full[:, None] * offset_weights(across), OFFSET
    half, gap = arc_weights(geometry.angles, np.pi)
    if gap <= _GAP_MAX:
        return half[:, None] * ones, ""
    if not limited_angle:
        raise GeometryError(_gap_text(geometry.angles, "half a turn"))
    return limited_weights(geometry.angles, np.pi)[:, None] * ones, "limited angle"


def _gap_text(angles: NDArray[np.float64], needed: str) -> str:
    return (
        f"The {angles.size} views leave a gap: filtered backprojection needs {needed}, evenly filled. Pass "
        "limited_angle=True to take them as they are, or use an iterative method."
    )


def refuse_uncovered(across: NDArray[np.float64]) -> None:
    """Raise where the axis of rotation is projected off the detector.

    Raises
    ------
    GeometryError
        It is: no line has been measured from both sides.
    """
    if not across.min() <= 1e-9 or not across.max() >= -1e-9:
        raise GeometryError("The axis of rotation is projected off the detector: check the center column and offset.")


def diverging_factors(
    geometry: FanGeometry | ConeGeometry, fan_rad: NDArray[np.float64], *, limited_angle: bool
) -> tuple[NDArray[np.float64], str]:
    """(views, columns) angle times weight of each ray of a fan or cone, and what was done in words.

    Raises
    ------
    GeometryError
        The arc is shorter than half a turn and the fan, or the detector is set off in a short scan.
    """
    angles = geometry.angles
    refuse_uncovered(fan_rad)
    across = np.tan(fan_rad)
    full, gap = arc_weights(angles, 2 * np.pi)
    if gap <= _GAP_MAX:
        if is_offset(across):
            return full[:, None] * offset_weights(across), OFFSET
        return full[:, None] * np.full(fan_rad.size, 0.5), ""
    weights = limited_weights(angles, 2 * np.pi)
    if limited_angle:
        return weights[:, None] * np.full(fan_rad.size, 0.5), "limited angle"
    if angles.size < 3:
        raise GeometryError(_gap_text(angles, "half a turn and the fan angle"))
    if is_offset(across):
        raise GeometryError("A detector set off to a side needs a full turn: this is a short scan.")
    wrapped = np.sort(np.mod(angles, 2 * np.pi))
    begin = wrapped[(int(np.argmax(np.diff(wrapped, append=wrapped[0] + 2 * np.pi))) + 1) % wrapped.size]
    from_first = np.mod(angles - begin + 1e-9, 2 * np.pi) - 1e-9
    step = float(np.median(np.diff(np.sort(from_first))))
    span, reach = float(from_first.max()) + step, float(np.abs(fan_rad).max())
    excess = (span - np.pi) / 2
    if excess < reach - step:
        raise GeometryError(
            f"The views span {np.rad2deg(span):.1f}°; a short scan of this fan needs 180° + {np.rad2deg(2 * reach):.1f}"
            "°. Pass limited_angle=True to take them as they are, or use an iterative method.",
            expected=float(np.rad2deg(np.pi + 2 * reach)),
            found=float(np.rad2deg(span)),
        )
    parker = parker_weights(from_first + step / 2, fan_rad, max(excess, reach))
    return weights[:, None] * parker, "short scan"
