"""Phantoms with exact k-space: ellipses and ellipsoids seen by coils, on any trajectory, with noise.

Places and sizes are fractions of the field of view: -0.5 to 0.5 from its middle, axes (slice, row, column) or (row,
column). k-space is the Fourier integral of the phantom, not the transform of a raster, so that reconstructions are
compared with what a scanner would see. Coils are sums of three plane waves each, which only shift k-space: their own is
exact, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.recon.magnetic_resonance.libraries import optional
from pacscore.recon.magnetic_resonance.trajectories import Trajectory
from pacscore.recon.shepp_logan import SHEPP_LOGAN

Complex64 = NDArray[np.complex64]
Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """An ellipse or ellipsoid of one value.

    Attributes
    ----------
    value : float
        Added where it lies.
    center, semi_axes : tuple of float
        ``([slice,] row, column)``, fractions of the field of view.
    angle_rad : float
        Turn in the plane of rows and columns, from the column axis towards the row axis.
    """

    value: float
    center: tuple[float, ...]
    semi_axes: tuple[float, ...]
    angle_rad: float = 0.0

    def __post_init__(self) -> None:
        if len(self.center) not in {2, 3} or len(self.semi_axes) != len(self.center) or min(self.semi_axes) <= 0:
            raise InputError(f"An ellipsoid has 2 or 3 axes, of positive length: {self}.")

    def turned(self, vectors: Float64) -> Float64:
        """Vectors ``(…, axes)`` in units of the semi-axes, along them."""
        out = np.array(vectors, np.float64)
        cosine, sine = math.cos(self.angle_rad), math.sin(self.angle_rad)
        row, column = vectors[..., -2], vectors[..., -1]
        out[..., -1] = cosine * column + sine * row
        out[..., -2] = cosine * row - sine * column
        return out


def shepp_logan(dimensions: int = 2) -> tuple[Ellipsoid, ...]:
    """The Shepp-Logan head in 2 or 3 dimensions, modified contrast; the forehead lies towards row 0.

    Raises
    ------
    InputError
        Another number of dimensions.
    """
    _check_dimensions(dimensions)
    head = []
    for value, a, b, c, x, y, z, degrees in SHEPP_LOGAN:
        center, axes = (z / 2, -y / 2, x / 2), (c / 2, b / 2, a / 2)
        first = 3 - dimensions
        head.append(Ellipsoid(value, center[first:], axes[first:], -math.radians(degrees)))
    return tuple(head)


def lopsided(dimensions: int = 2) -> tuple[Ellipsoid, ...]:
    """A body with one mark of its own size and value on each axis: flips and swaps of axes show.

    Raises
    ------
    InputError
        Another number of dimensions.
    """
    _check_dimensions(dimensions)
    parts = (
        Ellipsoid(1.0, (0.0, 0.0, 0.0), (0.36, 0.36, 0.36)),
        Ellipsoid(1.0, (0.0, 0.0, 0.22), (0.06, 0.06, 0.06)),
        Ellipsoid(2.0, (0.0, 0.19, 0.0), (0.05, 0.05, 0.05)),
        Ellipsoid(3.0, (0.16, 0.0, 0.0), (0.06, 0.05, 0.05)),
    )
    if dimensions == 3:
        return parts
    return tuple(Ellipsoid(part.value, part.center[1:], part.semi_axes[1:]) for part in parts[:3])


def phantom_image(phantom: Sequence[Ellipsoid], shape: Sequence[int], *, subsamples: int = 4) -> NDArray[np.float32]:
    """The phantom drawn on a grid, each voxel the mean of ``subsamples`` points along each axis.

    Index ``length // 2`` is the middle of the field of view.
    """
    lengths = tuple(shape)
    _check_dimensions(len(lengths))
    offsets = (np.arange(subsamples) + 0.5) / subsamples - 0.5
    axes = [(((np.arange(n) - n // 2)[:, None] + offsets) / n).reshape(-1) for n in lengths]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    fine = np.zeros(places.shape[:-1], np.float32)
    for part in phantom:
        inside = ((part.turned(places - np.array(part.center)) / np.array(part.semi_axes)) ** 2).sum(axis=-1) <= 1
        fine[inside] += part.value
    folded = fine.reshape([size for n in lengths for size in (n, subsamples)])
    drawn: NDArray[np.float32] = folded.mean(axis=tuple(range(1, 2 * len(lengths), 2)), dtype=np.float64).astype("f4")
    return drawn


def coil_maps(coils: int, shape: Sequence[int]) -> Complex64:
    """Sensitivities of coils about the field of view, ``(coils, [slice,] row, column)``; one coil sees evenly."""
    lengths = tuple(shape)
    _check_dimensions(len(lengths))
    places = np.stack(np.meshgrid(*((np.arange(n) - n // 2) / n for n in lengths), indexing="ij"), axis=-1)
    maps = np.zeros((coils, *lengths), np.complex128)
    for coil in range(coils):
        for weight, wave in _waves(coil, coils, len(lengths)):
            maps[coil] += weight * np.exp(2j * np.pi * (places @ wave))
    return maps.astype(np.complex64)


def phantom_kspace(
    phantom: Sequence[Ellipsoid],
    where: Trajectory | Sequence[int],
    *,
    coils: int = 1,
    noise: float = 0.0,
    seed: int = 0,
) -> Complex64:
    """The exact k-space of a phantom.

    Parameters
    ----------
    phantom : sequence of Ellipsoid
        What lies in the field of view.
    where : Trajectory or shape
        Samples of a trajectory, or all of a Cartesian grid ``([kz,] ky, kx)``.
    coils : int
        How many coils see it; see ``coil_maps``.
    noise : float
        Standard deviation of the complex noise of a sample, and so of a voxel of a fully sampled image.
    seed : int
        Of the noise.

    Returns
    -------
    NDArray of complex64
        ``(coils, interleaves, samples)`` or ``(coils, [kz,] ky, kx)``, scaled as ``centred_fft``: the image has
        the phantom's values.

    Raises
    ------
    InputError
        The phantom has other dimensions, or a number is out of range.
    UnsupportedError
        SciPy is not installed.
    """
    if coils < 1 or not (math.isfinite(noise) and noise >= 0) or not phantom:
        raise InputError("A phantom has a part, one coil or more, and noise of 0 or more.")
    if isinstance(where, Trajectory):
        shape, coordinates = where.shape, where.coordinates
    else:
        shape = tuple(where)
        _check_dimensions(len(shape))
        coordinates = np.stack(np.meshgrid(*(np.arange(n) - n // 2 for n in shape), indexing="ij"), axis=-1)
    if any(len(part.center) != len(shape) for part in phantom):
        raise InputError(f"The phantom has other dimensions than {shape}.", found=shape)
    lead = coordinates.shape[:-1]
    samples = np.zeros((coils, *lead), np.complex128)
    for coil in range(coils):
        for weight, wave in _waves(coil, coils, len(shape)):
            samples[coil] += weight * _transform(phantom, np.asarray(coordinates, np.float64) - wave)
    samples *= math.sqrt(math.prod(shape))
    if noise > 0:
        random = np.random.default_rng(seed)
        samples += (
            noise / math.sqrt(2) * (random.standard_normal(samples.shape) + 1j * random.standard_normal(samples.shape))
        )
    return samples.astype(np.complex64)


def regular_mask(
    shape: Sequence[int], acceleration: Sequence[int], *, shift: int = 0, calibration: int = 24
) -> NDArray[np.bool_]:
    """A regular undersampling of phase encodings with a fully sampled middle.

    Parameters
    ----------
    shape : sequence of int
        ``([kz,] ky, kx)``.
    acceleration : sequence of int
        Of the phase encodings, ``([kz,] ky)``.
    shift : int
        By how many ky lines move from one sampled kz to the next (CAIPIRINHA).
    calibration : int
        Width of the middle, 0 for none.

    Returns
    -------
    NDArray of bool
        ``shape``; sampled lines contain zero frequency.
    """
    encodings = tuple(shape[:-1])
    if len(encodings) != len(acceleration) or min(acceleration) < 1 or calibration < 0:
        raise InputError(f"Accelerations {tuple(acceleration)} do not fit the phase encodings {encodings}.")
    steps = np.meshgrid(*(np.arange(n) - n // 2 for n in encodings), indexing="ij")
    lines = steps[-1]
    mask = np.ones(encodings, bool)
    if len(encodings) == 2:
        mask = steps[0] % acceleration[0] == 0
        lines = lines - steps[0] // acceleration[0] * shift
    mask &= lines % acceleration[-1] == 0
    middle = np.ones(encodings, bool)
    for step in steps:
        middle &= (step >= -(calibration // 2)) & (step < (calibration + 1) // 2)
    return np.repeat((mask | middle)[..., None], shape[-1], axis=-1)


def random_mask(shape: Sequence[int], fraction: float, *, calibration: int = 24, seed: int = 0) -> NDArray[np.bool_]:
    """Random positions, denser towards the middle, which is fully sampled; ``shape``, about ``fraction`` of it.

    Raises
    ------
    InputError
        ``fraction`` is not between 0 and 1.
    """
    if not 0 < fraction <= 1:
        raise InputError("fraction lies above 0 and is at most 1.", found=fraction)
    places = np.meshgrid(*((np.arange(n) - n // 2) / n for n in shape), indexing="ij")
    radius = np.sqrt(sum(place * place for place in places)) * 2
    density = np.clip(1 - radius / math.sqrt(len(shape)), 0, 1) ** 2
    density *= fraction / density.mean()
    mask: NDArray[np.bool_] = np.random.default_rng(seed).random(tuple(shape)) < density
    middle = np.ones(tuple(shape), bool)
    for place, n in zip(places, shape, strict=True):
        middle &= np.abs(place * n) < calibration / 2
    return mask | middle


def _transform(phantom: Sequence[Ellipsoid], k: Float64) -> NDArray[np.complex128]:
    """The Fourier integral at ``k``: a disc's is ``J1(2 pi r) / r``, a ball's ``(sin - s cos) / (2 pi² r³)``."""
    total = np.zeros(k.shape[:-1], np.complex128)
    for part in phantom:
        axes = np.array(part.semi_axes)
        r = np.sqrt(((part.turned(k) * axes) ** 2).sum(axis=-1))
        safe = np.maximum(r, 1e-9)
        s = 2 * np.pi * safe
        if len(axes) == 2:
            shape = np.where(r > 1e-6, optional("scipy.special").j1(s) / safe, np.pi)
        else:
            shape = np.where(r > 1e-3, (np.sin(s) - s * np.cos(s)) / (2 * np.pi**2 * safe**3), 4 / 3 * np.pi)
        phase = np.exp(-2j * np.pi * (k @ np.array(part.center)))
        total += part.value * float(np.prod(axes)) * shape * phase
    return total


def _waves(coil: int, coils: int, dimensions: int) -> list[tuple[complex, Float64]]:
    """Plane waves (weight, cycles per field of view) of a coil: bright on its side, with a phase across."""
    if coils == 1:
        return [(1.0, np.zeros(dimensions))]
    angle = 2 * np.pi * coil / coils
    towards, across = np.array([np.sin(angle), np.cos(angle)]), np.array([np.cos(angle), -np.sin(angle)])
    if dimensions == 3:
        towards = np.array([0.6 * (-1) ** coil, *0.8 * towards])
        across = np.array([0.0, *across])
    start = complex(np.exp(1j * angle))
    waves = [(0.55 * start, 0.25 * across)]
    for sign in (1, -1):
        waves.append((0.225 * start * complex(np.exp(-0.5j * np.pi * sign)), 0.25 * across + 0.5 * sign * towards))
    return waves


def _check_dimensions(dimensions: int) -> None:
    if dimensions not in {2, 3}:
        raise InputError(f"A phantom has 2 or 3 dimensions, not {dimensions}.", found=dimensions)
