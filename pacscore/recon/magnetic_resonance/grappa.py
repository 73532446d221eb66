"""GRAPPA: missing samples of k-space as weighted sums of their measured neighbours in all coils."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore import parallel
from pacscore.errors import InputError
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.recon.magnetic_resonance.fourier import finite_array
from pacscore.recon.magnetic_resonance.libraries import one_blas_thread

Complex64 = NDArray[np.complex64]

_OFFSET = tuple[int, int]
_COLUMNS = 1024


@dataclass(frozen=True, slots=True)
class Lattice:
    """The regular part of an undersampled pattern of phase encodings.

    Attributes
    ----------
    acceleration : (int, int)
        Of kz and ky, each at least 1; for planes the first is 1.
    shift : int
        By how many ky the sampled lines move from one sampled kz to the next (CAIPIRINHA), 0 to acceleration - 1.
    origin : (int, int)
        A sampled (kz, ky).

    Raises
    ------
    InputError
        A number is out of range.
    """

    acceleration: tuple[int, int]
    shift: int = 0
    origin: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        z, y = self.acceleration
        if z < 1 or y < 1 or not 0 <= self.shift < y:
            raise InputError(f"Accelerations are 1 or more and the shift below that of ky: {self}.")

    def contains(self, kz: NDArray[np.int64], ky: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which positions the pattern samples."""
        planes, rest = np.divmod(kz - self.origin[0], self.acceleration[0])
        lines = (ky - self.origin[1] - planes * self.shift) % self.acceleration[1]
        inside: NDArray[np.bool_] = (rest == 0) & (lines == 0)
        return inside

    def sources(self, kernel: tuple[int, int]) -> list[_OFFSET]:
        """Offsets of the sampled neighbours of a cell: ``kernel`` planes of ``kernel`` lines about its middle."""
        z, y = self.acceleration
        planes = range(-((kernel[0] - 1) // 2), kernel[0] // 2 + 1)
        offsets = []
        for plane in planes:
            # Lines nearest to the middle of the cell, wherever the shift puts them.
            base = plane * self.shift % y
            first = -((kernel[1] - 1) // 2) * y + base - (y if base > y // 2 else 0)
            offsets += [(plane * z, first + line * y) for line in range(kernel[1])]
        return offsets

    def targets(self) -> list[_OFFSET]:
        """Offsets of the missing samples of a cell."""
        z, y = self.acceleration
        return [(dz, dy) for dz in range(z) for dy in range(y) if (dz, dy) != (0, 0)]


def find_lattice(mask: NDArray[np.bool_]) -> Lattice:
    """The lattice of a sampling pattern ``(kz, ky)``, which may hold a fully sampled calibration region beside.

    The smallest acceleration whose lattice samples nothing that the pattern does not, and without which only a
    calibration region would remain, wins.

    Raises
    ------
    InputError
        No lattice up to acceleration 8 by 8 describes the pattern.
    """
    given = np.asarray(mask, bool)
    if given.ndim != 2 or not given.any():
        raise InputError(f"A pattern is (kz, ky) and samples something: {given.shape}.")
    kz, ky = (np.arange(length)[..., None] if at == 0 else np.arange(length) for at, length in enumerate(given.shape))
    first_z = int(np.argmax(given.any(axis=1)))
    first_y = int(np.argmax(given[first_z]))
    choices = [
        Lattice((z, y), shift, (first_z, first_y))
        for z in range(1, min(8, given.shape[0]) + 1)
        for y in range(1, min(8, given.shape[1]) + 1)
        for shift in range(y if z > 1 or given.shape[0] > 1 else 1)
    ]
    choices.sort(key=lambda lattice: (math.prod(lattice.acceleration), lattice.acceleration[0], lattice.shift))
    last_z = int(np.flatnonzero(given.any(axis=1))[-1])
    for lattice in choices:
        expected = lattice.contains(kz, ky)
        expected[:first_z] = False
        expected[last_z + 1 :] = False
        missing = expected & ~given
        lines = np.flatnonzero(given.any(axis=0))
        missing[:, : lines[0]] = False
        missing[:, lines[-1] + 1 :] = False
        if not missing.any():
            return lattice
    raise InputError("The sampled lines are no lattice up to 8 by 8: use SENSE or compressed sensing instead.")


def grappa(
    kspace: NDArray[Any],
    *,
    calibration: NDArray[Any] | None = None,
    lattice: Lattice | None = None,
    kernel: tuple[int, int, int] | None = None,
    regularization: float = 1e-4,
    watch: Watch = UNWATCHED,
) -> Complex64:
    """Fill the missing samples of regularly undersampled k-space.

    Parameters
    ----------
    kspace : NDArray
        ``(coils, ky, kx)`` or ``(coils, kz, ky, kx)``, 0 where not sampled; kx is fully sampled.
    calibration : NDArray, optional
        Fully sampled k-space of the same coils, as many axes; by default the largest fully sampled middle of
        ``kspace`` itself.
    lattice : Lattice, optional
        The pattern; found in ``kspace`` by default.
    kernel : (int, int, int), optional
        How many sampled kz and ky, and how many kx (odd), each weight set reaches; (1, 4, 5) for planes and (2, 4, 5)
        for volumes with an accelerated or shifted kz by default.
    regularization : float
        Tikhonov weight relative to the mean energy of a source, 0 or more.
    watch : Watch
        Cancellation, and progress in three steps.

    Returns
    -------
    NDArray of complex64
        The shape of ``kspace``: what was measured is kept, the rest of the lattice's cells filled.

    Raises
    ------
    InputError
        The pattern is no lattice, or the calibration is too small for the kernel.
    CancelledError
        The watch says so.

    Notes
    -----
    Griswold et al. 2002; Breuer et al. 2006 (2-D CAIPIRINHA). All missing samples of a lattice cell share their
    sources, so that one normal matrix serves them all. Applying the weights is one matrix product for each kx of the
    kernel on the rows as they lie, without gathering neighbourhoods. Memory: the sources (coils × kernel of kz and ky)
    once for each cell and kx, and twice the result.
    """
    given = finite_array(kspace, "kspace", 3)
    if given.ndim not in {3, 4} or not (math.isfinite(regularization) and regularization >= 0):
        raise InputError(f"kspace is (coils, [kz,] ky, kx) and regularization 0 or more: {given.shape}.")
    volume = given if given.ndim == 4 else given[:, None]
    mask = (volume != 0).any(axis=(0, 3))
    pattern = lattice or find_lattice(mask)
    if pattern.acceleration == (1, 1):
        return given.copy()
    block = _calibration(calibration, volume, mask)
    taps = kernel or ((1 if pattern.acceleration[0] == 1 and pattern.shift == 0 else 2), 4, 5)
    if min(taps) < 1 or taps[2] % 2 == 0:
        raise InputError(f"kernel is (kz, ky, kx), kx odd: {taps}.", found=taps)
    with one_blas_thread():
        weights = _weights(block, pattern, taps, regularization)
    watch.check()
    if watch.progress is not None:
        watch.progress("GRAPPA", 1, 2)
    with one_blas_thread():
        filled = _fill(volume, mask, pattern, weights, kernel=taps[:2], watch=watch)
    if watch.progress is not None:
        watch.progress("GRAPPA", 2, 2)
    return filled.reshape(given.shape)


def _calibration(calibration: NDArray[Any] | None, volume: Complex64, mask: NDArray[np.bool_]) -> Complex64:
    if calibration is not None:
        given = finite_array(calibration, "calibration", volume.ndim - 1)
        given = given if given.ndim == 4 else given[:, None]
        if given.ndim != 4 or given.shape[0] != volume.shape[0]:
            raise InputError(f"A calibration has the coils of kspace, {volume.shape[0]}: it is {given.shape}.")
        return given
    z, y = (length // 2 for length in mask.shape)
    if not mask[z, y]:
        raise InputError("The middle of k-space is not sampled: give a calibration scan.")
    best, box = 0, (z, z, y, y)
    for reach in range(max(z + 1, mask.shape[0] - z)):  # Growing about the middle, keep the largest full rectangle.
        low, high = max(0, z - reach), min(mask.shape[0], z + reach + 1)
        full: NDArray[np.bool_] = np.logical_and.reduce(mask[low:high], axis=0)
        left, right = y, y
        while left > 0 and full[left - 1]:
            left -= 1
        while right < full.size and full[right]:
            right += 1
        if (high - low) * (right - left) > best:
            best, box = (high - low) * (right - left), (low, high, left, right)
    return np.ascontiguousarray(volume[:, box[0] : box[1], box[2] : box[3]])


def _weights(block: Complex64, pattern: Lattice, taps: tuple[int, int, int], regularization: float) -> Complex64:
    """``(kx taps, targets * coils, sources * coils)``."""
    coils = len(block)
    sources, targets = pattern.sources(taps[:2]), pattern.targets()
    offsets = np.array(sources + targets + [(0, 0)])
    low, high = offsets.min(axis=0), offsets.max(axis=0)
    room = np.array(block.shape[1:3]) - (high - low)
    columns = block.shape[3] - taps[2] + 1
    unknowns = coils * len(sources) * taps[2]
    if (room < 1).any() or columns < 1 or int(room.prod()) * columns < unknowns // 2:
        raise InputError(
            f"A calibration of {block.shape[1:]} (kz, ky, kx) is too small for {unknowns} weights a sample. "
            "Give a larger one or a smaller kernel.",
            found=block.shape[1:],
        )

    def patch(offset: tuple[int, int], shift: int) -> Complex64:
        z, y = offset[0] - low[0], offset[1] - low[1]
        return block[:, z : z + room[0], y : y + room[1], shift : shift + columns].reshape(coils, -1)

    matrix = np.concatenate([patch(source, dx) for dx in range(taps[2]) for source in sources])
    wanted = np.concatenate([patch(target, taps[2] // 2) for target in targets])
    normal = (matrix @ matrix.conj().T).astype(np.complex128)
    normal[np.diag_indices(unknowns)] += regularization * np.trace(normal).real / unknowns + 1e-30
    weights = np.linalg.solve(normal, (matrix @ wanted.conj().T).astype(np.complex128)).conj().T
    shaped = weights.reshape(len(wanted), taps[2], unknowns // taps[2]).transpose(1, 0, 2)
    return np.ascontiguousarray(shaped, np.complex64)


def _fill(
    volume: Complex64,
    mask: NDArray[np.bool_],
    pattern: Lattice,
    weights: Complex64,
    *,
    kernel: tuple[int, int],
    watch: Watch,
) -> Complex64:
    coils, width, taps = len(volume), volume.shape[3], len(weights)
    pad, sources, targets = taps // 2, pattern.sources(kernel), pattern.targets()
    cells = _cells(pattern, mask.shape)
    pitch = width + 2 * pad
    gathered = np.zeros((len(sources), coils, len(cells), pitch), np.complex64)
    for number, offset in enumerate(sources):
        places = cells + offset
        # Only the lattice itself: calibration lines between belong to no source.
        inside = _within(places, mask.shape)
        z, y = places[inside].T
        gathered[number][:, inside, pad : pad + width] = volume[:, z, y]
    rows = gathered.reshape(len(sources) * coils, -1)
    count = rows.shape[1] - 2 * pad
    estimates = np.empty((len(targets), coils, len(cells), pitch), np.complex64)
    flat = estimates.reshape(len(targets) * coils, -1)

    def apply(start: int, stop: int) -> None:
        part = weights[0] @ rows[:, start:stop]
        for dx in range(1, taps):
            part += weights[dx] @ rows[:, start + dx : stop + dx]
        flat[:, start:stop] = part

    # What would reach across a row's end lands in its padding, which is not used below.
    parallel.run_tiles(apply, count, tile=_COLUMNS, threads=watch.threads)
    out = volume.copy()
    for number, offset in enumerate(targets):
        places = cells + offset
        inside = _within(places, mask.shape)
        inside[inside] = ~mask[places[inside, 0], places[inside, 1]]
        z, y = places[inside].T
        out[:, z, y] = estimates[number][:, inside, :width]
    return out


def _within(places: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = np.logical_and.reduce((places >= 0) & (places < shape), axis=1)
    return inside


def _cells(pattern: Lattice, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Lattice points whose cells meet the grid, those before its first line and plane included."""
    z, y = pattern.acceleration
    kz, ky = np.meshgrid(np.arange(-z, shape[0]), np.arange(-y, shape[1]), indexing="ij")
    return np.argwhere(pattern.contains(kz, ky)) - (z, y)
