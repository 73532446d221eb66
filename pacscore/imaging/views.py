"""From where a volume is looked at, in the patient's terms, and the rays that a picture from there takes.

Directions are LPS: x to the patient's left, y to the back, z to the head. All views are parallel projections: distances
in a picture are true wherever a thing lies, and a picture needs no distance of the viewer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import GeometryError, InputError, LimitError
from pacscore.imaging.arrays import RayGrid

DIRECTIONS = {
    "anterior": ((0.0, -1.0, 0.0), (0.0, 0.0, 1.0)),
    "posterior": ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "left": ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    "right": ((-1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    "superior": ((0.0, 0.0, 1.0), (0.0, -1.0, 0.0)),
    "inferior": ((0.0, 0.0, -1.0), (0.0, -1.0, 0.0)),
}
"""Toward the viewer, and up in the picture. From the side the head is up; from head or feet, the front."""

_SIDE_MAX = 16384
_SAMPLES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class View:
    """A direction to look from.

    Attributes
    ----------
    toward_viewer : tuple of float
        Unit vector from the patient to the viewer, LPS.
    up : tuple of float
        Unit vector that points up in the picture, at right angles to it.

    Examples
    --------
    From the front, the patient's left is to the right of the picture.

    >>> View.named("anterior").right
    (1.0, 0.0, 0.0)
    """

    toward_viewer: tuple[float, float, float]
    up: tuple[float, float, float]

    @classmethod
    def named(cls, name: str) -> View:
        """One of ``DIRECTIONS``: anterior shows the patient's front.

        Raises
        ------
        InputError
            There is none such.
        """
        if name not in DIRECTIONS:
            raise InputError(f"There is no direction {name!r}: choose one of {', '.join(DIRECTIONS)}.", found=name)
        return cls(*DIRECTIONS[name])

    @classmethod
    def orbit(cls, azimuth_deg: float, elevation_deg: float = 0.0) -> View:
        """Go around the patient.

        Parameters
        ----------
        azimuth_deg : float
            0 in front, 90 at the patient's left, 180 behind.
        elevation_deg : float
            Above the horizon, toward the head; -90 to 90.

        Raises
        ------
        InputError
            An angle is not finite, or the elevation outside its range.

        Examples
        --------
        >>> View.orbit(90) == View.named("left")
        True
        """
        if not math.isfinite(azimuth_deg) or not -90 <= elevation_deg <= 90:
            raise InputError(
                f"Azimuth {azimuth_deg} and elevation {elevation_deg}: give degrees, the elevation from -90 to 90.",
                found=(azimuth_deg, elevation_deg),
            )
        (sin_a, cos_a), (sin_e, cos_e) = _sine_cosine(azimuth_deg), _sine_cosine(elevation_deg)
        return cls((sin_a * cos_e, -cos_a * cos_e, sin_e), (0.0 - sin_a * sin_e, cos_a * sin_e, cos_e))

    @classmethod
    def along(cls, toward_viewer: Sequence[float], up: Sequence[float] | None = None) -> View:
        """Any direction.

        Parameters
        ----------
        toward_viewer : sequence of float
            From the patient to the viewer, LPS, of any length but 0.
        up : sequence of float, optional
            What is up in the picture, as far as it is at right angles to the view; by default the head, in views along
            the body the front.

        Raises
        ------
        InputError
            A vector is not three finite numbers, is zero, or both point one way.
        """
        toward = _unit(toward_viewer, "direction")
        wish = np.array([0.0, 0.0, 1.0]) if abs(toward[2]) < 0.999 else np.array([0.0, -1.0, 0.0])
        if up is not None:
            wish = _unit(up, "up")
        upward = wish - (wish @ toward) * toward
        length = float(np.linalg.norm(upward))
        if length < 1e-6:
            raise InputError("up points along the direction of view, so nothing is up: give another.")
        x, y, z = (float(part) for part in toward)
        a, b, c = (float(part) for part in upward / length)
        return cls((x, y, z), (a, b, c))

    @property
    def right(self) -> tuple[float, float, float]:
        """Unit vector to the right of the picture, LPS."""
        x, y, z = (0.0 + float(part) for part in np.cross(self.up, self.toward_viewer))
        return x, y, z

    def matrix(self) -> NDArray[np.float64]:
        """(3, 3): down, right, and away from the viewer, as rows."""
        return np.array([np.negative(self.up), self.right, np.negative(self.toward_viewer)], np.float64)


def choose_view(
    direction: str | Sequence[float] | None,
    up: Sequence[float] | None,
    azimuth_deg: float | None,
    elevation_deg: float | None,
) -> View:
    """The view that arguments ask for; from the front where they ask for none.

    Raises
    ------
    InputError
        A direction and angles are both given, or ``up`` without a vector.
    """
    angles = azimuth_deg is not None or elevation_deg is not None
    if direction is not None and angles:
        raise InputError("Give a direction, or azimuth and elevation: not both.")
    if up is not None and (direction is None or isinstance(direction, str)):
        raise InputError("up goes with a direction given as a vector.")
    if angles:
        return View.orbit(azimuth_deg or 0.0, elevation_deg or 0.0)
    if direction is None or isinstance(direction, str):
        return View.named(direction or "anterior")
    return View.along(direction, up)


@dataclass(frozen=True, slots=True, eq=False)
class Framing:
    """How large a picture is, and what of the volume it shows.

    Attributes
    ----------
    size : int or (rows, columns), optional
        In pixels; one number for a square. By default as many as the volume needs.
    pixel_mm : float, optional
        By default the volume's finest spacing, or with a size what makes the volume fit.
    step_mm : float, optional
        Between samples of a ray; by default the volume's finest spacing.
    thickness_mm : float, optional
        Of the slab across the view, about the centre; by default the whole depth.
    center_lps : sequence of float, optional
        Middle of the picture and of the slab; by default the volume's.

    Raises
    ------
    InputError
        A number is not positive and finite, or the centre is not three.
    """

    size: int | tuple[int, int] | None = None
    pixel_mm: float | None = None
    step_mm: float | None = None
    thickness_mm: float | None = None
    center_lps: Sequence[float] | None = None

    def __post_init__(self) -> None:
        lengths = {"pixel_mm": self.pixel_mm, "step_mm": self.step_mm, "thickness_mm": self.thickness_mm}
        for name, length in lengths.items():
            if length is not None and not (math.isfinite(length) and length > 0):
                raise InputError(f"{name} is a length above 0, not {length}.", found=length)
        sides = self.sides()
        if sides is not None and (len(sides) != 2 or not all(1 <= side <= _SIDE_MAX for side in sides)):
            raise InputError(f"A picture has 1 to {_SIDE_MAX} pixels along each side, not {self.size}.")
        if self.center_lps is not None:
            center = np.asarray(self.center_lps, np.float64)
            if center.shape != (3,) or not np.isfinite(center).all():
                raise InputError("center_lps is three finite millimetres.")

    def sides(self) -> tuple[int, int] | None:
        """``(rows, columns)``, None where not fixed."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A picture to be taken: its rays, and where its pixels lie.

    Attributes
    ----------
    grid : RayGrid
        In voxel indices; sample 0 is nearest to the viewer.
    index_to_lps : NDArray of float64
        4 × 4, ``(0, row, column, 1)`` to LPS millimetres, of the plane through the middle of the slab; its first column
        is zero.
    pixel_mm, step_mm : float
        Between pixels; between samples.
    """

    grid: RayGrid
    index_to_lps: NDArray[np.float64]
    pixel_mm: float
    step_mm: float


def frame_views(
    views: Sequence[View], index_to_lps: NDArray[np.float64], shape: Sequence[int], framing: Framing
) -> list[Frame]:
    """Lay out pictures of one volume, all of one size and scale: what each needs fits into all.

    Raises
    ------
    GeometryError
        The affine cannot be inverted.
    LimitError
        A picture would have more than 16384 pixels along a side, or a ray more than 2**20 samples.
    """
    steps = index_to_lps[:3, :3]
    finest = float(np.linalg.norm(steps, axis=0).min())
    if not (finest > 0 and abs(np.linalg.det(steps)) > 0):
        raise GeometryError("This affine has no third dimension to look along: a single slice cannot be projected.")
    far = np.array([length - 1.0 for length in shape])
    corners = np.array([[(number >> axis) & 1 for axis in range(3)] for number in range(8)]) * far
    middle = steps @ (far / 2) + index_to_lps[:3, 3]
    center = middle if framing.center_lps is None else np.asarray(framing.center_lps, np.float64)
    reach = corners @ steps.T + index_to_lps[:3, 3] - center
    extents = np.array([np.abs(reach @ view.matrix().T).max(axis=0) for view in views]).max(axis=0)
    pixel_mm, rows, columns = _scale(framing, 2 * extents[0], 2 * extents[1], finest)
    step_mm = framing.step_mm or finest
    layout = _Layout(index_to_lps, center, reach, (rows, columns), pixel_mm, step_mm, framing.thickness_mm)
    return [_frame(view, layout) for view in views]


def _scale(framing: Framing, height: float, width: float, finest: float) -> tuple[float, int, int]:
    sides = framing.sides()
    if sides is None:
        pixel_mm = framing.pixel_mm or finest
        rows, columns = (math.ceil(length / pixel_mm - 1e-6) + 1 for length in (height, width))
        if max(rows, columns) > _SIDE_MAX:
            raise LimitError(f"A picture of {rows} × {columns} pixels is too large: give a size, or larger pixels.")
        return pixel_mm, rows, columns
    rows, columns = sides
    fitting = max(height / max(1, rows - 1), width / max(1, columns - 1))
    return framing.pixel_mm or fitting or finest, rows, columns


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """What all pictures of one volume share; ``reach`` is where its corners lie from the centre, (8, 3) LPS."""

    index_to_lps: NDArray[np.float64]
    center: NDArray[np.float64]
    reach: NDArray[np.float64]
    sides: tuple[int, int]
    pixel_mm: float
    step_mm: float
    thickness_mm: float | None


def _frame(view: View, layout: _Layout) -> Frame:
    down, right, away = view.matrix()
    pixel_mm, step_mm = layout.pixel_mm, layout.step_mm
    depth = layout.reach @ away
    # Samples are counted from the nearest corner, also in a slab: along an axis they then meet the voxels.
    near, far = float(depth.min()), float(depth.max())
    first, last = 0, math.floor((far - near) / step_mm + 1e-9)
    if layout.thickness_mm is not None:
        half = layout.thickness_mm / 2
        first, last = math.ceil((-half - near) / step_mm - 1e-9), math.floor((half - near) / step_mm + 1e-9)
        if last < first:
            first = last = round(-near / step_mm)
    if last - first >= _SAMPLES_MAX:
        raise LimitError(f"{last - first + 1} samples a ray are too many: give a larger step_mm.")
    rows, columns = layout.sides
    corner = layout.center - (rows - 1) / 2 * pixel_mm * down - (columns - 1) / 2 * pixel_mm * right
    affine = np.zeros((4, 4))
    affine[:3, 1], affine[:3, 2], affine[:3, 3], affine[3, 3] = down * pixel_mm, right * pixel_mm, corner, 1.0
    to_index = np.linalg.inv(layout.index_to_lps[:3, :3])
    start = to_index @ (corner + (near + first * step_mm) * away - layout.index_to_lps[:3, 3])
    vectors = (start, to_index @ (down * pixel_mm), to_index @ (right * pixel_mm), to_index @ (away * step_mm))
    origin, row_step, column_step, sample_step = ((float(z), float(y), float(x)) for z, y, x in vectors)
    grid = RayGrid(origin, row_step, column_step, sample_step, layout.sides, last - first + 1)
    return Frame(grid, affine, pixel_mm, step_mm)


def _sine_cosine(angle_deg: float) -> tuple[float, float]:
    """Exact at right angles."""
    quarter, rest = divmod(angle_deg, 90.0)
    sine, cosine = math.sin(math.radians(rest)), math.cos(math.radians(rest))
    turned = [(sine, cosine), (cosine, -sine), (-sine, -cosine), (-cosine, sine)][int(quarter) % 4]
    return turned[0] + 0.0, turned[1] + 0.0


def _unit(vector: Sequence[float], name: str) -> NDArray[np.float64]:
    found = np.asarray(vector, np.float64)
    if found.shape != (3,) or not np.isfinite(found).all() or not found.any():
        raise InputError(f"{name} is a vector of three finite numbers, LPS, that is not zero.")
    return np.asarray(found / np.linalg.norm(found))
