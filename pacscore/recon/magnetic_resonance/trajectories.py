"""Trajectories: where in k-space the samples of a scan lie.

Coordinates are cycles per field of view, from ``-length / 2`` to ``length / 2`` of an axis, in the order of the image's
axes: (kz, ky, kx) or (ky, kx). On whole numbers a trajectory is a Cartesian grid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pacscore.errors import InputError

GOLDEN_ANGLE_RAD = math.pi * (math.sqrt(5.0) - 1.0) / 2.0
"""Between successive spokes, 111.246 degrees: Winkelmann et al. 2007."""

_BEYOND = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """The k-space coordinates of a scan.

    Attributes
    ----------
    coordinates : NDArray of float64
        ``(interleaves, samples, 2 or 3)``, cycles per field of view.
    shape : tuple of int
        ``([slice,] row, column)`` of the image they are made for.

    Raises
    ------
    InputError
        A coordinate is not finite, or lies outside the k-space of the image.
    """

    coordinates: NDArray[np.float64]
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        given = np.array(self.coordinates, np.float64)
        if given.ndim != 3 or 0 in given.shape or given.shape[2] != len(self.shape) or given.shape[2] not in {2, 3}:
            raise InputError(
                f"Coordinates are (interleaves, samples, axes of the image): {given.shape} for {self.shape}."
            )
        if min(self.shape) < 1 or not np.isfinite(given).all():
            raise InputError("A coordinate of the trajectory is not finite, or the image is empty.")
        furthest = np.abs(given).max(axis=(0, 1))
        for reach, length in zip(furthest.tolist(), self.shape, strict=True):
            if reach > length / 2 * (1 + _BEYOND):
                raise InputError(
                    f"A coordinate of {reach:g} cycles per field of view lies outside the k-space of {length} "
                    f"voxels, ±{length / 2:g}. Check the unit of the trajectory, or reconstruct a finer image.",
                    found=reach,
                )
        given.setflags(write=False)
        object.__setattr__(self, "coordinates", given)

    @property
    def points(self) -> NDArray[np.float64]:
        """``(interleaves * samples, 2 or 3)``."""
        return self.coordinates.reshape(-1, self.coordinates.shape[2])

    @classmethod
    def radial(
        cls, shape: Sequence[int], spokes: int, *, samples: int | None = None, golden_angle: bool = False
    ) -> Trajectory:
        """Spokes through the centre of a plane's k-space.

        Parameters
        ----------
        shape : sequence of int
            ``(row, column)``.
        spokes : int
            Equally spaced over 180 degrees, or each ``GOLDEN_ANGLE_RAD`` after the one before.
        samples : int, optional
            Of a spoke, twofold oversampled by default; sample ``samples // 2`` is the centre.
        golden_angle : bool
            See ``spokes``.

        Raises
        ------
        InputError
            A number is below 1, or the shape has not two axes.
        """
        count = _positive(samples or 2 * max(shape), "samples")
        angles = np.arange(_positive(spokes, "spokes")) * (GOLDEN_ANGLE_RAD if golden_angle else math.pi / spokes)
        radius = (np.arange(count) - count // 2) / count
        directions = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
        return cls(directions[:, None, :] * radius[:, None] * _plane(shape), tuple(shape))

    @classmethod
    def spiral(
        cls, shape: Sequence[int], interleaves: int, *, samples: int | None = None, turns: float | None = None
    ) -> Trajectory:
        """Archimedean spirals from the centre of a plane's k-space, turned against each other.

        Parameters
        ----------
        shape : sequence of int
            ``(row, column)``.
        interleaves : int
            How many spirals.
        samples : int, optional
            Of each; by default so that no two neighbours are farther apart than one turn from the next.
        turns : float, optional
            Of each spiral; by default so many that neighbouring turns of the set are two thirds of a cycle per field
            of view apart: at a whole one the aliases of a spiral blur into an object that fills the field of view.

        Raises
        ------
        InputError
            A number is below 1, or the shape has not two axes.
        """
        lengths = _plane(shape)
        count = _positive(interleaves, "interleaves")
        wound = 0.75 * max(shape) / count if turns is None else float(turns)
        if not (math.isfinite(wound) and wound > 0):
            raise InputError("turns is positive.", found=turns)
        along = _positive(samples or math.ceil(math.pi * wound * max(shape)) + 1, "samples")
        radius = np.linspace(0.0, 0.5, along)
        start = 2 * np.pi * np.arange(count) / count
        angles = start[:, None] + 4 * np.pi * wound * radius
        spiral = np.stack([radius * np.sin(angles), radius * np.cos(angles)], axis=-1)
        return cls(spiral * lengths, tuple(shape))

    @classmethod
    def stack_of_stars(
        cls, shape: Sequence[int], spokes: int, *, samples: int | None = None, golden_angle: bool = True
    ) -> Trajectory:
        """Radial planes at every whole kz, ``(slice, row, column)``; arguments as ``radial``.

        Interleaves run through the planes of one spoke before the next spoke.

        Raises
        ------
        InputError
            As ``radial``, or the shape has not three axes.
        """
        if len(shape) != 3:
            raise InputError(f"A stack of stars has three axes, not {len(shape)}.")
        plane = cls.radial(shape[1:], spokes, samples=samples, golden_angle=golden_angle).coordinates
        planes = np.arange(shape[0]) - shape[0] // 2
        stacked = np.empty((len(plane), shape[0], plane.shape[1], 3))
        stacked[..., 0] = planes[:, None]
        stacked[..., 1:] = plane[:, None]
        return cls(stacked.reshape(-1, plane.shape[1], 3), tuple(shape))

    @classmethod
    def of(cls, coordinates: ArrayLike, shape: Sequence[int]) -> Trajectory:
        """Any coordinates ``(…, samples, 2 or 3)``, cycles per field of view; see ``Trajectory``."""
        given = np.asarray(coordinates, np.float64)
        if given.ndim < 2:
            raise InputError(f"Coordinates are (…, samples, axes), not {given.shape}.", found=given.shape)
        return cls(given.reshape(-1, *given.shape[-2:]), tuple(shape))


def _plane(shape: Sequence[int]) -> NDArray[np.float64]:
    if len(shape) != 2 or min(shape) < 1:
        raise InputError(f"A plane has rows and columns, not {tuple(shape)}.", found=tuple(shape))
    return np.array(shape, np.float64)


def _positive(value: int, name: str) -> int:
    if value < 1:
        raise InputError(f"{name} is at least 1, not {value}.", found=value)
    return value
